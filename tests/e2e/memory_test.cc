// Where private keys are in the memory of the services while they run: only in the issuer, and
// there no longer than they are needed.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "boost/asio/ip/tcp.hpp"
#include "certwright/meta/v1/event_service.grpc.pb.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"
#include "lib/pki/key.h"
#include "tests/harness/world.h"

namespace certwright {
namespace {

using harness::Service;
using harness::World;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

constexpr absl::Duration kTimeout = absl::Minutes(2);
// The default for the ClusterIssuer "pebble".
constexpr char kAccountSecret[] = "pebble-account-key";

// What gives a key away, by what it is.
using Needles = std::map<std::string, std::string>;

void AddKey(const std::string& name, const std::string& pem, Needles& needles) {
  const auto key = pki::PrivateKey::ParsePem(pem);
  CW_ASSERT_OK(key);
  // RFC 5915: version 1, then the scalar as an OCTET STRING.
  const base::Secret der = key->ToDer();
  const absl::string_view mark("\x02\x01\x01\x04\x20", 5);
  const auto at = der.Reveal().find(mark);
  ASSERT_NE(at, absl::string_view::npos) << "no P-256 key";
  std::string scalar(der.Reveal().substr(at + mark.size(), 32));
  needles[name + " scalar"] = scalar;
  std::reverse(scalar.begin(), scalar.end());
  needles[name + " scalar as a number in memory"] = scalar;
  // The scalar ends in the second line of the base64 text; no line feed, which JSON would
  // escape.
  const std::vector<std::string> lines = absl::StrSplit(pem, '\n');
  ASSERT_GT(lines.size(), 3u);
  needles[name + " PEM"] = lines[2].substr(0, 26);
}

// What of `needles` is in the writable memory of a process, which root may read.
std::vector<std::string> FoundIn(pid_t process, const Needles& needles) {
  std::vector<std::string> found;
  const int memory = open(absl::StrCat("/proc/", process, "/mem").c_str(), O_RDONLY);
  EXPECT_GE(memory, 0) << "its memory cannot be read: run as root";
  std::ifstream maps(absl::StrCat("/proc/", process, "/maps"));
  std::size_t read_bytes = 0;
  for (std::string line; std::getline(maps, line);) {
    std::istringstream fields(line);
    std::size_t begin = 0;
    std::size_t end = 0;
    char dash = 0;
    std::string permissions;
    fields >> std::hex >> begin >> dash >> end >> permissions;
    if (!absl::StartsWith(permissions, "rw")) continue;
    std::string bytes(end - begin, '\0');
    const ssize_t size = pread(memory, bytes.data(), bytes.size(), static_cast<off_t>(begin));
    if (size <= 0) continue;
    bytes.resize(static_cast<std::size_t>(size));
    read_bytes += bytes.size();
    for (const auto& [name, needle] : needles) {
      if (absl::StrContains(bytes, needle)) found.push_back(name);
    }
  }
  close(memory);
  EXPECT_GT(read_bytes, std::size_t{4} << 20) << "that is not all of its memory";
  std::sort(found.begin(), found.end());
  found.erase(std::unique(found.begin(), found.end()), found.end());
  return found;
}

// What of `needles` is in `text`.
std::vector<std::string> FoundIn(const std::string& text, const Needles& needles) {
  std::vector<std::string> found;
  for (const auto& [name, needle] : needles) {
    if (absl::StrContains(text, needle)) found.push_back(name);
  }
  return found;
}

// What a service that logs to `log` answers to GET /metrics.
std::string ReadMetrics(const std::string& log) {
  const absl::string_view mark = "\"metrics_port\":";
  const auto at = log.find(std::string(mark));
  EXPECT_NE(at, std::string::npos) << log;
  if (at == std::string::npos) return "";
  boost::asio::ip::tcp::iostream stream;
  stream.expires_after(std::chrono::seconds(30));
  stream.connect("127.0.0.1", std::to_string(std::atoi(log.c_str() + at + mark.size())));
  stream << "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
         << std::flush;
  return std::string(std::istreambuf_iterator<char>(stream), {});
}

class MemoryTest : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "NOT TESTED: only root can read the services' memory";
    CW_ASSERT_OK_AND_ASSIGN(world_, World::Start({}));
    CW_ASSERT_OK(
        world_->CreateClusterIssuer(world_->MakeClusterIssuer({}, {"dns.example.test"})));
    auto certificate = World::MakeCertificate("c", {"c.dns.example.test", "c.example.test"});
    certificate.mutable_spec()->mutable_private_key()->set_algorithm(
        issuer::v1::PRIVATE_KEY_ALGORITHM_ECDSA);
    CW_ASSERT_OK(world_->CreateCertificate(certificate));
    CW_ASSERT_OK(world_->WaitUntilReady({"c"}, kTimeout));
  }

  std::string ReadKey(const std::string& resource_namespace, const std::string& name) {
    issuer::v1::GetSecretRequest request;
    request.set_namespace_(resource_namespace);
    request.set_name(name);
    issuer::v1::GetSecretResponse response;
    CW_EXPECT_OK(harness::FromGrpc(
        world_->secrets().GetSecret(harness::MakeContext().get(), request, &response)));
    return response.secret().data().at("tls.key");
  }
  void DeleteSecret(const std::string& resource_namespace, const std::string& name) {
    issuer::v1::DeleteSecretRequest request;
    request.set_namespace_(resource_namespace);
    request.set_name(name);
    issuer::v1::DeleteSecretResponse response;
    CW_ASSERT_OK(harness::FromGrpc(
        world_->secrets().DeleteSecret(harness::MakeContext().get(), request, &response)));
  }
  std::string ReadEvents(Service service) {
    const auto events = meta::v1::EventService::NewStub(world_->suite().channel(service));
    meta::v1::ListEventsResponse response;
    CW_EXPECT_OK(harness::FromGrpc(events->ListEvents(
        harness::MakeContext().get(), meta::v1::ListEventsRequest(), &response)));
    return response.DebugString();
  }
  void DeleteEverything() {
    issuer::v1::DeleteCertificateRequest certificate;
    certificate.set_name("c");
    issuer::v1::DeleteCertificateResponse certificate_deleted;
    CW_ASSERT_OK(harness::FromGrpc(world_->certificates().DeleteCertificate(
        harness::MakeContext().get(), certificate, &certificate_deleted)));
    issuer::v1::DeleteClusterIssuerRequest issuer;
    issuer.set_name("pebble");
    issuer::v1::DeleteClusterIssuerResponse issuer_deleted;
    CW_ASSERT_OK(harness::FromGrpc(world_->issuers().DeleteClusterIssuer(
        harness::MakeContext().get(), issuer, &issuer_deleted)));
    DeleteSecret("default", "c-tls");
    DeleteSecret("certwright", kAccountSecret);
  }
  pid_t Pid(Service service) { return world_->suite().process(service).pid(); }

  std::unique_ptr<World> world_;
};

TEST_F(MemoryTest, KeysAreInTheIssuerAloneAndGoneFromItOnceDeleted) {
  Needles needles;
  AddKey("certificate", ReadKey("default", "c-tls"), needles);
  AddKey("account", ReadKey("certwright", kAccountSecret), needles);
  EXPECT_THAT(FoundIn(Pid(Service::kOrder), needles), IsEmpty());
  EXPECT_THAT(FoundIn(Pid(Service::kSolver), needles), IsEmpty());
  // The search finds what is there: the issuer signs with the account key.
  EXPECT_THAT(FoundIn(Pid(Service::kIssuer), needles), testing::Not(IsEmpty()));

  DeleteEverything();
  std::vector<std::string> found;
  EXPECT_TRUE(harness::WaitUntil(
      [&] {
        found = FoundIn(Pid(Service::kIssuer), needles);
        return found.empty();
      },
      absl::Seconds(30)));
  EXPECT_THAT(found, UnorderedElementsAre()) << "what remains in the issuer's memory";

  for (const Service service : harness::kServices) {
    CW_ASSERT_OK_AND_ASSIGN(const std::string log,
                            harness::ReadFile(world_->suite().process(service).log_file()));
    EXPECT_THAT(log, HasSubstr("serving"));
    EXPECT_THAT(FoundIn(log, needles), IsEmpty()) << "in the log of " << ServiceName(service);
    const std::string metrics = ReadMetrics(log);
    EXPECT_THAT(metrics, HasSubstr("certwright_store_writable 1"));
    EXPECT_THAT(FoundIn(metrics, needles), IsEmpty())
        << "in the metrics of " << ServiceName(service);
    const std::string events = ReadEvents(service);
    if (service == Service::kIssuer) {
      EXPECT_THAT(events, HasSubstr("ACMEAccountRegistered"));
    }
    EXPECT_THAT(FoundIn(events, needles), IsEmpty())
        << "in the events of " << ServiceName(service);
  }
}

}  // namespace
}  // namespace certwright
