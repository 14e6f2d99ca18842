// The messages of DNS UPDATE (RFC 2136) with TSIG (RFC 8945): what Rfc2136Client sends, and
// what it makes of an answer. Written with ldns, which never reads what a server sent; no I/O.
// Threading: values, no shared state.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "lib/dns/message.h"
#include "lib/dns/rfc2136.h"

namespace certwright::dns {

// INVALID_ARGUMENT for a name, value or TTL that no TXT record can have.
absl::Status CheckChange(const TxtChange& change);

struct UpdateMessage {
  uint16_t id = 0;
  // The whole message, signed if there is a key.
  std::string wire;
  // The request's MAC with its length, which the answer's MAC covers (RFC 8945 §5.4.1).
  std::string mac;
};

// A fresh message, with an unpredictable id and the time of now. INVALID_ARGUMENT for changes
// or names that cannot be written, or that are over 65535 octets together.
absl::StatusOr<UpdateMessage> BuildUpdate(absl::string_view zone,
                                          const std::vector<TxtChange>& changes,
                                          const TsigKey* key);

struct UpdateReply {
  // The TSIG error, if there is one, else the message's.
  Rcode rcode = Rcode::kNoError;
  bool truncated = false;
};

// INVALID_ARGUMENT for what is no answer to `update`: another id, no UPDATE, or a NOERROR
// whose signature is missing, wrong or of another time than `now`. A refusal is believed
// without a signature, because a server that knows no key cannot sign.
absl::StatusOr<UpdateReply> ReadReply(absl::string_view wire, const UpdateMessage& update,
                                      const TsigKey* key, absl::Time now);

}  // namespace certwright::dns
