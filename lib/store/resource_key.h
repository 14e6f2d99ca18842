// How resources are named in a Store ("<kind>/<namespace>/<name>", cluster-wide kinds with
// an empty namespace) and in work queues ("<namespace>/<name>"), and how list positions are
// written as page tokens.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace certwright::store {

struct ResourceName {
  std::string resource_namespace;
  std::string name;
};

// "<namespace>/<name>": a resource's key in work queues, informers and messages.
std::string QueueKey(absl::string_view resource_namespace, absl::string_view name);

// The reverse; INVALID_ARGUMENT if it is not of that form.
absl::StatusOr<ResourceName> ParseQueueKey(absl::string_view key);

std::string RecordKey(absl::string_view kind, absl::string_view resource_namespace,
                      absl::string_view name);

// INVALID_ARGUMENT unless the two can be part of a key: no slash, and a name at all. What
// else a name must be is checked where requests are validated.
absl::Status CheckResourceName(absl::string_view resource_namespace, absl::string_view name);

// A resource version is a store revision in decimal. INVALID_ARGUMENT if it is not one.
absl::StatusOr<int64_t> ParseResourceVersion(absl::string_view version);

// Where a list goes on: after `last_key`, in the state of `revision`.
struct ListPosition {
  int64_t revision = 0;
  std::string last_key;
};

std::string EncodePageToken(const ListPosition& position);

// INVALID_ARGUMENT if `token` was not made by EncodePageToken for a key under `prefix`.
absl::StatusOr<ListPosition> DecodePageToken(absl::string_view token, absl::string_view prefix);

}  // namespace certwright::store
