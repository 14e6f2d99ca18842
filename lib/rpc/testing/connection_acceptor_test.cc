#include "lib/rpc/connection_acceptor.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <future>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "grpcpp/channel.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/generic/async_generic_service.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/security/auth_context.h"
#include "grpcpp/security/credentials.h"
#include "grpcpp/security/tls_certificate_provider.h"
#include "grpcpp/security/tls_credentials_options.h"
#include "grpcpp/server.h"
#include "gtest/gtest.h"
#include "lib/base/fake_clock.h"
#include "lib/base/mutex.h"
#include "lib/base/status_matchers.h"
#include "lib/pki/test_ca.h"

namespace certwright::rpc {
namespace {

using base::FileDescriptor;
using base::StatusIs;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// Answers every call with who calls: "ipv4:127.0.0.1:1234 client.test".
class WhoService final : public grpc::CallbackGenericService {
  class Reactor final : public grpc::ServerGenericBidiReactor {
   public:
    explicit Reactor(std::string answer) {
      const grpc::Slice slice(answer);
      answer_ = grpc::ByteBuffer(&slice, 1);
      StartWriteAndFinish(&answer_, {}, grpc::Status::OK);
    }
    void OnDone() override { delete this; }

   private:
    grpc::ByteBuffer answer_;
  };

  grpc::ServerGenericBidiReactor* CreateReactor(
      grpc::GenericCallbackServerContext* context) override {
    std::string who = context->peer();
    for (const auto& name : context->auth_context()->FindPropertyValues("peer_dns")) {
      absl::StrAppend(&who, " ", std::string(name.data(), name.size()));
    }
    return new Reactor(std::move(who));
  }
};

class ConnectionAcceptorTest : public ::testing::Test {
 protected:
  ~ConnectionAcceptorTest() override { StopServer(); }

  void StopServer() {
    if (server_ == nullptr) return;
    acceptor_->Stop();
    server_->Shutdown();
    server_->Wait();
    server_.reset();
  }

  void Start(
      std::shared_ptr<grpc::ServerCredentials> credentials = grpc::InsecureServerCredentials(),
      const std::string& address = "127.0.0.1:0") {
    options_.on_change = [this](int open) {
      base::MutexLock lock(mutex_);
      open_ = open;
      changed_.notify_all();
    };
    options_.on_refused = [this](absl::string_view limit) {
      base::MutexLock lock(mutex_);
      refused_.emplace_back(limit);
      changed_.notify_all();
    };
    CW_ASSERT_OK_AND_ASSIGN(acceptor_, ConnectionAcceptor::Listen(address, options_));
    acceptor_->ServeInto(builder_, std::move(credentials));
    builder_.RegisterCallbackGenericService(&service_);
    server_ = builder_.BuildAndStart();
    ASSERT_NE(server_, nullptr);
    acceptor_->Start();
  }

  template <typename Condition>
  bool WaitFor(Condition condition) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    base::MutexLock lock(mutex_);
    while (!condition()) {
      if (changed_.wait_until(mutex_, deadline) == std::cv_status::timeout) return false;
    }
    return true;
  }
  bool WaitUntilOpen(int count) {
    return WaitFor([&] { return open_ == count; }) && acceptor_->open() == count;
  }
  bool WaitUntilRefused(std::size_t count) {
    return WaitFor([&] { return refused_.size() >= count; });
  }

  // A TCP connection from this address of this machine.
  FileDescriptor Connect(const char* from = "127.0.0.1") const {
    FileDescriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    inet_pton(AF_INET, from, &address.sin_addr);
    EXPECT_EQ(bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    address.sin_port = htons(static_cast<uint16_t>(acceptor_->port()));
    EXPECT_EQ(connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    return socket;
  }

  // Whether the server ends the connection; what it sends before is passed over.
  static bool IsEnded(const FileDescriptor& socket) {
    char bytes[1024];
    pollfd wait{socket.get(), POLLIN, 0};
    while (poll(&wait, 1, 20'000) == 1) {
      if (read(socket.get(), bytes, sizeof bytes) <= 0) return true;
    }
    return false;
  }

  static std::string Call(const std::shared_ptr<grpc::Channel>& channel) {
    grpc::GenericStub stub(channel);
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    const grpc::Slice nothing;
    const grpc::ByteBuffer request(&nothing, 1);
    grpc::ByteBuffer response;
    std::promise<grpc::Status> done;
    stub.UnaryCall(&context, "/test.Who/Who", grpc::StubOptions(), &request, &response,
                   [&done](grpc::Status status) { done.set_value(std::move(status)); });
    const grpc::Status status = done.get_future().get();
    if (!status.ok()) return absl::StrCat("error: ", status.error_message());
    grpc::Slice answer;
    if (!response.DumpToSingleSlice(&answer).ok()) return "error: no answer";
    return {reinterpret_cast<const char*>(answer.begin()), answer.size()};
  }

  std::shared_ptr<grpc::Channel> Channel(const std::shared_ptr<grpc::ChannelCredentials>&
                                             credentials = grpc::InsecureChannelCredentials(),
                                         const std::string& host = "127.0.0.1") const {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    return grpc::CreateCustomChannel(absl::StrCat(host, ":", acceptor_->port()), credentials,
                                     arguments);
  }

  // Of this process.
  static std::ptrdiff_t OpenFiles() {
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {});
  }

  ConnectionAcceptorOptions options_;
  WhoService service_;
  grpc::ServerBuilder builder_;
  std::unique_ptr<ConnectionAcceptor> acceptor_;
  std::unique_ptr<grpc::Server> server_;
  base::Mutex mutex_;
  std::condition_variable_any changed_;
  int open_ CW_GUARDED_BY(mutex_) = 0;
  std::vector<std::string> refused_ CW_GUARDED_BY(mutex_);
};

TEST_F(ConnectionAcceptorTest, ACallIsServedAndItsPeerIsTheClient) {
  Start();
  EXPECT_THAT(Call(Channel()), StartsWith("ipv4:127.0.0.1:"));
  EXPECT_TRUE(WaitUntilOpen(0));
}

TEST_F(ConnectionAcceptorTest, EveryFormOfAddressListens) {
  for (const std::string address : {"0.0.0.0:0", "[::]:0", "localhost:0", "127.0.0.1:0"}) {
    CW_ASSERT_OK_AND_ASSIGN(acceptor_, ConnectionAcceptor::Listen(address, {}));
    EXPECT_NE(acceptor_->port(), 0);
    EXPECT_TRUE(Connect().ok()) << address;
  }
  CW_EXPECT_OK(ConnectionAcceptor::Listen("[::1]:0", {}));
}

TEST_F(ConnectionAcceptorTest, AnIpv4ClientOfADualStackListenerIsKnownByItsIpv4Address) {
  Start(grpc::InsecureServerCredentials(), "[::]:0");
  EXPECT_THAT(Call(Channel()), StartsWith("ipv4:127.0.0.1:"));
  EXPECT_THAT(Call(Channel(grpc::InsecureChannelCredentials(), "[::1]")),
              StartsWith("ipv6:%5B::1%5D:"));
}

TEST_F(ConnectionAcceptorTest, AConnectionIsEndedByItsName) {
  Start(grpc::InsecureServerCredentials(), "[::]:0");
  int ended = 0;
  for (const char* host : {"127.0.0.1", "[::1]"}) {
    const auto channel = Channel(grpc::InsecureChannelCredentials(), host);
    const std::string name = Call(channel);
    ASSERT_TRUE(WaitUntilOpen(1));
    acceptor_->Disconnect("ipv4:192.0.2.1:80");
    acceptor_->Disconnect(name);
    EXPECT_TRUE(WaitUntilOpen(0)) << name;
    EXPECT_TRUE(WaitUntilRefused(static_cast<std::size_t>(++ended)));
  }
  base::MutexLock lock(mutex_);
  EXPECT_THAT(refused_, Each("answers"));
}

TEST_F(ConnectionAcceptorTest, APortInUseIsRefused) {
  CW_ASSERT_OK_AND_ASSIGN(acceptor_, ConnectionAcceptor::Listen("127.0.0.1:0", {}));
  EXPECT_THAT(ConnectionAcceptor::Listen(absl::StrCat("127.0.0.1:", acceptor_->port()), {}),
              StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("in use")));
}

TEST_F(ConnectionAcceptorTest, WhatIsNoAddressOfThisMachineIsRefused) {
  for (const std::string address :
       {"nonsense", "", ":1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "192.0.2.1:0",
        "[127.0.0.1:0", "no-such-host.invalid:0"}) {
    EXPECT_THAT(ConnectionAcceptor::Listen(address, {}),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("cannot listen")))
        << address;
  }
}

TEST_F(ConnectionAcceptorTest, ConnectionsCountUntilTheClientEndsThem) {
  Start();
  FileDescriptor ended = Connect();
  FileDescriptor half = Connect();
  FileDescriptor reset = Connect();
  ASSERT_TRUE(WaitUntilOpen(3));
  ended.Close();
  EXPECT_TRUE(WaitUntilOpen(2));
  shutdown(half.get(), SHUT_WR);
  EXPECT_TRUE(WaitUntilOpen(1));
  const linger abort{1, 0};
  setsockopt(reset.get(), SOL_SOCKET, SO_LINGER, &abort, sizeof abort);
  reset.Close();
  EXPECT_TRUE(WaitUntilOpen(0));
}

TEST_F(ConnectionAcceptorTest, AConnectionThatIsIdleForTooLongCountsNoMore) {
  builder_.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, 100);
  Start();
  const auto channel = Channel();
  EXPECT_THAT(Call(channel), StartsWith("ipv4:"));
  EXPECT_TRUE(WaitUntilOpen(0));
}

TEST_F(ConnectionAcceptorTest, AConnectionThatIsTooOldCountsNoMore) {
  builder_.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS, 100);
  builder_.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS, 100);
  Start();
  const FileDescriptor silent = Connect();
  ASSERT_EQ(write(silent.get(), "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", 33), 33);
  EXPECT_TRUE(IsEnded(silent));
  EXPECT_TRUE(WaitUntilOpen(0));
}

TEST_F(ConnectionAcceptorTest, AHandshakeThatIsNotFinishedInTimeCountsNoMore) {
  builder_.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, 200);
  Start();
  const FileDescriptor silent = Connect();
  ASSERT_TRUE(WaitUntilOpen(1));
  EXPECT_TRUE(IsEnded(silent));
  EXPECT_TRUE(WaitUntilOpen(0));
}

TEST_F(ConnectionAcceptorTest, BytesThatAreNotHttp2EndTheConnection) {
  Start();
  const FileDescriptor stranger = Connect();
  ASSERT_EQ(write(stranger.get(), "GET / HTTP/1.1\r\n\r\n", 18), 18);
  EXPECT_TRUE(IsEnded(stranger));
  EXPECT_TRUE(WaitUntilOpen(0));
}

TEST_F(ConnectionAcceptorTest, SurplusConnectionsAreClosedAtOnce) {
  options_.limits.total = 3;
  Start();
  std::vector<FileDescriptor> taken;
  for (int i = 0; i < 3; ++i) taken.push_back(Connect());
  ASSERT_TRUE(WaitUntilOpen(3));
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(IsEnded(Connect()));
  EXPECT_TRUE(WaitUntilRefused(10));
  EXPECT_EQ(acceptor_->open(), 3);
  taken.pop_back();
  ASSERT_TRUE(WaitUntilOpen(2));
  EXPECT_THAT(Call(Channel()), StartsWith("ipv4:"));
  base::MutexLock lock(mutex_);
  EXPECT_THAT(refused_, Each("total"));
}

TEST_F(ConnectionAcceptorTest, OnePeerCannotTakeTheConnectionsOfOthers) {
  options_.limits.per_peer = 2;
  Start();
  std::vector<FileDescriptor> taken;
  for (int i = 0; i < 2; ++i) taken.push_back(Connect("127.0.0.2"));
  ASSERT_TRUE(WaitUntilOpen(2));
  EXPECT_TRUE(IsEnded(Connect("127.0.0.2")));
  EXPECT_THAT(Call(Channel()), StartsWith("ipv4:127.0.0.1:"));
  base::MutexLock lock(mutex_);
  EXPECT_THAT(refused_, Each("peer"));
}

TEST_F(ConnectionAcceptorTest, WhoConnectsTooOftenIsKeptWaitingAndThenRefused) {
  base::FakeClock clock;
  options_.clock = &clock;
  options_.strangers = std::make_shared<base::TokenBuckets>(
      base::TokenBucketOptions{.per_second = 1, .burst = 1}, clock);
  Start();
  const FileDescriptor served = Connect();
  ASSERT_TRUE(WaitUntilOpen(1));
  // As many as are kept waiting at once.
  std::vector<FileDescriptor> waiting;
  for (int i = 0; i < 256; ++i) waiting.push_back(Connect());
  ASSERT_TRUE(WaitUntilRefused(256));
  const FileDescriptor one_too_many = Connect();
  EXPECT_TRUE(IsEnded(one_too_many));
  for (const FileDescriptor& socket : waiting) {
    pollfd wait{socket.get(), POLLIN, 0};
    ASSERT_EQ(poll(&wait, 1, 0), 0);
  }
  clock.Advance(absl::Seconds(1));
  for (const FileDescriptor& socket : waiting) EXPECT_TRUE(IsEnded(socket));
  EXPECT_THAT(Call(Channel()), StartsWith("ipv4:127.0.0.1:"));
  ASSERT_TRUE(WaitUntilRefused(257));
  base::MutexLock lock(mutex_);
  EXPECT_THAT(refused_, Each("rate"));
}

TEST_F(ConnectionAcceptorTest, WhoeverIsKeptWaitingHoldsUpNoOtherPeer) {
  options_.strangers = std::make_shared<base::TokenBuckets>(
      base::TokenBucketOptions{.per_second = 1, .burst = 1}, base::Clock::Real());
  Start();
  std::vector<FileDescriptor> connections;
  for (int i = 0; i < 300; ++i) connections.push_back(Connect("127.0.0.2"));
  EXPECT_THAT(Call(Channel()), StartsWith("ipv4:127.0.0.1:"));
}

TEST_F(ConnectionAcceptorTest, ThousandsOfQuickConnectionsLeaveNothing) {
  options_.limits = {.total = 6000, .per_peer = 6000};
  Start();
  { const FileDescriptor first = Connect(); }
  ASSERT_TRUE(WaitUntilOpen(0));
  const auto files = OpenFiles();
  int turn = 0;
  for (; turn < 5000; ++turn) {
    const FileDescriptor quick = Connect();
    if (turn % 3 == 0) {
      const linger abort{1, 0};
      setsockopt(quick.get(), SOL_SOCKET, SO_LINGER, &abort, sizeof abort);
    }
  }
  EXPECT_THAT(Call(Channel()), StartsWith("ipv4:"));
  EXPECT_TRUE(WaitUntilOpen(0));
  // gRPC closes its own descriptor a moment after it has shut it down, and tells nobody.
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (OpenFiles() > files + 4 && std::chrono::steady_clock::now() < end) {
    poll(nullptr, 0, 10);
  }
  EXPECT_LE(OpenFiles(), files + 4);
}

TEST_F(ConnectionAcceptorTest, WithoutDescriptorsItPausesAndGoesOnByItself) {
  Start();
  // Made before, as this process has the same limit.
  FileDescriptor client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
  address.sin_port = htons(static_cast<uint16_t>(acceptor_->port()));
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit low{std::min<rlim_t>(before.rlim_max, 256), before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
  std::vector<FileDescriptor> all;
  do {
    all.emplace_back(dup(client.get()));
  } while (all.back().ok());
  ASSERT_EQ(connect(client.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  timespec cpu_before{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu_before);
  EXPECT_TRUE(WaitUntilRefused(5));
  timespec cpu_after{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu_after);
  const absl::Duration spent =
      absl::DurationFromTimespec(cpu_after) - absl::DurationFromTimespec(cpu_before);
  EXPECT_LT(spent, absl::Milliseconds(250));
  {
    base::MutexLock lock(mutex_);
    EXPECT_LT(refused_.size(), 10u);
    EXPECT_THAT(refused_, Each("resources"));
  }
  all.clear();
  EXPECT_TRUE(WaitUntilOpen(1));
  setrlimit(RLIMIT_NOFILE, &before);
}

TEST_F(ConnectionAcceptorTest, AfterStopNoClientConnectsAndThoseThatAreStay) {
  Start();
  const auto channel = Channel();
  EXPECT_THAT(Call(channel), StartsWith("ipv4:"));
  acceptor_->Stop();
  EXPECT_THAT(Call(channel), StartsWith("ipv4:"));
  EXPECT_THAT(Call(Channel()), StartsWith("error:"));
}

class TlsConnectionAcceptorTest : public ConnectionAcceptorTest {
 protected:
  std::shared_ptr<grpc::experimental::StaticDataCertificateProvider> Provider(
      const std::string& name) const {
    pki::SubjectAltNames names;
    names.dns_names = {name};
    const pki::TestIdentity identity = authority_.Issue(names);
    return std::make_shared<grpc::experimental::StaticDataCertificateProvider>(
        authority_.root().Pem(), std::vector<grpc::experimental::IdentityKeyCertPair>{
                                     {identity.key_pem, identity.chain_pem}});
  }

  std::shared_ptr<grpc::ServerCredentials> ServerCredentials() const {
    grpc::experimental::TlsServerCredentialsOptions options(Provider("localhost"));
    options.watch_identity_key_cert_pairs();
    options.watch_root_certs();
    options.set_cert_request_type(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
    return grpc::experimental::TlsServerCredentials(options);
  }

  std::shared_ptr<grpc::ChannelCredentials> ClientCredentials() const {
    grpc::experimental::TlsChannelCredentialsOptions options;
    options.set_certificate_provider(Provider("client.test"));
    options.watch_identity_key_cert_pairs();
    options.watch_root_certs();
    return grpc::experimental::TlsCredentials(options);
  }

  const pki::TestCa authority_;
};

TEST_F(TlsConnectionAcceptorTest, ACallerIsKnownByItsCertificate) {
  Start(ServerCredentials());
  EXPECT_THAT(Call(Channel(ClientCredentials(), "localhost")),
              AllOf(StartsWith("ipv4:127.0.0.1:"), HasSubstr(" client.test")));
  EXPECT_TRUE(WaitUntilOpen(0));
}

TEST_F(TlsConnectionAcceptorTest, AFailedHandshakeCountsNoMore) {
  Start(ServerCredentials());
  const FileDescriptor stranger = Connect();
  ASSERT_EQ(write(stranger.get(), "this is not TLS\n", 16), 16);
  EXPECT_TRUE(IsEnded(stranger));
  EXPECT_THAT(Call(Channel()), StartsWith("error:"));
  EXPECT_TRUE(WaitUntilOpen(0));
}

TEST_F(TlsConnectionAcceptorTest, AHandshakeThatIsNotFinishedInTimeCountsNoMore) {
  builder_.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, 200);
  Start(ServerCredentials());
  const FileDescriptor silent = Connect();
  ASSERT_TRUE(WaitUntilOpen(1));
  EXPECT_TRUE(IsEnded(silent));
  EXPECT_TRUE(WaitUntilOpen(0));
}

sockaddr_storage Address(int family, const char* text) {
  sockaddr_storage storage{};
  storage.ss_family = static_cast<sa_family_t>(family);
  void* to = family == AF_INET
                 ? static_cast<void*>(&reinterpret_cast<sockaddr_in&>(storage).sin_addr)
                 : &reinterpret_cast<sockaddr_in6&>(storage).sin6_addr;
  EXPECT_EQ(inet_pton(family, text, to), 1);
  return storage;
}

TEST(ConnectionCountsTest, APeerIsAnIpv4AddressOrAnIpv6Network) {
  EXPECT_EQ(PeerOf(Address(AF_INET, "192.0.2.1")), "192.0.2.1");
  EXPECT_EQ(PeerOf(Address(AF_INET6, "::ffff:192.0.2.1")), "192.0.2.1");
  EXPECT_EQ(PeerOf(Address(AF_INET6, "2001:db8:1:2:3:4:5:6")), "2001:db8:1:2::/64");
  EXPECT_EQ(PeerOf(Address(AF_INET6, "2001:db8:1:2:ffff::1")), "2001:db8:1:2::/64");
  EXPECT_EQ(PeerOf(Address(AF_INET6, "::1")), "::/64");
  EXPECT_EQ(PeerOf({}), "unknown");
}

TEST(ConnectionCountsTest, WhatIsReleasedMayComeAgain) {
  using Verdict = ConnectionCounts::Verdict;
  ConnectionCounts counts({.total = 3, .per_peer = 2});
  EXPECT_EQ(counts.Admit("a"), Verdict::kAdmitted);
  EXPECT_EQ(counts.Admit("a"), Verdict::kAdmitted);
  EXPECT_EQ(counts.Admit("a"), Verdict::kTooManyOfPeer);
  EXPECT_EQ(counts.Admit("b"), Verdict::kAdmitted);
  EXPECT_EQ(counts.Admit("b"), Verdict::kTooMany);
  EXPECT_EQ(counts.Admit("a"), Verdict::kTooMany);
  counts.Release("a");
  EXPECT_EQ(counts.Admit("a"), Verdict::kAdmitted);
  for (const char* peer : {"a", "a", "b"}) counts.Release(peer);
  EXPECT_EQ(counts.total(), 0);
  EXPECT_EQ(counts.peers(), 0u);
}

}  // namespace
}  // namespace certwright::rpc
