#include "services/order/challenges.h"

#include <utility>

#include "certwright/solver/v1/challenge.grpc.pb.h"
#include "lib/controller/grpc_watch_source.h"
#include "lib/controller/informer.h"
#include "lib/rpc/client_call.h"
#include "lib/service/metadata.h"

namespace certwright::order {
namespace {

using runtime::Awaitable;
using runtime::Context;
using Stub = solver::v1::ChallengeService::StubInterface;
using Source =
    controller::GrpcWatchSource<solver::v1::Challenge, solver::v1::WatchChallengesRequest,
                                solver::v1::WatchChallengesResponse>;

// One call to the solver service; a service that does not answer must not hold up a worker.
constexpr absl::Duration kCallTimeout = absl::Seconds(10);

class RemoteChallenges final : public SolverChallenges {
 public:
  RemoteChallenges(service::Environment environment, std::shared_ptr<grpc::Channel> channel,
                   Changed changed)
      : stub_(solver::v1::ChallengeService::NewStub(std::move(channel))),
        source_(WatchCall()),
        informer_(source_, environment.timers, environment.random) {
    informer_.AddHandler(
        [changed = std::move(changed)](const std::string&, const Shared& before,
                                       const Shared& now) { changed(before, now); });
  }

  void Start() override { informer_.Start(); }
  void Stop() override { informer_.Stop(); }
  Awaitable<absl::Status> WaitForSync(Context context) override {
    return informer_.WaitForSync(std::move(context));
  }

  Shared Find(const std::string& key) const override { return informer_.Get(key); }

  Awaitable<absl::StatusOr<solver::v1::Challenge>> Create(
      Context context, solver::v1::Challenge challenge) override {
    solver::v1::CreateChallengeRequest request;
    *request.mutable_challenge() = challenge;
    auto created =
        co_await rpc::CallUnary(context.Within(kCallTimeout), stub_->async(),
                                &Stub::async_interface::CreateChallenge, std::move(request));
    if (created.ok()) co_return std::move(*created->mutable_challenge());
    if (!absl::IsAlreadyExists(created.status())) co_return created.status();
    solver::v1::GetChallengeRequest get;
    get.set_namespace_(challenge.metadata().namespace_());
    get.set_name(challenge.metadata().name());
    auto present =
        co_await rpc::CallUnary(context.Within(kCallTimeout), stub_->async(),
                                &Stub::async_interface::GetChallenge, std::move(get));
    // Gone in between: the next pass makes it again.
    if (absl::IsNotFound(present.status())) {
      co_return absl::UnavailableError("the challenge was just deleted");
    }
    if (!present.ok()) co_return present.status();
    co_return std::move(*present->mutable_challenge());
  }

  Awaitable<absl::Status> Delete(Context context, std::string resource_namespace,
                                 std::string name) override {
    solver::v1::DeleteChallengeRequest request;
    request.set_namespace_(std::move(resource_namespace));
    request.set_name(std::move(name));
    auto deleted =
        co_await rpc::CallUnary(context.Within(kCallTimeout), stub_->async(),
                                &Stub::async_interface::DeleteChallenge, std::move(request));
    if (absl::IsNotFound(deleted.status())) co_return absl::OkStatus();
    co_return deleted.status();
  }

 private:
  Source::Call WatchCall() {
    Source::Call call;
    call.start = [this](auto* context, auto* request, auto* reactor) {
      stub_->async()->WatchChallenges(context, request, reactor);
    };
    call.make_request = [](const std::string& version) {
      solver::v1::WatchChallengesRequest request;
      request.set_resource_version(version);
      return request;
    };
    call.to_event = [](solver::v1::WatchChallengesResponse response) {
      return Source::Event{service::FromProto(response.type()),
                           std::move(*response.mutable_challenge()),
                           response.resource_version()};
    };
    return call;
  }

  const std::unique_ptr<Stub> stub_;
  Source source_;
  controller::Informer<solver::v1::Challenge> informer_;
};

}  // namespace

std::unique_ptr<SolverChallenges> MakeSolverChallenges(service::Environment environment,
                                                       std::shared_ptr<grpc::Channel> solver,
                                                       SolverChallenges::Changed changed) {
  return std::make_unique<RemoteChallenges>(environment, std::move(solver), std::move(changed));
}

}  // namespace certwright::order
