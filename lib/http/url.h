// Url: http and https URLs that others name, read as libcurl reads them, since libcurl goes
// where they lead: whoever judges a URL by another parser may judge another server.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace certwright::http {

inline constexpr std::size_t kMaxUrlBytes = 2048;

struct Url {
  // Absolute; scheme and host in lower case, dots in the path resolved, without fragment.
  std::string text;
  bool https = false;
  // Lower case. An IPv6 address has no brackets, an IPv4 address is a dotted quad.
  std::string host;
  // The scheme's own unless the URL names one; never 0.
  uint16_t port = 80;

  // "https://ca.example:14000", with brackets around IPv6, and with the port only if it is not
  // the scheme's own.
  std::string Origin() const;
};

// nullopt unless `text` is an absolute URL of at most kMaxUrlBytes, of characters that RFC 3986
// has, with a host without escapes, and without user information.
std::optional<Url> ParseUrl(absl::string_view text);

// What `reference`, absolute or relative, means at `base` (RFC 3986 §5). nullopt as above.
std::optional<Url> ResolveUrl(const Url& base, absl::string_view reference);

}  // namespace certwright::http
