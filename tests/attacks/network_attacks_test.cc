// Who may name a nameserver, a CA, an alias or a file uses it to reach what is not theirs:
// hosts of the own network, other zones, other files.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "certwright/solver/v1/propagation.grpc.pb.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"
#include "lib/dns/message.h"
#include "lib/service/conditions.h"
#include "tests/attacks/connection.h"
#include "tests/fakes/fake_world.h"
#include "tests/harness/process.h"

namespace certwright {
namespace {

using fakes::FakeWorld;
using fakes::FakeWorldOptions;
using harness::Service;
using testing::AllOf;
using testing::HasSubstr;

constexpr absl::Duration kTimeout = absl::Seconds(60);
constexpr char kZone[] = "example.test";
constexpr char kProofName[] = "_acme-challenge.www.example.test";

// A host of the own network: it listens with UDP and TCP, and knows whether anybody came.
class Victim {
 public:
  explicit Victim(const std::string& ip, int port = harness::FreePort())
      : ip_(ip), port_(port), udp_(Listen(SOCK_DGRAM)), tcp_(Listen(SOCK_STREAM)) {
    EXPECT_EQ(listen(tcp_, 8), 0);
  }
  ~Victim() {
    close(udp_);
    close(tcp_);
  }
  Victim(const Victim&) = delete;
  Victim& operator=(const Victim&) = delete;

  int port() const { return port_; }
  std::string address() const { return absl::StrCat(ip_, ":", port_); }

  // Since the last call. What has come waits in the kernel until it is asked for.
  bool WasContacted() {
    bool contacted = false;
    char byte = 0;
    while (recv(udp_, &byte, 1, MSG_DONTWAIT) >= 0) contacted = true;
    for (int peer = 0; (peer = accept4(tcp_, nullptr, nullptr, SOCK_CLOEXEC)) >= 0;) {
      contacted = true;
      close(peer);
    }
    return contacted;
  }

 private:
  int Listen(int type) const {
    const int fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port_));
    EXPECT_EQ(inet_pton(AF_INET, ip_.c_str(), &address.sin_addr), 1);
    EXPECT_EQ(bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0)
        << this->address();
    return fd;
  }

  const std::string ip_;
  const int port_;
  const int udp_;
  const int tcp_;
};

std::unique_ptr<FakeWorld> StartWorld(FakeWorldOptions options = {}) {
  options.ca.validation.assume_valid = true;
  auto world = FakeWorld::Start(std::move(options));
  EXPECT_THAT(world, base::IsOk());
  return world.ok() ? *std::move(world) : nullptr;
}

issuer::v1::AcmeSolver& DnsSolver(issuer::v1::ClusterIssuer& issuer) {
  return *issuer.mutable_spec()->mutable_acme()->mutable_solvers(1);
}

// Waits until the reason of a challenge holds `text`; the reason that was there last.
std::string WaitForReason(FakeWorld& world, const std::string& text) {
  std::string last;
  harness::WaitUntil(
      [&] {
        for (const solver::v1::Challenge& challenge : world.ListChallenges()) {
          last = challenge.status().reason();
        }
        return absl::StrContains(last, text);
      },
      kTimeout);
  return last;
}

// Creates the issuer, and waits until the message of its condition Ready holds `text`; what it
// was last.
std::string WaitForIssuerMessage(FakeWorld& world, const issuer::v1::ClusterIssuer& issuer,
                                 const std::string& text) {
  issuer::v1::CreateClusterIssuerRequest create;
  *create.mutable_cluster_issuer() = issuer;
  issuer::v1::CreateClusterIssuerResponse created;
  CW_EXPECT_OK(harness::FromGrpc(
      world.issuers().CreateClusterIssuer(harness::MakeContext().get(), create, &created)));
  issuer::v1::GetClusterIssuerRequest get;
  get.set_name(issuer.metadata().name());
  std::string last;
  harness::WaitUntil(
      [&] {
        issuer::v1::GetClusterIssuerResponse response;
        world.issuers().GetClusterIssuer(harness::MakeContext().get(), get, &response);
        last = harness::DescribeConditions(response.cluster_issuer().status().conditions());
        return absl::StrContains(last, text);
      },
      kTimeout);
  return last;
}

// A ClusterIssuer whose CA is said to be at `server`.
issuer::v1::ClusterIssuer IssuerAt(const FakeWorld& world, const std::string& name,
                                   const std::string& server) {
  issuer::v1::ClusterIssuer issuer = world.MakeClusterIssuer({}, name);
  issuer.mutable_spec()->mutable_acme()->set_server(server);
  return issuer;
}

TEST(NetworkAttacksTest, AnIssuerCannotHaveUpdatesSentToAnyHostAndPort) {
  const auto world = StartWorld({.dns_allowed_ranges = {"127.0.0.1"}});
  ASSERT_NE(world, nullptr);
  Victim other_port("127.0.0.1");
  Victim other_host("127.0.0.7");
  issuer::v1::ClusterIssuer issuer = world->MakeClusterIssuer({kZone});
  issuer::v1::Rfc2136& rfc2136 = *DnsSolver(issuer).mutable_dns01()->mutable_rfc2136();
  rfc2136.set_nameservers(0, other_host.address());
  rfc2136.add_nameservers(other_port.address());
  rfc2136.set_protocol(issuer::v1::DNS_PROTOCOL_TCP);
  CW_ASSERT_OK(world->CreateClusterIssuer(issuer));
  CW_ASSERT_OK(
      world->CreateCertificate(FakeWorld::MakeCertificate("www", {"www.example.test"})));
  EXPECT_THAT(WaitForReason(*world, "refused by policy"),
              AllOf(HasSubstr(other_port.address()), HasSubstr("dnsAllowedPorts")));
  EXPECT_FALSE(other_port.WasContacted());
  EXPECT_FALSE(other_host.WasContacted());
}

TEST(NetworkAttacksTest, AnIssuerCannotHaveQuestionsSentToAnyHostAndPort) {
  const auto world = StartWorld({.dns_allowed_ranges = {"127.0.0.1"}});
  ASSERT_NE(world, nullptr);
  Victim victim("127.0.0.7", world->dns().port());
  issuer::v1::ClusterIssuer issuer = world->MakeClusterIssuer({kZone});
  for (issuer::v1::AcmeSolver& solver :
       *issuer.mutable_spec()->mutable_acme()->mutable_solvers()) {
    solver.mutable_self_check()->add_nameservers(victim.address());
  }
  CW_ASSERT_OK(world->CreateClusterIssuer(issuer));
  for (const char* name : {"www.example.test", "www.by-http.test"}) {
    CW_ASSERT_OK(world->CreateCertificate(
        FakeWorld::MakeCertificate(absl::StrReplaceAll(name, {{".", "-"}}), {name})));
  }
  EXPECT_THAT(WaitForReason(*world, "refused by policy"),
              AllOf(HasSubstr(victim.address()), HasSubstr("dnsAllowedRanges")));

  const auto stub =
      solver::v1::PropagationService::NewStub(world->suite().channel(Service::kSolver));
  solver::v1::CheckPropagationRequest request;
  request.set_name(kProofName);
  request.set_expected_value("x");
  request.add_nameservers(victim.address());
  solver::v1::CheckPropagationResponse response;
  const grpc::Status status =
      stub->CheckPropagation(harness::MakeContext().get(), request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(status.error_message(), HasSubstr("refused by policy"));
  EXPECT_FALSE(victim.WasContacted());
}

dns::Record MakeRecord(const std::string& name, dns::RecordType type,
                       decltype(dns::Record::data) data) {
  dns::Record record;
  record.name = name;
  record.type = type;
  record.ttl = 1;
  record.data = std::move(data);
  return record;
}

TEST(NetworkAttacksTest, NsRecordsLeadToNoHostThatIsNotAllowed) {
  const auto world = StartWorld({.dns_allowed_ranges = {"127.0.0.1"}});
  ASSERT_NE(world, nullptr);
  Victim victim("127.0.0.7", world->dns().port());
  for (const auto& [name, ip] : {std::pair("ns1.example.test", "127.0.0.1"),
                                 std::pair("ns2.example.test", "127.0.0.7")}) {
    world->dns().AddRecord(MakeRecord(kZone, dns::RecordType::kNs, dns::NameData{name}));
    world->dns().AddRecord(MakeRecord(name, dns::RecordType::kA, dns::AddressData{ip}));
  }
  CW_ASSERT_OK(world->CreateClusterIssuer(world->MakeClusterIssuer({kZone})));
  CW_ASSERT_OK(
      world->CreateCertificate(FakeWorld::MakeCertificate("www", {"www.example.test"})));
  CW_ASSERT_OK(world->WaitUntilReady({"www"}, kTimeout));
  bool reported = false;
  for (const solver::v1::Challenge& challenge : world->ListChallenges()) {
    for (const auto& finding : challenge.status().propagation()) {
      if (finding.address() != victim.address()) continue;
      reported = true;
      EXPECT_EQ(finding.outcome(), solver::v1::PROPAGATION_OUTCOME_FORBIDDEN);
      EXPECT_THAT(finding.detail(), HasSubstr("dnsAllowedRanges"));
    }
  }
  EXPECT_TRUE(reported);
  EXPECT_FALSE(victim.WasContacted());
}

TEST(NetworkAttacksTest, AnAliasWritesNothingIntoAZoneThatTheSolverWasNotGiven) {
  FakeWorldOptions options;
  options.dns.zones = {kZone, "victim.test"};
  const auto world = StartWorld(std::move(options));
  ASSERT_NE(world, nullptr);
  world->dns().AddCname(kProofName, "_dmarc.victim.test");
  issuer::v1::ClusterIssuer issuer = world->MakeClusterIssuer({kZone});
  CW_ASSERT_OK(world->CreateClusterIssuer(issuer));
  CW_ASSERT_OK(
      world->CreateCertificate(FakeWorld::MakeCertificate("www", {"www.example.test"})));
  EXPECT_THAT(WaitForReason(*world, "aliasZones"),
              AllOf(HasSubstr(kProofName), HasSubstr("_dmarc.victim.test")));
  EXPECT_EQ(world->dns().updates(), 0);
  EXPECT_TRUE(world->dns().TxtValues("_dmarc.victim.test").empty());

  // Delegation that the operator wants works.
  DnsSolver(issuer).mutable_dns01()->add_alias_zones("victim.test");
  issuer::v1::UpdateClusterIssuerRequest update;
  *update.mutable_cluster_issuer() = issuer;
  issuer::v1::UpdateClusterIssuerResponse updated;
  CW_ASSERT_OK(harness::FromGrpc(
      world->issuers().UpdateClusterIssuer(harness::MakeContext().get(), update, &updated)));
  CW_EXPECT_OK(world->WaitUntilReady({"www"}, kTimeout));
  EXPECT_GE(world->dns().updates(), 1);
}

TEST(NetworkAttacksTest, AProxyVariableOpensNothing) {
  const auto world = StartWorld({.acme_allowed_ranges = {"127.0.0.1"}});
  ASSERT_NE(world, nullptr);
  Victim victim("127.0.0.7");
  Victim proxy("127.0.0.1");
  const std::string proxy_url = absl::StrCat("http://", proxy.address());
  for (const Service service : harness::kServices) {
    world->suite().SetEnvironment(service, {{"https_proxy", proxy_url},
                                            {"HTTPS_PROXY", proxy_url},
                                            {"all_proxy", proxy_url},
                                            {"no_proxy", "127.0.0.7"}});
    world->suite().Kill(service);
    CW_ASSERT_OK(world->suite().Restart(service));
    EXPECT_GT(world->suite().process(service).CountLogLines("acme.proxy"), 0);
  }
  const std::string message = WaitForIssuerMessage(
      *world, IssuerAt(*world, "evil", absl::StrCat("https://", victim.address(), "/dir")),
      "address policy");
  EXPECT_THAT(message, AllOf(HasSubstr("address policy"), HasSubstr("acme.allowedRanges")));
  // One that is allowed is reached, and not by the proxy.
  CW_EXPECT_OK(world->CreateClusterIssuer(world->MakeClusterIssuer()));
  EXPECT_FALSE(victim.WasContacted());
  EXPECT_FALSE(proxy.WasContacted());
}

TEST(NetworkAttacksTest, TheConfiguredProxyIsAskedForNamesButNotForForbiddenAddresses) {
  Victim proxy("127.0.0.1");
  Victim victim("127.0.0.7");
  FakeWorldOptions options;
  options.acme_allowed_ranges = {};
  options.acme_config = absl::StrCat("proxy: {url: \"http://", proxy.address(), "\"}");
  const auto world = StartWorld(std::move(options));
  ASSERT_NE(world, nullptr);
  const std::pair<const char*, std::string> targets[] = {
      {"address", victim.address()},
      {"localhost", absl::StrCat("localhost:", victim.port())},
      {"mapped", "[::ffff:169.254.169.254]"}};
  for (const auto& [name, host] : targets) {
    EXPECT_THAT(WaitForIssuerMessage(
                    *world, IssuerAt(*world, name, absl::StrCat("https://", host, "/dir")),
                    "address policy"),
                HasSubstr("address policy"))
        << host;
  }
  EXPECT_FALSE(proxy.WasContacted());
  EXPECT_FALSE(victim.WasContacted());
  WaitForIssuerMessage(*world, IssuerAt(*world, "named", "https://ca.invalid/dir"),
                       "ca.invalid");
  EXPECT_TRUE(proxy.WasContacted());
}

// Fault 114.
TEST(NetworkAttacksTest, IdleConnectionsToTheHttp01ListenerKeepNobodyOut) {
  CW_ASSERT_OK_AND_ASSIGN(const auto world, FakeWorld::Start({}));
  CW_ASSERT_OK(world->CreateClusterIssuer(world->MakeClusterIssuer()));
  // How long it takes here without them.
  const absl::Time begin = absl::Now();
  CW_ASSERT_OK(
      world->CreateCertificate(FakeWorld::MakeCertificate("first", {"first.example.test"})));
  CW_ASSERT_OK(world->WaitUntilReady({"first"}, kTimeout));
  const absl::Duration undisturbed = absl::Now() - begin;
  attacks::Target listener;
  listener.port = world->suite().http01_port();
  listener.from = "127.0.0.2";
  std::vector<std::unique_ptr<attacks::Connection>> idle;
  for (int i = 0; i < 3000; ++i) {
    CW_ASSERT_OK_AND_ASSIGN(auto connection, attacks::Connection::Open(listener));
    // Some have begun a request.
    if (i % 3 == 0) connection->Send("GET /.well-known/acme-ch").IgnoreError();
    idle.push_back(std::move(connection));
  }
  CW_ASSERT_OK(
      world->CreateCertificate(FakeWorld::MakeCertificate("www", {"www.example.test"})));
  CW_EXPECT_OK(world->WaitUntilReady({"www"}, undisturbed + absl::Seconds(5)));
}

// Changes what the configuration of a service says, for its next start.
void Reconfigure(FakeWorld& world, Service service, const std::string& from,
                 const std::string& to) {
  const std::string path =
      absl::StrCat(world.suite().folder(), "/", harness::ServiceName(service), ".yaml");
  CW_ASSERT_OK_AND_ASSIGN(const std::string config, harness::ReadFile(path));
  ASSERT_THAT(config, HasSubstr(from));
  harness::WriteFile(path, absl::StrReplaceAll(config, {{from, to}}));
}

TEST(NetworkAttacksTest, PlantedLinksLeadToNoOtherFile) {
  const auto world = StartWorld();
  ASSERT_NE(world, nullptr);
  const std::string folder = world->suite().folder();
  const std::string precious = folder + "/precious";
  const std::string address = folder + "/solver.address";
  const std::string audit = folder + "/audit.log";
  harness::WriteFile(precious, "precious");
  for (const std::string& path : {address, address + ".new", audit}) {
    std::filesystem::create_symlink(precious, path);
  }
  Reconfigure(*world, Service::kSolver, "drainGrace: 5s",
              absl::StrCat("drainGrace: 5s, addressFile: \"", address, "\""));
  world->suite().Kill(Service::kSolver);
  CW_ASSERT_OK(world->suite().Restart(Service::kSolver));
  const std::string expected = world->suite().address(Service::kSolver) + "\n";
  EXPECT_TRUE(harness::WaitUntil(
      [&] {
        return !std::filesystem::is_symlink(address) &&
               harness::ReadFile(address).value_or("") == expected;
      },
      kTimeout));

  Reconfigure(*world, Service::kOrder,
              "acme:", absl::StrCat("log: {auditFile: \"", audit, "\"}\nacme:"));
  world->suite().Kill(Service::kOrder);
  EXPECT_THAT(world->suite().Restart(Service::kOrder).message(), HasSubstr(audit));
  std::filesystem::remove(audit);
  CW_EXPECT_OK(world->suite().Restart(Service::kOrder));
  CW_ASSERT_OK_AND_ASSIGN(const std::string content, harness::ReadFile(precious));
  EXPECT_EQ(content, "precious");
}

}  // namespace
}  // namespace certwright
