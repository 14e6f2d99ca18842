// URLs that CAs and redirects name, and the header lines of answers.
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "lib/base/fuzz.h"
#include "lib/http/curl_transfer.h"

namespace certwright::http {
namespace {

void CheckOrigin(absl::string_view text) {
  const absl::StatusOr<Origin> origin = ParseOrigin(std::string(text));
  if (!origin.ok()) return;
  CW_FUZZ_CHECK(origin->scheme == "http" || origin->scheme == "https");
  int port = 0;
  CW_FUZZ_CHECK(absl::SimpleAtoi(origin->port, &port) && port >= 0 && port <= 65535);
  CW_FUZZ_CHECK(!origin->host.empty());
  // What would end the host, or begin another one, for who reads the URL anew.
  CW_FUZZ_CHECK(origin->host.find_first_of("/?#@\\ ") == std::string::npos);
  const absl::StatusOr<Origin> again =
      ParseOrigin(absl::StrCat(origin->scheme, "://", origin->host, ":", origin->port, "/"));
  CW_FUZZ_CHECK(again.ok() && *again == *origin);
}

void CheckLines(absl::string_view text) {
  HeaderLines lines;
  std::size_t bytes = 0;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    bytes += line.size();
    const std::size_t count = lines.headers().size();
    const bool complete = lines.complete();
    CW_FUZZ_CHECK(lines.Add(line) == (bytes <= HeaderLines::kMaxBytes));
    CW_FUZZ_CHECK(lines.bytes() == bytes);
    // Nothing is added once the header is complete, unless another answer begins.
    if (complete && lines.complete()) CW_FUZZ_CHECK(lines.headers().size() == count);
  }
  std::size_t kept = 0;
  for (const Header& header : lines.headers()) {
    CW_FUZZ_CHECK(!header.name.empty() && !absl::StrContains(header.name, ':'));
    CW_FUZZ_CHECK(absl::StripAsciiWhitespace(header.value) == header.value);
    kept += header.name.size() + header.value.size() + 1;
  }
  CW_FUZZ_CHECK(kept <= bytes);
}

}  // namespace
}  // namespace certwright::http

CW_FUZZ_TARGET(input) {
  certwright::http::CheckOrigin(input);
  certwright::http::CheckLines(input);
}
