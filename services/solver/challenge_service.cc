#include "services/solver/challenge_service.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/acme/key_authorization.h"
#include "lib/acme/url.h"
#include "lib/base/base64.h"
#include "lib/base/status_macros.h"
#include "lib/pki/names.h"
#include "lib/service/conditions.h"
#include "lib/service/metadata.h"

namespace certwright::solver {
namespace {

constexpr std::size_t kDigestBytes = 32;
constexpr int kMaxTries = 5;
// Of a list by names; their challenges fit into one message.
constexpr int kMaxNames = 100;
// A DNS name has 253 octets, of which "_acme-challenge." takes 16 (RFC 8555 §8.4).
constexpr std::size_t kMaxDns01Name = 253 - 16;

bool IsNormal(const absl::StatusOr<std::string>& normal, const std::string& given) {
  return normal.ok() && *normal == given;
}

void ValidateName(const v1::ChallengeSpec& spec, rpc::Violations& violations) {
  const std::string& name = spec.dns_name();
  const bool address = IsNormal(pki::NormalizeIpAddress(name), name);
  const bool dns = !absl::StartsWith(name, "*") && IsNormal(pki::NormalizeDnsName(name), name);
  violations.Require(address || dns, "spec.dnsName",
                     "must be a DNS name in lower case, without \"*.\" and trailing dot, or an "
                     "address");
  if (spec.type() == v1::CHALLENGE_TYPE_DNS01) {
    violations.Require(!address, "spec.dnsName", "must be no address for DNS01");
    violations.Require(!dns || name.size() <= kMaxDns01Name, "spec.dnsName",
                       "must be at most 237 characters for DNS01, whose record begins with "
                       "\"_acme-challenge.\"");
  }
  violations.Require(!spec.wildcard() || spec.type() == v1::CHALLENGE_TYPE_DNS01,
                     "spec.wildcard", "needs DNS01 (RFC 8555 §8.3)");
}

void ValidateProof(const v1::ChallengeSpec& spec, rpc::Violations& violations) {
  violations.Require(acme::IsValidToken(spec.token()), "spec.token",
                     "must be 22 to 512 characters of A-Z, a-z, 0-9, \"-\" and \"_\"");
  switch (spec.type()) {
    case v1::CHALLENGE_TYPE_DNS01: {
      const auto digest = base::Base64UrlDecode(spec.key());
      violations.Require(digest.has_value() && digest->size() == kDigestBytes, "spec.key",
                         "must be the SHA-256 of the key authorization in base64url: 43 "
                         "characters");
      break;
    }
    case v1::CHALLENGE_TYPE_HTTP01: {
      const std::string prefix = absl::StrCat(spec.token(), ".");
      const bool begins = absl::StartsWith(spec.key(), prefix);
      const auto thumbprint =
          base::Base64UrlDecode(begins ? spec.key().substr(prefix.size()) : "");
      violations.Require(thumbprint.has_value() && thumbprint->size() == kDigestBytes,
                         "spec.key",
                         "must be the key authorization: the token, a dot, and the account "
                         "key's thumbprint of 43 characters");
      break;
    }
    case v1::CHALLENGE_TYPE_TLSALPN01:
      violations.Add("spec.type", "must be HTTP01 or DNS01: this version has no TLSALPN01");
      break;
    default:
      violations.Add("spec.type", "is required: HTTP01 or DNS01");
  }
}

service::VerbOptions<v1::Challenge> MakeOptions() {
  service::VerbOptions<v1::Challenge> options;
  options.kind = "Challenge";
  options.validate = ValidateChallenge;
  options.owned = true;
  return options;
}

}  // namespace

void ValidateChallenge(v1::Challenge& challenge, rpc::Violations& violations) {
  const v1::ChallengeSpec& spec = challenge.spec();
  violations.Require(acme::IsHttpsUrl(spec.url()), "spec.url", "must be an https URL");
  violations.Require(acme::IsHttpsUrl(spec.authorization_url()), "spec.authorizationUrl",
                     "must be an https URL");
  ValidateName(spec, violations);
  ValidateProof(spec, violations);
  service::CheckIssuerRef(spec.issuer_ref(), "spec.issuerRef", violations);
  violations.Require(rpc::IsDnsLabel(spec.solver_name()), "spec.solverName",
                     "is required: the name of one of the issuer's solvers, a DNS label");
  const google::protobuf::Timestamp& not_after = spec.not_after();
  violations.Require(!spec.has_not_after() ||
                         (not_after.seconds() >= 0 && not_after.seconds() < 253402300800 &&
                          not_after.nanos() >= 0 && not_after.nanos() < 1'000'000'000),
                     "spec.notAfter", "must be a time");
}

ChallengeService::ChallengeService(const rpc::CallEnvironment& calls,
                                   ChallengeStore& challenges,
                                   std::function<void(const std::string& key)> retry)
    : Service("certwright.solver.v1.ChallengeService", calls),
      challenges_(challenges),
      retry_(std::move(retry)),
      verbs_(MakeOptions(), challenges, calls) {
  AddMethods();
}

runtime::Awaitable<absl::StatusOr<v1::ListChallengesResponse>> ChallengeService::ListNamed(
    rpc::CallContext call, v1::ListChallengesRequest request) {
  rpc::Violations violations;
  violations.Require(request.names_size() <= kMaxNames, "names",
                     absl::StrCat("must be at most ", kMaxNames));
  rpc::CheckName(request.namespace_(), "namespace", violations);
  for (int i = 0; i < request.names_size() && i < kMaxNames; ++i) {
    rpc::CheckName(request.names(i), rpc::Indexed("names", i), violations);
  }
  violations.Require(request.page_size() == 0 && request.page_token().empty() &&
                         request.label_selector().empty(),
                     "names", "goes with neither pages nor a label selector");
  CW_CO_RETURN_IF_ERROR(violations.ToStatus());
  v1::ListChallengesResponse response;
  for (const std::string& name : request.names()) {
    absl::StatusOr<v1::Challenge> challenge =
        co_await challenges_.Get(call.context, request.namespace_(), name);
    if (absl::IsNotFound(challenge.status())) continue;
    if (!challenge.ok()) co_return challenge.status();
    *response.add_challenges() = *std::move(challenge);
  }
  co_return response;
}

runtime::Awaitable<absl::StatusOr<v1::RetryChallengeResponse>> ChallengeService::Retry(
    rpc::CallContext call, v1::RetryChallengeRequest request) {
  if (request.namespace_().empty()) request.set_namespace_(service::kDefaultNamespace);
  rpc::Violations violations;
  rpc::CheckName(request.namespace_(), "namespace", violations);
  rpc::CheckName(request.name(), "name", violations);
  CW_CO_RETURN_IF_ERROR(violations.ToStatus());
  absl::Status raced;
  for (int tries = 0; tries < kMaxTries; ++tries) {
    absl::StatusOr<v1::Challenge> challenge =
        co_await challenges_.Get(call.context, request.namespace_(), request.name());
    if (absl::IsNotFound(challenge.status())) {
      co_return rpc::NotFound("Challenge", request.namespace_(), request.name());
    }
    if (!challenge.ok()) co_return challenge.status();
    if (IsFinal(challenge->status().state())) {
      co_return rpc::FailedPrecondition(
          "CHALLENGE_FINAL", absl::StrCat("Challenge ", KeyOf(*challenge),
                                          " is finished; a new attempt takes a new order"));
    }
    *challenge->mutable_status()->mutable_next_check_time() =
        service::ToProto(environment().clock().Now());
    absl::StatusOr<v1::Challenge> changed =
        co_await challenges_.UpdateStatus(call.context, *std::move(challenge));
    raced = changed.status();
    if (absl::IsAborted(raced)) continue;
    if (!raced.ok()) co_return raced;
    retry_(KeyOf(*changed));
    v1::RetryChallengeResponse response;
    *response.mutable_challenge() = *std::move(changed);
    co_return response;
  }
  co_return raced;
}

void ChallengeService::AddMethods() {
  Unary<v1::CreateChallengeRequest>([this](rpc::CallContext call, const auto& create) {
    return verbs_.Create<v1::CreateChallengeResponse>(
        std::move(call), create.challenge(), &v1::CreateChallengeResponse::mutable_challenge);
  });
  Unary<v1::GetChallengeRequest>([this](rpc::CallContext call, const auto& get) {
    return verbs_.Get<v1::GetChallengeResponse>(std::move(call), get.namespace_(), get.name(),
                                                &v1::GetChallengeResponse::mutable_challenge);
  });
  Unary<v1::ListChallengesRequest>([this](rpc::CallContext call, const auto& list) {
    if (list.names_size() > 0) return ListNamed(std::move(call), list);
    return verbs_.List<v1::ListChallengesResponse>(std::move(call), list,
                                                   &v1::ListChallengesResponse::add_challenges);
  });
  Unary<v1::DeleteChallengeRequest>([this](rpc::CallContext call, const auto& deletion) {
    return verbs_.Delete<v1::DeleteChallengeResponse>(std::move(call), deletion.namespace_(),
                                                      deletion.name());
  });
  Watch<v1::WatchChallengesRequest>([this](std::shared_ptr<rpc::WatchCall> watch,
                                           const auto& request) {
    verbs_.Watch(std::move(watch), request, &v1::WatchChallengesResponse::mutable_challenge);
  });
  Unary<v1::RetryChallengeRequest>([this](rpc::CallContext call, const auto& retry) {
    return Retry(std::move(call), retry);
  });
}

}  // namespace certwright::solver
