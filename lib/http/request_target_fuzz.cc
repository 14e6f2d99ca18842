// The target and Host header of requests to the HTTP-01 and metrics listeners: "target\nhost".
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "lib/base/fuzz.h"
#include "lib/http/http_connection.h"

namespace certwright::http {
namespace {

void Check(const std::string& target, const std::string& host) {
  const std::optional<HttpServerRequest> request = ParseTarget(target, host);
  if (!request.has_value()) return;
  CW_FUZZ_CHECK(absl::StartsWith(request->path, "/"));
  CW_FUZZ_CHECK(request->path.find_first_of("?#") == std::string::npos);
  CW_FUZZ_CHECK(!absl::StrContains(request->query, '#'));
  CW_FUZZ_CHECK(request->path.size() + request->query.size() <= target.size() + 1);
  CW_FUZZ_CHECK(request->host == absl::AsciiStrToLower(request->host));
  CW_FUZZ_CHECK(request->host.size() <= target.size() + host.size());
  // In origin form it means the same.
  const std::string origin_form =
      request->query.empty() ? request->path : absl::StrCat(request->path, "?", request->query);
  const std::optional<HttpServerRequest> again =
      ParseTarget(origin_form, absl::StrCat("[", request->host, "]:80"));
  CW_FUZZ_CHECK(again.has_value());
  CW_FUZZ_CHECK(again->path == request->path && again->query == request->query);
  if (!absl::StrContains(request->host, ']')) CW_FUZZ_CHECK(again->host == request->host);
}

}  // namespace
}  // namespace certwright::http

CW_FUZZ_TARGET(input) {
  const std::pair<std::string, std::string> parts =
      absl::StrSplit(input, absl::MaxSplits('\n', 1));
  certwright::http::Check(parts.first, parts.second);
}
