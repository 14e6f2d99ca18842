#include "services/solver/challenge_events.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/service/conditions.h"

namespace certwright::solver {
namespace {

using meta::v1::EVENT_SEVERITY_NORMAL;
using meta::v1::EVENT_SEVERITY_WARNING;
using service::EventNews;

std::string Name(const v1::ChallengeSpec& spec) {
  return spec.wildcard() ? absl::StrCat("*.", spec.dns_name()) : spec.dns_name();
}

std::string PresentedText(const v1::Challenge& challenge) {
  const std::string name = Name(challenge.spec());
  if (challenge.spec().type() != v1::CHALLENGE_TYPE_DNS01) {
    return absl::StrCat("The proof for ", name, " is put out.");
  }
  return absl::StrCat("The TXT record ", challenge.status().resolved_name(), " for ", name,
                      " is put out.");
}

// How far along the usual way a state is; 0 for those that are off it.
int StepOf(v1::ChallengeState state) {
  switch (state) {
    case v1::CHALLENGE_STATE_PROPAGATED:
      return 1;
    case v1::CHALLENGE_STATE_ACCEPTED:
      return 2;
    case v1::CHALLENGE_STATE_VALID:
      return 3;
    default:
      return 0;
  }
}

void AddProgress(const v1::ChallengeStatus& old, const v1::ChallengeStatus& status,
                 std::vector<EventNews>& events) {
  const int from = StepOf(old.state());
  const int to = StepOf(status.state());
  // A name that the CA takes for proven is valid at once.
  const bool proven_before = to == 3 && !status.presented() && !old.presented();
  if (from < 1 && to >= 1 && !proven_before) {
    events.push_back({EVENT_SEVERITY_NORMAL, "Propagated",
                      absl::StrCat("The proof was seen after ", status.checks(),
                                   status.checks() == 1 ? " check." : " checks.")});
  }
  if (from < 2 && to >= 2 && !proven_before) {
    events.push_back({EVENT_SEVERITY_NORMAL, "Accepted", "The CA was told to look."});
  }
  if (from < 3 && to == 3) {
    events.push_back({EVENT_SEVERITY_NORMAL, "Valid",
                      proven_before ? "The CA takes the name for proven already."
                                    : "The CA has seen the proof."});
  }
}

void AddFailure(const v1::ChallengeStatus& status, std::vector<EventNews>& events) {
  const char* reason = nullptr;
  switch (status.state()) {
    case v1::CHALLENGE_STATE_INVALID:
      reason = "Invalid";
      break;
    case v1::CHALLENGE_STATE_EXPIRED:
      reason = "Expired";
      break;
    case v1::CHALLENGE_STATE_ERRORED:
      reason = "Errored";
      break;
    default:
      return;
  }
  events.push_back({EVENT_SEVERITY_WARNING, reason, status.reason()});
}

}  // namespace

std::vector<EventNews> EventsOf(const v1::Challenge* before, const v1::Challenge& now) {
  const v1::ChallengeStatus none;
  const v1::ChallengeStatus& old = before == nullptr ? none : before->status();
  const v1::ChallengeStatus& status = now.status();
  std::vector<EventNews> events;
  // It may be written, and removed, between two looks.
  const bool presented = status.has_presented_time() && !old.has_presented_time();
  if (presented) events.push_back({EVENT_SEVERITY_NORMAL, "Presented", PresentedText(now)});
  if (status.state() != old.state()) {
    AddProgress(old, status, events);
    AddFailure(status, events);
  }
  const auto* valid =
      service::ChangedCondition(&old.conditions(), status.conditions(), "Valid");
  if (valid != nullptr &&
      (valid->reason() == "PresentError" || valid->reason() == "IssuerNotReady")) {
    events.push_back({EVENT_SEVERITY_WARNING, valid->reason(), valid->message()});
  }
  const auto* cleaned =
      service::ChangedCondition(&old.conditions(), status.conditions(), "CleanedUp");
  if (cleaned != nullptr && cleaned->status() == meta::v1::CONDITION_STATUS_TRUE) {
    events.push_back({EVENT_SEVERITY_NORMAL, "CleanedUp", "The proof was removed."});
  }
  return events;
}

}  // namespace certwright::solver
