// What attacks on the issuer service share: the three real services with mutual TLS, a CA that
// asks nobody for proofs, and people with roles in namespaces of their own.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "certwright/issuer/v1/certificate.grpc.pb.h"
#include "certwright/issuer/v1/certificate_request.grpc.pb.h"
#include "certwright/issuer/v1/issuer.grpc.pb.h"
#include "certwright/issuer/v1/secret.grpc.pb.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/status_macros.h"
#include "lib/base/status_matchers.h"
#include "lib/pki/run_command.h"
#include "lib/rpc/channel.h"
#include "lib/service/conditions.h"
#include "tests/fakes/fake_world.h"
#include "tests/harness/process.h"

namespace certwright::attacks {

namespace v1 = issuer::v1;

inline constexpr absl::Duration kTimeout = absl::Seconds(90);

// Everyone's calls of the issuer service.
struct Client {
  explicit Client(const std::shared_ptr<grpc::Channel>& channel)
      : certificates(v1::CertificateService::NewStub(channel)),
        requests(v1::CertificateRequestService::NewStub(channel)),
        issuers(v1::IssuerService::NewStub(channel)),
        secrets(v1::SecretService::NewStub(channel)) {}

  std::unique_ptr<v1::CertificateService::Stub> certificates;
  std::unique_ptr<v1::CertificateRequestService::Stub> requests;
  std::unique_ptr<v1::IssuerService::Stub> issuers;
  std::unique_ptr<v1::SecretService::Stub> secrets;
};

template <typename Stub, typename Request, typename Response>
absl::StatusOr<Response> Call(const std::unique_ptr<Stub>& stub,
                              grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                           Response*),
                              const std::type_identity_t<Request>& request) {
  Response response;
  const absl::Status status =
      harness::FromGrpc(((*stub).*method)(harness::MakeContext().get(), request, &response));
  if (!status.ok()) return status;
  return response;
}

template <typename Resource>
const meta::v1::Condition& ReadyOf(const Resource& resource) {
  const auto* ready = service::FindCondition(resource.status().conditions(), "Ready");
  return ready == nullptr ? meta::v1::Condition::default_instance() : *ready;
}

class IssuerAttackTest : public testing::Test {
 protected:
  void SetUp() override {
    const std::string folder = harness::MakeFolder("issuer-attacks");
    pki_ = folder + "/pki";
    const pki::CommandResult made = pki::RunCommand(absl::StrCat(
        "cli/certwright-bootstrap certificates --out ", pki_,
        " --client admin.test --client mallory.test --client rita.test --client ann.test"));
    ASSERT_EQ(made.exit_status, 0) << made.output;
    fakes::FakeWorldOptions options;
    options.ca.validation.assume_valid = true;
    options.folder = folder;
    options.certificates = pki_;
    options.client = "admin.test";
    for (std::string& extra : options.extra_config) extra = kAccess;
    options.extra_config[0] += kApproval;
    CW_ASSERT_OK_AND_ASSIGN(world_, fakes::FakeWorld::Start(std::move(options)));
    CW_ASSERT_OK(world_->CreateClusterIssuer(world_->MakeClusterIssuer()));
    admin_ = Connect("admin.test");
    mallory_ = Connect("mallory.test");
    rita_ = Connect("rita.test");
    ann_ = Connect("ann.test");
  }

  static v1::Certificate MakeCertificate(const std::string& resource_namespace,
                                         const std::string& name, const std::string& dns_name) {
    v1::Certificate certificate = fakes::FakeWorld::MakeCertificate(name, {dns_name});
    certificate.mutable_metadata()->set_namespace_(resource_namespace);
    return certificate;
  }
  static absl::StatusOr<v1::Certificate> Create(const Client& as,
                                                const v1::Certificate& certificate) {
    v1::CreateCertificateRequest request;
    *request.mutable_certificate() = certificate;
    CW_ASSIGN_OR_RETURN(
        auto response,
        Call(as.certificates, &v1::CertificateService::Stub::CreateCertificate, request));
    return response.certificate();
  }
  static absl::StatusOr<v1::Issuer> Create(const Client& as, const v1::Issuer& issuer) {
    v1::CreateIssuerRequest request;
    *request.mutable_issuer() = issuer;
    CW_ASSIGN_OR_RETURN(auto response,
                        Call(as.issuers, &v1::IssuerService::Stub::CreateIssuer, request));
    return response.issuer();
  }
  static absl::StatusOr<v1::Secret> Create(const Client& as, const v1::Secret& secret) {
    v1::CreateSecretRequest request;
    *request.mutable_secret() = secret;
    CW_ASSIGN_OR_RETURN(auto response,
                        Call(as.secrets, &v1::SecretService::Stub::CreateSecret, request));
    return response.secret();
  }
  static absl::StatusOr<v1::CertificateRequest> Create(const Client& as,
                                                       const v1::CertificateRequest& resource) {
    v1::CreateCertificateRequestRequest request;
    *request.mutable_certificate_request() = resource;
    CW_ASSIGN_OR_RETURN(
        auto response,
        Call(as.requests, &v1::CertificateRequestService::Stub::CreateCertificateRequest,
             request));
    return response.certificate_request();
  }

  static absl::StatusOr<v1::Certificate> GetCertificate(const Client& as,
                                                        const std::string& resource_namespace,
                                                        const std::string& name) {
    v1::GetCertificateRequest request;
    request.set_namespace_(resource_namespace);
    request.set_name(name);
    CW_ASSIGN_OR_RETURN(
        auto response,
        Call(as.certificates, &v1::CertificateService::Stub::GetCertificate, request));
    return response.certificate();
  }
  static absl::StatusOr<v1::CertificateRequest> GetRequest(
      const Client& as, const std::string& resource_namespace, const std::string& name) {
    v1::GetCertificateRequestRequest request;
    request.set_namespace_(resource_namespace);
    request.set_name(name);
    CW_ASSIGN_OR_RETURN(
        auto response,
        Call(as.requests, &v1::CertificateRequestService::Stub::GetCertificateRequest,
             request));
    return response.certificate_request();
  }
  static absl::StatusOr<v1::Secret> GetSecret(const Client& as,
                                              const std::string& resource_namespace,
                                              const std::string& name) {
    v1::GetSecretRequest request;
    request.set_namespace_(resource_namespace);
    request.set_name(name);
    CW_ASSIGN_OR_RETURN(auto response,
                        Call(as.secrets, &v1::SecretService::Stub::GetSecret, request));
    return response.secret();
  }
  static absl::Status Update(const Client& as, const v1::Secret& secret) {
    v1::UpdateSecretRequest request;
    *request.mutable_secret() = secret;
    return Call(as.secrets, &v1::SecretService::Stub::UpdateSecret, request).status();
  }
  static absl::Status DeleteCertificate(const Client& as, const std::string& resource_namespace,
                                        const std::string& name) {
    v1::DeleteCertificateRequest request;
    request.set_namespace_(resource_namespace);
    request.set_name(name);
    return Call(as.certificates, &v1::CertificateService::Stub::DeleteCertificate, request)
        .status();
  }
  static absl::StatusOr<v1::GetCertificateChainResponse> GetChain(
      const Client& as, const std::string& resource_namespace, const std::string& name) {
    v1::GetCertificateChainRequest request;
    request.set_namespace_(resource_namespace);
    request.set_name(name);
    return Call(as.certificates, &v1::CertificateService::Stub::GetCertificateChain, request);
  }
  static absl::Status Revoke(const Client& as, const std::string& resource_namespace,
                             const std::string& name, v1::RevocationReason reason) {
    v1::RevokeCertificateRequest request;
    request.set_namespace_(resource_namespace);
    request.set_name(name);
    request.set_reason(reason);
    return Call(as.certificates, &v1::CertificateService::Stub::RevokeCertificate, request)
        .status();
  }

  static v1::Secret MakeSecret(const std::string& resource_namespace, const std::string& name,
                               const std::map<std::string, std::string>& data) {
    v1::Secret secret;
    secret.mutable_metadata()->set_namespace_(resource_namespace);
    secret.mutable_metadata()->set_name(name);
    for (const auto& [key, value] : data) (*secret.mutable_data())[key] = value;
    return secret;
  }

  // Waits until `read` gives what `done` wants; what it gave last.
  template <typename Read, typename Done>
  static auto WaitFor(Read read, Done done) {
    auto last = read();
    const bool in_time = harness::WaitUntil(
        [&] {
          last = read();
          return last.ok() && done(*last);
        },
        kTimeout);
    EXPECT_TRUE(in_time) << (last.ok() ? last->ShortDebugString() : last.status().ToString());
    return last.ok() ? *last : std::decay_t<decltype(*last)>();
  }
  v1::Certificate WaitUntilReady(const std::string& resource_namespace,
                                 const std::string& name) const {
    return WaitFor([&] { return GetCertificate(*admin_, resource_namespace, name); },
                   [](const auto& certificate) {
                     return service::IsTrue(certificate.status().conditions(), "Ready");
                   });
  }

  std::string pki_;
  std::unique_ptr<fakes::FakeWorld> world_;
  // Admin everywhere.
  std::unique_ptr<Client> admin_;
  // Admin of the namespace "mallory".
  std::unique_ptr<Client> mallory_;
  // Requester in the namespace "team".
  std::unique_ptr<Client> rita_;
  // Approver in the namespace "team".
  std::unique_ptr<Client> ann_;

 private:
  static constexpr char kAccess[] =
      "access:\n"
      "  grants:\n"
      "  - {identity: admin.test, role: ROLE_ADMIN}\n"
      "  - {identity: mallory.test, role: ROLE_ADMIN, namespaces: [mallory]}\n"
      "  - {identity: rita.test, role: ROLE_REQUESTER, namespaces: [team]}\n"
      "  - {identity: ann.test, role: ROLE_APPROVER, namespaces: [team]}\n";
  static constexpr char kApproval[] =
      "approval:\n"
      "  rules:\n"
      "  - {name: trusted, namespaces: [default, mallory]}\n"
      "  - {name: roots, namespaces: [team], issuers: [self], allowCa: true}\n"
      "  - {name: team, namespaces: [team], issuers: [ca], dnsNames: [\"*.team.test\"]}\n";

  std::unique_ptr<Client> Connect(const std::string& name) const {
    rpc::ChannelOptions options;
    options.address = world_->suite().address(harness::Service::kIssuer);
    options.tls = harness::FilesOf(pki_, name);
    return std::make_unique<Client>(rpc::MakeChannel(options).value());
  }
};

}  // namespace certwright::attacks
