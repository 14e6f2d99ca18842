#include "services/order/order_events.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/service/conditions.h"

namespace certwright::order {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> Texts(const std::vector<service::EventNews>& events) {
  std::vector<std::string> texts;
  for (const service::EventNews& event : events) {
    const bool warning = event.severity == meta::v1::EVENT_SEVERITY_WARNING;
    texts.push_back((warning ? "Warning " : "Normal ") + event.reason + ": " + event.message);
  }
  return texts;
}

void SetReady(v1::Order& order, bool status, const std::string& reason,
              const std::string& message) {
  service::SetCondition(*order.mutable_status()->mutable_conditions(),
                        {"Ready", status, reason, message}, 1, absl::UnixEpoch());
}

TEST(OrderEventsTest, TellAnOrderFromBeginToEnd) {
  v1::Order before;
  v1::Order now;
  now.mutable_status()->set_url("https://ca.test/order/1");
  now.mutable_status()->set_state(v1::ORDER_STATE_PENDING);
  SetReady(now, false, "Pending", "The order is placed at the CA.");
  EXPECT_THAT(Texts(EventsOf(nullptr, now)),
              ElementsAre("Normal Placed: The order was placed at the CA: "
                          "https://ca.test/order/1"));
  before = now;
  EXPECT_THAT(EventsOf(&before, now), IsEmpty());
  now.mutable_status()->set_state(v1::ORDER_STATE_READY);
  EXPECT_THAT(Texts(EventsOf(&before, now)),
              ElementsAre("Normal Proven: All names are proven."));
  before = now;
  now.mutable_status()->set_state(v1::ORDER_STATE_PROCESSING);
  EXPECT_THAT(Texts(EventsOf(&before, now)),
              ElementsAre("Normal Processing: The CA works on the order."));
  before = now;
  now.mutable_status()->set_state(v1::ORDER_STATE_VALID);
  SetReady(now, true, "Issued", "The certificate is issued.");
  EXPECT_THAT(Texts(EventsOf(&before, now)),
              ElementsAre("Normal Issued: The certificate is issued."));
}

TEST(OrderEventsTest, EachKindOfFailureIsAWarning) {
  for (const auto& [state, reason] : {std::pair(v1::ORDER_STATE_INVALID, "Invalid"),
                                      std::pair(v1::ORDER_STATE_EXPIRED, "Expired"),
                                      std::pair(v1::ORDER_STATE_ERRORED, "Errored")}) {
    v1::Order before;
    v1::Order now;
    now.mutable_status()->set_state(state);
    now.mutable_status()->set_reason("The CA said no.");
    SetReady(now, false, "Failed", "The CA said no.");
    EXPECT_THAT(Texts(EventsOf(&before, now)),
                ElementsAre(std::string("Warning ") + reason + ": The CA said no."));
  }
}

TEST(OrderEventsTest, WhatHoldsAnOrderUpIsAWarningOnce) {
  v1::Order before;
  v1::Order now;
  SetReady(now, false, "RateLimited", "Wait until noon.");
  EXPECT_THAT(Texts(EventsOf(&before, now)),
              ElementsAre("Warning RateLimited: Wait until noon."));
  before = now;
  SetReady(now, false, "RateLimited", "Wait until one.");
  EXPECT_THAT(EventsOf(&before, now), IsEmpty());
}

}  // namespace
}  // namespace certwright::order
