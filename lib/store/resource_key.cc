#include "lib/store/resource_key.h"

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "lib/base/status_macros.h"

namespace certwright::store {
namespace {

// More than the base64 of a revision and the longest key.
constexpr std::size_t kMaxTokenBytes = 2048;

}  // namespace

std::string QueueKey(absl::string_view resource_namespace, absl::string_view name) {
  return absl::StrCat(resource_namespace, "/", name);
}

absl::StatusOr<ResourceName> ParseQueueKey(absl::string_view key) {
  const auto slash = key.find('/');
  if (slash == absl::string_view::npos) {
    return absl::InvalidArgumentError("a key must have the form namespace/name");
  }
  const absl::string_view resource_namespace = key.substr(0, slash);
  const absl::string_view name = key.substr(slash + 1);
  CW_RETURN_IF_ERROR(CheckResourceName(resource_namespace, name));
  return ResourceName{std::string(resource_namespace), std::string(name)};
}

std::string RecordKey(absl::string_view kind, absl::string_view resource_namespace,
                      absl::string_view name) {
  return absl::StrCat(kind, "/", resource_namespace, "/", name);
}

absl::Status CheckResourceName(absl::string_view resource_namespace, absl::string_view name) {
  if (name.empty()) return absl::InvalidArgumentError("metadata.name: must be given");
  if (absl::StrContains(name, "/")) {
    return absl::InvalidArgumentError("metadata.name: must not contain a slash");
  }
  if (absl::StrContains(resource_namespace, "/")) {
    return absl::InvalidArgumentError("metadata.namespace: must not contain a slash");
  }
  return absl::OkStatus();
}

absl::StatusOr<int64_t> ParseResourceVersion(absl::string_view version) {
  int64_t revision = 0;
  // 0 is the version of the list of an empty store. SimpleAtoi() takes blanks and "+7" too.
  if (!absl::SimpleAtoi(version, &revision) || revision < 0 ||
      absl::StrCat(revision) != version) {
    return absl::InvalidArgumentError(
        "resource_version: not one that this service has given out");
  }
  return revision;
}

std::string EncodePageToken(const ListPosition& position) {
  return absl::WebSafeBase64Escape(absl::StrCat(position.revision, ":", position.last_key));
}

absl::StatusOr<ListPosition> DecodePageToken(absl::string_view token,
                                             absl::string_view prefix) {
  const absl::Status error =
      absl::InvalidArgumentError("page_token: not one that this list has given out");
  std::string text;
  if (token.size() > kMaxTokenBytes || !absl::WebSafeBase64Unescape(token, &text)) {
    return error;
  }
  const auto colon = text.find(':');
  if (colon == std::string::npos) return error;
  ListPosition position;
  position.last_key = text.substr(colon + 1);
  const absl::string_view revision = absl::string_view(text).substr(0, colon);
  if (!absl::SimpleAtoi(revision, &position.revision) || position.revision <= 0 ||
      !absl::StartsWith(position.last_key, prefix) || EncodePageToken(position) != token) {
    return error;
  }
  return position;
}

}  // namespace certwright::store
