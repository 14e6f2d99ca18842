#include "lib/service/metadata.h"

#include <string>

#include "absl/strings/str_cat.h"

namespace certwright::service {
namespace {

constexpr int kMaxLabels = 64;
constexpr std::size_t kMaxAnnotationBytes = 64 << 10;

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
  violations.Require(metadata.labels_size() <= kMaxLabels, "metadata.labels",
                     "must be at most 64");
  for (const auto& [key, value] : metadata.labels()) {
    violations.Require(rpc::IsLabelKey(key) && rpc::IsLabelValue(value), "metadata.labels",
                       "must have keys and values of letters, digits, \"-\", \"_\" and \".\", "
                       "at most 63 characters each");
  }
  std::size_t annotation_bytes = 0;
  for (const auto& [key, value] : metadata.annotations()) {
    annotation_bytes += key.size() + value.size();
    violations.Require(rpc::IsLabelKey(key), "metadata.annotations",
                       "must have keys like those of labels");
  }
  violations.Require(annotation_bytes <= kMaxAnnotationBytes, "metadata.annotations",
                     "must be at most 64 KiB together");
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
