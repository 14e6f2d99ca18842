// The three services with CAs that are not made for tests and are not much like Let's
// Encrypt's: step-ca and Caddy's ACME server. Both validate for real.
#include <sys/stat.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"
#include "lib/pki/certificate.h"
#include "lib/pki/run_command.h"
#include "tests/harness/account_client.h"
#include "tests/harness/caddy.h"
#include "tests/harness/knot.h"
#include "tests/harness/own_network.h"
#include "tests/harness/step_ca.h"
#include "tests/harness/suite.h"
#include "tests/harness/suite_client.h"

namespace certwright {
namespace {

using harness::Service;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr absl::Duration kTimeout = absl::Minutes(2);
constexpr char kIssuer[] = "other";
constexpr char kTsigSecret[] = "knot-tsig";

// For the whole process, before it has a second thread.
class Network : public testing::Environment {
 public:
  void SetUp() override { entered_ = harness::EnterOwnNetwork(harness::MakeFolder("network")); }
  static const absl::Status& entered() { return entered_; }

 private:
  static inline absl::Status entered_;
};
const auto* const kNetwork = testing::AddGlobalTestEnvironment(new Network);

// A nameserver and the three services, and a client of them.
class Services : public harness::SuiteClient {
 public:
  // Ports for DNS and HTTP-01; 0: free ones.
  void Start(int dns_port, int http_port) {
    harness::KnotOptions knot;
    knot.folder = SubFolder("knot");
    knot.zones = {{"example.test", ""}};
    knot.port = dns_port;
    CW_ASSERT_OK_AND_ASSIGN(knot_, harness::Knot::Start(std::move(knot)));
    harness::SuiteOptions suite;
    suite.folder = SubFolder("suite");
    suite.dns_server = knot_->address();
    suite.authoritative_port = knot_->port();
    suite.http01_port = http_port;
    CW_ASSERT_OK_AND_ASSIGN(suite_, harness::Suite::Start(std::move(suite)));
    Connect(*suite_);
  }

  // HTTP-01, and DNS-01 for names in dns.example.test.
  absl::Status CreateIssuer(const std::string& directory_url, const std::string& root_pem) {
    issuer::v1::ClusterIssuer issuer;
    issuer.mutable_metadata()->set_name(kIssuer);
    issuer::v1::AcmeIssuer& acme = *issuer.mutable_spec()->mutable_acme();
    acme.set_server(directory_url);
    acme.set_ca_bundle(root_pem);
    issuer::v1::AcmeSolver& http = *acme.add_solvers();
    http.set_name("http");
    http.mutable_http01()->set_self_check_port(suite_->http01_port());
    issuer::v1::AcmeSolver& dns = *acme.add_solvers();
    dns.set_name("dns");
    dns.mutable_selector()->add_dns_zones("dns.example.test");
    issuer::v1::Rfc2136& rfc2136 = *dns.mutable_dns01()->mutable_rfc2136();
    rfc2136.add_nameservers(knot_->address());
    rfc2136.set_tsig_key_name(knot_->tsig_key_name());
    rfc2136.mutable_tsig_secret_secret_ref()->set_name(kTsigSecret);
    const absl::Status stored =
        CreateClusterSecret(kTsigSecret, {{"tsig-secret", knot_->tsig_secret()}});
    return stored.ok() ? CreateClusterIssuer(issuer) : stored;
  }

  harness::Knot& knot() { return *knot_; }
  harness::Suite& suite() { return *suite_; }

  std::string SubFolder(const std::string& name) const {
    std::string path = absl::StrCat(folder_, "/", name);
    mkdir(path.c_str(), 0700);
    return path;
  }

 private:
  const std::string folder_ = harness::MakeFolder("other-ca");
  std::unique_ptr<harness::Knot> knot_;
  std::unique_ptr<harness::Suite> suite_;
};

class OtherCaFixture : public testing::Test {
 protected:
  void StartStepCa(absl::Duration validity) {
    ASSERT_NO_FATAL_FAILURE(services_.Start(0, 0));
    harness::StepCaOptions options;
    options.folder = services_.SubFolder("step-ca");
    options.http_port = services_.suite().http01_port();
    options.dns_server = services_.knot().address();
    options.validity = validity;
    CW_ASSERT_OK_AND_ASSIGN(step_ca_, harness::StepCa::Start(std::move(options)));
    root_pem_ = step_ca_->root_pem();
    CW_ASSERT_OK(services_.CreateIssuer(step_ca_->directory_url(), root_pem_));
    account_.emplace(services_.suite(), services_, kIssuer);
  }
  void StartCaddy() {
    ASSERT_NO_FATAL_FAILURE(services_.Start(harness::kDnsPort, harness::kHttpPort));
    CW_ASSERT_OK_AND_ASSIGN(caddy_, harness::Caddy::Start(services_.SubFolder("caddy")));
    root_pem_ = caddy_->root_pem();
    CW_ASSERT_OK(services_.CreateIssuer(caddy_->directory_url(), root_pem_));
    account_.emplace(services_.suite(), services_, kIssuer);
  }

  // Its serial number, in upper-case hexadecimal, once that revision is there and Ready. Empty,
  // and the test fails, if it does not come.
  std::string WaitForRevision(const std::string& name, int revision,
                              const std::vector<std::string>& dns_names) {
    std::string seen;
    const bool in_time = harness::WaitUntil(
        [&] {
          const auto certificate = services_.GetCertificate(name);
          seen =
              certificate.ok() ? certificate->DebugString() : certificate.status().ToString();
          return certificate.ok() && certificate->status().revision() == revision;
        },
        kTimeout);
    EXPECT_TRUE(in_time) << seen;
    CW_EXPECT_OK(services_.WaitUntilReady({name}, kTimeout));
    const auto secret = services_.GetSecret(name + "-tls");
    EXPECT_THAT(secret, base::IsOk());
    if (!secret.ok()) return "";
    CW_EXPECT_OK(harness::VerifySecret(*secret, dns_names, root_pem_));
    const auto chain = pki::ParseChainPem(secret->data().at("tls.crt"));
    return chain.ok() ? absl::AsciiStrToUpper(chain->front().serial_hex) : "";
  }
  std::string Issue(const std::string& name, const std::vector<std::string>& dns_names) {
    CW_EXPECT_OK(services_.CreateCertificate(
        harness::SuiteClient::MakeCertificate(name, dns_names, kIssuer)));
    return WaitForRevision(name, 1, dns_names);
  }
  void Renew(const std::string& name) {
    issuer::v1::RenewCertificateRequest request;
    request.set_name(name);
    issuer::v1::RenewCertificateResponse response;
    CW_EXPECT_OK(harness::FromGrpc(services_.certificates().RenewCertificate(
        harness::MakeContext().get(), request, &response)));
  }
  absl::Status Revoke(const std::string& name) {
    issuer::v1::RevokeCertificateRequest request;
    request.set_name(name);
    request.set_reason(issuer::v1::REVOCATION_REASON_SUPERSEDED);
    issuer::v1::RevokeCertificateResponse response;
    return harness::FromGrpc(services_.certificates().RevokeCertificate(
        harness::MakeContext().get(), request, &response));
  }
  // What openssl reads in the CRL of step-ca.
  std::string RevocationList() {
    const auto crl = step_ca_->FetchCrl();
    if (!crl.ok()) return crl.status().ToString();
    const std::string file = pki::WriteTestFile("crl.pem", *crl);
    return pki::RunCommand(absl::StrCat("openssl crl -noout -text -in ", file)).output;
  }

  Services services_;
  std::unique_ptr<harness::StepCa> step_ca_;
  std::unique_ptr<harness::Caddy> caddy_;
  std::string root_pem_;
  std::optional<harness::AccountClient> account_;
};

enum class Peer { kStepCa, kCaddy };

class OtherCaTest : public OtherCaFixture, public testing::WithParamInterface<Peer> {
 protected:
  void SetUp() override {
    if (GetParam() == Peer::kStepCa) {
      ASSERT_NO_FATAL_FAILURE(StartStepCa(absl::Hours(24)));
    } else if (Network::entered().ok()) {
      ASSERT_NO_FATAL_FAILURE(StartCaddy());
    } else {
      GTEST_SKIP() << "NOT TESTED: " << Network::entered();
    }
  }
};

TEST_P(OtherCaTest, IssuesByBothProofsAndRenews) {
  const std::string first = Issue("www", {"www.example.test"});
  Issue("dns", {"dns.example.test", "*.dns.example.test"});
  Renew("www");
  EXPECT_NE(WaitForRevision("www", 2, {"www.example.test"}), first);
}

// As openssl prints a serial number: without the 00 octet that DER puts before a first octet
// from 80 on, which half of all random serial numbers have.
std::string PrintedSerial(absl::string_view serial_hex) {
  return absl::StrCat("Serial Number: ", absl::StripPrefix(serial_hex, "00"));
}

TEST_P(OtherCaTest, RevokesAndReplaces) {
  const std::string first = Issue("www", {"www.example.test"});
  CW_ASSERT_OK(Revoke("www"));
  const std::string second = WaitForRevision("www", 2, {"www.example.test"});
  EXPECT_NE(second, first);
  // Caddy shows nobody what is revoked.
  if (step_ca_ != nullptr) {
    const std::string crl = RevocationList();
    EXPECT_THAT(crl, HasSubstr(PrintedSerial(first)));
    EXPECT_THAT(crl, testing::Not(HasSubstr(PrintedSerial(second))));
  }
}

// Fault 113. Both have a keyChange in their directory and answer 501 to it.
TEST_P(OtherCaTest, ARefusedRolloverKeepsTheKeyAndTheIssuerSignsOn) {
  CW_ASSERT_OK_AND_ASSIGN(const issuer::v1::Account before, account_->Get());
  CW_ASSERT_OK_AND_ASSIGN(const auto keys, account_->Keys());
  const auto rolled_over = account_->RollOver(absl::Seconds(30));
  EXPECT_EQ(rolled_over.status().code(), absl::StatusCode::kFailedPrecondition)
      << rolled_over.status();
  EXPECT_THAT(account_->IssuerConditions(),
              AllOf(HasSubstr("AccountKeyRolledOver=False Refused"), HasSubstr("Ready=True")));
  EXPECT_THAT(account_->Keys(), base::IsOkAndHolds(keys));
  CW_ASSERT_OK_AND_ASSIGN(const issuer::v1::Account after, account_->Get());
  EXPECT_EQ(after.uri(), before.uri());
  EXPECT_EQ(after.key_thumbprint(), before.key_thumbprint());
  Issue("after", {"after.example.test"});

  services_.suite().Kill(Service::kIssuer);
  CW_ASSERT_OK(services_.suite().Restart(Service::kIssuer));
  Issue("restarted", {"restarted.example.test"});
  EXPECT_THAT(account_->Keys(), base::IsOkAndHolds(keys));
}

TEST_P(OtherCaTest, ADeactivatedAccountIssuesNothing) {
  Issue("before", {"before.example.test"});
  CW_ASSERT_OK(account_->Deactivate());
  CW_EXPECT_OK(account_->Deactivate());
  EXPECT_THAT(account_->IssuerConditions(), HasSubstr("Ready=False AccountDeactivated"));
  CW_ASSERT_OK(services_.CreateCertificate(
      harness::SuiteClient::MakeCertificate("late", {"late.example.test"}, kIssuer)));
  std::string conditions;
  EXPECT_TRUE(harness::WaitUntil(
      [&] {
        const auto late = services_.GetCertificate("late");
        if (late.ok()) conditions = harness::DescribeConditions(late->status().conditions());
        return conditions.find("was deactivated") != std::string::npos;
      },
      kTimeout))
      << conditions;
}

INSTANTIATE_TEST_SUITE_P(Cas, OtherCaTest, testing::Values(Peer::kStepCa, Peer::kCaddy),
                         [](const auto& info) {
                           return info.param == Peer::kStepCa ? "StepCa" : "Caddy";
                         });

TEST_F(OtherCaFixture, WhatLastsMinutesIsRenewedWhenItsTimeHasCome) {
  ASSERT_NO_FATAL_FAILURE(StartStepCa(absl::Minutes(2)));
  const std::string first = Issue("www", {"www.example.test"});
  EXPECT_NE(WaitForRevision("www", 2, {"www.example.test"}), first);
}

}  // namespace
}  // namespace certwright
