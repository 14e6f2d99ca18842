#include "lib/service/server_limits.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "lib/service/conditions.h"
#include "lib/service/memory_limit.h"

namespace certwright::service {
namespace {

constexpr int kMaxRate = 1'000'000;
constexpr int kMaxStreams = 100'000;

// What gRPC may buffer: a quarter of the memory that the process may use, but no more than is
// ever of use.
int64_t BufferBytes() {
  constexpr int64_t kLeast = 16 << 20;
  constexpr int64_t kMost = 64 << 20;
  return std::clamp(MemoryLimit() / 4, kLeast, kMost);
}

template <typename T>
void SetIfGiven(T given, T& limit) {
  if (given > 0) limit = given;
}

void SetIfGiven(const google::protobuf::Duration& given, absl::Duration& limit) {
  if (FromProto(given) > absl::ZeroDuration()) limit = FromProto(given);
}

}  // namespace

std::vector<std::string> ValidateServerLimits(const config::v1::ServerLimits& limits) {
  std::vector<std::string> problems;
  const auto check = [&problems](bool holds, const char* field, const char* rule) {
    if (!holds) problems.push_back(absl::StrCat("server.limits.", field, ": ", rule));
  };
  constexpr char kNotNegative[] = "must not be negative";
  check(limits.max_connections() >= 0, "maxConnections", kNotNegative);
  check(limits.max_connections_per_peer() >= 0, "maxConnectionsPerPeer", kNotNegative);
  check(limits.max_concurrent_streams() >= 0 && limits.max_concurrent_streams() <= kMaxStreams,
        "maxConcurrentStreams", "must be between 0 and 100000");
  check(limits.max_calls_per_caller() >= 0, "maxCallsPerCaller", kNotNegative);
  check(limits.max_unknown_calls_per_second() >= 0 &&
            limits.max_unknown_calls_per_second() <= kMaxRate,
        "maxUnknownCallsPerSecond", "must be between 0 and 1000000");
  const auto is_sound = [](const google::protobuf::Duration& duration) {
    return FromProto(duration) >= absl::ZeroDuration() &&
           FromProto(duration) <= absl::Hours(24 * 7);
  };
  constexpr char kDuration[] = "must be between 0 and 168h";
  check(is_sound(limits.handshake_timeout()), "handshakeTimeout", kDuration);
  check(is_sound(limits.message_timeout()), "messageTimeout", kDuration);
  check(is_sound(limits.max_connection_idle()), "maxConnectionIdle", kDuration);
  check(is_sound(limits.max_connection_age()), "maxConnectionAge", kDuration);
  return problems;
}

rpc::ServerLimits ToServerLimits(const config::v1::ServerLimits& config) {
  rpc::ServerLimits limits;
  limits.buffer_bytes = BufferBytes();
  SetIfGiven(config.max_connections(), limits.connections.total);
  SetIfGiven(config.max_connections_per_peer(), limits.connections.per_peer);
  SetIfGiven(config.max_unknown_calls_per_second(), limits.strangers.per_second);
  limits.strangers.burst = 10 * limits.strangers.per_second;
  SetIfGiven(config.max_concurrent_streams(), limits.max_concurrent_streams);
  SetIfGiven(config.handshake_timeout(), limits.handshake_timeout);
  SetIfGiven(config.max_connection_idle(), limits.max_connection_idle);
  SetIfGiven(config.max_connection_age(), limits.max_connection_age);
  return limits;
}

rpc::CallSlotLimits ToCallSlotLimits(const config::v1::ServerLimits& config) {
  rpc::CallSlotLimits limits;
  SetIfGiven(config.max_calls_per_caller(), limits.per_identity);
  return limits;
}

rpc::DeadlineOptions ToDeadlineOptions(const config::v1::ServerLimits& config) {
  rpc::DeadlineOptions deadlines;
  SetIfGiven(config.message_timeout(), deadlines.message);
  return deadlines;
}

}  // namespace certwright::service
