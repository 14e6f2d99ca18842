#include "lib/store/quota.h"

#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "lib/base/status_macros.h"
#include "lib/rpc/status.h"

namespace certwright::store {
namespace {

// Nothing for a record that is no resource.
std::optional<absl::string_view> NamespaceOf(absl::string_view key) {
  const std::vector<absl::string_view> parts = absl::StrSplit(key, '/');
  if (parts.size() != 3) return std::nullopt;
  return parts[1];
}

std::string Described(absl::string_view resource_namespace) {
  return resource_namespace.empty() ? std::string("what belongs to no namespace")
                                    : absl::StrCat("namespace ", resource_namespace);
}

// One quota: `name` is its field in the configuration.
absl::Status CheckOne(absl::string_view subject, absl::string_view name, absl::string_view unit,
                      int64_t quota, int64_t used, int64_t added) {
  if (quota == 0 || added <= 0 || used + added <= quota) return absl::OkStatus();
  return rpc::QuotaExceeded(
      subject, absl::StrCat(subject, " may have ", quota, " ", unit, ", has ", used,
                            " and would get ", added, " more: delete some, or raise ",
                            "store.quotas.", name, " of the service's configuration"));
}

}  // namespace

void UsageChange::Note(absl::string_view key, int64_t before, int64_t after, bool by_user) {
  const auto resource_namespace = NamespaceOf(key);
  if (!resource_namespace.has_value()) return;
  const auto size = static_cast<int64_t>(key.size());
  Delta& delta = deltas_[std::string(*resource_namespace)];
  delta.usage.objects += (after >= 0 ? 1 : 0) - (before >= 0 ? 1 : 0);
  delta.usage.bytes += (after >= 0 ? size + after : 0) - (before >= 0 ? size + before : 0);
  delta.by_user |= by_user;
}

bool StoreUsage::Counts(absl::string_view key) const {
  return quotas_.uncounted_prefix.empty() || !absl::StartsWith(key, quotas_.uncounted_prefix);
}

void StoreUsage::Add(absl::string_view key, int64_t value_bytes) {
  if (!Counts(key)) return;
  UsageChange change;
  change.Note(key, -1, value_bytes, false);
  Apply(change, 1);
}

absl::Status StoreUsage::Check(const UsageChange& change) const {
  Usage added;  // to the whole store, by users
  for (const auto& [resource_namespace, delta] : change.deltas_) {
    if (!delta.by_user) continue;
    added.objects += delta.usage.objects;
    added.bytes += delta.usage.bytes;
    const Usage used = of(resource_namespace);
    const std::string subject = Described(resource_namespace);
    CW_RETURN_IF_ERROR(CheckOne(subject, "namespaceObjects", "objects",
                                quotas_.namespace_objects, used.objects, delta.usage.objects));
    CW_RETURN_IF_ERROR(CheckOne(subject, "namespaceBytes", "bytes", quotas_.namespace_bytes,
                                used.bytes, delta.usage.bytes));
  }
  CW_RETURN_IF_ERROR(CheckOne("the store", "totalObjects", "objects", quotas_.total_objects,
                              total_.objects, added.objects));
  return CheckOne("the store", "totalBytes", "bytes", quotas_.total_bytes, total_.bytes,
                  added.bytes);
}

void StoreUsage::Apply(UsageChange change) {
  Apply(change, 1);
  open_.push_back(std::move(change));
}

void StoreUsage::Rollback() {
  for (const UsageChange& change : open_) Apply(change, -1);
  open_.clear();
}

Usage StoreUsage::of(absl::string_view resource_namespace) const {
  const auto found = namespaces_.find(resource_namespace);
  return found == namespaces_.end() ? Usage() : found->second;
}

void StoreUsage::Apply(const UsageChange& change, int64_t sign) {
  for (const auto& [resource_namespace, delta] : change.deltas_) {
    for (Usage* usage : {&namespaces_[resource_namespace], &total_}) {
      usage->objects += sign * delta.usage.objects;
      usage->bytes += sign * delta.usage.bytes;
    }
    if (namespaces_[resource_namespace] == Usage()) namespaces_.erase(resource_namespace);
  }
}

}  // namespace certwright::store
