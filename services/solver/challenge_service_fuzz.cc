// Challenges as the order service, or anyone who may call, hands them in.
#include <optional>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "google/protobuf/util/message_differencer.h"
#include "lib/acme/key_authorization.h"
#include "lib/acme/url.h"
#include "lib/base/fuzz.h"
#include "lib/base/fuzz_message.h"
#include "lib/dns/name.h"
#include "lib/http/url.h"
#include "services/solver/challenge_service.h"
#include "services/solver/dns01_self_check.h"

namespace certwright::solver {
namespace {

using ::google::protobuf::util::MessageDifferencer;

void CheckAccepted(const v1::ChallengeSpec& spec) {
  CW_FUZZ_CHECK(acme::IsValidToken(spec.token()) && acme::IsHttpsUrl(spec.url()));
  if (spec.type() == v1::CHALLENGE_TYPE_DNS01) {
    // The record that proves it can be written.
    CW_FUZZ_CHECK(dns::Normalize(ChallengeRecordName(spec.dns_name())).ok());
    CW_FUZZ_CHECK(spec.key().size() == 43);
    return;
  }
  // The URL that proves it can be fetched.
  CW_FUZZ_CHECK(spec.type() == v1::CHALLENGE_TYPE_HTTP01 && !spec.wildcard());
  const bool v6 = absl::StrContains(spec.dns_name(), ':');
  const std::string host = v6 ? absl::StrCat("[", spec.dns_name(), "]") : spec.dns_name();
  const std::string text =
      absl::StrCat("http://", host, "/.well-known/acme-challenge/", spec.token());
  const std::optional<http::Url> url = http::ParseUrl(text);
  CW_FUZZ_CHECK(url.has_value() && url->text == text && url->host == spec.dns_name());
}

void Check(v1::Challenge challenge) {
  rpc::Violations violations;
  ValidateChallenge(challenge, violations);
  CW_FUZZ_CHECK(violations.empty() == violations.ToStatus().ok());
  if (!violations.empty()) return;
  CheckAccepted(challenge.spec());
  v1::Challenge again = challenge;
  ValidateChallenge(again, violations);
  CW_FUZZ_CHECK(violations.empty() && MessageDifferencer::Equals(again, challenge));
}

}  // namespace
}  // namespace certwright::solver

CW_FUZZ_TARGET(input) {
  certwright::solver::v1::Challenge challenge;
  if (certwright::base::ReadFuzzMessage(input, challenge)) {
    certwright::solver::Check(std::move(challenge));
  }
}
