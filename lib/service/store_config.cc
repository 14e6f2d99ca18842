#include "lib/service/store_config.h"

#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"

namespace certwright::service {
namespace {

store::Quotas ToQuotas(const config::v1::Quotas& given) {
  store::Quotas quotas = {.namespace_objects = 10'000,
                          .namespace_bytes = int64_t{32} << 20,
                          .total_objects = 100'000,
                          .total_bytes = int64_t{48} << 20};
  if (given.namespace_objects() > 0) quotas.namespace_objects = given.namespace_objects();
  if (given.namespace_bytes() > 0) quotas.namespace_bytes = given.namespace_bytes();
  if (given.total_objects() > 0) quotas.total_objects = given.total_objects();
  if (given.total_bytes() > 0) quotas.total_bytes = given.total_bytes();
  return quotas;
}

}  // namespace

std::vector<std::string> ValidateStore(const config::v1::Store& store) {
  if (!store.has_sqlite()) return {"store: sqlite is required"};
  std::vector<std::string> problems;
  if (store.sqlite().path().empty()) problems.push_back("store.sqlite.path: is required");
  const config::v1::Quotas& quotas = store.quotas();
  for (const auto& [value, name] : {std::pair(quotas.namespace_objects(), "namespaceObjects"),
                                    std::pair(quotas.namespace_bytes(), "namespaceBytes"),
                                    std::pair(quotas.total_objects(), "totalObjects"),
                                    std::pair(quotas.total_bytes(), "totalBytes")}) {
    if (value >= 0) continue;
    problems.push_back(
        absl::StrCat("store.quotas.", name, ": must be at least 1, or 0 for the default"));
  }
  return problems;
}

store::SqliteOptions ToSqliteOptions(const config::v1::Store& store, std::string owner,
                                     const Environment& environment) {
  store::SqliteOptions options;
  options.owner = std::move(owner);
  options.quotas = ToQuotas(store.quotas());
  options.health = environment.storage;
  options.clock = &environment.clock();
  return options;
}

}  // namespace certwright::service
