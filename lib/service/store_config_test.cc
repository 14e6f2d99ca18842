#include "lib/service/store_config.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace certwright::service {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

config::v1::Store Valid() {
  config::v1::Store store;
  store.mutable_sqlite()->set_path("a.db");
  return store;
}

TEST(StoreConfigTest, AFileIsRequired) {
  EXPECT_THAT(ValidateStore(Valid()), IsEmpty());
  EXPECT_THAT(ValidateStore({}), ElementsAre("store: sqlite is required"));
  config::v1::Store store;
  store.mutable_sqlite();
  EXPECT_THAT(ValidateStore(store), ElementsAre("store.sqlite.path: is required"));
}

TEST(StoreConfigTest, QuotasAreNotNegative) {
  config::v1::Store store = Valid();
  store.mutable_quotas()->set_namespace_objects(-1);
  store.mutable_quotas()->set_total_bytes(-1);
  EXPECT_THAT(
      ValidateStore(store),
      ElementsAre("store.quotas.namespaceObjects: must be at least 1, or 0 for the default",
                  "store.quotas.totalBytes: must be at least 1, or 0 for the default"));
}

}  // namespace
}  // namespace certwright::service
