#include "lib/service/conditions.h"

#include <algorithm>

namespace certwright::service {
namespace {

meta::v1::Condition& FindOrAdd(Conditions& conditions, absl::string_view type) {
  for (meta::v1::Condition& condition : conditions) {
    if (condition.type() == type) return condition;
  }
  meta::v1::Condition& condition = *conditions.Add();
  condition.set_type(std::string(type));
  return condition;
}

}  // namespace

void SetCondition(Conditions& conditions, const ConditionUpdate& update, int32_t generation,
                  absl::Time now) {
  meta::v1::Condition& condition = FindOrAdd(conditions, update.type);
  const auto status =
      update.status ? meta::v1::CONDITION_STATUS_TRUE : meta::v1::CONDITION_STATUS_FALSE;
  if (condition.status() != status) {
    condition.set_status(status);
    *condition.mutable_last_transition_time() = ToProto(now);
  }
  condition.set_reason(update.reason);
  condition.set_message(update.message);
  condition.set_observed_generation(generation);
}

const meta::v1::Condition* FindCondition(const Conditions& conditions, absl::string_view type) {
  auto it = std::find_if(conditions.begin(), conditions.end(),
                         [&](const auto& condition) { return condition.type() == type; });
  return it == conditions.end() ? nullptr : &*it;
}

bool IsTrue(const Conditions& conditions, absl::string_view type) {
  const meta::v1::Condition* condition = FindCondition(conditions, type);
  return condition != nullptr && condition->status() == meta::v1::CONDITION_STATUS_TRUE;
}

void RemoveCondition(Conditions& conditions, absl::string_view type) {
  conditions.erase(
      std::remove_if(conditions.begin(), conditions.end(),
                     [&](const auto& condition) { return condition.type() == type; }),
      conditions.end());
}

google::protobuf::Timestamp ToProto(absl::Time time) {
  google::protobuf::Timestamp proto;
  const int64_t seconds = absl::ToUnixSeconds(time);
  proto.set_seconds(seconds);
  proto.set_nanos(
      static_cast<int32_t>(absl::ToInt64Nanoseconds(time - absl::FromUnixSeconds(seconds))));
  return proto;
}

absl::Time FromProto(const google::protobuf::Timestamp& time) {
  return absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos());
}

absl::Duration FromProto(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) + absl::Nanoseconds(duration.nanos());
}

}  // namespace certwright::service
