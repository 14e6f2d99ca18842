#include "services/solver/http01_self_check.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

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

std::string Join(const std::string& host) {
  return absl::StrContains(host, ':') ? absl::StrCat("[", host, "]") : host;
}

}  // namespace

bool Http01SelfCheck::MayConnect(const std::string& address) const {
  return options_.allowed_ranges.PublicOrContains(address);
}

Awaitable<Http01SelfCheck::Finding> Http01SelfCheck::AskAddress(Context context, Fetch fetch,
                                                                std::string address) {
  Finding finding;
  std::optional<http::Url> target = http::ParseUrl(fetch.url);
  if (!target.has_value()) {
    finding.kind = Finding::Kind::kWrong;
    finding.reason = absl::StrCat(fetch.url, " is not a URL that can be fetched");
    co_return finding;
  }
  int port = fetch.self_check_port;
  for (int redirects = 0;; ++redirects) {
    const std::string server = HostPort(address, port);
    if (!MayConnect(address)) {
      finding.kind = Finding::Kind::kWrong;
      finding.reason = absl::StrCat(
          server, " is not a public address, and selfCheckAllowedRanges does not allow it");
      co_return finding;
    }
    http::HttpRequest request;
    request.url = target->text;
    request.connect_to = server;
    request.connect_timeout = kConnectTimeout;
    request.max_response_bytes = kMaxBodyBytes;
    request.fresh_connection = true;
    // A CA does not look at the certificate either: it is only about to be issued.
    request.trust.skip_verify = true;
    request.allow_address = [this](absl::string_view ip, uint16_t) {
      return MayConnect(std::string(ip));
    };
    const absl::StatusOr<http::HttpResponse> response =
        co_await http_.Send(context, std::move(request));
    if (!response.ok()) {
      const bool too_long = absl::IsResourceExhausted(response.status());
      const bool answered = too_long || absl::IsFailedPrecondition(response.status());
      finding.kind = answered ? Finding::Kind::kWrong : Finding::Kind::kNotConnected;
      finding.reason = too_long ? absl::StrCat(server, " answered with another body of over ",
                                               kMaxBodyBytes, " bytes")
                                : absl::StrCat(server, ": ", response.status().message());
      co_return finding;
    }
    finding.kind = Finding::Kind::kWrong;
    if (!IsRedirect(response->status)) {
      if (response->status != 200) {
        finding.reason = absl::StrCat(server, " answered ", response->status);
      } else if (response->body != fetch.expected) {
        finding.reason = absl::StrCat(server, " answered with another body of ",
                                      response->body.size(), " bytes");
      } else {
        finding.kind = Finding::Kind::kFound;
      }
      co_return finding;
    }
    const std::string location = http::FindHeader(response->headers, "Location").value_or("");
    target = http::ResolveUrl(*target, location);
    if (redirects == kMaxRedirects || !target.has_value()) {
      finding.reason =
          redirects == kMaxRedirects
              ? absl::StrCat(server, " redirects more than ", kMaxRedirects, " times")
              : absl::StrCat(server, " redirects to what is no http or https URL");
      co_return finding;
    }
    port = target->port;
    if (port != 80 && port != 443 && port != fetch.self_check_port) {
      finding.reason = absl::StrCat(server, " redirects to port ", port,
                                    "; CAs follow redirects to 80 and 443 only");
      co_return finding;
    }
    const absl::StatusOr<HostAddresses> addresses =
        co_await FindHostAddresses(context, resolver_, target->host, fetch.nameservers);
    if (!addresses.ok()) {
      finding.reason = absl::StrCat(
          server, " redirects to a host without known address: ", addresses.status().message());
      co_return finding;
    }
    address = addresses->All().front();
  }
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
