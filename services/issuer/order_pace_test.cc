#include "services/issuer/order_pace.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace certwright::issuer_service {
namespace {

constexpr OrderLimit kThreeAMinute{3, absl::Minutes(1)};
const absl::Time kStart = absl::FromUnixSeconds(1'800'000'000);

class OrderPaceTest : public testing::Test {
 protected:
  OrderPace::Turn Ask(const std::string& request, absl::Duration needed_in) {
    return pace_.Ask("ca", kThreeAMinute, request, kStart + needed_in, now_);
  }
  // Lets everyone in `waiting` ask again and again; in the order in which they get their turn.
  std::vector<std::string> Serve(std::vector<std::pair<std::string, absl::Duration>> waiting) {
    std::vector<std::string> served;
    while (!waiting.empty()) {
      absl::Time next = absl::InfiniteFuture();
      for (std::size_t i = 0; i < waiting.size();) {
        const OrderPace::Turn turn = Ask(waiting[i].first, waiting[i].second);
        if (turn.now) {
          served.push_back(waiting[i].first);
          waiting.erase(waiting.begin() + static_cast<std::ptrdiff_t>(i));
        } else {
          next = std::min(next, turn.again);
          ++i;
        }
      }
      if (next != absl::InfiniteFuture()) now_ = next;
    }
    return served;
  }

  OrderPace pace_;
  absl::Time now_ = kStart;
};

TEST_F(OrderPaceTest, WithoutLimitEveryoneGoesAtOnce) {
  for (int i = 0; i < 1000; ++i) {
    EXPECT_TRUE(pace_.Ask("ca", {}, absl::StrCat(i), kStart, kStart).now);
  }
}

TEST_F(OrderPaceTest, FirstTheLimitAtOnceThenOneAtATime) {
  for (const char* request : {"a", "b", "c"}) EXPECT_TRUE(Ask(request, absl::Hours(1)).now);
  const OrderPace::Turn turn = Ask("d", absl::Hours(1));
  EXPECT_FALSE(turn.now);
  EXPECT_EQ(turn.again, kStart + absl::Seconds(20));
  EXPECT_EQ(turn.before, 0);
  now_ = turn.again;
  EXPECT_TRUE(Ask("d", absl::Hours(1)).now);
  EXPECT_FALSE(Ask("e", absl::Hours(1)).now);
}

// Fault 94.
TEST_F(OrderPaceTest, WhoseCertificateEndsFirstGoesFirst) {
  for (const char* request : {"x", "y", "z"}) Ask(request, absl::Hours(1));
  EXPECT_THAT(Serve({{"late", absl::Hours(90)},
                     {"soon", absl::Hours(2)},
                     {"sooner", absl::Hours(1)},
                     {"latest", absl::Hours(99)}}),
              testing::ElementsAre("sooner", "soon", "late", "latest"));
  EXPECT_EQ(now_, kStart + absl::Seconds(80));
}

TEST_F(OrderPaceTest, ThoseWhoGiveUpAreNotWaitedFor) {
  for (const char* request : {"x", "y", "z"}) Ask(request, absl::Hours(1));
  Ask("gone", absl::Hours(1));
  EXPECT_EQ(Ask("waiting", absl::Hours(2)).before, 1);
  pace_.Forget("ca", "gone");
  EXPECT_EQ(Ask("waiting", absl::Hours(2)).before, 0);
  now_ += absl::Seconds(20);
  EXPECT_TRUE(Ask("waiting", absl::Hours(2)).now);
}

TEST_F(OrderPaceTest, ATurnIsKeptUntilTheOrderIsPlaced) {
  for (const char* request : {"x", "y", "z"}) Ask(request, absl::Hours(1));
  EXPECT_TRUE(Ask("z", absl::Hours(1)).now);
  pace_.Forget("ca", "z");
  EXPECT_FALSE(Ask("z", absl::Hours(1)).now);
}

TEST_F(OrderPaceTest, IssuersDoNotWaitForEachOther) {
  for (const char* request : {"x", "y", "z"}) Ask(request, absl::Hours(1));
  EXPECT_FALSE(Ask("a", absl::Hours(1)).now);
  EXPECT_TRUE(pace_.Ask("other", kThreeAMinute, "a", kStart, now_).now);
}

TEST_F(OrderPaceTest, OrdersOfAnEarlierProcessCountForAsLongAsTheyWould) {
  const std::vector<absl::Time> placed = {kStart - absl::Seconds(1), kStart - absl::Seconds(1),
                                          kStart - absl::Minutes(2)};
  EXPECT_TRUE(pace_.IsNew("ca"));
  pace_.Begin("ca", kThreeAMinute, placed, kStart);
  EXPECT_FALSE(pace_.IsNew("ca"));
  pace_.Begin("ca", kThreeAMinute, placed, kStart);
  EXPECT_TRUE(Ask("a", absl::Hours(1)).now);
  EXPECT_FALSE(Ask("b", absl::Hours(1)).now);
}

TEST_F(OrderPaceTest, AChangedLimitCountsFromThenOn) {
  for (const char* request : {"x", "y", "z"}) Ask(request, absl::Hours(1));
  EXPECT_FALSE(Ask("a", absl::Hours(1)).now);
  EXPECT_TRUE(pace_.Ask("ca", {10, absl::Minutes(1)}, "a", kStart, now_).now);
}

TEST(LimitOfTest, IsTheIssuersOrThatOfLetsEncrypt) {
  issuer::v1::AcmeIssuer issuer;
  issuer.set_server("https://ca.test/directory");
  EXPECT_EQ(LimitOf(issuer), OrderLimit());
  issuer.set_server("https://acme-v02.api.letsencrypt.org/directory");
  const OrderLimit lets_encrypt{300, absl::Hours(3)};
  EXPECT_EQ(LimitOf(issuer), lets_encrypt);
  issuer.set_server("https://ca.test/directory");
  issuer.mutable_rate_limits();
  EXPECT_EQ(LimitOf(issuer), lets_encrypt);
  issuer.mutable_rate_limits()->set_orders(20);
  issuer.mutable_rate_limits()->mutable_orders_window()->set_seconds(60);
  const OrderLimit own{20, absl::Minutes(1)};
  EXPECT_EQ(LimitOf(issuer), own);
}

TEST_F(OrderPaceTest, NeverMoreThanTheLimitAndWhatIsGivenBack) {
  std::vector<std::pair<std::string, absl::Duration>> waiting;
  for (int i = 0; i < 200; ++i) waiting.emplace_back(absl::StrCat("r", i), absl::Hours(i % 17));
  Serve(waiting);
  EXPECT_GE(now_ - kStart, absl::Seconds(20) * 197 - absl::Milliseconds(1));
  EXPECT_LE(now_ - kStart, absl::Seconds(20) * 198);
}

}  // namespace
}  // namespace certwright::issuer_service
