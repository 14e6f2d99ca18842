// Proxy: the HTTP proxy that the configuration names, and whom it is not asked about.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lib/http/address_ranges.h"

namespace certwright::http {

class Proxy {
 public:
  // `url` is http or https, a host and perhaps a port, by default the scheme's. What is in
  // `no_proxy` is reached without the proxy: host names with all names below them, addresses,
  // and ranges of addresses. INVALID_ARGUMENT, beginning with "url" or "noProxy[<index>]",
  // never quoting a URL that may hold a password.
  static absl::StatusOr<Proxy> Make(absl::string_view url,
                                    const std::vector<std::string>& no_proxy);

  // With its port, as libcurl would take another one by default.
  const std::string& url() const { return url_; }
  uint16_t port() const { return port_; }
  // Whether requests to `host`, as Url::host has it, go through the proxy.
  bool Serves(absl::string_view host) const;

 private:
  std::string url_;
  uint16_t port_ = 0;
  std::vector<std::string> direct_names_;
  AddressRanges direct_ranges_;
};

}  // namespace certwright::http
