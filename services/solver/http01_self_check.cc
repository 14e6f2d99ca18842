#include "services/solver/http01_self_check.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/base/status_macros.h"
#include "lib/http/url.h"
#include "lib/pki/names.h"
#include "services/solver/host_addresses.h"

namespace certwright::solver {
namespace {

using runtime::Awaitable;
using runtime::Context;

constexpr int kMaxRedirects = 10;
// A key authorization is far shorter; what is longer is another body.
constexpr std::size_t kMaxBodyBytes = 1024;
constexpr std::size_t kMaxAddresses = 4;  // per family
constexpr absl::Duration kConnectTimeout = absl::Seconds(5);
constexpr absl::Duration kFetchTimeout = absl::Seconds(10);

bool IsRedirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

// What a reference (RFC 3986 §4.2) to an http or https URL says of host and port; empty if it
// leaves them as they are.
absl::string_view AuthorityIn(absl::string_view reference) {
  const std::size_t slashes = reference.substr(0, reference.find_first_of("?#")).find("//");
  if (slashes == absl::string_view::npos) return "";
  const absl::string_view scheme = reference.substr(0, slashes);
  if (!scheme.empty() && !absl::EndsWith(scheme, ":")) return "";
  const absl::string_view rest = reference.substr(slashes + 2);
  return rest.substr(0, rest.find_first_of("/?#"));
}

bool NamesPort(absl::string_view authority) {
  const std::size_t colon = authority.rfind(':');
  if (colon == absl::string_view::npos) return false;
  const std::size_t bracket = authority.rfind(']');
  return bracket == absl::string_view::npos || bracket < colon;
}

std::string Join(const std::string& host) {
  return absl::StrContains(host, ':') ? absl::StrCat("[", host, "]") : host;
}

}  // namespace

Http01SelfCheck::Finding Http01SelfCheck::Wrong(std::string reason) {
  return Finding{Finding::Kind::kWrong, std::move(reason)};
}

// What a server has answered, for good.
Http01SelfCheck::Finding Http01SelfCheck::Judge(const http::HttpResponse& response,
                                                const std::string& server,
                                                const std::string& expected) {
  if (response.status != 200) return Wrong(absl::StrCat(server, " answered ", response.status));
  // White space at the end is to be ignored (RFC 8555 §8.3).
  if (absl::StripTrailingAsciiWhitespace(response.body) == expected) {
    return Finding{Finding::Kind::kFound, ""};
  }
  return Wrong(
      absl::StrCat(server, " answered with another body of ", response.body.size(), " bytes"));
}

bool Http01SelfCheck::MayConnect(const std::string& address) const {
  return options_.allowed_ranges.PublicOrContains(address);
}

std::string Http01SelfCheck::Hop::Server() const { return HostPort(address, port); }

Awaitable<std::variant<http::HttpResponse, Http01SelfCheck::Finding>> Http01SelfCheck::Ask(
    Context context, const Hop& hop) {
  const std::string server = hop.Server();
  if (!MayConnect(hop.address)) {
    co_return Wrong(absl::StrCat(
        server, " is not a public address, and selfCheckAllowedRanges does not allow it"));
  }
  http::HttpRequest request;
  request.url = hop.url.text;
  request.connect_to = server;
  request.connect_timeout = kConnectTimeout;
  request.max_response_bytes = kMaxBodyBytes;
  request.fresh_connection = true;
  // A CA does not look at the certificate either: it is only about to be issued.
  request.trust.skip_verify = true;
  request.allow_address = [this](absl::string_view ip, uint16_t) {
    return MayConnect(std::string(ip));
  };
  absl::StatusOr<http::HttpResponse> response =
      co_await http_.Send(context, std::move(request));
  if (response.ok()) co_return *std::move(response);
  if (absl::IsResourceExhausted(response.status())) {
    co_return Wrong(
        absl::StrCat(server, " answered with another body of over ", kMaxBodyBytes, " bytes"));
  }
  Finding finding = Wrong(absl::StrCat(server, ": ", response.status().message()));
  const bool answered = absl::IsFailedPrecondition(response.status());
  if (!answered) finding.kind = Finding::Kind::kNotConnected;
  co_return finding;
}

Awaitable<std::variant<Http01SelfCheck::Hop, Http01SelfCheck::Finding>>
Http01SelfCheck::Redirect(Context context, const Fetch& fetch, const Hop& hop,
                          const http::HttpResponse& response) {
  const std::string location = http::FindHeader(response.headers, "Location").value_or("");
  const std::optional<http::Url> url = http::ResolveUrl(hop.url, location);
  if (!url.has_value()) {
    co_return Wrong(absl::StrCat(hop.Server(), " redirects to what is no http or https URL"));
  }
  Hop next = hop;
  next.url = *url;
  const absl::string_view authority = AuthorityIn(location);
  if (authority.empty()) co_return next;
  const bool is_own_port_80 = url->host == fetch.host && !url->https && !NamesPort(authority);
  next.port = is_own_port_80 ? fetch.self_check_port : url->port;
  if (!is_own_port_80 && next.port != 80 && next.port != 443) {
    co_return Wrong(absl::StrCat(hop.Server(), " redirects to port ", next.port,
                                 "; CAs follow redirects to 80 and 443 only"));
  }
  const absl::StatusOr<HostAddresses> addresses =
      co_await FindHostAddresses(context, resolver_, url->host, fetch.nameservers);
  if (!addresses.ok()) {
    co_return Wrong(absl::StrCat(hop.Server(), " redirects to a host without known address: ",
                                 addresses.status().message()));
  }
  next.address = addresses->All().front();
  co_return next;
}

Awaitable<Http01SelfCheck::Finding> Http01SelfCheck::AskAddress(Context context, Fetch fetch,
                                                                std::string address) {
  const std::optional<http::Url> url = http::ParseUrl(fetch.url);
  if (!url.has_value()) {
    co_return Wrong(absl::StrCat(fetch.url, " is not a URL that can be fetched"));
  }
  Hop hop;
  hop.url = *url;
  hop.address = std::move(address);
  hop.port = fetch.self_check_port;
  for (int redirects = 0; redirects <= kMaxRedirects; ++redirects) {
    const auto answer = co_await Ask(context, hop);
    const auto* response = std::get_if<http::HttpResponse>(&answer);
    if (response == nullptr) co_return std::get<Finding>(answer);
    if (!IsRedirect(response->status)) co_return Judge(*response, hop.Server(), fetch.expected);
    auto next = co_await Redirect(context, fetch, hop, *response);
    if (std::holds_alternative<Finding>(next)) co_return std::get<Finding>(next);
    hop = std::get<Hop>(std::move(next));
  }
  co_return Wrong(absl::StrCat(hop.Server(), " redirects more than ", kMaxRedirects, " times"));
}

Awaitable<Http01SelfCheck::Finding> Http01SelfCheck::AskFamily(
    Context context, Fetch fetch, std::vector<std::string> addresses) {
  if (addresses.size() > kMaxAddresses) addresses.resize(kMaxAddresses);
  std::vector<Awaitable<Finding>> fetches;
  fetches.reserve(addresses.size());
  for (std::string& address : addresses) {
    fetches.push_back(AskAddress(context, fetch, std::move(address)));
  }
  const std::vector<Finding> findings = co_await runtime::WhenAll(std::move(fetches));
  Finding family;
  for (const Finding& finding : findings) {
    if (finding.kind == Finding::Kind::kWrong) co_return finding;
    if (finding.kind == Finding::Kind::kFound || family.reason.empty()) {
      if (family.kind != Finding::Kind::kFound) family = finding;
    }
  }
  co_return family;
}

Awaitable<absl::StatusOr<SelfCheckResult>> Http01SelfCheck::Check(
    Context context, const v1::Challenge& challenge,
    std::shared_ptr<const SolverConfig> config) {
  const v1::ChallengeSpec& spec = challenge.spec();
  Fetch fetch;
  fetch.host = spec.dns_name();
  fetch.url = absl::StrCat("http://", Join(spec.dns_name()), "/.well-known/acme-challenge/",
                           spec.token());
  fetch.expected = spec.key();
  if (config->solver.http01().self_check_port() > 0) {
    fetch.self_check_port = config->solver.http01().self_check_port();
  }
  CW_CO_ASSIGN_OR_RETURN(fetch.nameservers, options_.nameservers.Choose(
                                                config->solver.self_check().nameservers()));
  context = context.Within(kFetchTimeout);
  CW_CO_ASSIGN_OR_RETURN(
      const HostAddresses addresses,
      co_await FindHostAddresses(context, resolver_, spec.dns_name(), fetch.nameservers));
  Finding finding;
  if (!addresses.ipv6.empty()) {
    finding = co_await AskFamily(context, fetch, addresses.ipv6);
  }
  if (finding.kind == Finding::Kind::kNotConnected && !addresses.ipv4.empty()) {
    finding = co_await AskFamily(context, fetch, addresses.ipv4);
  }
  SelfCheckResult result;
  result.found = finding.kind == Finding::Kind::kFound;
  result.reason = std::move(finding.reason);
  co_return result;
}

}  // namespace certwright::solver
