// Conditions of a resource: how they are set so that last_transition_time means something. And
// the times that protobuf messages hold.
#pragma once

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "certwright/meta/v1/meta.pb.h"
#include "google/protobuf/duration.pb.h"
#include "google/protobuf/repeated_field.h"
#include "google/protobuf/timestamp.pb.h"

namespace certwright::service {

using Conditions = google::protobuf::RepeatedPtrField<meta::v1::Condition>;

struct ConditionUpdate {
  std::string type;
  bool status = false;
  std::string reason;
  std::string message;
};

// Sets the condition of that type; last_transition_time moves only if its status changes.
// `generation` is that of the spec which was read.
void SetCondition(Conditions& conditions, const ConditionUpdate& update, int32_t generation,
                  absl::Time now);

// Null if there is none of that type.
const meta::v1::Condition* FindCondition(const Conditions& conditions, absl::string_view type);

// Whether the condition is there and True.
bool IsTrue(const Conditions& conditions, absl::string_view type);

void RemoveCondition(Conditions& conditions, absl::string_view type);

google::protobuf::Timestamp ToProto(absl::Time time);
absl::Time FromProto(const google::protobuf::Timestamp& time);
absl::Duration FromProto(const google::protobuf::Duration& duration);

}  // namespace certwright::service
