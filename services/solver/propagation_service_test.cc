#include "services/solver/propagation_service.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/fake_clock.h"
#include "lib/base/status_matchers.h"
#include "lib/dns/resolver_fake.h"
#include "lib/runtime/fake_timers.h"
#include "lib/runtime/run_sync.h"

namespace certwright::solver {
namespace {

using base::StatusIs;
using testing::AllOf;
using testing::HasSubstr;

class PropagationServiceTest : public testing::Test {
 protected:
  absl::StatusOr<v1::CheckPropagationResponse> Check(v1::CheckPropagationRequest request) {
    const auto context = runtime::Context::WithTimeout(base::Clock::Real(), absl::Seconds(30));
    return runtime::RunSync(service_.Check(context, std::move(request)));
  }

  base::FakeClock clock_;
  dns::FakeDnsResolver resolver_;
  const dns::ServerPolicy policy_{*http::AddressRanges::Parse({"192.0.2.0/24"}), {}};
  dns::PropagationChecker checker_{resolver_, clock_, policy_};
  runtime::FakeTimers timers_{clock_};
  rpc::CallEnvironment calls_{{}, timers_};
  PropagationService service_{
      calls_, checker_, Dns01CheckOptions{RecursiveNameservers({"192.0.2.53"}, policy_), 5353}};
};

TEST_F(PropagationServiceTest, TellsWhatEachNameserverAnswered) {
  resolver_.Set("192.0.2.54", "x.example.test", dns::RecordType::kCname,
                dns::NoData("example.test"));
  resolver_.Set("", "example.test", dns::RecordType::kNs,
                dns::Answering({dns::NsRecord("example.test", "ns1.example.test")}));
  resolver_.Set("", "ns1.example.test", dns::RecordType::kA,
                dns::Answering({dns::AddressRecord("ns1.example.test", "192.0.2.1")}));
  resolver_.Set("", "ns1.example.test", dns::RecordType::kAaaa, dns::NoData("example.test"));
  resolver_.Set("192.0.2.1:5353", "x.example.test", dns::RecordType::kTxt,
                dns::Answering({dns::TxtRecord("x.example.test", "v")}));
  v1::CheckPropagationRequest request;
  request.set_name("x.example.test");
  request.set_expected_value("v");
  request.add_nameservers("192.0.2.54");
  CW_ASSERT_OK_AND_ASSIGN(const v1::CheckPropagationResponse response, Check(request));
  EXPECT_TRUE(response.propagated());
  EXPECT_EQ(response.zone(), "example.test");
  EXPECT_EQ(response.resolved_name(), "x.example.test");
  ASSERT_EQ(response.findings_size(), 1);
  EXPECT_EQ(response.findings(0).nameserver(), "ns1.example.test");
  EXPECT_EQ(response.findings(0).address(), "192.0.2.1:5353");
  EXPECT_EQ(response.findings(0).outcome(), v1::PROPAGATION_OUTCOME_PRESENT);
}

// Fault 122.
TEST_F(PropagationServiceTest, NameserversThatThePolicyForbidsAreNotAsked) {
  v1::CheckPropagationRequest request;
  request.set_name("x.example.test");
  request.set_expected_value("v");
  for (const char* server : {"127.0.0.1", "192.0.2.54:22", "10.0.0.1", "[::1]:53",
                             "169.254.169.254", "[::ffff:127.0.0.1]:53"}) {
    request.clear_nameservers();
    request.add_nameservers(server);
    EXPECT_THAT(Check(request), StatusIs(absl::StatusCode::kFailedPrecondition,
                                         HasSubstr("refused by policy")));
  }
  EXPECT_TRUE(resolver_.queries().empty());
}

TEST_F(PropagationServiceTest, NamesEveryBrokenRule) {
  v1::CheckPropagationRequest request;
  request.set_name("no name");
  request.set_type("MX");
  request.add_nameservers("example.test");
  EXPECT_THAT(Check(request),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("name"), HasSubstr("type"), HasSubstr("expectedValue"),
                             HasSubstr("nameservers[0]"))));
}

TEST_F(PropagationServiceTest, ARequestIsBounded) {
  // One within the bounds goes as far as to a nameserver that the policy forbids.
  struct Case {
    int nameservers;
    std::size_t value_bytes;
    absl::StatusCode code;
  };
  for (const Case& c : {Case{8, 4096, absl::StatusCode::kFailedPrecondition},
                        Case{9, 4096, absl::StatusCode::kInvalidArgument},
                        Case{8, 4097, absl::StatusCode::kInvalidArgument},
                        Case{8, 0, absl::StatusCode::kInvalidArgument}}) {
    v1::CheckPropagationRequest request;
    request.set_name("x.example.test");
    request.set_expected_value(std::string(c.value_bytes, 'v'));
    for (int i = 0; i < c.nameservers; ++i) request.add_nameservers("10.0.0.1");
    EXPECT_THAT(Check(request), StatusIs(c.code))
        << c.nameservers << " nameservers, " << c.value_bytes << " bytes";
  }
}

}  // namespace
}  // namespace certwright::solver
