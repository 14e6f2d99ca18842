// The text of a rateLimited problem.
#include <optional>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "lib/acme/rate_limit_detail.h"
#include "lib/acme/url.h"
#include "lib/base/fuzz.h"
#include "lib/pki/names.h"

namespace certwright::acme {
namespace {

void CheckName(const RateLimitDetail& detail) {
  const bool named = detail.limit == ReachedLimit::kCertificatesPerDomain ||
                     detail.limit == ReachedLimit::kFailedValidations;
  CW_FUZZ_CHECK(named == !detail.name.empty());
  if (!named) return;
  absl::string_view name = detail.name;
  if (absl::ConsumeSuffix(&name, "/64")) {
    CW_FUZZ_CHECK(pki::NormalizeIpAddress(name).value_or("") == name);
  } else if (pki::NormalizeIpAddress(name).ok()) {
    CW_FUZZ_CHECK(*pki::NormalizeIpAddress(name) == name);
  } else {
    CW_FUZZ_CHECK(pki::NormalizeDnsName(name).value_or("") == name);
  }
  // Written anew it is read as the same.
  CW_FUZZ_CHECK(ParseRateLimitDetail(
                    absl::StrCat(detail.limit == ReachedLimit::kFailedValidations
                                     ? "too many failed authorizations (5) for \""
                                     : "too many certificates (50) already issued for \"",
                                 detail.name, "\" in the last 1h0m0s")) == detail);
}

void CheckUrl(const std::string& text) {
  const std::optional<std::string> url = UnpauseUrl(text);
  if (!url.has_value()) return;
  CW_FUZZ_CHECK(IsHttpsUrl(*url) && url->size() <= 2048);
  CW_FUZZ_CHECK(absl::StrContains(text, *url));
  for (const char c : *url) CW_FUZZ_CHECK(c > ' ' && c <= '~');
  CW_FUZZ_CHECK(UnpauseUrl(absl::StrCat("visit ", *url, ".")) == url);
}

}  // namespace
}  // namespace certwright::acme

CW_FUZZ_TARGET(input) {
  const std::string text(input);
  certwright::acme::CheckName(certwright::acme::ParseRateLimitDetail(text));
  certwright::acme::CheckUrl(text);
}
