// RpcWorld: IssuerWorld with its RPCs served on a free port of loopback, for tests of what
// clients see.
#pragma once

#include <chrono>
#include <fstream>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "certwright/issuer/v1/account.grpc.pb.h"
#include "certwright/issuer/v1/certificate.grpc.pb.h"
#include "certwright/issuer/v1/certificate_request.grpc.pb.h"
#include "certwright/issuer/v1/issuer.grpc.pb.h"
#include "certwright/issuer/v1/secret.grpc.pb.h"
#include "grpcpp/channel.h"
#include "grpcpp/client_context.h"
#include "lib/pki/test_ca.h"
#include "lib/rpc/channel.h"
#include "lib/rpc/server.h"
#include "lib/rpc/status.h"
#include "lib/service/permissions.h"
#include "services/issuer/account_rpc.h"
#include "services/issuer/accounts.h"
#include "services/issuer/callers.h"
#include "services/issuer/certificate_description.h"
#include "services/issuer/certificate_request_rpc.h"
#include "services/issuer/certificate_rpc.h"
#include "services/issuer/issuer_permissions.h"
#include "services/issuer/issuer_rpc.h"
#include "services/issuer/issuer_testing.h"
#include "services/issuer/secret_rpc.h"

namespace certwright::issuer_service {

enum class Transport { kPlaintext, kMutualTls };

class RpcWorld : public IssuerWorld {
 protected:
  explicit RpcWorld(Transport transport = Transport::kPlaintext) : transport_(transport) {
    rpc::ServerOptions options;
    options.listen_address = "127.0.0.1:0";
    if (transport == Transport::kMutualTls) options.tls = WriteTlsFiles("localhost");
    server_ = rpc::Server::Start(
                  options, calls_,
                  {&issuer_rpc_, &account_rpc_, &secret_rpc_, &certificate_rpc_, &request_rpc_})
                  .value();
  }
  ~RpcWorld() override {
    calls_.watches->EndAll(absl::UnavailableError("the test has ended"));
    server_.reset();
  }

  // With mutual TLS that of a client which is known by `client_name`.
  std::shared_ptr<grpc::Channel> Channel(const std::string& client_name = "") {
    rpc::ChannelOptions options;
    options.address = absl::StrCat("127.0.0.1:", server_->port());
    if (transport_ == Transport::kMutualTls) {
      options.tls = WriteTlsFiles(client_name);
      options.server_name = "localhost";
    }
    return rpc::MakeChannel(options).value();
  }

  // One call of a stub's method.
  template <typename Stub, typename Request, typename Response>
  static absl::StatusOr<Response> Call(Stub& stub,
                                       grpc::Status (Stub::*method)(grpc::ClientContext*,
                                                                    const Request&, Response*),
                                       const std::type_identity_t<Request>& request) {
    grpc::ClientContext context;
    SetDeadline(context);
    Response response;
    const absl::Status status = rpc::FromGrpc((stub.*method)(&context, request, &response));
    if (!status.ok()) return status;
    return response;
  }
  // Runs out only if something is broken.
  static void SetDeadline(grpc::ClientContext& context) {
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
  }

  // The next message of a watch that is no bookmark: of these more may come at any time.
  template <typename Stream, typename Event>
  static bool ReadChange(Stream& stream, Event& event) {
    while (stream.Read(&event)) {
      if (event.type() != meta::v1::EVENT_TYPE_BOOKMARK) return true;
    }
    return false;
  }

  // The fields that an INVALID_ARGUMENT names.
  static std::vector<std::string> BrokenFields(const absl::Status& status) {
    std::vector<std::string> fields;
    for (const auto& violation : rpc::ViolationsOf(status)) fields.push_back(violation.field);
    return fields;
  }

 private:
  rpc::TlsFiles WriteTlsFiles(const std::string& name) {
    pki::SubjectAltNames names;
    names.dns_names = {name};
    const pki::TestIdentity identity = authority_.Issue(names);
    return {WriteFile(name + ".crt", identity.chain_pem),
            WriteFile(name + ".key", identity.key_pem),
            WriteFile("ca.crt", authority_.certificate().Pem())};
  }
  std::string WriteFile(const std::string& name, const std::string& text) {
    const std::string path = absl::StrCat(folder_, "/", name);
    std::ofstream(path) << text;
    return path;
  }

  // With mutual TLS everyone has just the role that the test is about.
  std::unique_ptr<rpc::Permissions> MakePermissions() const {
    rpc::AccessPolicy policy;
    policy.enforced = transport_ == Transport::kMutualTls;
    policy.services = {{rpc::ServiceRole::kOrder, {"order.test"}},
                       {rpc::ServiceRole::kSolver, {"solver.test"}}};
    policy.grants = {{"operator.test", rpc::Role::kAdmin, {rpc::kAllNamespaces}},
                     {"approver.test", rpc::Role::kApprover, {rpc::kAllNamespaces}},
                     {"other-approver.test", rpc::Role::kApprover, {rpc::kAllNamespaces}},
                     {"ann.test", rpc::Role::kRequester, {rpc::kAllNamespaces}}};
    rpc::PermissionTable table = IssuerPermissions();
    // Not served here.
    table.erase(service::kListEventsMethod);
    return rpc::Permissions::Make(std::move(policy), table).value();
  }

  const Transport transport_;
  const pki::TestCa authority_;

 protected:
  Accounts accounts_{Environment(), *stores_, "certwright"};

 private:
  const Callers callers_{{Approver{"approver.test", {}}}};
  const std::unique_ptr<rpc::Permissions> permissions_ = MakePermissions();
  const rpc::CallEnvironment calls_{pool_.executor(), timers_, nullptr, {}, permissions_.get()};
  IssuerRpc issuer_rpc_{*stores_, accounts_, calls_};
  AccountRpc account_rpc_{Environment(), *stores_, accounts_, calls_};
  SecretRpc secret_rpc_{*stores_, calls_};
  const CertificateRequests owned_requests_;
  const service::EventRecorder events_{clock_};
  // No Order is known, so that the other services are not asked.
  const CertificateDescriptions descriptions_{
      clock_, *stores_, owned_requests_, events_, {.find_order = [](const std::string&) {
        return nullptr;
      }}};
  CertificateRpc certificate_rpc_{Environment(), *stores_, accounts_, calls_, descriptions_};
  CertificateRequestRpc request_rpc_{Environment(), *stores_, accounts_, callers_, calls_};
  std::unique_ptr<rpc::Server> server_;
};

}  // namespace certwright::issuer_service
