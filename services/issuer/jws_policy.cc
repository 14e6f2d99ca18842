#include "services/issuer/jws_policy.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "lib/http/url.h"

namespace certwright::issuer_service {
namespace {

// Scheme, host and port; empty for what is no URL.
std::string OriginOf(absl::string_view text) {
  const std::optional<http::Url> url = http::ParseUrl(text);
  return url.has_value() ? url->Origin() : "";
}

// `text` with its percent escapes undone (RFC 3986 §2.1), also those of escapes, as a server
// behind another may see it.
std::string Decoded(std::string text) {
  for (std::size_t at = 0; (at = text.find('%', at)) < text.size();) {
    const absl::string_view digits = absl::string_view(text).substr(at + 1, 2);
    if (digits.size() == 2 && absl::ascii_isxdigit(digits[0]) &&
        absl::ascii_isxdigit(digits[1])) {
      text.replace(at, 3, absl::HexStringToBytes(digits));
      // What came out may be the end of an escape that began before it.
      at -= std::min<std::size_t>(at, 2);
    } else {
      ++at;
    }
  }
  return text;
}

// What a URL names at its server, as it is written there but for escapes.
struct Resource {
  // Without parameters (";x"), which some servers take off, and without empty ones.
  std::vector<std::string> segments;
  std::vector<std::string> query;
  // Servers may disagree about the path: it has dots, or encoded characters that mean
  // something in a URL, or that no URL has.
  bool ambiguous = false;
};

// `text` is a URL without a fragment.
Resource ResourceOf(absl::string_view text) {
  text.remove_prefix(text.find("//") + 2);
  text.remove_prefix(std::min(text.find_first_of("/?"), text.size()));
  Resource resource;
  const std::size_t path_end = std::min(text.find('?'), text.size());
  for (const absl::string_view part : absl::StrSplit(text.substr(0, path_end), '/')) {
    std::string segment = Decoded(std::string(part));
    resource.ambiguous |= segment.find_first_of("/\\?#%") != std::string::npos ||
                          !std::all_of(segment.begin(), segment.end(),
                                       [](unsigned char c) { return absl::ascii_isgraph(c); });
    segment.resize(std::min(segment.find(';'), segment.size()));
    resource.ambiguous |= segment == "." || segment == "..";
    if (!segment.empty()) resource.segments.push_back(std::move(segment));
  }
  for (const absl::string_view part :
       absl::StrSplit(text.substr(path_end), absl::ByAnyChar("?&;"), absl::SkipEmpty())) {
    resource.query.push_back(Decoded(std::string(part)));
  }
  return resource;
}

// As a server that does not tell capitals from small letters reads it.
Resource Folded(Resource resource) {
  for (auto* const parts : {&resource.segments, &resource.query}) {
    for (std::string& part : *parts) absl::AsciiStrToLower(&part);
  }
  return resource;
}

bool HasAll(const std::vector<std::string>& query, const std::vector<std::string>& wanted) {
  return std::all_of(wanted.begin(), wanted.end(), [&](const std::string& parameter) {
    return std::find(query.begin(), query.end(), parameter) != query.end();
  });
}

// Whether a server may take `resource` for the one at `reserved`: one that ignores case,
// parameters or empty segments does so for more than the very same text. A CA that has several
// origins may have each resource at all of them.
bool MayReach(const Resource& resource, absl::string_view reserved) {
  // An endpoint that the CA does not have.
  if (OriginOf(reserved).empty()) return false;
  const Resource a = Folded(resource);
  const Resource b = Folded(ResourceOf(reserved));
  return a.segments == b.segments && HasAll(a.query, b.query);
}

// Where a CA has its accounts: what their URLs have in common.
class AccountUrls {
 public:
  // In the last parameter, or else the last segment, of `account_url` is what tells one account
  // from another.
  explicit AccountUrls(absl::string_view account_url) : own_(ResourceOf(account_url)) {
    common_ = Folded(own_);
    if (!common_.query.empty()) {
      key_ = common_.query.back().substr(0, common_.query.back().find('='));
      common_.query.pop_back();
    } else if (!common_.segments.empty()) {
      common_.segments.pop_back();
    }
  }

  // Whether `resource` is one of them, or below one.
  bool Hold(const Resource& resource) const {
    const Resource folded = Folded(resource);
    if (!HasAll(folded.query, common_.query)) return false;
    if (!own_.query.empty()) return folded.segments == common_.segments && NamesOne(folded);
    return folded.segments.size() > common_.segments.size() &&
           std::equal(common_.segments.begin(), common_.segments.end(),
                      folded.segments.begin());
  }

  // Whether `resource` is below the account's own URL, for example its orders.
  bool IsBelowOwn(const Resource& resource) const {
    return own_.query.empty() && resource.segments.size() > own_.segments.size() &&
           std::equal(own_.segments.begin(), own_.segments.end(), resource.segments.begin());
  }

 private:
  bool NamesOne(const Resource& folded) const {
    return std::any_of(folded.query.begin(), folded.query.end(),
                       [this](const std::string& parameter) {
                         return parameter.substr(0, parameter.find('=')) == key_;
                       });
  }

  Resource own_;
  // Folded.
  Resource common_;
  std::string key_;
};

// Whether `resource` belongs to another account than that at `account_url`, as far as URLs
// tell: a CA that has its endpoints beside its accounts has anything there.
bool IsOfAnotherAccount(const Resource& resource, absl::string_view account_url,
                        const acme::Directory& directory) {
  const AccountUrls accounts(account_url);
  return accounts.Hold(resource) && !accounts.IsBelowOwn(resource) &&
         !accounts.Hold(ResourceOf(directory.new_order));
}

}  // namespace

absl::Status CheckJwsUrl(absl::string_view url, JwsCaller caller,
                         const acme::Directory& directory, absl::string_view directory_url,
                         absl::string_view account_url) {
  const std::string origin = OriginOf(url);
  if (origin.empty() || absl::StrContains(url, '#') ||
      (origin != OriginOf(directory_url) && origin != OriginOf(directory.new_order))) {
    return absl::PermissionDeniedError("url: is not one of the account's CA");
  }
  const Resource resource = ResourceOf(url);
  if (resource.ambiguous) {
    return absl::PermissionDeniedError(
        "url: its path has dots, or an encoded character that belongs into no path");
  }
  if (MayReach(resource, account_url) || MayReach(resource, directory.new_account) ||
      MayReach(resource, directory.key_change) || MayReach(resource, directory.revoke_cert)) {
    return absl::PermissionDeniedError(
        "url: requests about the account itself and revocations are not signed for others");
  }
  if (IsOfAnotherAccount(resource, account_url, directory)) {
    return absl::PermissionDeniedError("url: belongs to another account");
  }
  if (caller == JwsCaller::kSolver && MayReach(resource, directory.new_order)) {
    return absl::PermissionDeniedError("url: only the order service may place orders");
  }
  return absl::OkStatus();
}

}  // namespace certwright::issuer_service
