#include "lib/rpc/tls.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"
#include "lib/pki/run_command.h"
#include "lib/pki/test_ca.h"
#include "lib/rpc/channel.h"
#include "lib/rpc/client_call.h"
#include "lib/rpc/testing/echo_service.h"
#include "lib/runtime/run_sync.h"

namespace certwright::rpc::testing {
namespace {

using base::StatusIs;
using pki::SubjectAltNames;
using pki::TestCa;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

SubjectAltNames Names(std::vector<std::string> dns_names,
                      std::vector<std::string> ip_addresses = {},
                      std::vector<std::string> uris = {}) {
  SubjectAltNames names;
  names.dns_names = std::move(dns_names);
  names.ip_addresses = std::move(ip_addresses);
  names.uris = std::move(uris);
  return names;
}

class TlsTest : public EchoTest {
 protected:
  TlsTest() {
    std::string pattern = ::testing::TempDir() + "/tls_test_XXXXXX";
    folder_ = mkdtemp(pattern.data());
  }
  ~TlsTest() override { std::filesystem::remove_all(folder_); }

  static absl::Time Now() { return base::Clock::Real().Now(); }

  std::string Write(const std::string& name, const std::string& contents) {
    const std::string path = folder_ + "/" + name;
    std::ofstream(path) << contents;
    return path;
  }

  // A certificate of `issuer` for `names`, for a side that trusts `trusted`.
  TlsFiles Files(const std::string& stem, const TestCa& issuer, const SubjectAltNames& names,
                 const TestCa& trusted) {
    const pki::TestIdentity identity = issuer.Issue(names);
    return {Write(stem + ".crt", identity.chain_pem), Write(stem + ".key", identity.key_pem),
            Write(stem + ".ca", trusted.root().Pem())};
  }

  void StartTlsServer() {
    options.tls = Files("server", authority_, Names({"localhost"}, {"127.0.0.1"}), authority_);
    service.handler = [this](CallContext call, const EchoRequest&) {
      return TellIdentities(std::move(call));
    };
    StartServer();
  }

  runtime::Awaitable<absl::StatusOr<EchoResponse>> TellIdentities(CallContext call) {
    {
      base::MutexLock lock(mutex_);
      authenticated_ = call.caller.authenticated;
      identities_ = std::move(call.caller.identities);
    }
    co_return EchoResponse();
  }

  absl::Status CallWith(const ChannelOptions& channel_options) {
    CW_ASSIGN_OR_RETURN(auto channel, MakeChannel(channel_options));
    const std::unique_ptr<EchoService::StubInterface> stub = EchoService::NewStub(channel);
    return runtime::RunSync(CallUnary(LongContext(), stub->async(),
                                      &EchoService::StubInterface::async_interface::Echo,
                                      EchoRequest()))
        .status();
  }

  ChannelOptions Client(std::optional<TlsFiles> files, const std::string& server_name = "") {
    ChannelOptions channel_options;
    channel_options.address = Address();
    channel_options.tls = std::move(files);
    channel_options.server_name = server_name;
    return channel_options;
  }

  std::string folder_;
  const TestCa authority_;
  const TestCa stranger_;
  base::Mutex mutex_;
  bool authenticated_ CW_GUARDED_BY(mutex_) = false;
  std::vector<std::string> identities_ CW_GUARDED_BY(mutex_);
};

TEST_F(TlsTest, AClientOfTheAuthorityIsServedAndKnownByItsNames) {
  StartTlsServer();
  CW_ASSERT_OK(CallWith(Client(Files(
      "client", authority_, Names({"order.test"}, {}, {"spiffe://test/order"}), authority_))));
  base::MutexLock lock(mutex_);
  EXPECT_TRUE(authenticated_);
  EXPECT_THAT(identities_, Contains("order.test"));
  EXPECT_THAT(identities_, Contains("spiffe://test/order"));
  server.reset();
}

TEST_F(TlsTest, AUriInACertificateThatLooksLikeATokenIsNone) {
  StartTlsServer();
  for (const char* uri : {"token:ci", "token:", "token:order.test"}) {
    CW_ASSERT_OK(CallWith(Client(
        Files("client", authority_, Names({"order.test"}, {}, {uri, "urn:a"}), authority_))));
    base::MutexLock lock(mutex_);
    EXPECT_THAT(identities_, UnorderedElementsAre("order.test", "urn:a")) << uri;
  }
  server.reset();
}

TEST_F(TlsTest, AClientOfAnotherAuthorityIsRefused) {
  StartTlsServer();
  EXPECT_THAT(CallWith(Client(Files("client", stranger_, Names({"order.test"}), authority_))),
              StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(TlsTest, AClientWithoutTlsIsRefused) {
  StartTlsServer();
  EXPECT_THAT(CallWith(Client(std::nullopt)), StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(TlsTest, AServerOfAnotherAuthorityIsNotTrusted) {
  StartTlsServer();
  EXPECT_THAT(CallWith(Client(Files("client", authority_, Names({"order.test"}), stranger_))),
              StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(TlsTest, TheServersNameIsChecked) {
  StartTlsServer();
  const TlsFiles files = Files("client", authority_, Names({"order.test"}), authority_);
  CW_EXPECT_OK(CallWith(Client(files, "localhost")));
  EXPECT_FALSE(CallWith(Client(files, "other.test")).ok());
}

TEST_F(TlsTest, AKeyOfAnotherCertificateIsRefusedAtTheStart) {
  TlsFiles files = Files("a", authority_, Names({"a.test"}), authority_);
  CW_EXPECT_OK(CheckTlsFiles(files, Now()));
  files.private_key = Files("b", authority_, Names({"b.test"}), authority_).private_key;
  EXPECT_THAT(CheckTlsFiles(files, Now()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(files.private_key)));
  options.listen_address = "127.0.0.1:0";
  options.tls = files;
  EXPECT_THAT(Server::Start(options, environment, {&service}),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(TlsTest, AMissingFileIsNamed) {
  const TlsFiles good = Files("a", authority_, Names({"a.test"}), authority_);
  for (std::string TlsFiles::*file :
       {&TlsFiles::certificate, &TlsFiles::private_key, &TlsFiles::ca}) {
    TlsFiles files = good;
    files.*file = folder_ + "/nothing";
    EXPECT_THAT(CheckTlsFiles(files, Now()),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("/nothing")));
  }
}

TEST_F(TlsTest, AHalfWrittenFileAndAnExpiredCertificateAreRefused) {
  const TlsFiles good = Files("a", authority_, Names({"a.test"}), authority_);
  TlsFiles files = good;
  const std::string chain = authority_.Issue(Names({"a.test"})).chain_pem;
  files.certificate = Write("half.crt", chain.substr(0, chain.size() / 2));
  EXPECT_THAT(CheckTlsFiles(files, Now()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("half.crt")));
  files.certificate = Write("two.crt", chain + chain.substr(0, chain.size() / 2));
  EXPECT_THAT(CheckTlsFiles(files, Now()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("two.crt")));
  EXPECT_THAT(CheckTlsFiles(good, pki::TestNotAfter() + absl::Hours(1)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("expired")));
}

class TlsReloadTest : public TlsTest {
 protected:
  static constexpr std::chrono::seconds kTimeout{60};

  TlsReloadTest() {
    SetTlsObserver([this](const absl::Status& status) {
      base::MutexLock lock(mutex_);
      refusals_.emplace_back(status.message());
      changed_.notify_all();
    });
    StartTlsServer();
  }
  ~TlsReloadTest() override { SetTlsObserver(nullptr); }

  // The serial number of the certificate that a new connection is shown, or how it fails.
  std::string ShownSerial() {
    const TlsFiles client = Files("client", authority_, Names({"order.test"}), authority_);
    const pki::CommandResult result = pki::RunCommand(
        "openssl s_client -connect " + Address() + " -cert " + client.certificate + " -key " +
        client.private_key + " -CAfile " + client.ca +
        " -verify_return_error -alpn h2 | openssl x509 -noout -serial");
    return result.output;
  }

  // Whether a change of this test's files has been refused with such a message.
  bool IsRefused(const std::string& text) {
    base::MutexLock lock(mutex_);
    return changed_.wait_for(mutex_, kTimeout, [&] {
      return std::ranges::any_of(refusals_, [&](const std::string& refusal) {
        return absl::StrContains(refusal, folder_) && absl::StrContains(refusal, text);
      });
    });
  }

  // gRPC tells nobody when it has taken a change up: asks until the answer is another.
  template <typename Condition>
  static bool AskUntil(Condition condition) {
    const auto end = std::chrono::steady_clock::now() + kTimeout;
    while (!condition()) {
      if (std::chrono::steady_clock::now() >= end) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    return true;
  }
  bool WaitUntilShownDiffersFrom(const std::string& serial) {
    return AskUntil([&] { return ShownSerial() != serial; });
  }

  absl::Status CallOnce() {
    return CallWith(Client(Files("client", authority_, Names({"order.test"}), authority_)));
  }

  std::condition_variable_any changed_;
  std::vector<std::string> refusals_ CW_GUARDED_BY(mutex_);
};

TEST_F(TlsReloadTest, ANewPairIsTakenWithoutARestart) {
  const std::string before = ShownSerial();
  EXPECT_THAT(before, HasSubstr("serial="));
  Files("server", authority_, Names({"localhost"}, {"127.0.0.1"}), authority_);
  EXPECT_TRUE(WaitUntilShownDiffersFrom(before));
  EXPECT_THAT(ShownSerial(), HasSubstr("serial="));
  CW_EXPECT_OK(CallOnce());
}

TEST_F(TlsReloadTest, ABadPairIsRefusedAndTheOldOneStays) {
  const std::string before = ShownSerial();
  const pki::TestIdentity other = authority_.Issue(Names({"localhost"}, {"127.0.0.1"}));
  // A key of another certificate, half a certificate, and nothing.
  Write("server.key", other.key_pem);
  EXPECT_TRUE(IsRefused("does not fit"));
  Write("server.crt", other.chain_pem.substr(0, 100));
  EXPECT_TRUE(IsRefused("server.crt"));
  Write("server.ca", "");
  Write("server.crt", other.chain_pem);
  EXPECT_TRUE(IsRefused("server.ca"));
  // Longer than gRPC takes to look at its copies.
  std::this_thread::sleep_for(std::chrono::milliseconds(1500));
  EXPECT_EQ(ShownSerial(), before);
  CW_EXPECT_OK(CallOnce());
  Write("server.ca", authority_.root().Pem());
  EXPECT_TRUE(WaitUntilShownDiffersFrom(before));
  CW_EXPECT_OK(CallOnce());
}

TEST_F(TlsReloadTest, AnotherCaIsTakenTogetherWithItsPair) {
  CW_EXPECT_OK(CallOnce());
  Files("server", stranger_, Names({"localhost"}, {"127.0.0.1"}), stranger_);
  absl::Status refused;
  EXPECT_TRUE(AskUntil([&] {
    refused = CallOnce();
    return !refused.ok();
  }));
  EXPECT_THAT(refused, StatusIs(absl::StatusCode::kUnavailable));
  CW_EXPECT_OK(
      CallWith(Client(Files("stranger", stranger_, Names({"order.test"}), stranger_))));
}

}  // namespace
}  // namespace certwright::rpc::testing
