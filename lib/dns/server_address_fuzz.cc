// Addresses and names of DNS servers, as issuers and configuration files give them.
#include "absl/strings/str_cat.h"
#include "lib/base/fuzz.h"
#include "lib/dns/name.h"
#include "lib/dns/server_address.h"

namespace certwright::dns {
namespace {

void CheckServer(absl::string_view text) {
  const absl::StatusOr<ServerAddress> address = ParseServerAddress(text);
  const absl::StatusOr<NameserverAddress> nameserver = ParseNameserver(text);
  if (!address.ok()) return;
  CW_FUZZ_CHECK(text.find_first_not_of("0123456789abcdefABCDEF.:[]") ==
                absl::string_view::npos);
  CW_FUZZ_CHECK(address->port != 0);
  const absl::StatusOr<ServerAddress> again = ParseServerAddress(address->ToString());
  CW_FUZZ_CHECK(again.ok() && again->ip == address->ip && again->port == address->port);
  CW_FUZZ_CHECK(ParseServerAddress(address->ip)->ip == address->ip);
  CW_FUZZ_CHECK(nameserver.ok() && nameserver->host == address->ip &&
                nameserver->port == address->port);
}

void CheckNameserver(absl::string_view text) {
  const absl::StatusOr<NameserverAddress> nameserver = ParseNameserver(text);
  if (!nameserver.ok()) return;
  const std::string& host = nameserver->host;
  CW_FUZZ_CHECK(!host.empty() && host.size() <= 253 && nameserver->port != 0);
  if (ParseServerAddress(host).ok()) return;
  CW_FUZZ_CHECK(*Normalize(host) == host);
  const absl::StatusOr<NameserverAddress> again =
      ParseNameserver(absl::StrCat(host, ":", nameserver->port));
  CW_FUZZ_CHECK(again.ok() && again->host == host && again->port == nameserver->port);
}

}  // namespace
}  // namespace certwright::dns

CW_FUZZ_TARGET(input) {
  certwright::dns::CheckServer(input);
  certwright::dns::CheckNameserver(input);
}
