// The RPCs of CertificateService.
#pragma once

#include "certwright/issuer/v1/certificate.grpc.pb.h"
#include "lib/rpc/unary_handler.h"
#include "lib/rpc/watch_reactor.h"
#include "lib/service/environment.h"
#include "lib/service/resource_verbs.h"
#include "services/issuer/accounts.h"
#include "services/issuer/certificate_description.h"
#include "services/issuer/certificate_revocation.h"
#include "services/issuer/kinds.h"

namespace certwright::issuer_service {

class CertificateRpc final : public issuer::v1::CertificateService::CallbackService {
 public:
  // All must outlive this.
  CertificateRpc(service::Environment environment, Stores& stores, Accounts& accounts,
                 const rpc::HandlerEnvironment& handlers, rpc::WatchHub& hub,
                 const CertificateDescriptions& descriptions);

  grpc::ServerUnaryReactor* CreateCertificate(
      grpc::CallbackServerContext* context, const issuer::v1::CreateCertificateRequest* request,
      issuer::v1::CreateCertificateResponse* response) override;
  grpc::ServerUnaryReactor* GetCertificate(
      grpc::CallbackServerContext* context, const issuer::v1::GetCertificateRequest* request,
      issuer::v1::GetCertificateResponse* response) override;
  grpc::ServerUnaryReactor* ListCertificates(
      grpc::CallbackServerContext* context, const issuer::v1::ListCertificatesRequest* request,
      issuer::v1::ListCertificatesResponse* response) override;
  grpc::ServerUnaryReactor* UpdateCertificate(
      grpc::CallbackServerContext* context, const issuer::v1::UpdateCertificateRequest* request,
      issuer::v1::UpdateCertificateResponse* response) override;
  grpc::ServerUnaryReactor* DeleteCertificate(
      grpc::CallbackServerContext* context, const issuer::v1::DeleteCertificateRequest* request,
      issuer::v1::DeleteCertificateResponse* response) override;
  grpc::ServerWriteReactor<issuer::v1::WatchCertificatesResponse>* WatchCertificates(
      grpc::CallbackServerContext* context,
      const issuer::v1::WatchCertificatesRequest* request) override;

  grpc::ServerUnaryReactor* RenewCertificate(
      grpc::CallbackServerContext* context, const issuer::v1::RenewCertificateRequest* request,
      issuer::v1::RenewCertificateResponse* response) override;
  grpc::ServerUnaryReactor* RevokeCertificate(
      grpc::CallbackServerContext* context, const issuer::v1::RevokeCertificateRequest* request,
      issuer::v1::RevokeCertificateResponse* response) override;
  grpc::ServerUnaryReactor* GetCertificateChain(
      grpc::CallbackServerContext* context,
      const issuer::v1::GetCertificateChainRequest* request,
      issuer::v1::GetCertificateChainResponse* response) override;
  grpc::ServerUnaryReactor* DescribeCertificate(
      grpc::CallbackServerContext* context,
      const issuer::v1::DescribeCertificateRequest* request,
      issuer::v1::DescribeCertificateResponse* response) override;

 private:
  runtime::Awaitable<absl::StatusOr<issuer::v1::RenewCertificateResponse>> Renew(
      rpc::CallContext call, std::string resource_namespace, std::string name);
  runtime::Awaitable<absl::StatusOr<issuer::v1::GetCertificateChainResponse>> GetChain(
      rpc::CallContext call, std::string resource_namespace, std::string name);
  runtime::Awaitable<absl::StatusOr<issuer::v1::Certificate>> Find(
      runtime::Context context, const std::string& resource_namespace, const std::string& name);

  const service::Environment environment_;
  Stores& stores_;
  const rpc::HandlerEnvironment& handlers_;
  const CertificateDescriptions& descriptions_;
  service::ResourceVerbs<issuer::v1::Certificate> certificates_;
  CertificateRevocation revocation_;
};

}  // namespace certwright::issuer_service
