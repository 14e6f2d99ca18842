#include "lib/http/fake_http_client.h"

#include "gtest/gtest.h"
#include "lib/base/fake_clock.h"
#include "lib/base/status_matchers.h"
#include "lib/runtime/run_sync.h"

namespace certwright::http {
namespace {

using absl::StatusCode;
using base::StatusIs;

class FakeHttpClientTest : public testing::Test {
 protected:
  absl::StatusOr<HttpResponse> Send(const std::string& method, const std::string& url) {
    HttpRequest request;
    request.method = method;
    request.url = url;
    return runtime::RunSync(client_.Send(
        runtime::Context::WithTimeout(clock_, absl::Seconds(timeout_seconds_)), request));
  }

  base::FakeClock clock_;
  FakeHttpClient client_;
  int timeout_seconds_ = 10;
};

TEST_F(FakeHttpClientTest, AnswersInTurnAndRepeatsTheLast) {
  client_.On("GET", "http://a/").Reply(200, "one", {{"A", "b"}}).Reply(500, "two");
  client_.On("POST", "http://a/").Fail(absl::InternalError("no"));
  CW_ASSERT_OK_AND_ASSIGN(HttpResponse response, Send("GET", "http://a/"));
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.body, "one");
  EXPECT_EQ(response.url, "http://a/");
  EXPECT_EQ(FindHeader(response.headers, "a"), "b");
  EXPECT_THAT(Send("POST", "http://a/"), StatusIs(StatusCode::kInternal));
  for (int i = 0; i < 2; ++i) {
    CW_ASSERT_OK_AND_ASSIGN(response, Send("GET", "http://a/"));
    EXPECT_EQ(response.status, 500);
  }
  ASSERT_EQ(client_.requests().size(), 4u);
  EXPECT_EQ(client_.requests()[1].method, "POST");
}

TEST_F(FakeHttpClientTest, WhatIsNotScriptedIsUnavailableUnlessThereIsAFallback) {
  EXPECT_THAT(Send("GET", "http://b/"), StatusIs(StatusCode::kUnavailable));
  client_.OnAnyOther([](const HttpRequest& request) {
    HttpResponse response;
    response.status = 404;
    response.body = request.url;
    return response;
  });
  CW_ASSERT_OK_AND_ASSIGN(HttpResponse response, Send("GET", "http://b/"));
  EXPECT_EQ(response.body, "http://b/");
}

TEST_F(FakeHttpClientTest, AnEndedContextFails) {
  client_.On("GET", "http://a/").Reply(200, "");
  timeout_seconds_ = 0;
  EXPECT_THAT(Send("GET", "http://a/"), StatusIs(StatusCode::kDeadlineExceeded));
  EXPECT_TRUE(client_.requests().empty());
}

}  // namespace
}  // namespace certwright::http
