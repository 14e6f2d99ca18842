#include "tests/fakes/ca_server.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "boost/json/parse.hpp"
#include "lib/acme/renewal_info.h"
#include "lib/base/status_macros.h"
#include "lib/pki/jose.h"
#include "tests/fakes/ca_reply.h"

namespace certwright::fakes {
namespace {

namespace json = boost::json;

constexpr char kTermsOfService[] = "https://ca.test/terms";

pki::TestIdentity MakeIdentity(const pki::TestCa& ca, TlsTrouble trouble) {
  pki::SubjectAltNames names;
  names.dns_names = {"localhost"};
  names.ip_addresses = {"127.0.0.1"};
  switch (trouble) {
    case TlsTrouble::kNone:
      return ca.Issue(names);
    case TlsTrouble::kOtherName:
      names.dns_names = {"other.test"};
      names.ip_addresses.clear();
      return ca.Issue(names);
    case TlsTrouble::kExpired:
      return ca.Issue(names, pki::TestNotBefore() + absl::Hours(24));
    case TlsTrouble::kUnknownCa:
      return pki::TestCa("Unknown TLS").Issue(names);
  }
  std::abort();
}

void MakeUrlsRelative(const std::string& base, Reply& reply) {
  for (http::Header& header : reply.headers) {
    if (header.name != "Location" && header.name != "Link") continue;
    header.value = absl::StrReplaceAll(header.value, {{base, ""}});
  }
}

}  // namespace

const std::vector<CaServer::Route>& CaServer::Routes() {
  static const auto& routes = *new std::vector<Route>{
      {"/directory", Endpoint::kDirectory, SignedBy::kNobody, &CaServer::Directory},
      {"/nonce", Endpoint::kNewNonce, SignedBy::kNobody, &CaServer::NewNonce},
      {"/renewal-info/", Endpoint::kRenewalInfo, SignedBy::kNobody, &CaServer::RenewalInfo},
      {"/new-account", Endpoint::kNewAccount, SignedBy::kKey, &CaServer::NewAccount},
      {"/account/", Endpoint::kAccount, SignedBy::kAccount, &CaServer::Account},
      {"/new-order", Endpoint::kNewOrder, SignedBy::kAccount, &CaServer::NewOrder},
      {"/order/", Endpoint::kOrder, SignedBy::kAccount, &CaServer::Order},
      {"/finalize/", Endpoint::kFinalize, SignedBy::kAccount, &CaServer::Finalize},
      {"/authorization/", Endpoint::kAuthz, SignedBy::kAccount, &CaServer::Authorization},
      {"/challenge/", Endpoint::kChallenge, SignedBy::kAccount, &CaServer::Challenge},
      {"/certificate/", Endpoint::kCertificate, SignedBy::kAccount, &CaServer::Certificate},
      {"/key-change", Endpoint::kKeyChange, SignedBy::kAccount, &CaServer::KeyChange},
      {"/revoke", Endpoint::kRevokeCert, SignedBy::kEither, &CaServer::RevokeCert},
  };
  return routes;
}

std::optional<json::object> CaServer::Call::Object() const {
  boost::system::error_code error;
  json::value value = json::parse(payload, error);
  if (error || !value.is_object()) return std::nullopt;
  return std::move(value.as_object());
}

absl::StatusOr<std::unique_ptr<CaServer>> CaServer::Start(CaServerOptions options) {
  std::unique_ptr<CaServer> server(new CaServer(std::move(options)));
  CW_RETURN_IF_ERROR(server->Listen());
  return server;
}

CaServer::CaServer(CaServerOptions options)
    : options_(std::move(options)),
      issuing_(options_.alternate_roots),
      pool_(options_.threads),
      validator_(pool_.executor(), options_.validation) {}

CaServer::~CaServer() { pool_.Stop(); }

absl::Status CaServer::Listen() {
  const pki::TestCa tls_ca("Fake CA TLS");
  tls_ca_pem_ = tls_ca.root().Pem();
  CW_ASSIGN_OR_RETURN(
      server_,
      HttpsServer::Start(pool_.executor(), MakeIdentity(tls_ca, options_.tls), options_.port,
                         [this](const Request& request) { return Handle(request); }));
  return absl::OkStatus();
}

std::string CaServer::directory_url(int port) const {
  return absl::StrCat("https://127.0.0.1:", port != 0 ? port : this->port(), "/directory");
}

Reply CaServer::Handle(const Request& request) {
  for (const Route& route : Routes()) {
    const absl::string_view path = route.path;
    const bool fits = absl::EndsWith(path, "/") ? absl::StartsWith(request.target, path)
                                                : request.target == path;
    if (!fits) continue;
    ++requests_[Index(route.endpoint)];
    Call call{.http = request,
              .base = absl::StrCat("https://", request.host),
              .rest = request.target.substr(path.size()),
              .payload = "",
              .key = std::nullopt,
              .verifier = std::nullopt,
              .jwk = ""};
    Reply reply = HandleRoute(route, call);
    if (route.endpoint != Endpoint::kDirectory) {
      AddHeader(reply, "Link", absl::StrCat("<", call.Url("/directory"), ">;rel=\"index\""));
    }
    if (behaviour().relative_urls) MakeUrlsRelative(call.base, reply);
    return reply;
  }
  return ProblemReply(404, "malformed", "there is nothing here");
}

// A fault that is not to take effect comes after the request has been checked, as its nonce
// counts as spent.
Reply CaServer::HandleRoute(const Route& route, Call& call) {
  if (faults_.TakeLoss(route.endpoint)) return Spoil(Reply(), ResetBefore());
  const bool is_signed = route.signed_by != SignedBy::kNobody;
  if (is_signed) {
    if (std::optional<Reply> refusal = Authenticate(route, call)) {
      AddHeader(*refusal, "Replay-Nonce", nonces_.Make());
      return *std::move(refusal);
    }
  }
  const std::optional<Fault> fault = faults_.Take(route.endpoint);
  const bool takes_effect = !fault.has_value() || fault->takes_effect;
  Reply reply = takes_effect ? (this->*route.handle)(call) : Reply();
  if (is_signed) AddHeader(reply, "Replay-Nonce", nonces_.Make());
  if (fault.has_value()) return Spoil(std::move(reply), *fault);
  return reply;
}

std::optional<Reply> CaServer::Authenticate(const Route& route, Call& call) {
  if (call.http.method != "POST") {
    return ProblemReply(405, "malformed", "this resource wants POST");
  }
  if (call.http.content_type != "application/jose+json") {
    return ProblemReply(415, "malformed", "the content is not application/jose+json");
  }
  if (call.http.user_agent.empty()) return ProblemReply(400, "malformed", "no User-Agent");
  absl::StatusOr<Jws> jws = ReadJws(call.http.body);
  if (!jws.ok()) return ProblemReply(400, "malformed", jws.status().message());
  if (std::optional<Reply> refusal = FindKey(route, *jws, call)) return refusal;
  const std::string algorithm = StringAt(jws->header, "alg");
  if (std::optional<Reply> refusal = CheckAlgorithm(algorithm, *call.key)) return refusal;
  if (!call.verifier->Accepts(*jws)) {
    return ProblemReply(400, "malformed", "the signature is wrong");
  }
  if (StringAt(jws->header, "url") != call.Url(call.http.target)) {
    return ProblemReply(401, "unauthorized", "the JWS is for another URL");
  }
  const bool spent = nonces_.Spend(StringAt(jws->header, "nonce"));
  if (!spent || RefusesNonceByChance()) return ProblemReply(400, "badNonce", "not this nonce");
  call.payload = std::move(jws->payload);
  return std::nullopt;
}

std::optional<Reply> CaServer::FindKey(const Route& route, const Jws& jws, Call& call) {
  const json::value* jwk = jws.header.if_contains("jwk");
  const bool has_kid = jws.header.contains("kid");
  if (has_kid == (jwk != nullptr)) {
    return ProblemReply(400, "malformed", "a JWS has either kid or jwk");
  }
  const bool wanted = route.signed_by == SignedBy::kEither ||
                      has_kid == (route.signed_by == SignedBy::kAccount);
  if (!wanted) return ProblemReply(400, "malformed", "kid and jwk are the wrong way round");
  if (!has_kid) {
    if (!jwk->is_object()) return ProblemReply(400, "malformed", "the jwk is no object");
    absl::StatusOr<pki::PublicKey> key = ReadJwk(jwk->as_object());
    if (!key.ok()) return ProblemReply(400, "badPublicKey", key.status().message());
    call.jwk = pki::JwkJson(*key);
    call.verifier = JwsVerifier(*key);
    call.key = *std::move(key);
    return std::nullopt;
  }
  const std::string kid = StringAt(jws.header, "kid");
  const std::string prefix = call.Url("/account/");
  base::MutexLock lock(mutex_);
  const auto account = absl::StartsWith(kid, prefix)
                           ? accounts_.find(ParseId(kid.substr(prefix.size())))
                           : accounts_.end();
  if (account == accounts_.end()) {
    return ProblemReply(400, "accountDoesNotExist", "there is no such account");
  }
  if (!account->second.active) {
    return ProblemReply(401, "unauthorized", "the account is deactivated");
  }
  call.account = account->first;
  call.key = account->second.key;
  call.verifier = account->second.verifier;
  return std::nullopt;
}

std::optional<Reply> CaServer::CheckAlgorithm(const std::string& algorithm,
                                              const pki::PublicKey& key) const {
  base::MutexLock lock(mutex_);
  const std::vector<std::string>& known = behaviour_.algorithms;
  if (algorithm == pki::JoseAlgorithm(key) &&
      std::find(known.begin(), known.end(), algorithm) != known.end()) {
    return std::nullopt;
  }
  json::object problem = ProblemObject(400, "badSignatureAlgorithm", "not this algorithm");
  problem["algorithms"] = json::array(known.begin(), known.end());
  Reply reply = JsonReply(400, problem);
  reply.headers[0].value = "application/problem+json";
  return reply;
}

bool CaServer::RefusesNonceByChance() {
  base::MutexLock lock(mutex_);
  return behaviour_.bad_nonce_percent > 0 &&
         std::uniform_int_distribution<int>(0, 99)(generator_) < behaviour_.bad_nonce_percent;
}

Reply CaServer::Directory(Call& call) {
  if (call.http.method != "GET") return ProblemReply(405, "malformed", "GET this");
  json::object directory;
  directory["newNonce"] = call.Url("/nonce");
  directory["newAccount"] = call.Url("/new-account");
  directory["newOrder"] = call.Url("/new-order");
  directory["revokeCert"] = call.Url("/revoke");
  directory["keyChange"] = call.Url("/key-change");
  if (options_.renewal_info) directory["renewalInfo"] = call.Url("/renewal-info");
  // As Boulder's: clients must not mind a member that they do not know.
  directory["unknownToAll"] = "https://ca.test/unknown";
  json::object meta;
  meta["termsOfService"] = kTermsOfService;
  if (!options_.external_accounts.empty()) meta["externalAccountRequired"] = true;
  if (!options_.profiles.empty()) {
    json::object& profiles = meta["profiles"].emplace_object();
    for (const auto& [name, lifetime] : options_.profiles) {
      profiles[name] = absl::StrCat("valid for ", absl::FormatDuration(lifetime));
    }
  }
  directory["meta"] = std::move(meta);
  return JsonReply(200, directory);
}

Reply CaServer::NewNonce(Call& call) {
  if (call.http.method == "HEAD" && !behaviour().takes_head) {
    return ProblemReply(405, "malformed", "GET this");
  }
  Reply reply;
  reply.status = call.http.method == "HEAD" ? 200 : 204;
  AddHeader(reply, "Replay-Nonce", nonces_.Make());
  AddHeader(reply, "Cache-Control", "no-store");
  return reply;
}

Behaviour CaServer::behaviour() const {
  base::MutexLock lock(mutex_);
  return behaviour_;
}

void CaServer::SetBehaviour(Behaviour behaviour) {
  base::MutexLock lock(mutex_);
  behaviour_ = std::move(behaviour);
}

void CaServer::ForgetAccounts() {
  base::MutexLock lock(mutex_);
  accounts_.clear();
  accounts_by_thumbprint_.clear();
}

void CaServer::DeactivateAccounts() {
  base::MutexLock lock(mutex_);
  for (auto& [id, account] : accounts_) account.active = false;
}

void CaServer::EndAuthorizations(const std::string& status) {
  base::MutexLock lock(mutex_);
  for (auto& [id, authorization] : authorizations_) {
    const std::string now = AuthorizationStatus(authorization);
    if (now == "pending" || now == "valid") authorization.status = status;
  }
}

absl::Status CaServer::SuggestRenewal(const pki::Certificate& certificate,
                                      RenewalWindow window) {
  CW_ASSIGN_OR_RETURN(const std::string cert_id, acme::CertId(certificate));
  base::MutexLock lock(mutex_);
  const auto found = certificates_by_cert_id_.find(cert_id);
  if (found == certificates_by_cert_id_.end()) {
    return absl::NotFoundError("this CA did not issue that certificate");
  }
  certificates_.at(found->second).renewal_window = std::move(window);
  return absl::OkStatus();
}

std::optional<int> CaServer::RevocationReason(const pki::Certificate& certificate) const {
  const absl::StatusOr<std::string> cert_id = acme::CertId(certificate);
  base::MutexLock lock(mutex_);
  const auto found = certificates_by_cert_id_.find(cert_id.value_or(""));
  if (found == certificates_by_cert_id_.end()) return std::nullopt;
  return certificates_.at(found->second).revocation_reason;
}

int CaServer::orders_for(const std::vector<std::string>& names) const {
  base::MutexLock lock(mutex_);
  const auto found = orders_by_names_.find(absl::StrJoin(names, " "));
  return found == orders_by_names_.end() ? 0 : found->second;
}

int CaServer::orders() const {
  base::MutexLock lock(mutex_);
  int count = 0;
  for (const auto& [names, orders] : orders_by_names_) count += orders;
  return count;
}

int CaServer::accounts() const {
  base::MutexLock lock(mutex_);
  return static_cast<int>(accounts_.size());
}

void CaServer::AddRetryAfter(Reply& reply) const {
  if (behaviour_.retry_after > absl::ZeroDuration()) {
    AddHeader(reply, "Retry-After", absl::StrCat(absl::ToInt64Seconds(behaviour_.retry_after)));
  }
}

}  // namespace certwright::fakes
