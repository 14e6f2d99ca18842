#include "services/solver/http01_responder.h"

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"
#include "lib/runtime/thread_pool.h"
#include "lib/runtime/timers.h"

namespace certwright::solver {
namespace {

using base::StatusIs;
using testing::HasSubstr;

ledger::Presentation Http01(const std::string& token, const std::string& key) {
  ledger::Presentation presentation;
  presentation.set_type(v1::CHALLENGE_TYPE_HTTP01);
  presentation.set_token(token);
  presentation.set_key_authorization(key);
  return presentation;
}

http::HttpServerRequest Get(const std::string& path) {
  http::HttpServerRequest request;
  request.method = "GET";
  request.path = path;
  return request;
}

TEST(Http01TokensTest, ATokenIsKnownWhileARecordHasIt) {
  Http01Tokens tokens;
  tokens.Add("default/a", Http01("t", "t.k"));
  tokens.Add("default/a", Http01("t", "t.k"));
  tokens.Add("default/b", Http01("t", "t.k"));
  EXPECT_EQ(tokens.Find("t"), "t.k");
  tokens.Remove("default/a");
  tokens.Remove("default/a");
  EXPECT_EQ(tokens.Find("t"), "t.k");
  tokens.Remove("default/b");
  EXPECT_EQ(tokens.Find("t"), "");
  EXPECT_EQ(tokens.size(), 0u);
}

TEST(Http01TokensTest, RecordsOfDns01AreNoTokens) {
  Http01Tokens tokens;
  ledger::Presentation presentation;
  presentation.set_type(v1::CHALLENGE_TYPE_DNS01);
  tokens.Add("default/a", presentation);
  EXPECT_EQ(tokens.size(), 0u);
}

// Fault 79.
TEST(Http01ResponderTest, AnswersKnownTokensAsOftenAsAsked) {
  Http01Tokens tokens;
  tokens.Add("default/a", Http01("t", "t.k"));
  for (int i = 0; i < 5; ++i) {
    const auto response = AnswerToken(tokens, Get("/.well-known/acme-challenge/t"));
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.body, "t.k");
    EXPECT_EQ(response.content_type, "text/plain");
  }
}

// Fault 81.
TEST(Http01ResponderTest, WhatIsUnknownIsNotFoundAndNotEchoed) {
  Http01Tokens tokens;
  tokens.Add("default/a", Http01("t", "t.k"));
  for (const char* path :
       {"/", "/t", "/.well-known/acme-challenge/", "/.well-known/acme-challenge/secret-guess",
        "/.well-known/acme-challenge/t/", "/.well-known/acme-challenge/../t",
        "/.well-known/acme-challenge/%74", "/x/.well-known/acme-challenge/t"}) {
    const auto response = AnswerToken(tokens, Get(path));
    EXPECT_EQ(response.status, 404) << path;
    EXPECT_EQ(response.body, "not found\n") << path;
  }
}

// Fault 83.
TEST(Http01ResponderTest, APortInUseIsAClearError) {
  runtime::ThreadPool pool(1);
  const auto timers = runtime::MakeAsioTimers(pool.executor(), base::Clock::Real());
  Http01Tokens tokens;
  CW_ASSERT_OK_AND_ASSIGN(const auto first, Http01Responder::Start(pool.executor(), *timers,
                                                                   "127.0.0.1:0", tokens));
  EXPECT_THAT(Http01Responder::Start(pool.executor(), *timers,
                                     absl::StrCat("127.0.0.1:", first->port()), tokens),
              StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("http01Listen")));
  first->Stop();
}

}  // namespace
}  // namespace certwright::solver
