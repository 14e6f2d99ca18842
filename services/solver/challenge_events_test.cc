#include "services/solver/challenge_events.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/service/conditions.h"

namespace certwright::solver {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> Reasons(const std::vector<service::EventNews>& events) {
  std::vector<std::string> reasons;
  for (const service::EventNews& event : events) {
    const bool warning = event.severity == meta::v1::EVENT_SEVERITY_WARNING;
    reasons.push_back((warning ? "Warning " : "Normal ") + event.reason);
  }
  return reasons;
}

v1::Challenge Queued() {
  v1::Challenge challenge;
  challenge.mutable_spec()->set_dns_name("a.example");
  challenge.mutable_spec()->set_type(v1::CHALLENGE_TYPE_DNS01);
  challenge.mutable_status()->set_state(v1::CHALLENGE_STATE_QUEUED);
  challenge.mutable_status()->set_resolved_name("_acme-challenge.a.example");
  return challenge;
}

v1::Challenge Presented() {
  v1::Challenge challenge = Queued();
  challenge.mutable_status()->set_state(v1::CHALLENGE_STATE_PRESENTED);
  challenge.mutable_status()->set_presented(true);
  challenge.mutable_status()->mutable_presented_time()->set_seconds(1);
  return challenge;
}

v1::Challenge In(v1::Challenge challenge, v1::ChallengeState state,
                 const std::string& reason = "") {
  challenge.mutable_status()->set_state(state);
  challenge.mutable_status()->set_reason(reason);
  return challenge;
}

TEST(ChallengeEventsTest, TellEachStep) {
  v1::Challenge before = Queued();
  v1::Challenge now = Presented();
  const auto presented = EventsOf(&before, now);
  EXPECT_THAT(Reasons(presented), ElementsAre("Normal Presented"));
  EXPECT_EQ(presented[0].message,
            "The TXT record _acme-challenge.a.example for a.example is put out.");
  before = now;
  now = In(now, v1::CHALLENGE_STATE_PROPAGATED);
  EXPECT_THAT(Reasons(EventsOf(&before, now)), ElementsAre("Normal Propagated"));
  before = now;
  now = In(now, v1::CHALLENGE_STATE_ACCEPTED);
  EXPECT_THAT(Reasons(EventsOf(&before, now)), ElementsAre("Normal Accepted"));
  before = now;
  now = In(now, v1::CHALLENGE_STATE_VALID);
  EXPECT_THAT(Reasons(EventsOf(&before, now)), ElementsAre("Normal Valid"));
  before = now;
  now.mutable_status()->set_presented(false);
  service::SetCondition(*now.mutable_status()->mutable_conditions(),
                        {"CleanedUp", true, "CleanedUp", ""}, 1, absl::UnixEpoch());
  EXPECT_THAT(Reasons(EventsOf(&before, now)), ElementsAre("Normal CleanedUp"));
  EXPECT_THAT(EventsOf(&now, now), IsEmpty());
}

TEST(ChallengeEventsTest, StepsThatWereNotWrittenAreToldToo) {
  const v1::Challenge before = Queued();
  EXPECT_THAT(
      Reasons(EventsOf(&before, In(Presented(), v1::CHALLENGE_STATE_VALID))),
      ElementsAre("Normal Presented", "Normal Propagated", "Normal Accepted", "Normal Valid"));
}

TEST(ChallengeEventsTest, ANameThatIsProvenAlreadyIsOnlyValid) {
  const v1::Challenge before = Queued();
  EXPECT_THAT(Reasons(EventsOf(&before, In(Queued(), v1::CHALLENGE_STATE_VALID))),
              ElementsAre("Normal Valid"));
}

TEST(ChallengeEventsTest, FailuresAreWarningsWithTheirReason) {
  for (const auto& [state, reason] :
       {std::pair(v1::CHALLENGE_STATE_INVALID, "Warning Invalid"),
        std::pair(v1::CHALLENGE_STATE_EXPIRED, "Warning Expired"),
        std::pair(v1::CHALLENGE_STATE_ERRORED, "Warning Errored")}) {
    const v1::Challenge before = Presented();
    const auto events = EventsOf(&before, In(Presented(), state, "NXDOMAIN"));
    EXPECT_THAT(Reasons(events), ElementsAre(reason));
    EXPECT_EQ(events[0].message, "NXDOMAIN");
  }
}

TEST(ChallengeEventsTest, APresentationThatFailedIsAWarning) {
  const v1::Challenge before = Queued();
  v1::Challenge now = before;
  service::SetCondition(*now.mutable_status()->mutable_conditions(),
                        {"Valid", false, "PresentError", "REFUSED"}, 1, absl::UnixEpoch());
  EXPECT_THAT(Reasons(EventsOf(&before, now)), ElementsAre("Warning PresentError"));
}

}  // namespace
}  // namespace certwright::solver
