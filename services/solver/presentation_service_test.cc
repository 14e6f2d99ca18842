#include "services/solver/presentation_service.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/fake_clock.h"
#include "lib/base/status_matchers.h"
#include "lib/runtime/fake_timers.h"
#include "lib/runtime/run_sync.h"
#include "lib/store/temporary_store.h"

namespace certwright::solver {
namespace {

using base::StatusIs;
using testing::ElementsAre;
using testing::IsEmpty;

class PresentationServiceTest : public testing::Test {
 protected:
  static runtime::Context Soon() {
    return runtime::Context::WithTimeout(base::Clock::Real(), absl::Seconds(30));
  }
  absl::StatusOr<v1::ListPresentationsResponse> List(
      const v1::ListPresentationsRequest& request) {
    return runtime::RunSync(service_.List({Soon()}, request));
  }
  // "namespace/challenge error" of each that is listed.
  std::vector<std::string> Listed(const v1::ListPresentationsRequest& request) {
    const auto response = List(request);
    CW_EXPECT_OK(response.status());
    std::vector<std::string> listed;
    if (!response.ok()) return listed;
    for (const v1::Presentation& presentation : response->presentations()) {
      listed.push_back(absl::StrCat(presentation.namespace_(), "/",
                                    presentation.challenge_name(), " ",
                                    presentation.clean_up_error()));
    }
    return listed;
  }
  static ledger::Presentation Dns01(const std::string& resource_namespace,
                                    const std::string& challenge) {
    ledger::Presentation record;
    record.mutable_metadata()->set_namespace_(resource_namespace);
    record.mutable_metadata()->set_name(challenge + "-1");
    record.set_challenge_name(challenge);
    record.set_challenge_uid("uid");
    record.set_type(v1::CHALLENGE_TYPE_DNS01);
    record.mutable_issuer_ref()->set_name("ca");
    record.set_solver_name("dns");
    record.set_record_name("_acme-challenge.www.example.test");
    record.set_zone("example.test");
    record.set_value("value");
    return record;
  }
  void Put(const ledger::Presentation& record) {
    CW_ASSERT_OK(runtime::RunSync(presentations_.Create(Soon(), record)));
  }

  store::TemporaryStore store_;
  base::FakeClock clock_;
  runtime::FakeTimers timers_{clock_};
  PresentationStore presentations_{*store_, kPresentationKind, clock_, base::Random::Real()};
  telemetry::Metrics metrics_;
  CleanUpFailures failures_{metrics_};
  rpc::CallEnvironment calls_{{}, timers_};
  PresentationService service_{calls_, presentations_, failures_};
};

// Fault 110.
TEST_F(PresentationServiceTest, TellsWhatIsOutAndWhyItCouldNotBeRemoved) {
  EXPECT_THAT(Listed({}), IsEmpty());
  Put(Dns01("web", "a"));
  Put(Dns01("web", "b"));
  Put(Dns01("shop", "a"));
  failures_.Note("web/a-1", absl::NotFoundError("no issuer"));
  failures_.Note("shop/a-1", absl::UnavailableError("away"));
  EXPECT_THAT(Listed({}), ElementsAre("shop/a away", "web/a no issuer", "web/b "));
  v1::ListPresentationsRequest web;
  web.set_namespace_("web");
  EXPECT_THAT(Listed(web), ElementsAre("web/a no issuer", "web/b "));
  web.set_left_behind(true);
  EXPECT_THAT(Listed(web), ElementsAre("web/a no issuer"));
  failures_.Note("web/a-1", absl::OkStatus());
  EXPECT_THAT(Listed(web), IsEmpty());
}

TEST_F(PresentationServiceTest, HasAllThatIsNeededToRemoveItByHandAndNoKey) {
  Put(Dns01("web", "dns"));
  ledger::Presentation http;
  http.mutable_metadata()->set_namespace_("web");
  http.mutable_metadata()->set_name("http-1");
  http.set_challenge_name("http");
  http.set_type(v1::CHALLENGE_TYPE_HTTP01);
  http.set_token("token");
  http.set_key_authorization("token.thumbprint");
  Put(http);
  CW_ASSERT_OK_AND_ASSIGN(const v1::ListPresentationsResponse response, List({}));
  ASSERT_EQ(response.presentations_size(), 2);
  const v1::Presentation& record = response.presentations(0);
  EXPECT_EQ(record.challenge_uid(), "uid");
  EXPECT_EQ(record.type(), v1::CHALLENGE_TYPE_DNS01);
  EXPECT_EQ(record.issuer_ref().name(), "ca");
  EXPECT_EQ(record.solver_name(), "dns");
  EXPECT_EQ(record.record_name(), "_acme-challenge.www.example.test");
  EXPECT_EQ(record.zone(), "example.test");
  EXPECT_EQ(record.value(), "value");
  EXPECT_EQ(record.presented_time().seconds(), absl::ToUnixSeconds(clock_.Now()));
  EXPECT_EQ(response.presentations(1).token(), "token");
  EXPECT_EQ(response.DebugString().find("thumbprint"), std::string::npos);
}

TEST_F(PresentationServiceTest, ListsInPages) {
  for (const char* challenge : {"a", "b", "c"}) Put(Dns01("web", challenge));
  v1::ListPresentationsRequest request;
  request.set_page_size(2);
  EXPECT_THAT(Listed(request), ElementsAre("web/a ", "web/b "));
  CW_ASSERT_OK_AND_ASSIGN(const v1::ListPresentationsResponse first, List(request));
  request.set_page_token(first.next_page_token());
  EXPECT_THAT(Listed(request), ElementsAre("web/c "));
  for (const int page_size : {-1, -1000}) {
    request.set_page_size(page_size);
    EXPECT_THAT(List(request), StatusIs(absl::StatusCode::kInvalidArgument));
  }
}

}  // namespace
}  // namespace certwright::solver
