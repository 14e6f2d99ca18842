#include "lib/service/peers.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"

namespace certwright::service {
namespace {

using base::IsOk;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

config::v1::Server Server(const std::string& listen) {
  config::v1::Server server;
  server.set_listen(listen);
  return server;
}

config::v1::Peer Peer(const std::string& address) {
  config::v1::Peer peer;
  peer.set_address(address);
  return peer;
}

void FillIn(config::v1::Tls& tls) {
  tls.set_certificate_file("/nonexistent/tls.crt");
  tls.set_private_key_file("/nonexistent/tls.key");
  tls.set_ca_file("/nonexistent/ca.crt");
}

TEST(IsLoopbackAddressTest, TellsLoopbackFromOtherHosts) {
  for (const char* address :
       {"127.0.0.1:0", "127.1.2.3:7001", "localhost:7001", "[::1]:7001"}) {
    EXPECT_TRUE(IsLoopbackAddress(address)) << address;
  }
  for (const char* address :
       {"0.0.0.0:7001", "[::]:7001", "10.0.0.1:7001", "issuer:7001", "localhost.example:7001",
        "127.0.0.1.example.com:7001", "127.example:7001", "128.0.0.1:7001", ":7001", ""}) {
    EXPECT_FALSE(IsLoopbackAddress(address)) << address;
  }
}

TEST(ValidateServerTest, ListenIsRequiredAndAnAddress) {
  EXPECT_THAT(ValidateServer({}), ElementsAre("server.listen: is required"));
  for (const char* bad : {"127.0.0.1", ":7001", "127.0.0.1:", "127.0.0.1:http",
                          "127.0.0.1:65536", "127.0.0.1:-1"}) {
    EXPECT_THAT(ValidateServer(Server(bad)),
                ElementsAre(StartsWith("server.listen: must be \"host:port\"")))
        << bad;
  }
  EXPECT_THAT(ValidateServer(Server("127.0.0.1:0")), IsEmpty());
  EXPECT_THAT(ValidateServer(Server("[::1]:65535")), IsEmpty());
}

TEST(ValidateServerTest, OnlyLoopbackIsServedInPlaintextUnlessAskedFor) {
  config::v1::Server server = Server("0.0.0.0:7001");
  EXPECT_THAT(ValidateServer(server),
              ElementsAre(AllOf(StartsWith("server.listen: "), HasSubstr("server.tls"),
                                HasSubstr("server.insecurePlaintext"))));
  server.set_insecure_plaintext(true);
  EXPECT_THAT(ValidateServer(server), IsEmpty());
  server.set_insecure_plaintext(false);
  FillIn(*server.mutable_tls());
  EXPECT_THAT(ValidateServer(server), IsEmpty());
}

TEST(ValidateServerTest, EveryProblemIsReported) {
  config::v1::Server server;
  server.set_health_listen("7002");
  server.set_metrics_listen("nowhere");
  server.mutable_tls();
  EXPECT_THAT(
      ValidateServer(server),
      ElementsAre(StartsWith("server.listen: "), StartsWith("server.healthListen: "),
                  StartsWith("server.metricsListen: "),
                  "server.tls.certificateFile: is required",
                  "server.tls.privateKeyFile: is required", "server.tls.caFile: is required"));
}

TEST(ValidatePeerTest, ProblemsNameTheField) {
  EXPECT_THAT(ValidatePeer({}, "orderService"),
              ElementsAre("orderService.address: is required"));
  config::v1::Peer peer = Peer("order:7001");
  peer.mutable_tls()->set_ca_file("ca.crt");
  EXPECT_THAT(ValidatePeer(peer, "orderService"),
              ElementsAre("orderService.tls.certificateFile: is required",
                          "orderService.tls.privateKeyFile: is required"));
}

TEST(ValidatePeerTest, ListsOfRevokedCallersAreForTheServer) {
  config::v1::Peer peer = Peer("order:7001");
  FillIn(*peer.mutable_tls());
  peer.mutable_tls()->set_crl_file("revoked.crl");
  peer.mutable_tls()->set_denied_fingerprints_file("denied.txt");
  EXPECT_THAT(ValidatePeer(peer, "orderService"),
              ElementsAre("orderService.tls.crlFile: is for server.tls only",
                          "orderService.tls.deniedFingerprintsFile: is for server.tls only"));
}

TEST(ValidatePeerTest, OnlyLoopbackIsCalledInPlaintextUnlessAskedFor) {
  EXPECT_THAT(ValidatePeer(Peer("127.0.0.1:7001"), "orderService"), IsEmpty());
  config::v1::Peer peer = Peer("order:7001");
  EXPECT_THAT(ValidatePeer(peer, "orderService"),
              ElementsAre(AllOf(StartsWith("orderService.address: "),
                                HasSubstr("orderService.tls is required"),
                                HasSubstr("orderService.insecurePlaintext"))));
  peer.set_insecure_plaintext(true);
  EXPECT_THAT(ValidatePeer(peer, "orderService"), IsEmpty());
  peer.set_insecure_plaintext(false);
  FillIn(*peer.mutable_tls());
  EXPECT_THAT(ValidatePeer(peer, "orderService"), IsEmpty());
}

TEST(MakePeerChannelTest, FilesThatCannotBeReadAreNamedAtOnce) {
  EXPECT_THAT(MakePeerChannel(Peer("127.0.0.1:1")), IsOk());
  config::v1::Peer peer = Peer("127.0.0.1:1");
  FillIn(*peer.mutable_tls());
  const auto channel = MakePeerChannel(peer);
  ASSERT_FALSE(channel.ok());
  EXPECT_THAT(std::string(channel.status().message()), HasSubstr("/nonexistent/"));
}

TEST(ToTlsFilesTest, NothingWhereTlsIsAbsent) {
  config::v1::Tls tls;
  FillIn(tls);
  EXPECT_FALSE(ToTlsFiles(false, tls).has_value());
  tls.set_crl_file("/nonexistent/revoked.crl");
  tls.set_denied_fingerprints_file("/nonexistent/denied.txt");
  const auto files = ToTlsFiles(true, tls);
  ASSERT_TRUE(files.has_value());
  EXPECT_EQ(files->certificate, "/nonexistent/tls.crt");
  EXPECT_EQ(files->private_key, "/nonexistent/tls.key");
  EXPECT_EQ(files->ca, "/nonexistent/ca.crt");
  EXPECT_EQ(files->crl, "/nonexistent/revoked.crl");
  EXPECT_EQ(files->denied_fingerprints, "/nonexistent/denied.txt");
}

}  // namespace
}  // namespace certwright::service
