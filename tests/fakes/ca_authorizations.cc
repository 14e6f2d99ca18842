// Authorizations and challenges of the fake CA: RFC 8555 §7.5.
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "lib/base/base64.h"
#include "tests/fakes/ca_reply.h"
#include "tests/fakes/ca_server.h"
#include "tests/fakes/random_bytes.h"

namespace certwright::fakes {
namespace {

namespace json = boost::json;

constexpr absl::Duration kAuthorizationLifetime = absl::Hours(24);

}  // namespace

Id CaServer::MakeAuthorization(Id account, const Identifier& identifier) {
  AuthorizationEntry authorization;
  authorization.account = account;
  authorization.identifier = identifier;
  authorization.wildcard = absl::StartsWith(identifier.value, "*.");
  if (authorization.wildcard) authorization.identifier.value.erase(0, 2);
  if (behaviour_.reuse_authorizations) {
    if (const Id valid = FindValidAuthorization(authorization); valid != 0) return valid;
  }
  authorization.expires = absl::Now() + kAuthorizationLifetime;
  if (behaviour_.authorizations_born_valid) authorization.status = "valid";
  if (behaviour_.authorizations_valid_after.has_value()) {
    authorization.valid_at = absl::Now() + *behaviour_.authorizations_valid_after;
  }
  const Id id = ++last_id_;
  newest_authorizations_[{account, authorization.identifier.value, authorization.wildcard}] =
      id;
  const bool wildcard = authorization.wildcard;
  authorizations_.emplace(id, std::move(authorization));
  for (const std::string& type : behaviour_.challenge_types) {
    if (wildcard && type == "http-01") continue;
    if (identifier.type == "ip" && type == "dns-01") continue;
    MakeChallenge(id, type);
  }
  return id;
}

Id CaServer::FindValidAuthorization(const AuthorizationEntry& like) {
  const auto newest =
      newest_authorizations_.find({like.account, like.identifier.value, like.wildcard});
  if (newest == newest_authorizations_.end()) return 0;
  AuthorizationEntry& authorization = authorizations_.at(newest->second);
  return AuthorizationStatus(authorization) == "valid" ? newest->second : 0;
}

// Another order that has it too, as authorizations are used again, becomes invalid then.
void CaServer::ForgetAuthorization(Id id) {
  const auto found = authorizations_.find(id);
  if (found == authorizations_.end()) return;
  const AuthorizationEntry& authorization = found->second;
  const auto newest = newest_authorizations_.find(
      {authorization.account, authorization.identifier.value, authorization.wildcard});
  if (newest != newest_authorizations_.end() && newest->second == id) {
    newest_authorizations_.erase(newest);
  }
  for (const Id challenge : authorization.challenges) challenges_.erase(challenge);
  authorizations_.erase(found);
}

void CaServer::MakeChallenge(Id authorization, const std::string& type) {
  ChallengeEntry challenge;
  challenge.authorization = authorization;
  challenge.type = type;
  if (behaviour_.challenges_have_tokens) {
    challenge.token = base::Base64UrlEncode(RandomBytes(16));
  }
  const Id id = ++last_id_;
  challenges_.emplace(id, std::move(challenge));
  authorizations_.at(authorization).challenges.push_back(id);
}

std::string CaServer::AuthorizationStatus(AuthorizationEntry& authorization) {
  const absl::Time now = absl::Now();
  if (authorization.status == "pending" && now >= authorization.valid_at) {
    authorization.status = "valid";
  }
  const bool ends = authorization.status == "pending" || authorization.status == "valid";
  if (ends && now >= authorization.expires) {
    authorization.status = authorization.status == "valid" ? "expired" : "invalid";
  }
  return authorization.status;
}

Reply CaServer::Authorization(Call& call) {
  const Id id = ParseId(call.rest);
  const std::optional<json::object> payload = call.Object();
  base::MutexLock lock(mutex_);
  const auto found = authorizations_.find(id);
  if (found == authorizations_.end()) return ProblemReply(404, "malformed", "none such");
  AuthorizationEntry& authorization = found->second;
  if (authorization.account != call.account) {
    return ProblemReply(403, "unauthorized", "another's authorization");
  }
  std::string status = AuthorizationStatus(authorization);
  if (!call.ReadsOnly()) {
    if (!payload.has_value() || StringAt(*payload, "status") != "deactivated") {
      return ProblemReply(400, "malformed", "an authorization can only be deactivated");
    }
    if (status == "pending" || status == "valid") {
      status = authorization.status = "deactivated";
    }
  }
  json::object object;
  object["status"] = status;
  object["identifier"] = ToJson(authorization.identifier);
  object["expires"] = ToText(authorization.expires);
  if (authorization.wildcard) object["wildcard"] = true;
  std::vector<Id> challenges = authorization.challenges;
  Shuffle(challenges);
  json::array& list = object["challenges"].emplace_array();
  for (const Id challenge : challenges) list.push_back(ChallengeObject(call, challenge));
  Reply reply = JsonReply(200, object);
  if (status == "pending") AddRetryAfter(reply);
  return reply;
}

json::object CaServer::ChallengeObject(const Call& call, Id id) const {
  const ChallengeEntry& challenge = challenges_.at(id);
  json::object object;
  object["type"] = challenge.type;
  object["url"] = call.Url(absl::StrCat("/challenge/", id));
  object["status"] = challenge.status;
  if (!challenge.token.empty()) object["token"] = challenge.token;
  if (challenge.status == "valid") object["validated"] = ToText(challenge.validated);
  if (challenge.error.has_value()) {
    object["error"] =
        ProblemObject(challenge.error->status, challenge.error->type, challenge.error->detail);
  }
  return object;
}

Reply CaServer::Challenge(Call& call) {
  const Id id = ParseId(call.rest);
  base::MutexLock lock(mutex_);
  const auto challenge = challenges_.find(id);
  if (challenge == challenges_.end()) return ProblemReply(404, "malformed", "none such");
  const Id authorization_id = challenge->second.authorization;
  AuthorizationEntry& authorization = authorizations_.at(authorization_id);
  if (authorization.account != call.account) {
    return ProblemReply(403, "unauthorized", "another's challenge");
  }
  if (!call.ReadsOnly()) {
    if (call.payload != "{}") return ProblemReply(400, "malformed", "the payload is not {}");
    const std::string status = AuthorizationStatus(authorization);
    if (status != "pending" && status != "valid") {
      return ProblemReply(400, "malformed", absl::StrCat("the authorization is ", status));
    }
    if (status == "pending" && challenge->second.status == "pending") StartValidation(id);
  }
  Reply reply = JsonReply(200, ChallengeObject(call, id));
  AddHeader(reply, "Link",
            absl::StrCat("<", call.Url("/authorization/"), authorization_id, ">;rel=\"up\""));
  const std::string& status = challenge->second.status;
  if (status == "pending" || status == "processing") AddRetryAfter(reply);
  return reply;
}

void CaServer::StartValidation(Id id) {
  ChallengeEntry& challenge = challenges_.at(id);
  const AuthorizationEntry& authorization = authorizations_.at(challenge.authorization);
  const auto failure = behaviour_.failed_names.find(authorization.identifier.value);
  if (failure != behaviour_.failed_names.end()) {
    FinishValidation(id, failure->second);
    return;
  }
  if (validator_.assume_valid()) {
    FinishValidation(id, std::nullopt);
    return;
  }
  challenge.status = "processing";
  Proof proof;
  proof.type = challenge.type;
  proof.name = authorization.identifier.value;
  proof.token = challenge.token;
  const auto account = accounts_.find(authorization.account);
  if (account != accounts_.end()) proof.thumbprint = account->second.thumbprint;
  runtime::Spawn(pool_.executor(), Validate(id, std::move(proof)));
}

runtime::Awaitable<void> CaServer::Validate(Id challenge, Proof proof) {
  std::optional<Refusal> refusal = co_await validator_.Check(std::move(proof));
  base::MutexLock lock(mutex_);
  FinishValidation(challenge, std::move(refusal));
}

void CaServer::FinishValidation(Id id, std::optional<Refusal> refusal) {
  const auto found = challenges_.find(id);
  if (found == challenges_.end()) return;
  ChallengeEntry& challenge = found->second;
  AuthorizationEntry& authorization = authorizations_.at(challenge.authorization);
  challenge.status = refusal.has_value() ? "invalid" : "valid";
  challenge.error = std::move(refusal);
  challenge.validated = absl::Now();
  // It may have been deactivated meanwhile.
  if (AuthorizationStatus(authorization) == "pending") authorization.status = challenge.status;
}

}  // namespace certwright::fakes
