// AddressPolicy: what kind of network an IP address belongs to, so that a fetch
// on behalf of a stranger (an HTTP-01 self-check and its redirects) cannot be
// aimed at the inside.
#pragma once

#include "absl/strings/string_view.h"

namespace certwright::http {

enum class AddressClass {
  // Reachable by everybody on the Internet.
  kPublic,
  // This machine: 127.0.0.0/8, ::1.
  kLoopback,
  // This site or link: RFC 1918, RFC 6598, RFC 4193, link-local and deprecated
  // site-local.
  kPrivate,
  // Nobody's to connect to: unspecified, multicast, broadcast, documentation,
  // benchmarking
  // and other special-purpose blocks (RFC 6890).
  kReserved,
  // Not a textual IP address at all.
  kInvalid,
};

// `ip` is IPv4 in dotted decimal or IPv6 without brackets; a zone ("%eth0") is
// allowed. IPv6 forms that carry an IPv4 address (mapped, compatible, NAT64,
// 6to4) are judged by it.
AddressClass Classify(absl::string_view ip);

}  // namespace certwright::http
