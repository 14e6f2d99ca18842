// How often strangers and callers with a role may ask the issuer service, against the real one:
// what is too much is refused, and others are served.
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "certwright/issuer/v1/certificate.pb.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"
#include "tests/attacks/http2_attacker.h"
#include "tests/attacks/identities.h"
#include "tests/fakes/fake_world.h"

namespace certwright::attacks {
namespace {

using harness::Service;
using testing::AllOf;
using testing::Ge;
using testing::HasSubstr;
using testing::Le;

constexpr char kNamespace[] = "team-a";
constexpr int kCallsPerSecond = 10;
constexpr int kCallsBurst = 100;
constexpr int kChangesPerSecond = 5;
constexpr int kChangesBurst = 40;
constexpr int kStrangersPerSecond = 2;

std::string PathOf(const std::string& method) {
  return absl::StrCat("/certwright.issuer.v1.CertificateService/", method);
}

// How many of a bucket may have been taken when so much time has passed.
int Allowed(int per_second, int burst, absl::Time since) {
  return burst + 1 + static_cast<int>(absl::ToDoubleSeconds(absl::Now() - since) * per_second);
}

class RateAttackTest : public testing::Test {
 protected:
  void SetUp() override {
    fakes::FakeWorldOptions options;
    options.folder = identities_.folder();
    options.certificates = identities_.certificates();
    options.client = kAdmin;
    for (std::string& config : options.server_config) {
      config = absl::StrCat("limits: {maxUnknownCallsPerSecond: ", kStrangersPerSecond, "}");
    }
    for (std::string& config : options.extra_config) {
      config = absl::StrCat(
          identities_.AccessConfig(/*with_tokens=*/true), "  callsPerSecond: ", kCallsPerSecond,
          "\n  callsBurst: ", kCallsBurst, "\n  changesPerSecond: ", kChangesPerSecond,
          "\n  changesBurst: ", kChangesBurst, "\n");
    }
    CW_ASSERT_OK_AND_ASSIGN(world_, fakes::FakeWorld::Start(std::move(options)));
  }

  // From an address of their own, so that what they use up is theirs.
  Target To(TlsContext tls) const {
    const std::string address = world_->suite().address(Service::kIssuer);
    Target target;
    EXPECT_TRUE(absl::SimpleAtoi(address.substr(address.find(':') + 1), &target.port));
    target.tls = std::move(tls);
    target.from = "127.0.0.2";
    return target;
  }

  static issuer::v1::Certificate MakeCertificate(const std::string& name, std::size_t bytes) {
    auto certificate = fakes::FakeWorld::MakeCertificate(name, {name + ".example.test"});
    certificate.mutable_metadata()->set_namespace_(kNamespace);
    (*certificate.mutable_metadata()->mutable_annotations())["note"] = std::string(bytes, 'x');
    return certificate;
  }

  // How many of these calls end with each code.
  static std::map<int, int> CallAll(Http2Attacker& attacker, const std::string& path,
                                    const std::vector<std::string>& messages,
                                    std::string& refusal) {
    std::map<int, int> codes;
    for (const std::string& message : messages) {
      const auto response = attacker.Call(path, {}, message);
      if (!response.ok()) break;
      const int code = response->grpc_status().value_or(-1);
      if (code == static_cast<int>(absl::StatusCode::kResourceExhausted)) {
        refusal = response->Find("grpc-message");
      }
      ++codes[code];
    }
    return codes;
  }

  void ExpectOthersAreServed() {
    EXPECT_TRUE(world_->suite().process(Service::kIssuer).Running());
    CW_EXPECT_OK(world_->CreateCertificate(
        fakes::FakeWorld::MakeCertificate("others", {"others.example.test"})));
  }

  const Identities identities_ = Identities::Make();
  std::unique_ptr<fakes::FakeWorld> world_;
};

constexpr int kOk = static_cast<int>(absl::StatusCode::kOk);
constexpr int kResourceExhausted = static_cast<int>(absl::StatusCode::kResourceExhausted);

TEST_F(RateAttackTest, CallsBeyondTheRateAreRefused) {
  CW_ASSERT_OK_AND_ASSIGN(const auto attacker,
                          Http2Attacker::Connect(To(identities_.TlsOf(kRequester))));
  issuer::v1::ListCertificatesRequest list;
  list.set_namespace_(kNamespace);
  std::string refusal;
  const absl::Time start = absl::Now();
  auto codes =
      CallAll(*attacker, PathOf("ListCertificates"),
              std::vector<std::string>(3 * kCallsBurst, list.SerializeAsString()), refusal);
  EXPECT_THAT(codes[kOk],
              AllOf(Ge(kCallsBurst), Le(Allowed(kCallsPerSecond, kCallsBurst, start))));
  EXPECT_EQ(codes[kOk] + codes[kResourceExhausted], 3 * kCallsBurst);
  EXPECT_THAT(refusal, AllOf(HasSubstr("access.callsPerSecond"), HasSubstr("try again in")));
  ExpectOthersAreServed();
}

TEST_F(RateAttackTest, ChangesBeyondTheRateAreRefused) {
  CW_ASSERT_OK_AND_ASSIGN(const auto attacker,
                          Http2Attacker::Connect(To(identities_.TlsOf(kRequester))));
  std::vector<std::string> creates;
  for (int i = 0; i < 2 * kChangesBurst; ++i) {
    issuer::v1::CreateCertificateRequest create;
    *create.mutable_certificate() = MakeCertificate(absl::StrCat("c", i), 10);
    creates.push_back(create.SerializeAsString());
  }
  std::string refusal;
  const absl::Time start = absl::Now();
  auto codes = CallAll(*attacker, PathOf("CreateCertificate"), creates, refusal);
  EXPECT_THAT(codes[kOk],
              AllOf(Ge(kChangesBurst), Le(Allowed(kChangesPerSecond, kChangesBurst, start))));
  EXPECT_EQ(codes[kOk] + codes[kResourceExhausted], 2 * kChangesBurst);
  EXPECT_THAT(refusal, HasSubstr("access.changesPerSecond"));
  ExpectOthersAreServed();
}

// Each begins with all that is there, before the caller can have been charged for any of it.
TEST_F(RateAttackTest, WatchesInNumbersGetNoMoreThanACallerMayHave) {
  constexpr int kWatches = 60;
  constexpr int kCertificates = 20;
  constexpr std::size_t kBytes = 60 << 10;
  for (int i = 0; i < kCertificates; ++i) {
    CW_ASSERT_OK(world_->CreateCertificate(MakeCertificate(absl::StrCat("c", i), kBytes)));
  }
  CW_ASSERT_OK_AND_ASSIGN(const auto attacker,
                          Http2Attacker::Connect(To(identities_.TlsOf(kRequester))));
  issuer::v1::WatchCertificatesRequest watch;
  watch.set_namespace_(kNamespace);
  std::vector<uint32_t> streams;
  for (int i = 0; i < kWatches; ++i) {
    CW_ASSERT_OK_AND_ASSIGN(const uint32_t stream,
                            attacker->StartCall(CallHeaders(PathOf("WatchCertificates")),
                                                watch.SerializeAsString()));
    streams.push_back(stream);
  }
  const auto received = [&] {
    std::size_t bytes = 0;
    for (const uint32_t stream : streams) bytes += attacker->response(stream).data.size();
    return bytes;
  };
  const absl::Time start = absl::Now();
  // One watch's worth comes at once, and goes on to come.
  EXPECT_TRUE(attacker->PumpUntil([&] { return received() >= kCertificates * kBytes; }));
  attacker->PumpUntil([] { return false; }, absl::Seconds(3));
  const std::size_t of_the_rate = Allowed(kCallsPerSecond, kCallsBurst, start) * (16 << 10);
  // What is being read while the last token is taken: a page for each of two readers.
  EXPECT_LE(received(), of_the_rate + 2 * (1 << 20) + kWatches * kBytes / 10);
  ExpectOthersAreServed();
}

TEST_F(RateAttackTest, StrangersWhoCallTooOftenAreDisconnected) {
  CW_ASSERT_OK_AND_ASSIGN(const auto attacker,
                          Http2Attacker::Connect(To(TlsWithoutCertificate())));
  std::string refusal;
  const absl::Time start = absl::Now();
  const auto codes = CallAll(*attacker, PathOf("ListCertificates"),
                             std::vector<std::string>(200, ""), refusal);
  int answered = 0;
  for (const auto& [code, count] : codes) {
    EXPECT_EQ(code, static_cast<int>(absl::StatusCode::kUnauthenticated));
    answered += count;
  }
  // Some more are answered before the connection ends.
  EXPECT_THAT(
      answered,
      AllOf(Ge(1), Le(Allowed(kStrangersPerSecond, 10 * kStrangersPerSecond, start) + 50)));
  EXPECT_TRUE(attacker->closed());
  ExpectOthersAreServed();
}

}  // namespace
}  // namespace certwright::attacks
