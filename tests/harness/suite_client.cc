#include "tests/harness/suite_client.h"

#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "lib/base/status_macros.h"
#include "lib/pki/certificate.h"
#include "lib/pki/key.h"
#include "lib/service/conditions.h"

namespace certwright::harness {
namespace {

// What `call` gives once it succeeds, within a minute; else value() fails the test.
template <typename Call>
auto Persist(Call call) {
  auto result = call();
  WaitUntil(
      [&] {
        if (!result.ok()) result = call();
        return result.ok();
      },
      absl::Minutes(1));
  return std::move(result).value();
}

constexpr char kClusterNamespace[] = "certwright";

bool IsReady(const issuer::v1::Certificate& certificate) {
  const auto* ready = service::FindCondition(certificate.status().conditions(), "Ready");
  return ready != nullptr && ready->status() == meta::v1::CONDITION_STATUS_TRUE &&
         ready->observed_generation() == certificate.metadata().generation();
}

}  // namespace

std::unique_ptr<grpc::ClientContext> MakeContext(absl::Duration timeout) {
  auto context = std::make_unique<grpc::ClientContext>();
  context->set_deadline(absl::ToChronoTime(absl::Now() + timeout));
  context->set_wait_for_ready(true);
  return context;
}

absl::Status FromGrpc(const grpc::Status& status) {
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()),
                      status.error_message());
}

std::string DescribeConditions(
    const google::protobuf::RepeatedPtrField<meta::v1::Condition>& conditions) {
  std::vector<std::string> texts;
  for (const meta::v1::Condition& condition : conditions) {
    const bool holds = condition.status() == meta::v1::CONDITION_STATUS_TRUE;
    texts.push_back(absl::StrCat(condition.type(), "=", holds ? "True" : "False", " ",
                                 condition.reason(), ": ", condition.message()));
  }
  return absl::StrJoin(texts, "; ");
}

void SuiteClient::Connect(const Suite& suite) {
  const auto issuer = suite.channel(Service::kIssuer);
  certificates_ = issuer::v1::CertificateService::NewStub(issuer);
  issuers_ = issuer::v1::IssuerService::NewStub(issuer);
  secrets_ = issuer::v1::SecretService::NewStub(issuer);
  orders_ = order::v1::OrderService::NewStub(suite.channel(Service::kOrder));
  challenges_ = solver::v1::ChallengeService::NewStub(suite.channel(Service::kSolver));
}

absl::Status SuiteClient::CreateClusterSecret(const std::string& name,
                                              const std::map<std::string, std::string>& data) {
  issuer::v1::CreateSecretRequest request;
  request.mutable_secret()->mutable_metadata()->set_namespace_(kClusterNamespace);
  request.mutable_secret()->mutable_metadata()->set_name(name);
  for (const auto& [key, value] : data)
    (*request.mutable_secret()->mutable_data())[key] = value;
  issuer::v1::CreateSecretResponse response;
  const absl::Status created =
      FromGrpc(secrets_->CreateSecret(MakeContext().get(), request, &response));
  return absl::IsAlreadyExists(created) ? absl::OkStatus() : created;
}

absl::Status SuiteClient::CreateClusterIssuer(const issuer::v1::ClusterIssuer& issuer) {
  issuer::v1::CreateClusterIssuerRequest request;
  *request.mutable_cluster_issuer() = issuer;
  issuer::v1::CreateClusterIssuerResponse response;
  CW_RETURN_IF_ERROR(
      FromGrpc(issuers_->CreateClusterIssuer(MakeContext().get(), request, &response)));
  return WaitForClusterIssuer(issuer.metadata().name(), absl::Seconds(30));
}

absl::Status SuiteClient::WaitForClusterIssuer(const std::string& name,
                                               absl::Duration timeout) {
  issuer::v1::WatchClusterIssuersRequest watch;
  watch.set_name(name);
  const absl::Time end = absl::Now() + timeout;
  std::string last;
  absl::Status ended;
  while (absl::Now() < end) {
    const auto context = MakeContext(end - absl::Now());
    auto stream = issuers_->WatchClusterIssuers(context.get(), watch);
    issuer::v1::WatchClusterIssuersResponse event;
    while (stream->Read(&event)) {
      const auto& conditions = event.cluster_issuer().status().conditions();
      if (service::IsTrue(conditions, "Ready")) return absl::OkStatus();
      if (event.has_cluster_issuer()) last = DescribeConditions(conditions);
    }
    ended = FromGrpc(stream->Finish());
    Pause();
  }
  return absl::DeadlineExceededError(
      absl::StrCat("the ClusterIssuer does not get Ready: ", last, "; the watch ended with ",
                   ended.ToString()));
}

issuer::v1::Certificate SuiteClient::MakeCertificate(const std::string& name,
                                                     const std::vector<std::string>& dns_names,
                                                     const std::string& issuer) {
  issuer::v1::Certificate certificate;
  certificate.mutable_metadata()->set_name(name);
  certificate.mutable_spec()->set_secret_name(name + "-tls");
  certificate.mutable_spec()->mutable_issuer_ref()->set_name(issuer);
  certificate.mutable_spec()->mutable_issuer_ref()->set_kind(
      meta::v1::ISSUER_KIND_CLUSTER_ISSUER);
  certificate.mutable_spec()->mutable_dns_names()->Assign(dns_names.begin(), dns_names.end());
  return certificate;
}

absl::Status SuiteClient::CreateCertificate(const issuer::v1::Certificate& certificate) {
  issuer::v1::CreateCertificateRequest request;
  *request.mutable_certificate() = certificate;
  issuer::v1::CreateCertificateResponse response;
  return FromGrpc(certificates_->CreateCertificate(MakeContext().get(), request, &response));
}

absl::Status SuiteClient::WaitUntilReady(const std::vector<std::string>& names,
                                         absl::Duration timeout) {
  std::set<std::string> missing(names.begin(), names.end());
  const absl::Time end = absl::Now() + timeout;
  std::string last;
  while (!missing.empty() && absl::Now() < end) {
    const auto context = MakeContext(end - absl::Now());
    auto stream = certificates_->WatchCertificates(context.get(), {});
    issuer::v1::WatchCertificatesResponse event;
    while (!missing.empty() && stream->Read(&event)) {
      if (!event.has_certificate()) continue;
      const std::string& name = event.certificate().metadata().name();
      if (IsReady(event.certificate())) {
        missing.erase(name);
      } else if (missing.contains(name)) {
        last = absl::StrCat(name, ": ",
                            DescribeConditions(event.certificate().status().conditions()));
      }
    }
    context->TryCancel();
    stream->Finish();
    // The service went away in the middle: it is being started again, or the time is up.
    if (!missing.empty()) Pause();
  }
  if (missing.empty()) return absl::OkStatus();
  return absl::DeadlineExceededError(
      absl::StrCat(missing.size(), " of ", names.size(), " certificates are not Ready after ",
                   absl::FormatDuration(timeout), ", for example ", *missing.begin(),
                   "; the last that was seen: ", last));
}

absl::StatusOr<issuer::v1::Certificate> SuiteClient::GetCertificate(const std::string& name) {
  issuer::v1::GetCertificateRequest request;
  request.set_name(name);
  issuer::v1::GetCertificateResponse response;
  CW_RETURN_IF_ERROR(
      FromGrpc(certificates_->GetCertificate(MakeContext().get(), request, &response)));
  return response.certificate();
}

absl::StatusOr<issuer::v1::Secret> SuiteClient::GetSecret(const std::string& name) {
  issuer::v1::GetSecretRequest request;
  request.set_name(name);
  issuer::v1::GetSecretResponse response;
  CW_RETURN_IF_ERROR(FromGrpc(secrets_->GetSecret(MakeContext().get(), request, &response)));
  return response.secret();
}

absl::StatusOr<std::vector<order::v1::Order>> SuiteClient::TryListOrders() {
  std::vector<order::v1::Order> orders;
  order::v1::ListOrdersRequest request;
  request.set_page_size(1000);
  do {
    order::v1::ListOrdersResponse response;
    CW_RETURN_IF_ERROR(FromGrpc(orders_->ListOrders(MakeContext().get(), request, &response)));
    orders.insert(orders.end(), response.orders().begin(), response.orders().end());
    request.set_page_token(response.next_page_token());
  } while (!request.page_token().empty());
  return orders;
}

absl::StatusOr<std::vector<solver::v1::Challenge>> SuiteClient::TryListChallenges() {
  std::vector<solver::v1::Challenge> challenges;
  solver::v1::ListChallengesRequest request;
  request.set_page_size(1000);
  do {
    solver::v1::ListChallengesResponse response;
    CW_RETURN_IF_ERROR(
        FromGrpc(challenges_->ListChallenges(MakeContext().get(), request, &response)));
    challenges.insert(challenges.end(), response.challenges().begin(),
                      response.challenges().end());
    request.set_page_token(response.next_page_token());
  } while (!request.page_token().empty());
  return challenges;
}

std::vector<order::v1::Order> SuiteClient::ListOrders() {
  return Persist([this] { return TryListOrders(); });
}

std::vector<solver::v1::Challenge> SuiteClient::ListChallenges() {
  return Persist([this] { return TryListChallenges(); });
}

absl::Status VerifySecret(const issuer::v1::Secret& secret,
                          const std::vector<std::string>& dns_names,
                          const std::string& root_pem) {
  const auto& data = secret.data();
  if (!data.contains("tls.crt") || !data.contains("tls.key")) {
    return absl::FailedPreconditionError("the Secret has no tls.crt or no tls.key");
  }
  CW_ASSIGN_OR_RETURN(const auto chain, pki::ParseChainPem(data.at("tls.crt")));
  CW_ASSIGN_OR_RETURN(const auto key, pki::PrivateKey::ParsePem(data.at("tls.key")));
  CW_ASSIGN_OR_RETURN(const auto roots, pki::ParseChainPem(root_pem));
  const pki::PublicKey public_key = key.public_key();
  pki::ChainExpectation expected;
  expected.public_key = &public_key;
  expected.names.dns_names = dns_names;
  expected.now = absl::Now();
  CW_RETURN_IF_ERROR(pki::VerifyIssuedChain(chain, expected));
  return pki::VerifyAgainstRoots(chain, roots, absl::Now());
}

}  // namespace certwright::harness
