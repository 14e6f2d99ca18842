// Exchange: sends one DNS message to one server and waits for the answer to it.
//
// Errors: UNAVAILABLE, saying what the server at which address did, also when `timeout` is
// over; DEADLINE_EXCEEDED and CANCELLED from the context.
#pragma once

#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lib/dns/server_address.h"
#include "lib/runtime/awaitable.h"
#include "lib/runtime/context.h"
#include "lib/runtime/timers.h"

namespace certwright::dns {

enum class Transport { kUdp, kTcp };

// OK if a packet is the answer, else what is wrong with it.
using AcceptAnswer = absl::AnyInvocable<absl::Status(absl::string_view packet)>;

// Over UDP a packet that `accept` turns down is passed over, since anyone may have sent it;
// over TCP it ends the exchange.
runtime::Awaitable<absl::StatusOr<std::string>> Exchange(
    runtime::Timers& timers, runtime::Context context, Transport transport,
    ServerAddress server, std::string packet, absl::Duration timeout, AcceptAnswer accept);

}  // namespace certwright::dns
