#include "lib/acme/directory.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/acme/fake_ca.h"
#include "lib/acme/problem.h"
#include "lib/base/status_matchers.h"

namespace certwright::acme {
namespace {

using base::IsOk;
using base::StatusIs;
using ::testing::HasSubstr;

using Shared = DirectoryCache::Shared;

// A directory whose newOrder is https://ca.test/order-<version>.
std::string DirectoryJson(int version) {
  return R"({"newNonce": "https://ca.test/nonce", "newAccount": "https://ca.test/account",
      "newOrder": "https://ca.test/order-)" +
         std::to_string(version) + "\"}";
}

// Answers a second later, from a list of directories; an empty string is an outage.
class SlowHttp final : public http::HttpClient {
 public:
  explicit SlowHttp(runtime::Timers& timers) : timers_(timers) {}

  runtime::Awaitable<absl::StatusOr<http::HttpResponse>> Send(
      runtime::Context context, http::HttpRequest request) override {
    ++requests;
    https_only = request.https_only;
    absl::Status slept = co_await runtime::SleepFor(timers_, context, absl::Seconds(1));
    if (!slept.ok()) co_return slept;
    const std::string body = bodies.front();
    if (bodies.size() > 1) bodies.erase(bodies.begin());
    if (body.empty()) co_return absl::UnavailableError("https://ca.test: connection refused");
    http::HttpResponse response;
    response.status = 200;
    response.body = body;
    response.url = request.url;
    co_return response;
  }

  std::vector<std::string> bodies = {DirectoryJson(1)};
  bool https_only = false;
  int requests = 0;

 private:
  runtime::Timers& timers_;
};

class DirectoryCacheTest : public testing::Test {
 protected:
  absl::StatusOr<std::string> NewOrderUrl() {
    absl::StatusOr<Shared> directory = ca_.Run(cache_.Get(ca_.context()));
    if (!directory.ok()) return directory.status();
    return (*directory)->new_order;
  }

  FakeCa ca_;
  SlowHttp http_{ca_.timers};
  DirectoryCache cache_{http_, ca_.timers, ca_.Options()};
};

TEST_F(DirectoryCacheTest, IsFetchedOnceForConcurrentCallers) {
  std::vector<runtime::Awaitable<absl::StatusOr<Shared>>> calls;
  for (int i = 0; i < 50; ++i) calls.push_back(cache_.Get(ca_.context()));
  for (const absl::StatusOr<Shared>& result : ca_.Run(runtime::WhenAll(std::move(calls)))) {
    EXPECT_THAT(result, IsOk());
  }
  EXPECT_EQ(http_.requests, 1);
}

TEST_F(DirectoryCacheTest, CallerWhoLeavesDoesNotFailTheOthers) {
  std::vector<runtime::Awaitable<absl::StatusOr<Shared>>> calls;
  calls.push_back(cache_.Get(ca_.context().Within(absl::Milliseconds(100))));
  calls.push_back(cache_.Get(ca_.context()));
  calls.push_back(cache_.Get(ca_.context().Within(absl::Milliseconds(200))));
  const auto results = ca_.Run(runtime::WhenAll(std::move(calls)));
  EXPECT_THAT(results[0], StatusIs(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(results[1], IsOk());
  EXPECT_THAT(results[2], StatusIs(absl::StatusCode::kDeadlineExceeded));
  EXPECT_EQ(http_.requests, 2);
}

TEST_F(DirectoryCacheTest, IsRefreshedAfterTwelveHours) {
  http_.bodies = {DirectoryJson(1), DirectoryJson(2)};
  EXPECT_EQ(*NewOrderUrl(), "https://ca.test/order-1");
  ca_.clock.Advance(absl::Hours(11));
  EXPECT_EQ(*NewOrderUrl(), "https://ca.test/order-1");
  ca_.clock.Advance(absl::Hours(2));
  EXPECT_EQ(*NewOrderUrl(), "https://ca.test/order-2");
  EXPECT_EQ(http_.requests, 2);
}

// Fault 10.
TEST_F(DirectoryCacheTest, StaleOneServesDuringAnOutageForADay) {
  http_.bodies = {DirectoryJson(1), ""};
  EXPECT_THAT(NewOrderUrl(), IsOk());
  ca_.clock.Advance(absl::Hours(13));
  EXPECT_THAT(NewOrderUrl(), IsOk());
  EXPECT_EQ(http_.requests, 2);
  // Not asked again at once, but soon.
  EXPECT_THAT(NewOrderUrl(), IsOk());
  EXPECT_EQ(http_.requests, 2);
  ca_.clock.Advance(absl::Seconds(2));
  EXPECT_THAT(NewOrderUrl(), IsOk());
  EXPECT_EQ(http_.requests, 3);
  ca_.clock.Advance(absl::Hours(12));
  EXPECT_THAT(NewOrderUrl(), StatusIs(absl::StatusCode::kUnavailable));
}

// Fault 10.
TEST_F(DirectoryCacheTest, OutageIsAnsweredFromMemoryForAMoment) {
  http_.bodies = {"", DirectoryJson(1)};
  const absl::Status failed = NewOrderUrl().status();
  EXPECT_THAT(failed, StatusIs(absl::StatusCode::kUnavailable, HasSubstr("directory")));
  EXPECT_EQ(ClassOf(failed), ErrorClass::kRetryBackoff);
  EXPECT_THAT(NewOrderUrl(), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_EQ(http_.requests, 1);
  ca_.clock.Advance(absl::Seconds(1));
  EXPECT_THAT(NewOrderUrl(), IsOk());
}

// Fault 10.
TEST_F(DirectoryCacheTest, ALongOutageIsLookedAtEveryTenSecondsAndForgottenAfterwards) {
  const auto expect_waits = [this](const std::vector<int>& seconds) {
    for (const int wait : seconds) {
      const int asked = http_.requests;
      ca_.clock.Advance(absl::Seconds(wait) - absl::Milliseconds(500));
      NewOrderUrl().IgnoreError();
      EXPECT_EQ(http_.requests, asked) << wait;
      ca_.clock.Advance(absl::Milliseconds(500));
      NewOrderUrl().IgnoreError();
      EXPECT_EQ(http_.requests, asked + 1) << wait;
    }
  };
  http_.bodies = {""};
  EXPECT_THAT(NewOrderUrl(), StatusIs(absl::StatusCode::kUnavailable));
  expect_waits({1, 2, 4, 8, 10, 10});
  http_.bodies = {DirectoryJson(1), ""};
  ca_.clock.Advance(absl::Seconds(10));
  EXPECT_THAT(NewOrderUrl(), IsOk());
  ca_.clock.Advance(absl::Hours(12));
  EXPECT_THAT(NewOrderUrl(), IsOk());
  expect_waits({1, 2});
}

// Faults 10, 23 and 24.
TEST_F(DirectoryCacheTest, CaThatAsksForAWaitIsLeftAloneForAsLong) {
  struct Case {
    int status;
    std::vector<http::Header> headers;
    absl::Duration wait;
  };
  for (const Case& c :
       {Case{503, {{"Retry-After", "600"}}, absl::Minutes(10)}, Case{429, {}, absl::Hours(1)},
        Case{503, {{"Retry-After", "86400"}}, absl::Hours(1)}}) {
    FakeCa ca;
    CaOptions options = ca.Options();
    options.directory_url = "https://ca.test/busy";
    ca.http.On("GET", options.directory_url)
        .Reply(c.status, "", c.headers)
        .Reply(200, DirectoryJson(1));
    DirectoryCache cache(ca.http, ca.timers, options);
    for (int minute = 0; minute * absl::Minutes(1) < c.wait; ++minute) {
      EXPECT_EQ(ClassOf(ca.Run(cache.Get(ca.context())).status()), ErrorClass::kRetryAt);
      ca.clock.Advance(absl::Minutes(1));
    }
    EXPECT_EQ(ca.Count("GET", "/busy"), 1);
    EXPECT_THAT(ca.Run(cache.Get(ca.context())), IsOk());
  }
}

TEST_F(DirectoryCacheTest, InvalidatedIsFetchedOnceMore) {
  http_.bodies = {DirectoryJson(1), DirectoryJson(2), DirectoryJson(3)};
  const Shared first = *ca_.Run(cache_.Get(ca_.context()));
  cache_.Invalidate(first);
  EXPECT_EQ(*NewOrderUrl(), "https://ca.test/order-2");
  // Another caller who used the first one does not throw away the second.
  cache_.Invalidate(first);
  EXPECT_EQ(*NewOrderUrl(), "https://ca.test/order-2");
  EXPECT_EQ(http_.requests, 2);
}

TEST_F(DirectoryCacheTest, GarbageIsTransient) {
  http_.bodies = {"<html>maintenance</html>"};
  const absl::Status status = NewOrderUrl().status();
  EXPECT_EQ(ClassOf(status), ErrorClass::kRetryBackoff);
  EXPECT_THAT(std::string(status.message()), testing::Not(HasSubstr("maintenance")));
}

// Fault 13.
TEST_F(DirectoryCacheTest, OnlyHttpsIsFollowed) {
  EXPECT_THAT(NewOrderUrl(), IsOk());
  EXPECT_TRUE(http_.https_only);
}

// Fault 14.
TEST_F(DirectoryCacheTest, PlainHttpServerIsRefusedUnlessAllowed) {
  CaOptions options = ca_.Options();
  options.directory_url = "http://ca.test/directory";
  DirectoryCache refusing(http_, ca_.timers, options);
  const absl::StatusOr<Shared> refused = ca_.Run(refusing.Get(ca_.context()));
  EXPECT_EQ(ClassOf(refused.status()), ErrorClass::kOperator);
  EXPECT_EQ(http_.requests, 0);
  options.allow_http = true;
  DirectoryCache allowing(http_, ca_.timers, options);
  EXPECT_THAT(ca_.Run(allowing.Get(ca_.context())), IsOk());
  EXPECT_FALSE(http_.https_only);
}

}  // namespace
}  // namespace certwright::acme
