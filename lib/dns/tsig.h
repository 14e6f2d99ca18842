// The TSIG of an answer (RFC 8945). Read and checked here: ldns, which writes the one of a
// request, leaks memory when it reads a malformed one.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "lib/dns/message.h"
#include "lib/dns/rfc2136.h"

namespace certwright::dns {

// The name of the algorithm in TSIG records (RFC 8945 §6), in normal form.
absl::string_view AlgorithmName(TsigAlgorithm algorithm);

struct TsigRecord {
  std::string key_name;
  // On the wire, in lower case.
  std::string algorithm;
  absl::Time signed_at;
  absl::Duration fudge;
  std::string mac;
  uint16_t original_id = 0;
  Rcode error = Rcode::kNoError;
  std::string other_data;
};

// nullopt unless the message's last record is a well-formed TSIG.
std::optional<TsigRecord> FindTsig(const Message& message);

// Whether `tsig`, which FindTsig() found in `message`, is of `key`, at about `now`, over all of
// `wire`, which `message` was read from. `request_mac` is the request's MAC with its length
// before it.
bool IsSigned(const Message& message, absl::string_view wire, const TsigRecord& tsig,
              absl::string_view request_mac, const TsigKey& key, absl::Time now);

}  // namespace certwright::dns
