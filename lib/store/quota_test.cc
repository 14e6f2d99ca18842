#include "lib/store/quota.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"

namespace certwright::store {
namespace {

using ::testing::HasSubstr;

UsageChange Change(absl::string_view key, int64_t before, int64_t after, bool by_user = true) {
  UsageChange change;
  change.Note(key, before, after, by_user);
  return change;
}

TEST(StoreUsageTest, CountsWhatIsPutAndDeleted) {
  StoreUsage usage({});
  usage.Add("certificates/team/a", 10);
  usage.Apply(Change("certificates/team/b", -1, 20));
  EXPECT_EQ(usage.of("team"), (Usage{2, 2 * 19 + 30}));
  usage.Apply(Change("certificates/team/b", 20, 5));
  EXPECT_EQ(usage.of("team"), (Usage{2, 2 * 19 + 15}));
  usage.Apply(Change("certificates/team/a", 10, -1));
  EXPECT_EQ(usage.of("team"), (Usage{1, 19 + 5}));
  EXPECT_EQ(usage.total(), usage.of("team"));
}

TEST(StoreUsageTest, CountsResourcesOfNoNamespaceTogether) {
  StoreUsage usage({});
  usage.Add("clusterissuers//a", 1);
  usage.Add("presentations//b", 1);
  usage.Add("sealing/key", 100);
  EXPECT_EQ(usage.of("").objects, 2);
  EXPECT_EQ(usage.total().objects, 2);
}

TEST(StoreUsageTest, WhatAServiceKeepsForItselfDoesNotCount) {
  StoreUsage usage({.uncounted_prefix = "limitrecords/"});
  EXPECT_TRUE(usage.Counts("clusterissuers//a"));
  EXPECT_FALSE(usage.Counts("limitrecords//b"));
  usage.Add("clusterissuers//a", 1);
  usage.Add("limitrecords//b", 1);
  EXPECT_EQ(usage.total().objects, 1);
}

TEST(StoreUsageTest, ARolledBackTransactionCountsForNothing) {
  StoreUsage usage({});
  usage.Apply(Change("certificates/team/a", -1, 10));
  usage.Commit();
  const Usage before = usage.total();
  usage.Apply(Change("certificates/team/a", 10, -1));
  usage.Apply(Change("certificates/other/a", -1, 10));
  usage.Rollback();
  EXPECT_EQ(usage.total(), before);
  EXPECT_EQ(usage.of("other"), Usage());
}

struct Case {
  const char* what;
  Quotas quotas;
  const char* key;
  int64_t before;
  int64_t after;
  bool by_user;
  const char* refused;  // empty: allowed
};

// The store holds certificates/team/a and certificates/other/a of 100 bytes each, with keys of
// 19 and 20 bytes.
TEST(StoreUsageTest, RefusesWhatMakesMoreOfIt) {
  const Case cases[] = {
      {"no quota", {}, "certificates/team/b", -1, 1 << 20, true, ""},
      {"objects", {1, 0, 0, 0}, "certificates/team/b", -1, 1, true, "namespaceObjects"},
      {"room for one", {2, 0, 0, 0}, "certificates/team/b", -1, 1, true, ""},
      {"another kind", {1, 0, 0, 0}, "secrets/team/b", -1, 1, true, "namespaceObjects"},
      {"another namespace", {1, 0, 0, 0}, "certificates/new/b", -1, 1, true, ""},
      {"cluster", {1, 0, 0, 0}, "clusterissuers//b", -1, 1, true, ""},
      {"bytes", {0, 150, 0, 0}, "certificates/team/b", -1, 100, true, "namespaceBytes"},
      {"a growing update",
       {0, 150, 0, 0},
       "certificates/team/a",
       100,
       140,
       true,
       "namespaceBytes"},
      {"a shrinking update", {1, 50, 1, 1}, "certificates/team/a", 100, 99, true, ""},
      {"a deletion", {1, 50, 1, 1}, "certificates/team/a", 100, -1, true, ""},
      {"objects in all", {0, 0, 2, 0}, "certificates/new/b", -1, 1, true, "totalObjects"},
      {"bytes in all", {0, 0, 0, 240}, "certificates/new/b", -1, 1, true, "totalBytes"},
      {"a service", {1, 1, 1, 1}, "certificates/team/b", -1, 1 << 20, false, ""},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.what);
    StoreUsage usage(c.quotas);
    usage.Add("certificates/team/a", 100);
    usage.Add("certificates/other/a", 100);
    const absl::Status status = usage.Check(Change(c.key, c.before, c.after, c.by_user));
    EXPECT_EQ(status.ok(), std::string(c.refused).empty()) << status;
    if (!status.ok()) {
      EXPECT_TRUE(absl::IsResourceExhausted(status));
      EXPECT_THAT(std::string(status.message()), HasSubstr(c.refused));
    }
  }
}

TEST(StoreUsageTest, TheQuotasOfTheStoreHoldForAllNamespacesOfACommitTogether) {
  for (const Quotas& quotas : {Quotas{.total_objects = 3}, Quotas{.total_bytes = 70}}) {
    StoreUsage usage(quotas);
    usage.Add("certificates/team/a", 1);
    usage.Add("certificates/other/a", 1);
    UsageChange two;
    two.Note("certificates/team/b", -1, 1, true);
    two.Note("certificates/other/b", -1, 1, true);
    EXPECT_THAT(usage.Check(two),
                base::StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("the store")));
    UsageChange instead;
    instead.Note("certificates/team/a", 1, -1, true);
    instead.Note("certificates/other/b", -1, 1, true);
    CW_EXPECT_OK(usage.Check(instead));
    UsageChange with_service;
    with_service.Note("certificates/team/b", -1, 1, true);
    with_service.Note("certificates/new/b", -1, 1, false);
    CW_EXPECT_OK(usage.Check(with_service));
  }
}

TEST(StoreUsageTest, TheRefusalSaysHowMuchIsUsed) {
  StoreUsage usage({.namespace_objects = 1});
  usage.Add("certificates/team/a", 100);
  const absl::Status status = usage.Check(Change("certificates/team/b", -1, 1));
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("namespace team may have 1 objects, has 1 and would get 1 more"));
}

}  // namespace
}  // namespace certwright::store
