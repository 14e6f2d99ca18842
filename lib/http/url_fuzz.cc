// URLs that CAs name and redirects that anyone's web server answers with: "URL\nreference".
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "lib/base/fuzz.h"
#include "lib/http/url.h"

namespace certwright::http {
namespace {

void CheckSame(const std::optional<Url>& a, const Url& b) {
  CW_FUZZ_CHECK(a.has_value() && a->text == b.text && a->host == b.host);
  CW_FUZZ_CHECK(a->port == b.port && a->https == b.https);
}

void CheckUrl(const Url& url) {
  CW_FUZZ_CHECK(absl::StartsWith(url.text, url.https ? "https://" : "http://"));
  CW_FUZZ_CHECK(url.text.size() <= kMaxUrlBytes && !absl::StrContains(url.text, '#'));
  for (const char c : url.text) CW_FUZZ_CHECK(c > ' ' && c <= '~');
  CW_FUZZ_CHECK(url.port != 0 && !url.host.empty());
  CW_FUZZ_CHECK(url.host.find_first_of("%@/?#[] \\") == std::string::npos);
  // It is its own normal form.
  CheckSame(ParseUrl(url.text), url);
  // So is its origin, which leads to the same server.
  const std::optional<Url> origin = ParseUrl(url.Origin());
  CW_FUZZ_CHECK(origin.has_value() && origin->Origin() == url.Origin());
  CW_FUZZ_CHECK(origin->host == url.host && origin->port == url.port);
}

void Check(absl::string_view text, absl::string_view reference) {
  const std::optional<Url> base = ParseUrl(text);
  if (!base.has_value()) return;
  CheckUrl(*base);
  const std::optional<Url> url = ResolveUrl(*base, reference);
  if (!url.has_value()) return;
  CheckUrl(*url);
  // An absolute reference means the same wherever it comes from.
  CheckSame(ResolveUrl(*ParseUrl("http://other.test/"), url->text), *url);
  const std::optional<Url> absolute = ParseUrl(reference);
  if (absolute.has_value()) CheckSame(url, *absolute);
  // A path stays at its server.
  if (absl::StartsWith(reference, "/") && !absl::StartsWith(reference, "//")) {
    CW_FUZZ_CHECK(url->Origin() == base->Origin());
  }
}

}  // namespace
}  // namespace certwright::http

CW_FUZZ_TARGET(input) {
  const std::pair<std::string, std::string> parts =
      absl::StrSplit(input, absl::MaxSplits('\n', 1));
  certwright::http::Check(parts.first, parts.second);
}
