#include "lib/service/issuers.h"

#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "certwright/issuer/v1/account.grpc.pb.h"
#include "certwright/issuer/v1/issuer.grpc.pb.h"
#include "lib/base/mutex.h"
#include "lib/base/status_macros.h"
#include "lib/controller/grpc_watch_source.h"
#include "lib/controller/informer.h"
#include "lib/rpc/client_call.h"
#include "lib/service/acme_clients.h"
#include "lib/service/conditions.h"
#include "lib/service/issuer_ref.h"
#include "lib/service/metadata.h"

namespace certwright::service {
namespace {

using AccountStub = issuer::v1::AccountService::StubInterface;

// Has every request signed by the issuer service, which holds the key.
class RemoteSigner final : public acme::JwsSigner {
 public:
  RemoteSigner(std::shared_ptr<AccountStub> stub, meta::v1::IssuerRef ref,
               std::string resource_namespace)
      : stub_(std::move(stub)),
        ref_(std::move(ref)),
        resource_namespace_(std::move(resource_namespace)) {}

  runtime::Awaitable<absl::StatusOr<acme::SignedRequest>> Sign(
      runtime::Context context, acme::SignRequest request) override {
    issuer::v1::SignJwsRequest call;
    *call.mutable_issuer_ref() = ref_;
    call.set_namespace_(resource_namespace_);
    call.set_url(std::move(request.url));
    call.set_nonce(std::move(request.nonce));
    call.set_payload(std::move(request.payload));
    auto response = co_await rpc::CallUnary(
        context, stub_->async(), &AccountStub::async_interface::SignJws, std::move(call));
    // An issuer that has just gone is no answer of the CA.
    if (absl::IsNotFound(response.status())) {
      co_return absl::FailedPreconditionError(response.status().message());
    }
    if (!response.ok()) co_return response.status();
    acme::SignedRequest signed_request;
    signed_request.body = std::move(*response->mutable_jws());
    co_return signed_request;
  }

 private:
  const std::shared_ptr<AccountStub> stub_;
  const meta::v1::IssuerRef ref_;
  const std::string resource_namespace_;
};

}  // namespace

class Issuers::Core {
 public:
  using IssuerSource =
      controller::GrpcWatchSource<issuer::v1::Issuer, issuer::v1::WatchIssuersRequest,
                                  issuer::v1::WatchIssuersResponse>;
  using ClusterIssuerSource =
      controller::GrpcWatchSource<issuer::v1::ClusterIssuer,
                                  issuer::v1::WatchClusterIssuersRequest,
                                  issuer::v1::WatchClusterIssuersResponse>;

  Core(Environment environment, std::shared_ptr<grpc::Channel> channel, Changed changed)
      : clients_(environment),
        changed_(std::move(changed)),
        account_stub_(issuer::v1::AccountService::NewStub(channel)),
        issuer_stub_(issuer::v1::IssuerService::NewStub(channel)),
        issuer_source_(IssuerCall()),
        cluster_issuer_source_(ClusterIssuerCall()),
        issuers_(issuer_source_, environment.timers, environment.random),
        cluster_issuers_(cluster_issuer_source_, environment.timers, environment.random) {
    issuers_.AddHandler([this](const std::string&, const auto& before, const auto& now) {
      OnChange(before, now, meta::v1::ISSUER_KIND_ISSUER);
    });
    cluster_issuers_.AddHandler(
        [this](const std::string&, const auto& before, const auto& now) {
          OnChange(before, now, meta::v1::ISSUER_KIND_CLUSTER_ISSUER);
        });
  }

  void Start() {
    issuers_.Start();
    cluster_issuers_.Start();
  }
  void Stop() {
    issuers_.Stop();
    cluster_issuers_.Stop();
  }

  runtime::Awaitable<absl::Status> WaitForSync(runtime::Context context) {
    CW_CO_RETURN_IF_ERROR(co_await issuers_.WaitForSync(context));
    co_return co_await cluster_issuers_.WaitForSync(context);
  }

  absl::StatusOr<std::shared_ptr<const AcmeAccount>> Find(const std::string& issuer) const {
    base::MutexLock lock(mutex_);
    auto it = accounts_.find(issuer);
    if (it != accounts_.end()) return it->second;
    if (!issuers_.synced() || !cluster_issuers_.synced()) {
      return absl::UnavailableError(
          absl::StrCat(issuer, " is not known yet: the issuer service has not been reached"));
    }
    return absl::NotFoundError(absl::StrCat(issuer, " does not exist"));
  }

 private:
  using Account = absl::StatusOr<std::shared_ptr<const AcmeAccount>>;

  IssuerSource::Call IssuerCall() {
    IssuerSource::Call call;
    call.start = [this](auto* context, auto* request, auto* reactor) {
      issuer_stub_->async()->WatchIssuers(context, request, reactor);
    };
    call.make_request = [](const std::string& version) {
      issuer::v1::WatchIssuersRequest request;
      request.set_resource_version(version);
      return request;
    };
    call.to_event = [](issuer::v1::WatchIssuersResponse response) {
      return IssuerSource::Event{FromProto(response.type()),
                                 std::move(*response.mutable_issuer()),
                                 response.resource_version()};
    };
    return call;
  }

  ClusterIssuerSource::Call ClusterIssuerCall() {
    ClusterIssuerSource::Call call;
    call.start = [this](auto* context, auto* request, auto* reactor) {
      issuer_stub_->async()->WatchClusterIssuers(context, request, reactor);
    };
    call.make_request = [](const std::string& version) {
      issuer::v1::WatchClusterIssuersRequest request;
      request.set_resource_version(version);
      return request;
    };
    call.to_event = [](issuer::v1::WatchClusterIssuersResponse response) {
      return ClusterIssuerSource::Event{FromProto(response.type()),
                                        std::move(*response.mutable_cluster_issuer()),
                                        response.resource_version()};
    };
    return call;
  }

  template <typename Object>
  void OnChange(const Object& before, const Object& now, meta::v1::IssuerKind kind) {
    const auto& object = now != nullptr ? now : before;
    meta::v1::IssuerRef ref;
    ref.set_name(object->metadata().name());
    ref.set_kind(kind);
    const std::string issuer = IssuerKey(ref, object->metadata().namespace_());
    {
      base::MutexLock lock(mutex_);
      accounts_.erase(issuer);
      if (now != nullptr) accounts_.emplace(issuer, MakeAccount(*now, ref, issuer));
    }
    changed_(issuer);
  }

  template <typename Resource>
  Account MakeAccount(const Resource& resource, const meta::v1::IssuerRef& ref,
                      const std::string& issuer) {
    if (!resource.spec().has_acme()) {
      return absl::FailedPreconditionError(absl::StrCat(issuer, " is not an ACME issuer"));
    }
    const auto* ready = FindCondition(resource.status().conditions(), "Ready");
    if (ready == nullptr || ready->status() != meta::v1::CONDITION_STATUS_TRUE ||
        ready->observed_generation() != resource.metadata().generation()) {
      return absl::FailedPreconditionError(absl::StrCat(
          issuer, " is not ready", ready == nullptr || ready->message().empty() ? "" : ": ",
          ready == nullptr ? "" : ready->message()));
    }
    auto account = std::make_shared<AcmeAccount>();
    account->spec = resource.spec().acme();
    account->uri = resource.status().acme().uri();
    account->key_thumbprint = resource.status().acme().account_key_thumbprint();
    account->client = clients_.For(account->spec);
    account->signer =
        std::make_shared<RemoteSigner>(account_stub_, ref, resource.metadata().namespace_());
    return std::shared_ptr<const AcmeAccount>(std::move(account));
  }

  AcmeClients clients_;
  const Changed changed_;
  const std::shared_ptr<AccountStub> account_stub_;
  const std::unique_ptr<issuer::v1::IssuerService::StubInterface> issuer_stub_;
  IssuerSource issuer_source_;
  ClusterIssuerSource cluster_issuer_source_;

  mutable base::Mutex mutex_;
  std::map<std::string, Account> accounts_ CW_GUARDED_BY(mutex_);

  // Last, so that they end before what their handlers use.
  controller::Informer<issuer::v1::Issuer> issuers_;
  controller::Informer<issuer::v1::ClusterIssuer> cluster_issuers_;
};

Issuers::Issuers(Environment environment, std::shared_ptr<grpc::Channel> issuer_service,
                 Changed changed)
    : core_(
          std::make_unique<Core>(environment, std::move(issuer_service), std::move(changed))) {}

Issuers::~Issuers() { Stop(); }

void Issuers::Start() { core_->Start(); }

void Issuers::Stop() { core_->Stop(); }

runtime::Awaitable<absl::Status> Issuers::WaitForSync(runtime::Context context) {
  return core_->WaitForSync(std::move(context));
}

absl::StatusOr<std::shared_ptr<const AcmeAccount>> Issuers::Find(
    const meta::v1::IssuerRef& ref, absl::string_view resource_namespace) const {
  return core_->Find(IssuerKey(ref, resource_namespace));
}

}  // namespace certwright::service
