// Rules of resources' metadata, the same for every kind: docs/API.md.
#pragma once

#include "absl/strings/string_view.h"
#include "certwright/meta/v1/meta.pb.h"
#include "lib/controller/watch_source.h"
#include "lib/rpc/validation.h"

namespace certwright::service {

inline constexpr char kDefaultNamespace[] = "default";

// An empty namespace becomes "default", except for cluster-wide kinds.
void ApplyDefaultNamespace(meta::v1::ObjectMeta& metadata, bool cluster);

// Name and namespace; `prefix` is put before the fields' names ("metadata.").
void CheckIdentity(const meta::v1::ObjectMeta& metadata, bool cluster, absl::string_view prefix,
                   rpc::Violations& violations);

// Everything of the metadata that a user gives.
void CheckMetadata(const meta::v1::ObjectMeta& metadata, bool cluster,
                   rpc::Violations& violations);

// A reference to an issuer: its name is required.
void CheckIssuerRef(const meta::v1::IssuerRef& ref, absl::string_view field,
                    rpc::Violations& violations);

meta::v1::EventType ToProto(controller::EventType type);
controller::EventType FromProto(meta::v1::EventType type);

}  // namespace certwright::service
