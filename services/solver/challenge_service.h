// ChallengeService: the RPCs about challenges. Proving them is the reconciler's.
//
// Threading: safe from any thread. Lifetime: everything given must outlive the calls.
#pragma once

#include <functional>
#include <string>

#include "certwright/solver/v1/challenge.grpc.pb.h"
#include "lib/rpc/unary_handler.h"
#include "lib/rpc/validation.h"
#include "lib/rpc/watch_reactor.h"
#include "lib/runtime/timers.h"
#include "lib/service/resource_verbs.h"
#include "services/solver/challenge_record.h"

namespace certwright::solver {

// Adds every rule that the spec of `challenge` breaks.
void ValidateChallenge(v1::Challenge& challenge, rpc::Violations& violations);

class ChallengeService final : public v1::ChallengeService::CallbackService {
 public:
  // `retry` gets the key of a challenge that is to be tried at once.
  ChallengeService(const rpc::HandlerEnvironment& handlers, ChallengeStore& challenges,
                   runtime::Timers& timers, rpc::WatchHub& hub,
                   std::function<void(const std::string& key)> retry);

  grpc::ServerUnaryReactor* CreateChallenge(grpc::CallbackServerContext* context,
                                            const v1::CreateChallengeRequest* request,
                                            v1::CreateChallengeResponse* response) override;
  grpc::ServerUnaryReactor* GetChallenge(grpc::CallbackServerContext* context,
                                         const v1::GetChallengeRequest* request,
                                         v1::GetChallengeResponse* response) override;
  grpc::ServerUnaryReactor* ListChallenges(grpc::CallbackServerContext* context,
                                           const v1::ListChallengesRequest* request,
                                           v1::ListChallengesResponse* response) override;
  // Does not wait until what was put out is removed: the ledger knows it.
  grpc::ServerUnaryReactor* DeleteChallenge(grpc::CallbackServerContext* context,
                                            const v1::DeleteChallengeRequest* request,
                                            v1::DeleteChallengeResponse* response) override;
  grpc::ServerWriteReactor<v1::WatchChallengesResponse>* WatchChallenges(
      grpc::CallbackServerContext* context, const v1::WatchChallengesRequest* request) override;
  // FAILED_PRECONDITION for a challenge that has reached a final state.
  grpc::ServerUnaryReactor* RetryChallenge(grpc::CallbackServerContext* context,
                                           const v1::RetryChallengeRequest* request,
                                           v1::RetryChallengeResponse* response) override;

 private:
  runtime::Awaitable<absl::StatusOr<v1::ListChallengesResponse>> ListNamed(
      rpc::CallContext call, v1::ListChallengesRequest request);
  runtime::Awaitable<absl::StatusOr<v1::RetryChallengeResponse>> Retry(
      rpc::CallContext call, v1::RetryChallengeRequest request);

  const rpc::HandlerEnvironment& handlers_;
  ChallengeStore& challenges_;
  const std::function<void(const std::string& key)> retry_;
  service::ResourceVerbs<v1::Challenge> verbs_;
};

}  // namespace certwright::solver
