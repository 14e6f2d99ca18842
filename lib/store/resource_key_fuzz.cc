// Page tokens, resource versions and keys that come from outside.
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/base/fuzz.h"
#include "lib/store/resource_key.h"

namespace certwright::store {
namespace {

void CheckToken(absl::string_view text) {
  for (const absl::string_view prefix : {"", "Widget/", "Widget/ns/"}) {
    const absl::StatusOr<ListPosition> position = DecodePageToken(text, prefix);
    if (!position.ok()) continue;
    CW_FUZZ_CHECK(position->revision > 0 && absl::StartsWith(position->last_key, prefix));
    // Each position has one token.
    CW_FUZZ_CHECK(EncodePageToken(*position) == text);
  }
}

void CheckPosition(absl::string_view key) {
  if (key.size() > 1024) return;
  const ListPosition position{int64_t{1} << (key.size() % 63), std::string(key)};
  const absl::StatusOr<ListPosition> again =
      DecodePageToken(EncodePageToken(position), key.substr(0, key.size() / 2));
  CW_FUZZ_CHECK(again.ok());
  CW_FUZZ_CHECK(again->revision == position.revision && again->last_key == position.last_key);
}

void CheckVersion(absl::string_view text) {
  const absl::StatusOr<int64_t> version = ParseResourceVersion(text);
  if (version.ok()) CW_FUZZ_CHECK(*version >= 0 && absl::StrCat(*version) == text);
}

void CheckQueueKey(absl::string_view text) {
  const absl::StatusOr<ResourceName> name = ParseQueueKey(text);
  if (!name.ok()) return;
  CW_FUZZ_CHECK(!name->name.empty());
  CW_FUZZ_CHECK(QueueKey(name->resource_namespace, name->name) == text);
}

}  // namespace
}  // namespace certwright::store

CW_FUZZ_TARGET(input) {
  certwright::store::CheckToken(input);
  certwright::store::CheckPosition(input);
  certwright::store::CheckVersion(input);
  certwright::store::CheckQueueKey(input);
}
