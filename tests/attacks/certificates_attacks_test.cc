// Callers whose certificates count no more, on connections from when they did.
#include <chrono>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "certwright/issuer/v1/certificate.grpc.pb.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/clock.h"
#include "lib/base/status_matchers.h"
#include "lib/pki/digest.h"
#include "lib/pki/run_command.h"
#include "lib/pki/test_ca.h"
#include "lib/rpc/channel.h"
#include "tests/harness/process.h"
#include "tests/harness/suite.h"

namespace certwright::attacks {
namespace {

using grpc::StatusCode;
using harness::Service;
using pki::Certificate;
using testing::HasSubstr;

std::string Read(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

class CertificatesAttacksTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = harness::MakeFolder("certificates");
    const pki::CommandResult made =
        pki::RunCommand(absl::StrCat("cli/certwright-bootstrap certificates --out ", pki(),
                                     " --client ann.test --client bob.test"));
    ASSERT_EQ(made.exit_status, 0) << made.output;
    CW_ASSERT_OK_AND_ASSIGN(const auto chain, pki::ParseChainPem(Read(pki() + "/ca.crt")));
    CW_ASSERT_OK_AND_ASSIGN(pki::PrivateKey key,
                            pki::PrivateKey::ParsePem(Read(pki() + "/ca.key")));
    ca_ = std::make_unique<pki::TestCa>(std::move(key), chain);
    Replace(crl(), ca_->RevocationList({}));
    Replace(denied(), "# Nobody.\n");
    ASSERT_NO_FATAL_FAILURE(StartServices());
  }

  // The issuer with the lists in server.tls; the suite's own configuration has none.
  void StartServices() {
    harness::SuiteOptions options;
    options.folder = folder_;
    options.dns_server = "127.0.0.1:53";
    options.certificates = pki();
    options.client = "ann.test";
    for (std::string& extra : options.extra_config) {
      extra = absl::StrCat("log: {auditFile: \"", folder_, "/audit.log\"}\n",
                           "access:\n  grants:\n  - {identity: ann.test, role: ROLE_ADMIN}\n",
                           "  - {identity: bob.test, role: ROLE_ADMIN}\n",
                           // Calls until its certificate has ended.
                           "  rates: [{identity: bob.test, callsPerSecond: 100000, ",
                           "callsBurst: 100000}]\n");
    }
    CW_ASSERT_OK_AND_ASSIGN(suite_, harness::Suite::Start(std::move(options)));
    const std::string file = folder_ + "/issuer.yaml";
    std::string config = Read(file);
    // The first is the server's.
    const std::size_t end = config.find('}', config.find("caFile"));
    config.insert(end, absl::StrCat(", crlFile: \"", crl(), "\", deniedFingerprintsFile: \"",
                                    denied(), "\""));
    std::ofstream(file) << config;
    suite_->Kill(Service::kIssuer);
    CW_ASSERT_OK(suite_->Restart(Service::kIssuer));
  }

  std::string pki() const { return folder_ + "/pki"; }
  std::string crl() const { return folder_ + "/revoked.crl"; }
  std::string denied() const { return folder_ + "/denied.txt"; }

  // As operators replace files: whole.
  static void Replace(const std::string& path, const std::string& contents) {
    std::ofstream(path + ".new") << contents;
    ASSERT_EQ(rename((path + ".new").c_str(), path.c_str()), 0);
  }

  Certificate CertificateOf(const std::string& name) const {
    return pki::ParseChainPem(Read(absl::StrCat(pki(), "/", name, ".crt")))->front();
  }

  std::shared_ptr<grpc::Channel> ChannelOf(const std::string& name) const {
    rpc::ChannelOptions options;
    options.address = suite_->address(Service::kIssuer);
    options.tls = harness::FilesOf(pki(), name);
    return *rpc::MakeChannel(options);
  }

  static grpc::Status Call(const std::shared_ptr<grpc::Channel>& channel) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    issuer::v1::ListCertificatesResponse response;
    return issuer::v1::CertificateService::NewStub(channel)->ListCertificates(
        &context, issuer::v1::ListCertificatesRequest(), &response);
  }

  // The answer to the first call that is refused.
  static grpc::Status CallUntilRefused(const std::shared_ptr<grpc::Channel>& channel) {
    grpc::Status answer;
    harness::WaitUntil(
        [&] {
          answer = Call(channel);
          return !answer.ok();
        },
        absl::Seconds(15));
    return answer;
  }

  std::string folder_;
  std::unique_ptr<pki::TestCa> ca_;
  std::unique_ptr<harness::Suite> suite_;
};

TEST_F(CertificatesAttacksTest, ARevokedCallerIsRefusedOnTheConnectionThatItHas) {
  const auto ann = ChannelOf("ann.test");
  const auto bob = ChannelOf("bob.test");
  ASSERT_TRUE(Call(ann).ok());
  ASSERT_TRUE(Call(bob).ok());
  Replace(crl(), ca_->RevocationList({CertificateOf("ann.test")}));
  const grpc::Status refused = CallUntilRefused(ann);
  EXPECT_EQ(refused.error_code(), StatusCode::UNAUTHENTICATED) << refused.error_message();
  EXPECT_THAT(refused.error_message(), HasSubstr("is revoked"));
  // Nor on a new one, which the handshake lets in.
  EXPECT_EQ(Call(ChannelOf("ann.test")).error_code(), StatusCode::UNAUTHENTICATED);
  EXPECT_TRUE(Call(bob).ok());
  EXPECT_TRUE(harness::WaitUntil(
      [&] {
        return Read(folder_ + "/audit.log").find("is revoked (ann.test)") != std::string::npos;
      },
      absl::Seconds(10)));
  // A list that nobody has signed does not let the caller in again.
  Replace(crl(), pki::TestCa("Certwright private CA").RevocationList({}));
  EXPECT_TRUE(harness::WaitUntil(
      [&] {
        return Read(folder_ + "/issuer.log").find("it is not signed by a CA") !=
               std::string::npos;
      },
      absl::Seconds(10)));
  EXPECT_EQ(Call(ann).error_code(), StatusCode::UNAUTHENTICATED);
}

TEST_F(CertificatesAttacksTest, ADeniedCallerIsRefusedOnTheConnectionThatItHas) {
  const auto ann = ChannelOf("ann.test");
  ASSERT_TRUE(Call(ann).ok());
  Replace(denied(), absl::BytesToHexString(pki::Sha256(CertificateOf("ann.test").der)) + "\n");
  const grpc::Status refused = CallUntilRefused(ann);
  EXPECT_EQ(refused.error_code(), StatusCode::UNAUTHENTICATED) << refused.error_message();
  EXPECT_THAT(refused.error_message(), HasSubstr("is denied"));
  EXPECT_TRUE(Call(ChannelOf("bob.test")).ok());
}

TEST_F(CertificatesAttacksTest, ACertificateThatEndsIsRefusedOnTheConnectionThatItHas) {
  pki::SubjectAltNames names;
  names.dns_names = {"bob.test"};
  // A certificate ends at a full second.
  const absl::Time end =
      absl::FromUnixSeconds(absl::ToUnixSeconds(base::Clock::Real().Now()) + 8);
  const pki::TestIdentity identity = ca_->Issue(names, end);
  Replace(pki() + "/short.crt", identity.chain_pem);
  Replace(pki() + "/short.key", identity.key_pem);
  const auto channel = ChannelOf("short");
  ASSERT_TRUE(Call(channel).ok());
  const grpc::Status refused = CallUntilRefused(channel);
  EXPECT_EQ(refused.error_code(), StatusCode::UNAUTHENTICATED) << refused.error_message();
  EXPECT_THAT(refused.error_message(), HasSubstr("has expired"));
  EXPECT_GT(base::Clock::Real().Now(), end);
}

}  // namespace
}  // namespace certwright::attacks
