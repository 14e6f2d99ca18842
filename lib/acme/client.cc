#include "lib/acme/client.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "boost/json/array.hpp"
#include "boost/json/object.hpp"
#include "boost/json/serialize.hpp"
#include "boost/json/string.hpp"
#include "lib/acme/link_header.h"
#include "lib/acme/problem.h"
#include "lib/acme/rate_limit_detail.h"
#include "lib/acme/url.h"
#include "lib/base/base64.h"
#include "lib/base/status_macros.h"

namespace certwright::acme {
namespace {

constexpr char kPemChain[] = "application/pem-certificate-chain";
constexpr char kDeactivated[] = R"({"status":"deactivated"})";

CaOptions WithDefaults(CaOptions options) {
  if (options.user_agent.empty()) options.user_agent = kDefaultUserAgent;
  return options;
}

std::string ToRfc3339(absl::Time time) {
  return absl::FormatTime("%Y-%m-%d%ET%H:%M:%SZ", time, absl::UTCTimeZone());
}

boost::json::array ToJson(const std::vector<std::string>& strings) {
  boost::json::array array;
  for (const std::string& text : strings) array.emplace_back(boost::json::string(text));
  return array;
}

std::string ContactsPayload(const std::vector<std::string>& contacts) {
  boost::json::object object;
  object["contact"] = ToJson(contacts);
  return boost::json::serialize(object);
}

absl::StatusOr<std::string> NewAccountPayload(const NewAccountRequest& request,
                                              const std::string& url,
                                              const pki::PublicKey& key) {
  if (request.only_return_existing) return std::string(R"({"onlyReturnExisting":true})");
  boost::json::object object;
  object["termsOfServiceAgreed"] = true;
  if (!request.contacts.empty()) object["contact"] = ToJson(request.contacts);
  std::string payload = boost::json::serialize(object);
  if (request.external_account.has_value()) {
    CW_ASSIGN_OR_RETURN(std::string binding,
                        ExternalAccountJws(*request.external_account, url, key));
    payload.pop_back();
    absl::StrAppend(&payload, R"(,"externalAccountBinding":)", binding, "}");
  }
  return payload;
}

std::string NewOrderPayload(const NewOrderRequest& request, bool has_renewal_info) {
  boost::json::object object;
  boost::json::array& identifiers = object["identifiers"].emplace_array();
  for (const Identifier& identifier : request.identifiers) {
    boost::json::object one;
    one["type"] = identifier.type;
    one["value"] = identifier.value;
    identifiers.push_back(std::move(one));
  }
  if (request.not_before.has_value()) object["notBefore"] = ToRfc3339(*request.not_before);
  if (request.not_after.has_value()) object["notAfter"] = ToRfc3339(*request.not_after);
  if (!request.profile.empty()) object["profile"] = request.profile;
  if (!request.replaces.empty() && has_renewal_info) object["replaces"] = request.replaces;
  return boost::json::serialize(object);
}

std::string RevocationPayload(absl::string_view certificate_der,
                              std::optional<RevocationReason> reason) {
  boost::json::object object;
  object["certificate"] = base::Base64UrlEncode(certificate_der);
  if (reason.has_value()) object["reason"] = static_cast<int>(*reason);
  return boost::json::serialize(object);
}

// The Location of a resource just made.
absl::StatusOr<std::string> LocationOf(const http::HttpResponse& response,
                                       absl::string_view what, bool allow_http) {
  const std::string location = http::FindHeader(response.headers, "Location").value_or("");
  std::optional<std::string> url = ResolveCaUrl(response.url, location, allow_http);
  if (url.has_value()) return *std::move(url);
  return SenselessAnswer(absl::StrCat("no usable Location with the ", what));
}

// Types of problems that are about the account and what it may do, whatever it asks for.
constexpr std::array<absl::string_view, 7> kAccountProblems = {
    "accountDoesNotExist",   "agreementRequired",       "badPublicKey",
    "badSignatureAlgorithm", "externalAccountRequired", "rateLimited",
    "userActionRequired"};

// Whether a refusal of newOrder may be because of `replaces`, which is only a hint (RFC 9773
// §5). CAs say so in many ways, also without a problem document, and Pebble answers 500 for a
// certificate that it does not find. To ask once more costs little, and an odd predecessor must
// not keep its successor from being issued.
bool MayBlameReplaces(const absl::Status& status) {
  const int http_status = HttpStatusOf(status).value_or(0);
  const bool refused = (http_status >= 400 && http_status <= 501) && http_status != 429;
  if (!refused || ClassOf(status) == ErrorClass::kRetryAt) return false;
  const std::optional<Problem> problem = ProblemOf(status);
  if (!problem.has_value()) return true;
  const std::string type = problem->ShortType();
  return !IsPause(type, problem->detail) &&
         std::find(kAccountProblems.begin(), kAccountProblems.end(), type) ==
             kAccountProblems.end();
}

absl::Status CheckIdentifiers(const Order& order, const std::vector<Identifier>& asked) {
  if (SameIdentifiers(order.identifiers, asked)) return absl::OkStatus();
  return ErrorWithClass(
      absl::StatusCode::kFailedPrecondition,
      absl::StrCat("newOrder: asked for ", DescribeIdentifiers(asked),
                   "; the CA's order is for ", DescribeIdentifiers(order.identifiers)),
      ErrorClass::kPermanent);
}

// A call about the resource at `url`; payload empty to read it.
Transport::Call CallFor(RequestKind kind, std::string url, std::string payload = "") {
  Transport::Call call;
  call.kind = kind;
  call.repeatable = payload.empty();
  call.url = std::move(url);
  call.payload = std::move(payload);
  return call;
}

}  // namespace

AcmeClient::AcmeClient(http::HttpClient& http, runtime::Timers& timers, base::Random& random,
                       CaOptions options)
    : transport_(http, timers, random, WithDefaults(std::move(options))) {}

std::optional<absl::Time> AcmeClient::RetryAt(const http::HttpResponse& response) const {
  return RetryAfterOf(response, transport_.clock().Now());
}

runtime::Awaitable<absl::StatusOr<DirectoryCache::Shared>> AcmeClient::GetDirectory(
    runtime::Context context) {
  co_return co_await transport_.directory().Get(context);
}

runtime::Awaitable<absl::StatusOr<Account>> AcmeClient::NewAccount(runtime::Context context,
                                                                   pki::PrivateKey key,
                                                                   NewAccountRequest request) {
  LocalJwsSigner signer(key);
  const pki::PublicKey public_key = key.public_key();
  Transport::MakePayload make_payload = [&](const std::string& url) {
    return NewAccountPayload(request, url, public_key);
  };
  Transport::Call call = CallFor(RequestKind::kNewAccount, "");
  CW_CO_ASSIGN_OR_RETURN(
      const http::HttpResponse response,
      co_await transport_.PostToEndpoint(context, signer, &Directory::new_account,
                                         std::move(make_payload), std::move(call)));
  CW_CO_ASSIGN_OR_RETURN(std::string url,
                         LocationOf(response, "account", options().allow_http));
  absl::StatusOr<Account> account = ParseAccount(response.body, std::move(url));
  if (!account.ok()) co_return SenselessAnswer(account.status().message());
  account->created = response.status == 201;
  co_return account;
}

runtime::Awaitable<absl::StatusOr<Account>> AcmeClient::UpdateAccount(
    runtime::Context context, JwsSigner& signer, std::string account_url,
    std::vector<std::string> contacts) {
  Transport::Call call = CallFor(RequestKind::kAccount, account_url, ContactsPayload(contacts));
  call.repeatable = true;
  CW_CO_ASSIGN_OR_RETURN(const http::HttpResponse response,
                         co_await transport_.Post(context, signer, std::move(call)));
  absl::StatusOr<Account> account = ParseAccount(response.body, std::move(account_url));
  if (!account.ok()) co_return SenselessAnswer(account.status().message());
  co_return account;
}

runtime::Awaitable<absl::StatusOr<Account>> AcmeClient::DeactivateAccount(
    runtime::Context context, JwsSigner& signer, std::string account_url) {
  Transport::Call call = CallFor(RequestKind::kAccount, account_url, kDeactivated);
  CW_CO_ASSIGN_OR_RETURN(const http::HttpResponse response,
                         co_await transport_.Post(context, signer, std::move(call)));
  absl::StatusOr<Account> account = ParseAccount(response.body, std::move(account_url));
  if (!account.ok()) co_return SenselessAnswer(account.status().message());
  co_return account;
}

runtime::Awaitable<absl::Status> AcmeClient::KeyChange(runtime::Context context,
                                                       JwsSigner& signer,
                                                       std::string account_url,
                                                       pki::PublicKey old_key,
                                                       pki::PrivateKey new_key) {
  Transport::MakePayload make_payload = [&](const std::string& url) {
    return KeyChangeJws(new_key, old_key, account_url, url);
  };
  Transport::Call call;
  call.kind = RequestKind::kKeyChange;
  absl::StatusOr<http::HttpResponse> response = co_await transport_.PostToEndpoint(
      context, signer, &Directory::key_change, std::move(make_payload), std::move(call));
  co_return response.status();
}

runtime::Awaitable<absl::StatusOr<Order>> AcmeClient::NewOrder(runtime::Context context,
                                                               JwsSigner& signer,
                                                               NewOrderRequest request) {
  request.identifiers = NormalizeIdentifiers(std::move(request.identifiers));
  if (request.identifiers.empty()) {
    co_return absl::InvalidArgumentError("an order needs at least one identifier");
  }
  absl::StatusOr<Order> order = co_await PostNewOrder(context, signer, request);
  if (!order.ok() && !request.replaces.empty() && MayBlameReplaces(order.status())) {
    request.replaces.clear();
    order = co_await PostNewOrder(context, signer, request);
  }
  if (!order.ok()) co_return order;
  CW_CO_RETURN_IF_ERROR(CheckIdentifiers(*order, request.identifiers));
  co_return order;
}

runtime::Awaitable<absl::StatusOr<Order>> AcmeClient::PostNewOrder(runtime::Context context,
                                                                   JwsSigner& signer,
                                                                   NewOrderRequest request) {
  CW_CO_ASSIGN_OR_RETURN(const DirectoryCache::Shared directory,
                         co_await transport_.directory().Get(context));
  Transport::MakePayload make_payload = [&](const std::string&) -> absl::StatusOr<std::string> {
    return NewOrderPayload(request, !directory->renewal_info.empty());
  };
  Transport::Call call;
  call.kind = RequestKind::kNewOrder;
  // With its URL an order can be read again; without, another would be made.
  call.header_suffices = true;
  call.fresh_connection = request.fresh_connection;
  CW_CO_ASSIGN_OR_RETURN(
      const http::HttpResponse response,
      co_await transport_.PostToEndpoint(context, signer, &Directory::new_order,
                                         std::move(make_payload), std::move(call)));
  absl::StatusOr<std::string> location = LocationOf(response, "order", options().allow_http);
  if (!location.ok()) {
    // There is an order, which nobody can use; to ask again at once would only make another.
    co_return ErrorWithClass(absl::StatusCode::kFailedPrecondition, location.status().message(),
                             ErrorClass::kPermanent);
  }
  std::string url = *std::move(location);
  absl::StatusOr<Order> order = ParseOrder(response.body, url, options().allow_http);
  if (!order.ok()) {
    // The order exists: it is read again rather than another made, if need be by the caller.
    order = co_await GetOrder(context, signer, url);
    if (order.ok()) co_return order;
    Order unread;
    unread.url = std::move(url);
    unread.identifiers = request.identifiers;
    co_return unread;
  }
  order->retry_at = RetryAt(response);
  co_return order;
}

runtime::Awaitable<absl::StatusOr<Order>> AcmeClient::GetOrder(runtime::Context context,
                                                               JwsSigner& signer,
                                                               std::string order_url) {
  Transport::Call call = CallFor(RequestKind::kOrder, order_url);
  CW_CO_ASSIGN_OR_RETURN(const http::HttpResponse response,
                         co_await transport_.Post(context, signer, std::move(call)));
  absl::StatusOr<Order> order =
      ParseOrder(response.body, std::move(order_url), options().allow_http);
  if (!order.ok()) co_return SenselessAnswer(order.status().message());
  order->retry_at = RetryAt(response);
  co_return order;
}

runtime::Awaitable<absl::StatusOr<Order>> AcmeClient::Finalize(runtime::Context context,
                                                               JwsSigner& signer,
                                                               std::string order_url,
                                                               std::string finalize_url,
                                                               std::string csr_der) {
  Transport::Call call =
      CallFor(RequestKind::kFinalize, std::move(finalize_url),
              absl::StrCat(R"({"csr":")", base::Base64UrlEncode(csr_der), R"("})"));
  CW_CO_ASSIGN_OR_RETURN(const http::HttpResponse response,
                         co_await transport_.Post(context, signer, std::move(call)));
  absl::StatusOr<Order> order =
      ParseOrder(response.body, std::move(order_url), options().allow_http);
  if (!order.ok()) {
    // It was accepted: the order must be read, not finalized again.
    co_return ErrorWithClass(
        absl::StatusCode::kUnavailable,
        absl::StrCat("finalize: the CA's answer makes no sense: ", order.status().message()),
        ErrorClass::kRereadOrder);
  }
  order->retry_at = RetryAt(response);
  co_return order;
}

runtime::Awaitable<absl::StatusOr<Authorization>> AcmeClient::PostAuthorization(
    runtime::Context context, JwsSigner& signer, Transport::Call call) {
  std::string url = call.url;
  CW_CO_ASSIGN_OR_RETURN(const http::HttpResponse response,
                         co_await transport_.Post(context, signer, std::move(call)));
  absl::StatusOr<Authorization> authorization =
      ParseAuthorization(response.body, std::move(url), options().allow_http);
  if (!authorization.ok()) co_return SenselessAnswer(authorization.status().message());
  authorization->retry_at = RetryAt(response);
  co_return authorization;
}

runtime::Awaitable<absl::StatusOr<Authorization>> AcmeClient::GetAuthorization(
    runtime::Context context, JwsSigner& signer, std::string authorization_url) {
  Transport::Call call = CallFor(RequestKind::kAuthorization, std::move(authorization_url));
  co_return co_await PostAuthorization(context, signer, std::move(call));
}

runtime::Awaitable<absl::StatusOr<Authorization>> AcmeClient::DeactivateAuthorization(
    runtime::Context context, JwsSigner& signer, std::string authorization_url) {
  Transport::Call call =
      CallFor(RequestKind::kAuthorization, std::move(authorization_url), kDeactivated);
  call.repeatable = true;
  co_return co_await PostAuthorization(context, signer, std::move(call));
}

runtime::Awaitable<absl::StatusOr<Challenge>> AcmeClient::PostChallenge(
    runtime::Context context, JwsSigner& signer, Transport::Call call) {
  CW_CO_ASSIGN_OR_RETURN(const http::HttpResponse response,
                         co_await transport_.Post(context, signer, std::move(call)));
  absl::StatusOr<Challenge> challenge = ParseChallenge(response.body, options().allow_http);
  if (!challenge.ok()) co_return SenselessAnswer(challenge.status().message());
  challenge->retry_at = RetryAt(response);
  co_return challenge;
}

runtime::Awaitable<absl::StatusOr<Challenge>> AcmeClient::AcceptChallenge(
    runtime::Context context, JwsSigner& signer, std::string challenge_url) {
  Transport::Call call = CallFor(RequestKind::kChallenge, std::move(challenge_url), "{}");
  co_return co_await PostChallenge(context, signer, std::move(call));
}

runtime::Awaitable<absl::StatusOr<Challenge>> AcmeClient::GetChallenge(
    runtime::Context context, JwsSigner& signer, std::string challenge_url) {
  Transport::Call call = CallFor(RequestKind::kChallenge, std::move(challenge_url));
  co_return co_await PostChallenge(context, signer, std::move(call));
}

runtime::Awaitable<absl::StatusOr<CertificateChain>> AcmeClient::DownloadCertificate(
    runtime::Context context, JwsSigner& signer, std::string certificate_url) {
  co_return co_await Download(context, signer, std::move(certificate_url));
}

runtime::Awaitable<absl::StatusOr<CertificateChain>> AcmeClient::DownloadAlternate(
    runtime::Context context, JwsSigner& signer, std::string alternate_url) {
  CW_CO_ASSIGN_OR_RETURN(CertificateChain chain,
                         co_await Download(context, signer, std::move(alternate_url)));
  chain.alternate_urls.clear();
  co_return chain;
}

runtime::Awaitable<absl::StatusOr<CertificateChain>> AcmeClient::Download(
    runtime::Context context, JwsSigner& signer, std::string url) {
  Transport::Call call = CallFor(RequestKind::kCertificate, url);
  call.accept = kPemChain;
  call.max_response_bytes = kMaxChainBytes;
  absl::StatusOr<http::HttpResponse> response =
      co_await transport_.Post(context, signer, std::move(call));
  if (!response.ok() && HttpStatusOf(response.status()) == 404) {
    co_return ErrorWithClass(absl::StatusCode::kNotFound, response.status().message(),
                             ErrorClass::kRetryBackoff);
  }
  if (!response.ok()) co_return response.status();
  CertificateChain chain;
  absl::StatusOr<std::vector<pki::Certificate>> parsed = pki::ParseChainPem(response->body);
  if (!parsed.ok() || parsed->empty()) {
    const absl::string_view fault = parsed.ok() ? "it is empty" : parsed.status().message();
    co_return ErrorWithClass(absl::StatusCode::kFailedPrecondition,
                             absl::StrCat("the CA's certificate chain is refused: ", fault),
                             ErrorClass::kPermanent);
  }
  chain.certificates = *std::move(parsed);
  const std::vector<std::string> links = http::FindHeaders(response->headers, "Link");
  for (const std::string& link : LinksByRel(links, "alternate")) {
    std::optional<std::string> alternate = ResolveCaUrl(url, link, options().allow_http);
    if (alternate.has_value() && *alternate != url) {
      chain.alternate_urls.push_back(*std::move(alternate));
    }
  }
  co_return chain;
}

runtime::Awaitable<absl::Status> AcmeClient::RevokeCertificate(
    runtime::Context context, JwsSigner& signer, std::string certificate_der,
    std::optional<RevocationReason> reason) {
  co_return co_await Revoke(context, signer, RequestKind::kRevoke, std::move(certificate_der),
                            reason);
}

runtime::Awaitable<absl::Status> AcmeClient::RevokeCertificateByKey(
    runtime::Context context, pki::PrivateKey certificate_key, std::string certificate_der,
    std::optional<RevocationReason> reason) {
  LocalJwsSigner signer(certificate_key);
  co_return co_await Revoke(context, signer, RequestKind::kRevokeByKey,
                            std::move(certificate_der), reason);
}

runtime::Awaitable<absl::Status> AcmeClient::Revoke(runtime::Context context, JwsSigner& signer,
                                                    RequestKind kind,
                                                    std::string certificate_der,
                                                    std::optional<RevocationReason> reason) {
  for (;; reason.reset()) {
    Transport::MakePayload make_payload =
        [&](const std::string&) -> absl::StatusOr<std::string> {
      return RevocationPayload(certificate_der, reason);
    };
    Transport::Call call;
    call.kind = kind;
    call.repeatable = true;
    absl::StatusOr<http::HttpResponse> response = co_await transport_.PostToEndpoint(
        context, signer, &Directory::revoke_cert, std::move(make_payload), std::move(call));
    if (ClassOf(response.status()) == ErrorClass::kAlreadyDone) co_return absl::OkStatus();
    const bool bad_reason = HasProblemType(response.status(), "badRevocationReason");
    if (!bad_reason || !reason.has_value()) co_return response.status();
  }
}

runtime::Awaitable<absl::StatusOr<RenewalInfo>> AcmeClient::GetRenewalInfo(
    runtime::Context context, std::string cert_id) {
  CW_CO_ASSIGN_OR_RETURN(const DirectoryCache::Shared directory,
                         co_await transport_.directory().Get(context));
  if (directory->renewal_info.empty()) {
    co_return ErrorWithClass(absl::StatusCode::kUnimplemented,
                             "the CA has no renewal information", ErrorClass::kPermanent);
  }
  const bool has_slash = absl::EndsWith(directory->renewal_info, "/");
  std::string url = absl::StrCat(directory->renewal_info, has_slash ? "" : "/", cert_id);
  absl::StatusOr<http::HttpResponse> response =
      co_await transport_.Get(context, std::move(url));
  if (!response.ok()) co_return base::Annotate(response.status(), "renewalInfo");
  absl::StatusOr<RenewalInfo> info = ParseRenewalInfo(response->body);
  if (!info.ok()) co_return SenselessAnswer(info.status().message());
  info->retry_at = RetryAt(*response);
  co_return info;
}

}  // namespace certwright::acme
