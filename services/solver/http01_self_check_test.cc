#include "services/solver/http01_self_check.h"

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/fake_clock.h"
#include "lib/base/status_matchers.h"
#include "lib/dns/resolver_fake.h"
#include "lib/http/fake_http_client.h"
#include "lib/runtime/run_sync.h"

namespace certwright::solver {
namespace {

using base::StatusIs;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

constexpr char kUrl[] = "http://www.example.test/.well-known/acme-challenge/token";
constexpr char kKey[] = "token.thumbprint";

class Http01SelfCheckTest : public testing::Test {
 protected:
  Http01SelfCheckTest() {
    SetAddresses({"93.184.216.34"}, {});
    // Answers per server that is connected to.
    http_.OnAnyOther(
        [this](const http::HttpRequest& request) -> absl::StatusOr<http::HttpResponse> {
          clock_.Advance(time_of_an_answer_);
          is_guarded_ = is_guarded_ && request.fresh_connection && request.allow_address &&
                        !request.allow_address("127.0.0.1", 80);
          auto error = errors_.find(request.connect_to);
          if (error != errors_.end()) return error->second;
          auto it = answers_.find(absl::StrCat(request.connect_to, " ", request.url));
          if (it == answers_.end()) return absl::UnavailableError("connection refused");
          return it->second;
        });
  }

  void SetAddresses(const std::vector<std::string>& ipv4, const std::vector<std::string>& ipv6,
                    const std::string& host = "www.example.test") {
    const auto answer = [&](const std::vector<std::string>& addresses) {
      if (addresses.empty()) return dns::NoData("example.test");
      std::vector<dns::Record> records;
      for (const std::string& ip : addresses) records.push_back(dns::AddressRecord(host, ip));
      return dns::Answering(std::move(records));
    };
    resolver_.Set("", host, dns::RecordType::kA, answer(ipv4));
    resolver_.Set("", host, dns::RecordType::kAaaa, answer(ipv6));
  }
  void Answer(const std::string& server, int status, const std::string& body,
              const std::string& location = "", const std::string& url = kUrl) {
    http::HttpResponse response;
    response.status = status;
    response.body = body;
    if (!location.empty()) response.headers.push_back({"location", location});
    answers_[absl::StrCat(server, " ", url)] = std::move(response);
  }
  absl::StatusOr<SelfCheckResult> Check() {
    v1::Challenge challenge;
    challenge.mutable_spec()->set_dns_name("www.example.test");
    challenge.mutable_spec()->set_token("token");
    challenge.mutable_spec()->set_key(kKey);
    auto config = std::make_shared<SolverConfig>();
    config->solver.mutable_http01()->set_self_check_port(self_check_port_);
    Http01CheckOptions options;
    options.nameservers = RecursiveNameservers({"192.0.2.53"}, dns::ServerPolicy());
    options.allowed_ranges = *http::AddressRanges::Parse(allowed_);
    Http01SelfCheck check(http_, resolver_, std::move(options));
    const auto context = runtime::Context::WithTimeout(clock_, absl::Hours(1));
    return runtime::RunSync(check.Check(context, challenge, config));
  }
  // What was found; empty if it passed.
  std::string Reason() {
    const auto result = Check();
    if (!result.ok()) return std::string(result.status().message());
    EXPECT_EQ(result->found, result->reason.empty()) << result->reason;
    return result->reason;
  }
  std::vector<std::string> Connections() {
    std::vector<std::string> servers;
    for (const http::HttpRequest& request : http_.requests()) {
      servers.push_back(request.connect_to);
    }
    return servers;
  }

  dns::FakeDnsResolver resolver_;
  http::FakeHttpClient http_;
  std::map<std::string, http::HttpResponse> answers_;
  std::map<std::string, absl::Status> errors_;  // by server
  // Whether every request was to ask before it connects, and to share no connection.
  bool is_guarded_ = true;
  std::vector<std::string> allowed_;
  int self_check_port_ = 0;
  base::FakeClock clock_;
  absl::Duration time_of_an_answer_;
};

TEST_F(Http01SelfCheckTest, TheExactBodyPasses) {
  Answer("93.184.216.34:80", 200, kKey);
  EXPECT_EQ(Reason(), "");
  ASSERT_THAT(Connections(), ElementsAre("93.184.216.34:80"));
  const http::HttpRequest request = http_.requests()[0];
  EXPECT_EQ(request.url, kUrl);
  EXPECT_EQ(request.max_response_bytes, 1024u);
  EXPECT_EQ(request.max_redirects, 0);
  EXPECT_TRUE(is_guarded_);
}

TEST_F(Http01SelfCheckTest, TheSolversPortIsAskedUnderTheSameUrl) {
  self_check_port_ = 5002;
  Answer("93.184.216.34:5002", 200, kKey);
  EXPECT_EQ(Reason(), "");
}

TEST_F(Http01SelfCheckTest, FindingsAreInWords) {
  struct Case {
    int status;
    std::string body;
    const char* reason;
  };
  for (const Case& c :
       {Case{404, "no", "93.184.216.34:80 answered 404"},
        {200, "another body", "93.184.216.34:80 answered with another body of 12 bytes"},
        {200, absl::StrCat(" ", kKey),
         "93.184.216.34:80 answered with another body of 17 bytes"},
        {200, absl::StrCat(kKey, "\n."),
         "93.184.216.34:80 answered with another body of 18 bytes"},
        {200, "", "93.184.216.34:80 answered with another body of 0 bytes"},
        {204, "", "93.184.216.34:80 answered 204"}}) {
    Answer("93.184.216.34:80", c.status, c.body);
    EXPECT_EQ(Reason(), c.reason);
  }
}

// Fault 107.
TEST_F(Http01SelfCheckTest, WhiteSpaceAtTheEndOfTheBodyIsIgnored) {
  for (const char* end : {"\n", "\r\n", " \t\r\n\n", "\v\f"}) {
    Answer("93.184.216.34:80", 200, absl::StrCat(kKey, end));
    EXPECT_EQ(Reason(), "");
  }
}

TEST_F(Http01SelfCheckTest, ABodyIsNeverEchoed) {
  Answer("93.184.216.34:80", 200, "inside information");
  EXPECT_THAT(Reason(), Not(HasSubstr("inside")));
}

TEST_F(Http01SelfCheckTest, ARefusedConnectionIsNamed) {
  EXPECT_EQ(Reason(), "93.184.216.34:80: connection refused");
}

// Fault 84.
TEST_F(Http01SelfCheckTest, Ipv6GoesFirstAndAlone) {
  SetAddresses({"93.184.216.34"}, {"2606:2800:220:1::1"});
  Answer("[2606:2800:220:1::1]:80", 200, kKey);
  EXPECT_EQ(Reason(), "");
  EXPECT_THAT(Connections(), ElementsAre("[2606:2800:220:1::1]:80"));
}

// Fault 84.
TEST_F(Http01SelfCheckTest, Ipv4CountsWhereIpv6CannotBeConnectedTo) {
  SetAddresses({"93.184.216.34"}, {"2606:2800:220:1::1"});
  Answer("93.184.216.34:80", 200, kKey);
  EXPECT_EQ(Reason(), "");
}

// Fault 84.
TEST_F(Http01SelfCheckTest, AWrongAnswerOverIpv6IsNotMadeGoodByIpv4) {
  SetAddresses({"93.184.216.34"}, {"2606:2800:220:1::1"});
  Answer("[2606:2800:220:1::1]:80", 404, "");
  Answer("93.184.216.34:80", 200, kKey);
  EXPECT_EQ(Reason(), "[2606:2800:220:1::1]:80 answered 404");
}

// Fault 84.
TEST_F(Http01SelfCheckTest, OnlyWhatIsNoAnswerOverIpv6IsMadeGoodByIpv4) {
  struct Case {
    absl::Status error;
    const char* reason;
  };
  SetAddresses({"93.184.216.34"}, {"2606:2800:220:1::1"});
  Answer("93.184.216.34:80", 200, kKey);
  for (const Case& c :
       {Case{absl::UnavailableError("no route"), ""},
        Case{absl::DeadlineExceededError("too slow"), ""},
        Case{absl::ResourceExhaustedError("too long"),
             "[2606:2800:220:1::1]:80 answered with another body of over 1024 bytes"},
        Case{absl::FailedPreconditionError("forbidden"),
             "[2606:2800:220:1::1]:80: forbidden"}}) {
    errors_["[2606:2800:220:1::1]:80"] = c.error;
    EXPECT_EQ(Reason(), c.reason) << c.error;
  }
}

TEST_F(Http01SelfCheckTest, FourAddressesOfAFamilyAreConnectedToAtMost) {
  SetAddresses({"93.184.216.1", "93.184.216.2", "93.184.216.3", "93.184.216.4", "93.184.216.5"},
               {"2606:2800:220:1::1", "2606:2800:220:1::2", "2606:2800:220:1::3",
                "2606:2800:220:1::4", "2606:2800:220:1::5"});
  EXPECT_THAT(Reason(), HasSubstr("connection refused"));
  EXPECT_EQ(Connections().size(), 8u);
}

TEST_F(Http01SelfCheckTest, OneWrongAnswerOfSeveralAddressesFails) {
  SetAddresses({"93.184.216.34", "93.184.216.35"}, {});
  Answer("93.184.216.34:80", 200, kKey);
  Answer("93.184.216.35:80", 404, "");
  EXPECT_EQ(Reason(), "93.184.216.35:80 answered 404");
}

TEST_F(Http01SelfCheckTest, OneDeadAddressOfSeveralDoesNotFail) {
  SetAddresses({"93.184.216.34", "93.184.216.35"}, {});
  Answer("93.184.216.35:80", 200, kKey);
  EXPECT_EQ(Reason(), "");
}

TEST_F(Http01SelfCheckTest, AddressesOfTheInsideAreNotConnectedTo) {
  for (const char* address : {"127.0.0.1", "10.1.2.3", "169.254.169.254", "192.168.0.1"}) {
    SetAddresses({address}, {});
    Answer(absl::StrCat(address, ":80"), 200, kKey);
    EXPECT_THAT(Reason(), HasSubstr("is not a public address"));
  }
  EXPECT_THAT(Connections(), ElementsAre());
}

TEST_F(Http01SelfCheckTest, AllowedRangesAreConnectedTo) {
  SetAddresses({"127.0.0.1"}, {});
  allowed_ = {"127.0.0.0/8"};
  Answer("127.0.0.1:80", 200, kKey);
  EXPECT_EQ(Reason(), "");
}

// Fault 85.
TEST_F(Http01SelfCheckTest, RedirectsAreFollowedToHttps) {
  SetAddresses({"93.184.216.40"}, {}, "other.test");
  Answer("93.184.216.34:80", 301, "", "https://other.test/token");
  Answer("93.184.216.40:443", 200, kKey, "", "https://other.test/token");
  EXPECT_EQ(Reason(), "");
  EXPECT_THAT(Connections(), ElementsAre("93.184.216.34:80", "93.184.216.40:443"));
  EXPECT_TRUE(http_.requests()[1].trust.skip_verify);
}

// Fault 85.
TEST_F(Http01SelfCheckTest, EveryStatusThatRedirectsIsFollowedAndNoOther) {
  Answer("93.184.216.34:80", 200, kKey, "", "http://www.example.test/x");
  for (const int status : {301, 302, 303, 307, 308}) {
    Answer("93.184.216.34:80", status, "", "/x");
    EXPECT_EQ(Reason(), "") << status;
  }
  for (const int status : {200, 201, 300, 304, 305, 306, 309}) {
    Answer("93.184.216.34:80", status, "", "/x");
    EXPECT_THAT(Reason(), HasSubstr("93.184.216.34:80 answered")) << status;
  }
}

// Fault 85.
TEST_F(Http01SelfCheckTest, ARedirectToTheInsideIsNotFollowed) {
  SetAddresses({"10.0.0.1"}, {}, "other.test");
  for (const char* location : {"http://other.test/", "http://169.254.169.254/latest",
                               "http://[::1]/", "http://[::ffff:127.0.0.1]/"}) {
    Answer("93.184.216.34:80", 302, "", location);
    EXPECT_THAT(Reason(), HasSubstr("is not a public address")) << location;
  }
  for (const std::string& server : Connections()) EXPECT_EQ(server, "93.184.216.34:80");
}

// Fault 85.
TEST_F(Http01SelfCheckTest, ARedirectToAnotherPortIsNotFollowed) {
  Answer("93.184.216.34:80", 302, "", "http://www.example.test:8080/x");
  EXPECT_THAT(Reason(), HasSubstr("redirects to port 8080"));
}

// Fault 107.
TEST_F(Http01SelfCheckTest, TheSolversPortServesRedirectsThatNameNoOtherHostOrPort) {
  self_check_port_ = 5002;
  struct Case {
    const char* location;
    const char* url;
  };
  for (const Case& c :
       {Case{"/x", "http://www.example.test/x"},
        {"x//y", "http://www.example.test/.well-known/acme-challenge/x//y"},
        {"../x", "http://www.example.test/.well-known/x"},
        {"?x=//other.test",
         "http://www.example.test/.well-known/acme-challenge/token?x=//other.test"},
        {"//www.example.test/z", "http://www.example.test/z"},
        {"http://WWW.example.test/y", "http://www.example.test/y"}}) {
    Answer("93.184.216.34:5002", 302, "", c.location);
    Answer("93.184.216.34:5002", 200, kKey, "", c.url);
    EXPECT_EQ(Reason(), "") << c.location;
  }
}

// Fault 107.
TEST_F(Http01SelfCheckTest, OtherRedirectsLeadToThePortsThatCasFollowThemTo) {
  self_check_port_ = 5002;
  SetAddresses({"93.184.216.40"}, {}, "other.test");
  struct Case {
    const char* location;
    const char* server;
  };
  for (const Case& c : {Case{"http://other.test/x", "93.184.216.40:80"},
                        {"//other.test/x", "93.184.216.40:80"},
                        {"https://www.example.test/x", "93.184.216.34:443"},
                        {"http://www.example.test:80/x", "93.184.216.34:80"},
                        {"https://other.test:443/x", "93.184.216.40:443"}}) {
    Answer("93.184.216.34:5002", 302, "", c.location);
    EXPECT_EQ(Reason(), absl::StrCat(c.server, ": connection refused")) << c.location;
  }
  for (const char* location : {"http://www.example.test:5002/x", "http://other.test:5002/x",
                               "//www.example.test:5002", "https://www.example.test:5002"}) {
    Answer("93.184.216.34:5002", 302, "", location);
    EXPECT_THAT(Reason(), HasSubstr("redirects to port 5002")) << location;
  }
}

TEST_F(Http01SelfCheckTest, ItEndsAfterTenSecondsWhateverTheHostsDo) {
  Answer("93.184.216.34:80", 302, "", kUrl);
  time_of_an_answer_ = absl::Seconds(4);
  EXPECT_THAT(Reason(), HasSubstr("deadline"));
  EXPECT_EQ(Connections().size(), 3u);
}

TEST_F(Http01SelfCheckTest, ARedirectToAnotherSchemeIsNotFollowed) {
  Answer("93.184.216.34:80", 302, "", "ftp://www.example.test/x");
  EXPECT_THAT(Reason(), HasSubstr("no http or https URL"));
}

TEST_F(Http01SelfCheckTest, ALoopOfRedirectsEnds) {
  Answer("93.184.216.34:80", 302, "", kUrl);
  EXPECT_THAT(Reason(), HasSubstr("redirects more than 10 times"));
  EXPECT_EQ(Connections().size(), 11u);
}

TEST_F(Http01SelfCheckTest, ANameWithoutAddressIsAnError) {
  SetAddresses({}, {});
  EXPECT_THAT(Check(), StatusIs(absl::StatusCode::kNotFound, HasSubstr("has no address")));
}

TEST_F(Http01SelfCheckTest, TheConfiguredNameserversAreAsked) {
  Answer("93.184.216.34:80", 200, kKey);
  EXPECT_EQ(Reason(), "");
  for (const dns::Query& query : resolver_.queries()) {
    EXPECT_THAT(query.servers, ElementsAre("192.0.2.53"));
  }
}

}  // namespace
}  // namespace certwright::solver
