// The server's side of TSIG (RFC 8945): checking a request and signing its answer.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "lib/dns/message.h"
#include "lib/dns/rfc2136.h"
#include "lib/dns/test_dns_server.h"

namespace certwright::fakes {

// kNoError, or what is wrong with the signature: kBadKey, kBadSig, kBadTime.
dns::Rcode CheckTsig(const dns::TestDnsServer::Request& request, const dns::TsigKey& key);

// `answer` to `request`, in wire form and signed.
std::string SignedAnswer(const dns::TestDnsServer::Request& request, dns::Message answer,
                         const dns::TsigKey& key);

// A refusal for this TSIG error, which nobody signs.
std::string TsigErrorAnswer(const dns::TestDnsServer::Request& request, dns::Rcode error,
                            const dns::TsigKey& key);

}  // namespace certwright::fakes
