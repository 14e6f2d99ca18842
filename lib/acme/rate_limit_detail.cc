#include "lib/acme/rate_limit_detail.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "lib/acme/url.h"
#include "lib/pki/names.h"

namespace certwright::acme {
namespace {

constexpr std::size_t kMaxDetailBytes = 4096;
constexpr absl::string_view kHttps = "https://";
constexpr int kMaxUrls = 8;

// What stands in the first pair of quotes, or, as older texts have it, after `label`.
absl::string_view NameIn(absl::string_view detail, absl::string_view label) {
  const std::size_t open = detail.find('"');
  if (open != absl::string_view::npos) {
    const std::size_t close = detail.find('"', open + 1);
    if (close == absl::string_view::npos) return {};
    return detail.substr(open + 1, close - open - 1);
  }
  const std::size_t begin = detail.find(label);
  if (begin == absl::string_view::npos) return {};
  detail.remove_prefix(begin + label.size());
  detail = detail.substr(0, detail.find_first_of(" ,;"));
  return absl::StripSuffix(absl::StripSuffix(detail, "."), ":");
}

// A DNS name, an address, or one of the networks in which Boulder counts addresses, an IPv4
// address as one of 32 bits; else empty.
std::string Normalize(absl::string_view name) {
  if (absl::ConsumeSuffix(&name, "/64")) {
    const auto network = pki::NormalizeIpAddress(name);
    return network.ok() ? absl::StrCat(*network, "/64") : "";
  }
  absl::ConsumeSuffix(&name, "/32");
  const auto address = pki::NormalizeIpAddress(name);
  if (address.ok()) return *address;
  return pki::NormalizeDnsName(name).value_or("");
}

RateLimitDetail About(ReachedLimit limit, absl::string_view name) {
  std::string normalized = Normalize(name);
  if (normalized.empty()) return {};
  return {limit, std::move(normalized)};
}

bool LeadsToSelfService(absl::string_view url) {
  const std::size_t slash = url.find('/', kHttps.size());
  if (slash == absl::string_view::npos) return false;
  const absl::string_view path = url.substr(slash, url.find_first_of("?#", slash) - slash);
  return absl::StartsWith(path, "/sfe/") || absl::StrContains(path, "/unpause");
}

}  // namespace

RateLimitDetail ParseRateLimitDetail(absl::string_view detail) {
  detail = detail.substr(0, kMaxDetailBytes);
  if (absl::StrContains(detail, "too many new orders")) {
    return {ReachedLimit::kOrdersPerAccount, ""};
  }
  if (absl::StrContains(detail, "too many new registrations") ||
      absl::StrContains(detail, "too many registrations")) {
    return {ReachedLimit::kOther, ""};
  }
  if (absl::StrContains(detail, "too many failed authorizations")) {
    return About(ReachedLimit::kFailedValidations, NameIn(detail, " for "));
  }
  if (!absl::StrContains(detail, "too many certificates")) return {};
  if (absl::StrContains(detail, "exact set of")) {
    return {ReachedLimit::kCertificatesPerNameSet, ""};
  }
  return About(ReachedLimit::kCertificatesPerDomain, NameIn(detail, "issued for: "));
}

std::optional<std::string> UnpauseUrl(absl::string_view detail) {
  detail = detail.substr(0, kMaxDetailBytes);
  for (int i = 0; i < kMaxUrls; ++i) {
    const std::size_t begin = detail.find(kHttps);
    if (begin == absl::string_view::npos) return std::nullopt;
    detail.remove_prefix(begin);
    const auto end = std::find_if_not(detail.begin(), detail.end(), [](char c) {
      return absl::ascii_isgraph(static_cast<unsigned char>(c)) && c != '"' && c != '<' &&
             c != '>';
    });
    absl::string_view url = detail.substr(0, static_cast<std::size_t>(end - detail.begin()));
    detail.remove_prefix(url.size());
    // The end of a sentence is none of the URL.
    while (absl::StrContains(".,;:)'", url.substr(url.size() - 1))) url.remove_suffix(1);
    if (IsHttpsUrl(url) && LeadsToSelfService(url)) return std::string(url);
  }
  return std::nullopt;
}

bool IsPause(absl::string_view short_type, absl::string_view detail) {
  return (short_type == "rateLimited" || short_type == "unauthorized") &&
         UnpauseUrl(detail).has_value();
}

}  // namespace certwright::acme
