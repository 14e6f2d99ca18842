// The headers and URLs that a CA sends.
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/acme/link_header.h"
#include "lib/acme/retry_after.h"
#include "lib/acme/url.h"
#include "lib/base/fuzz.h"

namespace certwright::acme {
namespace {

void CheckRetryAfter(absl::string_view text) {
  const absl::Time now = absl::FromUnixSeconds(1767323045);
  const std::optional<absl::Time> retry_at = ParseRetryAfter(text, now);
  if (!retry_at.has_value()) return;
  CW_FUZZ_CHECK(*retry_at >= now && *retry_at <= now + kMaxRetryAfter);
  CW_FUZZ_CHECK(ParseRetryAfter(absl::StrCat(" ", text), now) == retry_at);
}

void CheckLinks(const std::string& text) {
  const std::vector<std::string> urls = LinksByRel({text, text}, "alternate");
  CW_FUZZ_CHECK(urls.size() <= 32);
  for (const std::string& url : urls) {
    CW_FUZZ_CHECK(!url.empty() && url.size() <= 2048);
    // Written anew it is found again.
    const std::string header = absl::StrCat("<", url, ">;rel=\"alternate\"");
    CW_FUZZ_CHECK(LinksByRel({header}, "ALTERNATE") == std::vector<std::string>{url});
    CW_FUZZ_CHECK(LinksByRel({header}, "up").empty());
  }
}

void CheckUrl(const std::string& text) {
  const std::optional<std::string> origin = OriginOf(text);
  CW_FUZZ_CHECK(IsHttpUrl(text) == origin.has_value());
  CW_FUZZ_CHECK(SameOrigin(text, text) == origin.has_value());
  if (!origin.has_value()) return;
  CW_FUZZ_CHECK(text.size() <= 2048);
  for (const char c : text) CW_FUZZ_CHECK(c > ' ' && c <= '~');
  // An origin is the origin of itself.
  CW_FUZZ_CHECK(OriginOf(*origin) == origin);
  CW_FUZZ_CHECK(IsHttpsUrl(text) == absl::StartsWith(*origin, "https://"));
}

}  // namespace
}  // namespace certwright::acme

CW_FUZZ_TARGET(input) {
  const std::string text(input);
  certwright::acme::CheckRetryAfter(text);
  certwright::acme::CheckLinks(text);
  certwright::acme::CheckUrl(text);
}
