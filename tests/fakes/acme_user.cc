#include "tests/fakes/acme_user.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "boost/json/parse.hpp"
#include "lib/acme/poll.h"
#include "lib/acme/problem.h"
#include "lib/base/clock.h"
#include "lib/base/random.h"
#include "lib/base/status_macros.h"
#include "lib/http/curl_http_client.h"
#include "lib/pki/certificate.h"

namespace certwright::fakes {
namespace {

using acme::AuthorizationStatus;
using acme::OrderStatus;

constexpr absl::Duration kOrderTimeout = absl::Seconds(30);

}  // namespace

AcmeUser::AcmeUser(std::string directory_url, std::string tls_ca_pem)
    : timers_(runtime::MakeAsioTimers(pool_.executor(), base::Clock::Real())),
      key_(pki::PrivateKey::Generate({}).value()) {
  options_.directory_url = std::move(directory_url);
  options_.trust.ca_bundle_pem = std::move(tls_ca_pem);
  options_.user_agent = "test/1";
  http_ = http::MakeCurlHttpClient(pool_.executor(), *timers_);
  client_ =
      std::make_unique<acme::AcmeClient>(*http_, *timers_, base::Random::Real(), options_);
}

AcmeUser::~AcmeUser() {
  pool_.Stop();
  client_.reset();
  http_.reset();
}

runtime::Context AcmeUser::NewContext(absl::Duration timeout) {
  return runtime::Context::WithTimeout(base::Clock::Real(), timeout);
}

absl::Status AcmeUser::Register(acme::NewAccountRequest request) {
  CW_ASSIGN_OR_RETURN(account_,
                      Run(client_->NewAccount(NewContext(), key_, std::move(request))));
  signer_ = std::make_unique<acme::LocalJwsSigner>(key_, account_.url);
  return absl::OkStatus();
}

absl::StatusOr<acme::Account> AcmeUser::LookUp(const pki::PrivateKey& key) {
  acme::NewAccountRequest request;
  request.only_return_existing = true;
  return Run(client_->NewAccount(NewContext(), key, std::move(request)));
}

absl::StatusOr<acme::Order> AcmeUser::NewOrder(const std::vector<std::string>& names,
                                               const std::string& profile,
                                               const std::string& replaces) {
  acme::NewOrderRequest request;
  for (const std::string& name : names) {
    request.identifiers.push_back(acme::DnsIdentifier(name));
  }
  request.profile = profile;
  request.replaces = replaces;
  return Run(client_->NewOrder(NewContext(), *signer_, std::move(request)));
}

absl::StatusOr<acme::Order> AcmeUser::GetOrder(const std::string& url) {
  return Run(client_->GetOrder(NewContext(), *signer_, url));
}

absl::StatusOr<acme::Order> AcmeUser::AwaitOrder(const std::string& url, OrderStatus leave) {
  const absl::Time end = absl::Now() + kOrderTimeout;
  for (int i = 0; absl::Now() < end; ++i) {
    CW_ASSIGN_OR_RETURN(acme::Order order, GetOrder(url));
    if (order.status != leave) return order;
    absl::SleepFor(acme::NextPollDelay(i, order.retry_at, absl::Now(), base::Random::Real()));
  }
  return absl::DeadlineExceededError(
      absl::StrCat("the order is still ", acme::StatusName(leave)));
}

absl::StatusOr<acme::Order> AcmeUser::Authorize(const acme::Order& order,
                                                const std::string& type) {
  for (const std::string& url : order.authorizations) {
    CW_ASSIGN_OR_RETURN(const acme::Authorization authorization,
                        Run(client_->GetAuthorization(NewContext(), *signer_, url)));
    if (authorization.status != AuthorizationStatus::kPending) continue;
    const acme::Challenge* challenge = authorization.Find(type);
    if (challenge == nullptr) return absl::NotFoundError(absl::StrCat("no ", type));
    CW_RETURN_IF_ERROR(Run(client_->AcceptChallenge(NewContext(), *signer_, challenge->url)));
  }
  return AwaitOrder(order.url, OrderStatus::kPending);
}

absl::StatusOr<acme::Order> AcmeUser::Finalize(const acme::Order& order,
                                               const pki::PrivateKey& key,
                                               const std::vector<std::string>& names) {
  CW_ASSIGN_OR_RETURN(const std::string csr, MakeCsrDer(names, key));
  CW_ASSIGN_OR_RETURN(
      acme::Order finalized,
      Run(client_->Finalize(NewContext(), *signer_, order.url, order.finalize, csr)));
  if (finalized.status != OrderStatus::kProcessing) return finalized;
  return AwaitOrder(order.url, OrderStatus::kProcessing);
}

absl::StatusOr<acme::CertificateChain> AcmeUser::Download(const acme::Order& order) {
  return Run(client_->DownloadCertificate(NewContext(), *signer_, order.certificate));
}

absl::StatusOr<Issued> AcmeUser::Issue(const std::vector<std::string>& names,
                                       const std::string& profile) {
  CW_ASSIGN_OR_RETURN(acme::Order order, NewOrder(names, profile));
  CW_ASSIGN_OR_RETURN(order, Authorize(order));
  CW_ASSIGN_OR_RETURN(const pki::PrivateKey key, pki::PrivateKey::Generate({}));
  CW_ASSIGN_OR_RETURN(order, Finalize(order, key, names));
  CW_ASSIGN_OR_RETURN(acme::CertificateChain chain, Download(order));
  return Issued{key, std::move(chain), std::move(order)};
}

absl::Status AcmeUser::Verify(const Issued& issued, const std::vector<std::string>& names,
                              const std::string& root_pem) {
  const pki::PublicKey public_key = issued.key.public_key();
  pki::ChainExpectation expected;
  expected.public_key = &public_key;
  expected.names.dns_names = names;
  expected.now = absl::Now();
  CW_RETURN_IF_ERROR(pki::VerifyIssuedChain(issued.chain.certificates, expected));
  CW_ASSIGN_OR_RETURN(const auto roots, pki::ParseChainPem(root_pem));
  return pki::VerifyAgainstRoots(issued.chain.certificates, roots, absl::Now());
}

std::string AcmeUser::FreshNonce() {
  const auto directory = Run(client_->GetDirectory(NewContext()));
  if (!directory.ok()) return "";
  http::HttpRequest request;
  request.method = "HEAD";
  request.url = (*directory)->new_nonce;
  const auto response = Send(std::move(request));
  if (!response.ok()) return "";
  return http::FindHeader(response->headers, "Replay-Nonce").value_or("");
}

absl::StatusOr<http::HttpResponse> AcmeUser::Send(http::HttpRequest request) {
  request.trust = options_.trust;
  return Run(http_->Send(NewContext(), std::move(request)));
}

absl::StatusOr<http::HttpResponse> AcmeUser::Post(const std::string& url, std::string body) {
  http::HttpRequest request;
  request.method = "POST";
  request.url = url;
  request.headers = {{"Content-Type", "application/jose+json"}};
  request.body = std::move(body);
  return Send(std::move(request));
}

std::string AcmeUser::Sign(const std::string& signed_url, std::string nonce,
                           std::string payload) {
  acme::SignRequest request;
  request.url = signed_url;
  request.nonce = std::move(nonce);
  request.payload = std::move(payload);
  return signer_->SignNow(request).value().body;
}

std::string ProblemType(const http::HttpResponse& response) {
  boost::system::error_code error;
  const boost::json::value value = boost::json::parse(response.body, error);
  if (error || !value.is_object()) return "";
  const boost::json::value* type = value.as_object().if_contains("type");
  if (type == nullptr || !type->is_string()) return "";
  return std::string(
      absl::StripPrefix(std::string(type->as_string()), "urn:ietf:params:acme:error:"));
}

absl::StatusOr<std::string> MakeCsrDer(const std::vector<std::string>& names,
                                       const pki::PrivateKey& key) {
  pki::CsrSpec spec;
  spec.names.dns_names = names;
  CW_ASSIGN_OR_RETURN(const std::string pem, pki::CreateCsrPem(spec, key));
  CW_ASSIGN_OR_RETURN(pki::Csr csr, pki::ParseCsrPem(pem));
  return std::move(csr.der);
}

}  // namespace certwright::fakes
