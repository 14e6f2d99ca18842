#include "lib/http/http_client.h"

#include "absl/strings/cord.h"
#include "absl/strings/match.h"

namespace certwright::http {
namespace {

constexpr char kSentPayload[] = "certwright.io/http-request-was-sent";

}  // namespace

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

absl::Status MarkAsSent(absl::Status status) {
  status.SetPayload(kSentPayload, absl::Cord("1"));
  return status;
}

bool WasSent(const absl::Status& status) { return status.GetPayload(kSentPayload).has_value(); }

}  // namespace certwright::http
