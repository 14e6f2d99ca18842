#include "lib/http/http_client.h"

#include "absl/strings/match.h"

namespace certwright::http {

std::vector<std::string> FindHeaders(const std::vector<Header>& headers,
                                     absl::string_view name) {
  std::vector<std::string> values;
  for (const Header& header : headers) {
    if (absl::EqualsIgnoreCase(header.name, name)) values.push_back(header.value);
  }
  return values;
}

std::optional<std::string> FindHeader(const std::vector<Header>& headers,
                                      absl::string_view name) {
  for (const Header& header : headers) {
    if (absl::EqualsIgnoreCase(header.name, name)) return header.value;
  }
  return std::nullopt;
}

}  // namespace certwright::http
