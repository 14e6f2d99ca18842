// BuildMessage: the wire form of a Message, uncompressed: what test servers answer with.
//
// Only for tests: it trusts its input, so a label over 63 octets or a message over 65535
// makes a broken packet.
#pragma once

#include <string>

#include "lib/dns/message.h"

namespace certwright::dns {

std::string BuildMessage(const Message& message);

// `name` as length-prefixed labels, which escapes (\DDD) may be part of.
std::string BuildName(absl::string_view name);

}  // namespace certwright::dns
