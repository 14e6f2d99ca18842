#include "lib/service/metadata.h"

#include <algorithm>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace certwright::service {
namespace {

constexpr int kMaxLabels = 64;
constexpr int kMaxAnnotations = 256;
// Of keys and values of labels and annotations together.
constexpr std::size_t kMaxMapBytes = 64 << 10;
// A UUID has 36 characters.
constexpr std::size_t kMaxUidBytes = 64;
constexpr std::size_t kMaxKindBytes = 63;
constexpr std::size_t kMaxVersionBytes = 64;

template <typename Map>
std::size_t SizeOf(const Map& map) {
  std::size_t bytes = 0;
  for (const auto& [key, value] : map) bytes += key.size() + value.size();
  return bytes;
}

bool IsUid(absl::string_view uid) {
  return uid.size() <= kMaxUidBytes && std::all_of(uid.begin(), uid.end(), [](unsigned char c) {
           return absl::ascii_isalnum(c) || c == '-';
         });
}

bool IsKind(absl::string_view kind) {
  return !kind.empty() && kind.size() <= kMaxKindBytes &&
         std::all_of(kind.begin(), kind.end(), absl::ascii_isalnum);
}

void CheckMaps(const meta::v1::ObjectMeta& metadata, rpc::Violations& violations) {
  violations.Require(metadata.labels_size() <= kMaxLabels, "metadata.labels",
                     "must be at most 64");
  for (const auto& [key, value] : metadata.labels()) {
    violations.Require(rpc::IsLabelKey(key) && rpc::IsLabelValue(value), "metadata.labels",
                       "must have keys and values of letters, digits, \"-\", \"_\" and \".\", "
                       "at most 63 characters each");
  }
  violations.Require(metadata.annotations_size() <= kMaxAnnotations, "metadata.annotations",
                     "must be at most 256");
  for (const auto& [key, value] : metadata.annotations()) {
    violations.Require(rpc::IsLabelKey(key), "metadata.annotations",
                       "must have keys like those of labels");
  }
  violations.Require(SizeOf(metadata.labels()) + SizeOf(metadata.annotations()) <= kMaxMapBytes,
                     "metadata.annotations", "must be at most 64 KiB together with the labels");
}

void CheckOwner(const meta::v1::OwnerReference& owner, rpc::Violations& violations) {
  violations.Require(IsKind(owner.kind()), "metadata.owner.kind",
                     "must be 1 to 63 letters and digits");
  if (!owner.namespace_().empty()) {
    rpc::CheckName(owner.namespace_(), "metadata.owner.namespace", violations);
  }
  rpc::CheckName(owner.name(), "metadata.owner.name", violations);
  violations.Require(IsUid(owner.uid()), "metadata.owner.uid",
                     "must be at most 64 letters, digits and \"-\"");
}

}  // namespace

void ApplyDefaultNamespace(meta::v1::ObjectMeta& metadata, bool cluster) {
  if (!cluster && metadata.namespace_().empty()) metadata.set_namespace_(kDefaultNamespace);
}

void CheckIdentity(const meta::v1::ObjectMeta& metadata, bool cluster, absl::string_view prefix,
                   rpc::Violations& violations) {
  if (cluster) {
    violations.Require(metadata.namespace_().empty(), absl::StrCat(prefix, "namespace"),
                       "must be empty: the kind is cluster-wide");
  } else {
    rpc::CheckName(metadata.namespace_(), absl::StrCat(prefix, "namespace"), violations);
  }
  rpc::CheckName(metadata.name(), absl::StrCat(prefix, "name"), violations);
}

void CheckMetadata(const meta::v1::ObjectMeta& metadata, bool cluster,
                   rpc::Violations& violations) {
  CheckIdentity(metadata, cluster, "metadata.", violations);
  violations.Require(IsUid(metadata.uid()), "metadata.uid",
                     "must be at most 64 letters, digits and \"-\"");
  violations.Require(metadata.resource_version().size() <= kMaxVersionBytes,
                     "metadata.resourceVersion", "must be one that a service has given");
  CheckMaps(metadata, violations);
  if (metadata.has_owner()) CheckOwner(metadata.owner(), violations);
}

void CheckIssuerRef(const meta::v1::IssuerRef& ref, absl::string_view field,
                    rpc::Violations& violations) {
  rpc::CheckName(ref.name(), absl::StrCat(field, ".name"), violations);
}

meta::v1::EventType ToProto(controller::EventType type) {
  switch (type) {
    case controller::EventType::kAdded:
      return meta::v1::EVENT_TYPE_ADDED;
    case controller::EventType::kModified:
      return meta::v1::EVENT_TYPE_MODIFIED;
    case controller::EventType::kDeleted:
      return meta::v1::EVENT_TYPE_DELETED;
    case controller::EventType::kBookmark:
      return meta::v1::EVENT_TYPE_BOOKMARK;
  }
  return meta::v1::EVENT_TYPE_UNSPECIFIED;
}

controller::EventType FromProto(meta::v1::EventType type) {
  switch (type) {
    case meta::v1::EVENT_TYPE_ADDED:
      return controller::EventType::kAdded;
    case meta::v1::EVENT_TYPE_MODIFIED:
      return controller::EventType::kModified;
    case meta::v1::EVENT_TYPE_DELETED:
      return controller::EventType::kDeleted;
    default:
      return controller::EventType::kBookmark;
  }
}

}  // namespace certwright::service
