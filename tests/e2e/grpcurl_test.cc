// What an operator can see and do with grpcurl and nothing else: no .proto file, no client.
#include <signal.h>

#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/substitute.h"
#include "absl/time/clock.h"
#include "boost/json/parse.hpp"
#include "boost/json/serialize.hpp"
#include "boost/json/stream_parser.hpp"
#include "boost/json/string.hpp"
#include "boost/json/value.hpp"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"
#include "lib/pki/certificate.h"
#include "tests/harness/world.h"

namespace certwright {
namespace {

using harness::Process;
using harness::Service;
using harness::World;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::IsSupersetOf;
using ::testing::Not;

constexpr absl::Duration kTimeout = absl::Seconds(60);
// grpcurl's exit status for a call that failed is 64 and the code.
constexpr int kInvalidArgument = 64 + 3;
constexpr int kDeadlineExceeded = 64 + 4;
constexpr int kNotFound = 64 + 5;
constexpr int kUnimplemented = 64 + 12;

constexpr char kCertificates[] = "certwright.issuer.v1.CertificateService/";
constexpr char kIssuers[] = "certwright.issuer.v1.IssuerService/";

struct Output {
  int status = -1;
  // Standard output and error.
  std::string text;
};

// The JSON values of `text`, up to one that is not complete yet.
std::vector<boost::json::value> Messages(const std::string& text) {
  std::vector<boost::json::value> messages;
  boost::json::stream_parser parser;
  std::size_t read = 0;
  while (read < text.size()) {
    boost::system::error_code error;
    read += parser.write_some(text.data() + read, text.size() - read, error);
    if (error || !parser.done()) break;
    messages.push_back(parser.release());
    parser.reset();
  }
  return messages;
}

// "ADDED False", "MODIFIED True", "BOOKMARK": an event and whether its Certificate is Ready.
std::string Summary(const boost::json::value& event) {
  std::string summary(event.at("type").as_string());
  summary.erase(0, std::string("EVENT_TYPE_").size());
  const boost::json::value* certificate = event.as_object().if_contains("certificate");
  if (certificate == nullptr) return summary;
  const boost::json::value* status = certificate->as_object().if_contains("status");
  if (status == nullptr) return summary + " False";
  const boost::json::value* conditions = status->as_object().if_contains("conditions");
  if (conditions == nullptr) return summary + " False";
  const bool ready =
      std::ranges::any_of(conditions->as_array(), [](const boost::json::value& condition) {
        return condition.at("type").as_string() == "Ready" &&
               condition.at("status").as_string() == "CONDITION_STATUS_TRUE";
      });
  return summary + (ready ? " True" : " False");
}

std::vector<std::string> Summaries(const std::string& text) {
  std::vector<std::string> summaries;
  for (const boost::json::value& event : Messages(text)) summaries.push_back(Summary(event));
  return summaries;
}

// One world for all: no test looks at what another made.
class GrpcurlTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    const auto program = harness::FindProgram("grpcurl", "");
    ASSERT_TRUE(program.ok()) << "grpcurl is not in PATH. \"./test bazel //tests/e2e/...\" "
                                 "puts it into .tools/bin and its folder into PATH.";
    program_ = *program;
    absl::StatusOr<std::unique_ptr<World>> world = World::Start({});
    CW_ASSERT_OK(world);
    world_ = world->release();
  }
  static void TearDownTestSuite() {
    delete world_;
    world_ = nullptr;
  }
  void SetUp() override { ASSERT_NE(world_, nullptr); }

  // grpcurl FLAGS... ADDRESS ARGUMENTS...
  std::unique_ptr<Process> Start(Service service, std::vector<std::string> flags,
                                 const std::vector<std::string>& arguments) {
    harness::ProcessSpec spec;
    spec.name = "grpcurl";
    spec.arguments = {program_, "-plaintext"};
    spec.arguments.insert(spec.arguments.end(), flags.begin(), flags.end());
    spec.arguments.push_back(world_->suite().address(service));
    spec.arguments.insert(spec.arguments.end(), arguments.begin(), arguments.end());
    spec.log_file = absl::StrCat(folder_, "/", ++last_log_);
    absl::StatusOr<std::unique_ptr<Process>> process = Process::Start(std::move(spec));
    EXPECT_THAT(process, base::IsOk());
    return process.ok() ? *std::move(process) : nullptr;
  }
  Output Run(Service service, std::vector<std::string> flags,
             const std::vector<std::string>& arguments) {
    flags.insert(flags.end(), {"-max-time", "20"});
    const std::unique_ptr<Process> process = Start(service, std::move(flags), arguments);
    if (process == nullptr) return {};
    return {process->Wait(kTimeout).value_or(-1), Text(*process)};
  }
  // The issuer's answer to `method` with `data`, which is JSON.
  Output Call(const std::string& method, const std::string& data) {
    return Run(Service::kIssuer, {"-d", data}, {method});
  }
  static std::string Text(const Process& process) {
    return harness::ReadFile(process.log_file()).value_or("");
  }
  std::set<std::string> ListedBy(Service service) {
    const Output listed = Run(service, {}, {"list"});
    EXPECT_EQ(listed.status, 0) << listed.text;
    return absl::StrSplit(listed.text, '\n', absl::SkipEmpty());
  }
  // Waits until the watch shows this, and returns all that it has shown.
  static std::vector<std::string> WaitForEvent(const Process& watch, const std::string& event) {
    std::vector<std::string> seen;
    harness::WaitUntil(
        [&] {
          seen = Summaries(Text(watch));
          return std::find(seen.begin(), seen.end(), event) != seen.end();
        },
        kTimeout);
    return seen;
  }
  // Of Pebble, by HTTP-01.
  std::string ClusterIssuerJson(const std::string& name) {
    return absl::Substitute(
        R"({"cluster_issuer": {"metadata": {"name": "$0"}, "spec": {"acme": {
              "server": "$1", "ca_bundle": $2,
              "solvers": [{"http01": {"self_check_port": $3}}]}}}})",
        name, world_->pebble().directory_url(),
        boost::json::serialize(boost::json::string(world_->pebble().tls_ca_pem())),
        world_->suite().http01_port());
  }

  static inline World* world_ = nullptr;
  static inline std::string program_;
  const std::string folder_ = harness::MakeFolder("grpcurl");
  int last_log_ = 0;
};

TEST_F(GrpcurlTest, ListsTheServices) {
  EXPECT_THAT(ListedBy(Service::kIssuer),
              IsSupersetOf({"certwright.issuer.v1.AccountService",
                            "certwright.issuer.v1.CertificateRequestService",
                            "certwright.issuer.v1.CertificateService",
                            "certwright.issuer.v1.IssuerService",
                            "certwright.issuer.v1.SecretService", "grpc.health.v1.Health"}));
  EXPECT_THAT(ListedBy(Service::kOrder),
              IsSupersetOf({"certwright.order.v1.OrderService", "grpc.health.v1.Health"}));
  EXPECT_THAT(
      ListedBy(Service::kSolver),
      IsSupersetOf({"certwright.solver.v1.ChallengeService",
                    "certwright.solver.v1.PresentationService",
                    "certwright.solver.v1.PropagationService", "grpc.health.v1.Health"}));
}

TEST_F(GrpcurlTest, DescribesEveryServiceThatItLists) {
  for (const Service service : harness::kServices) {
    for (const std::string& name : ListedBy(service)) {
      const Output described = Run(service, {}, {"describe", name});
      EXPECT_EQ(described.status, 0) << described.text;
      EXPECT_THAT(described.text, AllOf(HasSubstr(name + " is a service"), HasSubstr("rpc ")));
    }
  }
}

TEST_F(GrpcurlTest, DescribesMethodsAndMessages) {
  const Output service =
      Run(Service::kIssuer, {}, {"describe", "certwright.issuer.v1.CertificateService"});
  EXPECT_THAT(
      service.text,
      HasSubstr("rpc WatchCertificates ( .certwright.issuer.v1.WatchCertificatesRequest "
                ") returns ( stream .certwright.issuer.v1.WatchCertificatesResponse )"));
  const Output message = Run(Service::kIssuer, {"-msg-template"},
                             {"describe", "certwright.issuer.v1.CertificateSpec"});
  EXPECT_EQ(message.status, 0) << message.text;
  EXPECT_THAT(message.text, AllOf(HasSubstr("repeated string dns_names ="),
                                  HasSubstr("Message template:"), HasSubstr("\"usages\": [")));
}

TEST_F(GrpcurlTest, FollowsACertificateFromItsCreationToItsDeletion) {
  const Output issuer =
      Call(absl::StrCat(kIssuers, "CreateClusterIssuer"), ClusterIssuerJson("life"));
  ASSERT_EQ(issuer.status, 0) << issuer.text;
  const auto watch = Start(Service::kIssuer, {"-d", R"({"name": "life"})"},
                           {absl::StrCat(kCertificates, "WatchCertificates")});
  ASSERT_NE(watch, nullptr);
  ASSERT_THAT(WaitForEvent(*watch, "BOOKMARK"), Contains("BOOKMARK")) << Text(*watch);

  const Output created =
      Call(absl::StrCat(kCertificates, "CreateCertificate"), R"({"certificate": {
      "metadata": {"name": "life"},
      "spec": {"secret_name": "life-tls", "dns_names": ["life.example.test"],
               "issuer_ref": {"name": "life", "kind": "ISSUER_KIND_CLUSTER_ISSUER"}}}})");
  ASSERT_EQ(created.status, 0) << created.text;
  std::vector<std::string> seen = WaitForEvent(*watch, "MODIFIED True");
  ASSERT_THAT(seen, Contains("MODIFIED True")) << Text(*watch);
  // It comes while it is watched, and is not Ready from the start.
  std::erase(seen, "BOOKMARK");
  EXPECT_EQ(seen.front(), "ADDED False");

  const Output got = Call(absl::StrCat(kCertificates, "GetCertificate"), R"({"name": "life"})");
  EXPECT_EQ(got.status, 0) << got.text;
  EXPECT_THAT(got.text, AllOf(HasSubstr("\"uid\": "), HasSubstr("\"life.example.test\""),
                              HasSubstr("\"revision\": 1")));
  const Output chain =
      Call(absl::StrCat(kCertificates, "GetCertificateChain"), R"({"name": "life"})");
  ASSERT_EQ(chain.status, 0) << chain.text;
  const boost::json::value chain_json = boost::json::parse(chain.text);
  CW_EXPECT_OK(pki::ParseChainPem(std::string(chain_json.at("certificate").as_string())));
  EXPECT_THAT(chain.text, Not(HasSubstr("PRIVATE KEY")));
  const Output listed =
      Call(absl::StrCat(kCertificates, "ListCertificates"), R"({"page_size": 10})");
  EXPECT_THAT(listed.text, AllOf(HasSubstr("\"certificates\": ["), HasSubstr("\"life-tls\"")));

  const Output deleted =
      Call(absl::StrCat(kCertificates, "DeleteCertificate"), R"({"name": "life"})");
  EXPECT_EQ(deleted.status, 0) << deleted.text;
  seen = WaitForEvent(*watch, "DELETED True");
  EXPECT_THAT(seen, Contains("DELETED True")) << Text(*watch);
  // An operator's Ctrl-C.
  watch->Signal(SIGINT);
  EXPECT_THAT(watch->Wait(absl::Seconds(10)), base::IsOk());
  const Output gone =
      Call(absl::StrCat(kCertificates, "GetCertificate"), R"({"name": "life"})");
  EXPECT_EQ(gone.status, kNotFound);
  EXPECT_THAT(gone.text, HasSubstr("Certificate default/life"));
}

TEST_F(GrpcurlTest, SeesOrdersAndChallengesOfACertificate) {
  const Output issuer =
      Call(absl::StrCat(kIssuers, "CreateClusterIssuer"), ClusterIssuerJson("parts"));
  ASSERT_EQ(issuer.status, 0) << issuer.text;
  // Names that Knot does not serve: the challenge stays.
  const Output created =
      Call(absl::StrCat(kCertificates, "CreateCertificate"), R"({"certificate": {
      "metadata": {"name": "parts"},
      "spec": {"secret_name": "parts-tls", "dns_names": ["parts.elsewhere.test"],
               "issuer_ref": {"name": "parts", "kind": "ISSUER_KIND_CLUSTER_ISSUER"}}}})");
  ASSERT_EQ(created.status, 0) << created.text;
  std::string challenges;
  EXPECT_TRUE(harness::WaitUntil(
      [&] {
        challenges =
            Run(Service::kSolver, {}, {"certwright.solver.v1.ChallengeService/ListChallenges"})
                .text;
        return challenges.find("\"reason\": ") != std::string::npos;
      },
      kTimeout))
      << challenges;
  EXPECT_THAT(challenges, HasSubstr("parts.elsewhere.test"));
  EXPECT_THAT(Run(Service::kOrder, {}, {"certwright.order.v1.OrderService/ListOrders"}).text,
              AllOf(HasSubstr("\"orders\": ["), HasSubstr("parts.elsewhere.test")));
  Call(absl::StrCat(kCertificates, "DeleteCertificate"), R"({"name": "parts"})");
}

// Fault 96.
TEST_F(GrpcurlTest, EveryBadFieldIsNamedAtOnce) {
  const Output refused =
      Call(absl::StrCat(kCertificates, "CreateCertificate"), R"({"certificate": {
      "metadata": {"name": "Bad_Name"},
      "spec": {"dns_names": ["good.example.test", "a..b"], "duration": "60s"}}})");
  EXPECT_EQ(refused.status, kInvalidArgument);
  EXPECT_THAT(refused.text, AllOf(HasSubstr("Code: InvalidArgument"), HasSubstr("Details:"),
                                  HasSubstr("google.rpc.BadRequest")));
  const std::size_t details = refused.text.find("Details:");
  ASSERT_NE(details, std::string::npos);
  for (const char* field : {"metadata.name", "spec.secretName", "spec.issuerRef.name",
                            "spec.dnsNames[1]", "spec.duration"}) {
    // For people, and for programs.
    EXPECT_THAT(refused.text.substr(0, details), HasSubstr(absl::StrCat(field, ": ")));
    EXPECT_THAT(refused.text.substr(details), HasSubstr(absl::StrCat("\"", field, "\"")));
  }
  const Output issuer = Call(absl::StrCat(kIssuers, "CreateIssuer"), R"({"issuer": {
      "metadata": {"name": "x"},
      "spec": {"acme": {"server": "http://ca.example.test", "email": "nobody",
                        "solvers": [{"name": "a"}]}}}})");
  EXPECT_EQ(issuer.status, kInvalidArgument);
  EXPECT_THAT(issuer.text,
              AllOf(HasSubstr("\"spec.acme.server\""), HasSubstr("\"spec.acme.email\""),
                    HasSubstr("\"spec.acme.solvers[0]\"")));
}

TEST_F(GrpcurlTest, WhatIsNotServedSaysSo) {
  const Output field = Call(absl::StrCat(kIssuers, "CreateClusterIssuer"),
                            R"({"cluster_issuer": {"metadata": {"name": "x"},
                                "spec": {"acme": {
                                  "server": "https://ca.example.test/directory",
                                  "solvers": [{"dns01": {"akamai": {}}}]}}}})");
  EXPECT_EQ(field.status, kUnimplemented);
  EXPECT_THAT(field.text, HasSubstr("the provider rfc2136 only"));
}

TEST_F(GrpcurlTest, AWatchEndsWithItsTime) {
  const absl::Time start = absl::Now();
  const auto watch = Start(Service::kIssuer, {"-max-time", "1", "-d", R"({"name": "nobody"})"},
                           {absl::StrCat(kCertificates, "WatchCertificates")});
  ASSERT_NE(watch, nullptr);
  EXPECT_THAT(watch->Wait(absl::Seconds(20)), base::IsOkAndHolds(kDeadlineExceeded))
      << Text(*watch);
  EXPECT_GE(absl::Now() - start, absl::Milliseconds(900));
  EXPECT_THAT(Summaries(Text(*watch)), AllOf(Contains("BOOKMARK"), Each("BOOKMARK")));
}

}  // namespace
}  // namespace certwright
