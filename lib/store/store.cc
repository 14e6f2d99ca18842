#include "lib/store/store.h"

#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace certwright::store {

runtime::Awaitable<absl::StatusOr<int64_t>> Store::Put(
    runtime::Context context, std::string key, std::string value,
    std::optional<int64_t> expected_revision) {
  std::vector<Mutation> mutations;
  mutations.push_back(Mutation::Put(std::move(key), std::move(value), expected_revision));
  return Commit(std::move(context), std::move(mutations));
}

runtime::Awaitable<absl::StatusOr<int64_t>> Store::Delete(
    runtime::Context context, std::string key, std::optional<int64_t> expected_revision) {
  std::vector<Mutation> mutations;
  mutations.push_back(Mutation::Delete(std::move(key), expected_revision));
  return Commit(std::move(context), std::move(mutations));
}

absl::Status ValidateMutations(const std::vector<Mutation>& mutations) {
  if (mutations.empty() || mutations.size() > kMaxMutations) {
    return absl::InvalidArgumentError(absl::StrCat("a commit must have 1 to ", kMaxMutations,
                                                   " mutations, not ", mutations.size()));
  }
  std::set<absl::string_view> keys;
  for (const Mutation& mutation : mutations) {
    if (mutation.key.empty() || mutation.key.size() > kMaxKeyBytes) {
      return absl::InvalidArgumentError(absl::StrCat("a key must have 1 to ", kMaxKeyBytes,
                                                     " bytes, not ", mutation.key.size()));
    }
    if (!keys.insert(mutation.key).second) {
      return absl::InvalidArgumentError(
          absl::StrCat(mutation.key, ": changed twice in one commit"));
    }
    if (mutation.value.has_value() && mutation.value->size() > kMaxValueBytes) {
      return absl::InvalidArgumentError(absl::StrCat(mutation.key, ": the value has ",
                                                     mutation.value->size(), " bytes; at most ",
                                                     kMaxValueBytes, " can be stored"));
    }
    if (mutation.writer == Writer::kUser && mutation.value.has_value() &&
        mutation.value->size() > kMaxUserValueBytes) {
      return absl::InvalidArgumentError(
          absl::StrCat(mutation.key, ": must be at most ", kMaxUserValueBytes,
                       " bytes as it is stored, not ", mutation.value->size()));
    }
    if (mutation.expected_revision.has_value() && *mutation.expected_revision < 0) {
      return absl::InvalidArgumentError(
          absl::StrCat(mutation.key, ": the expected revision is negative"));
    }
    if (!mutation.value.has_value() && mutation.expected_revision == 0) {
      return absl::InvalidArgumentError(
          absl::StrCat(mutation.key, ": cannot be deleted and expected to be absent"));
    }
  }
  return absl::OkStatus();
}

std::optional<std::string> PrefixEnd(std::string prefix) {
  while (!prefix.empty() && static_cast<unsigned char>(prefix.back()) == 0xff) {
    prefix.pop_back();
  }
  if (prefix.empty()) return std::nullopt;
  prefix.back() = static_cast<char>(static_cast<unsigned char>(prefix.back()) + 1);
  return prefix;
}

}  // namespace certwright::store
