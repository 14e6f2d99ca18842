// ChallengeService: the RPCs about challenges. Proving them is the reconciler's.
//
// Threading: safe from any thread. Lifetime: everything given must outlive the calls.
#pragma once

#include <functional>
#include <string>

#include "certwright/solver/v1/challenge.pb.h"
#include "lib/rpc/service.h"
#include "lib/rpc/validation.h"
#include "lib/service/resource_verbs.h"
#include "services/solver/challenge_record.h"

namespace certwright::solver {

// Adds every rule that the spec of `challenge` breaks.
void ValidateChallenge(v1::Challenge& challenge, rpc::Violations& violations);

// DeleteChallenge does not wait until what was put out is removed: the ledger knows it.
// RetryChallenge is FAILED_PRECONDITION for a challenge that has reached a final state.
class ChallengeService final : public rpc::Service {
 public:
  // `retry` gets the key of a challenge that is to be tried at once.
  ChallengeService(const rpc::CallEnvironment& calls, ChallengeStore& challenges,
                   std::function<void(const std::string& key)> retry);

 private:
  void AddMethods();

  runtime::Awaitable<absl::StatusOr<v1::ListChallengesResponse>> ListNamed(
      rpc::CallContext call, v1::ListChallengesRequest request);
  runtime::Awaitable<absl::StatusOr<v1::RetryChallengeResponse>> Retry(
      rpc::CallContext call, v1::RetryChallengeRequest request);

  ChallengeStore& challenges_;
  const std::function<void(const std::string& key)> retry_;
  service::ResourceVerbs<v1::Challenge> verbs_;
};

}  // namespace certwright::solver
