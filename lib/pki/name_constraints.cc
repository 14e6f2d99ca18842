#include "lib/pki/name_constraints.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "lib/base/status_macros.h"
#include "lib/pki/ip_range.h"
#include "lib/pki/names.h"

namespace certwright::pki {
namespace {

constexpr size_t kMaxEntries = 1000;

absl::Status EntryError(absl::string_view entry, absl::string_view rule) {
  constexpr size_t kMaxShown = 100;
  return absl::InvalidArgumentError(
      absl::StrCat("\"", absl::CHexEscape(entry.substr(0, kMaxShown)), "\" ", rule));
}

// A DNS name without wildcard, with or without a dot before it.
absl::StatusOr<std::string> NormalizeDomain(absl::string_view domain) {
  absl::string_view name = domain;
  absl::string_view dot = absl::ConsumePrefix(&name, ".") ? "." : "";
  if (absl::StartsWith(name, "*")) {
    return EntryError(domain, "has a \"*\"; a domain stands for the names below it without");
  }
  CW_ASSIGN_OR_RETURN(std::string normal, NormalizeDnsName(name));
  return absl::StrCat(dot, normal);
}

absl::StatusOr<std::string> NormalizeEmailConstraint(absl::string_view entry) {
  return absl::StrContains(entry, '@') ? NormalizeEmail(entry) : NormalizeDomain(entry);
}

absl::StatusOr<std::string> NormalizeRange(absl::string_view entry) {
  std::string octets = IpRangeToOctets(entry);
  if (octets.empty()) {
    return EntryError(entry, "is no CIDR range such as 192.0.2.0/24 or 2001:db8::/32");
  }
  std::string normal = IpRangeFromOctets(octets);
  // Whoever writes 10.1.2.3/8 may well not mean all of 10.0.0.0/8.
  if (octets != IpRangeToOctets(normal)) {
    return EntryError(entry, absl::StrCat("has bits set behind its prefix; if all of the range "
                                          "is meant, write ",
                                          normal));
  }
  return normal;
}

template <typename Normalize>
absl::Status NormalizeAll(const std::vector<std::string>& entries, absl::string_view list,
                          Normalize normalize, std::vector<std::string>& out) {
  for (const std::string& entry : entries) {
    absl::StatusOr<std::string> normal = normalize(entry);
    if (!normal.ok()) return base::Annotate(normal.status(), list);
    out.push_back(*std::move(normal));
  }
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return absl::OkStatus();
}

absl::StatusOr<NameSubtrees> NormalizeSubtrees(const NameSubtrees& subtrees,
                                               absl::string_view which) {
  NameSubtrees normal;
  auto list = [&](absl::string_view kind) {
    return absl::StrCat("name constraints: ", which, " ", kind);
  };
  CW_RETURN_IF_ERROR(NormalizeAll(subtrees.dns_domains, list("DNS domain"), NormalizeDomain,
                                  normal.dns_domains));
  CW_RETURN_IF_ERROR(
      NormalizeAll(subtrees.ip_ranges, list("IP range"), NormalizeRange, normal.ip_ranges));
  CW_RETURN_IF_ERROR(NormalizeAll(subtrees.email_addresses, list("e-mail address"),
                                  NormalizeEmailConstraint, normal.email_addresses));
  CW_RETURN_IF_ERROR(NormalizeAll(subtrees.uri_domains, list("URI domain"), NormalizeDomain,
                                  normal.uri_domains));
  return normal;
}

size_t Entries(const NameSubtrees& subtrees) {
  return subtrees.dns_domains.size() + subtrees.ip_ranges.size() +
         subtrees.email_addresses.size() + subtrees.uri_domains.size();
}

}  // namespace

absl::StatusOr<NameConstraints> NormalizeNameConstraints(const NameConstraints& constraints) {
  if (!constraints.other_kinds.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("name constraints: not supported: ", constraints.other_kinds.front()));
  }
  if (Entries(constraints.permitted) + Entries(constraints.excluded) > kMaxEntries) {
    return absl::InvalidArgumentError("name constraints: more than 1000 entries");
  }
  NameConstraints normal;
  normal.critical = constraints.critical;
  CW_ASSIGN_OR_RETURN(normal.permitted, NormalizeSubtrees(constraints.permitted, "permitted"));
  CW_ASSIGN_OR_RETURN(normal.excluded, NormalizeSubtrees(constraints.excluded, "excluded"));
  return normal;
}

}  // namespace certwright::pki
