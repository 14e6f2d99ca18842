// AddressRanges: sets of IP addresses in CIDR notation (RFC 4632, RFC 4291 §2.3), as the
// configuration names those that self-checks may connect to besides public ones.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace certwright::http {

class AddressRanges {
 public:
  // "10.0.0.0/8", "fd00::/8", or a single address. INVALID_ARGUMENT, naming the range, for
  // anything else; bits beyond the prefix are ignored.
  static absl::StatusOr<AddressRanges> Parse(const std::vector<std::string>& ranges);

  // False for what is no IP address. An IPv4-mapped IPv6 address is judged as the IPv4 one.
  bool Contains(absl::string_view address) const;
  // Whether `address` is public or one of these.
  bool PublicOrContains(absl::string_view address) const;

 private:
  struct Range {
    std::string octets;  // 4 or 16
    int prefix = 0;
  };
  std::vector<Range> ranges_;
};

}  // namespace certwright::http
