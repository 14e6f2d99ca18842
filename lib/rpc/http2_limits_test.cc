// Attackers write their frames themselves, acknowledge no settings, and never end their
// headers.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "grpcpp/generic/async_generic_service.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
#include "gtest/gtest.h"

namespace certwright::rpc {
namespace {

constexpr std::size_t kFrameBytes = 16000;
constexpr std::size_t kFloodBytes = 4 << 20;
constexpr uint8_t kHeaders = 1;
constexpr uint8_t kResetStream = 3;
constexpr uint8_t kSettings = 4;
constexpr uint8_t kPing = 6;
constexpr uint8_t kContinuation = 9;
constexpr uint8_t kEndStream = 1;
constexpr uint8_t kEndHeaders = 4;

std::string Frame(uint8_t type, uint8_t flags, uint16_t stream, const std::string& payload) {
  const std::size_t size = payload.size();
  std::string frame = {static_cast<char>(size >> 16),
                       static_cast<char>(size >> 8),
                       static_cast<char>(size),
                       static_cast<char>(type),
                       static_cast<char>(flags),
                       0,
                       0,
                       static_cast<char>(stream >> 8),
                       static_cast<char>(stream)};
  return frame + payload;
}

// RFC 7541, 5.1, with a prefix of 7 bits.
std::string Number(std::size_t value) {
  if (value < 127) return std::string(1, static_cast<char>(value));
  std::string bytes(1, 127);
  for (value -= 127; value >= 128; value /= 128) {
    bytes.push_back(static_cast<char>(value % 128 | 128));
  }
  bytes.push_back(static_cast<char>(value));
  return bytes;
}

std::string Header(const std::string& name, const std::string& value) {
  return std::string(1, '\0') + Number(name.size()) + name + Number(value.size()) + value;
}

constexpr char kHold[] = "/a.B/Hold";

std::string Request(const std::string& path = "/a.B/C") {
  // Two of the static table: ":method: POST" and ":scheme: http".
  return std::string("\x83\x86") + Header(":path", path) + Header(":authority", "x") +
         Header("te", "trailers") + Header("content-type", "application/grpc");
}

// Refuses calls at once, or holds them until their client has gone.
class RefusingService final : public grpc::CallbackGenericService {
  class Reactor final : public grpc::ServerGenericBidiReactor {
   public:
    explicit Reactor(bool holds) : holds_(holds) {
      if (!holds_) Refuse();
    }
    void OnCancel() override {
      if (holds_) Refuse();
    }
    void OnDone() override { delete this; }

   private:
    void Refuse() { Finish(grpc::Status(grpc::StatusCode::UNIMPLEMENTED, "")); }

    const bool holds_;
  };
  grpc::ServerGenericBidiReactor* CreateReactor(
      grpc::GenericCallbackServerContext* context) override {
    return new Reactor(context->method() == kHold);
  }
};

class Attacker {
 public:
  explicit Attacker(int port) : socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const timeval patience = {10, 0};
    setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    Send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + Frame(4, 0, 0, ""));
  }
  ~Attacker() { close(socket_); }
  Attacker(const Attacker&) = delete;
  Attacker& operator=(const Attacker&) = delete;

  bool Send(const std::string& bytes) {
    std::size_t sent = 0;
    while (sent < bytes.size()) {
      const ssize_t size =
          send(socket_, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
      if (size <= 0) return false;
      sent += static_cast<std::size_t>(size);
    }
    return true;
  }

  // Whether the server ends the connection over a request whose headers go on with `more`.
  bool IsCutOff(const std::string& more, const std::string& last) {
    bool sent = Send(Frame(kHeaders, kEndStream, 1, Request() + more));
    for (std::size_t bytes = 0; sent && bytes < kFloodBytes; bytes += last.size()) {
      sent = Send(Frame(kContinuation, 0, 1, last));
    }
    return IsEnded();
  }

  // Reads to the end, and whether there is one.
  bool IsEnded() {
    char buffer[1024];
    ssize_t size = 0;
    while ((size = recv(socket_, buffer, sizeof buffer, 0)) > 0) {
    }
    return size == 0 || errno == ECONNRESET;
  }

  // Reads until there is a frame of headers: an answer.
  bool IsAnswered() {
    std::string bytes;
    char buffer[1024];
    while (true) {
      while (bytes.size() >= 9) {
        const auto at = [&](int i) { return static_cast<uint8_t>(bytes[i]); };
        const std::size_t size = std::size_t{9} + (at(0) << 16) + (at(1) << 8) + at(2);
        if (at(3) == kHeaders) return true;
        if (bytes.size() < size) break;
        bytes.erase(0, size);
      }
      const ssize_t size = recv(socket_, buffer, sizeof buffer, 0);
      if (size <= 0) return false;
      bytes.append(buffer, static_cast<std::size_t>(size));
    }
  }

 private:
  const int socket_;
};

class Http2LimitsTest : public testing::Test {
 protected:
  Http2LimitsTest() {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.RegisterCallbackGenericService(&service_);
    server_ = builder.BuildAndStart();
  }
  ~Http2LimitsTest() override { server_->Shutdown(std::chrono::system_clock::now()); }

  RefusingService service_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

std::string SmallHeaders(int from) {
  std::string headers;
  for (int i = from; i < from + 40; ++i) {
    headers += Header(absl::StrCat("x-", i), std::string(60, 'v'));
  }
  return headers;
}

TEST_F(Http2LimitsTest, HeadersOverManyFramesAreTakenUpToTheLimit) {
  Attacker client(port_);
  ASSERT_TRUE(client.Send(Frame(kHeaders, kEndStream, 1, Request() + SmallHeaders(0))));
  ASSERT_TRUE(client.Send(Frame(kContinuation, 0, 1, SmallHeaders(40))));
  ASSERT_TRUE(client.Send(Frame(kContinuation, kEndHeaders, 1, SmallHeaders(80))));
  EXPECT_TRUE(client.IsAnswered());
  ASSERT_TRUE(client.Send(Frame(kHeaders, kEndStream | kEndHeaders, 3, Request())));
  EXPECT_TRUE(client.IsAnswered());
}

TEST_F(Http2LimitsTest, FloodOfContinuationsIsCutOff) {
  EXPECT_TRUE(Attacker(port_).IsCutOff("", SmallHeaders(0)));
}

TEST_F(Http2LimitsTest, HeaderOfGigabytesIsCutOff) {
  const std::string begun = std::string(1, '\0') + Number(1) + "x" + Number(2'000'000'000);
  EXPECT_TRUE(Attacker(port_).IsCutOff(begun, std::string(kFrameBytes, 'v')));
}

TEST_F(Http2LimitsTest, NumberWithoutEndIsCutOff) {
  const std::string begun = std::string(1, '\0') + Number(1) + "x" + "\x7f\x80\x80\x80\x80";
  EXPECT_TRUE(Attacker(port_).IsCutOff(begun, std::string(kFrameBytes, '\x80')));
}

// `frames` again and again.
bool IsCutOffAfter(Attacker& client, const std::function<std::string(int)>& frames) {
  for (int i = 0; i < 1000; ++i) {
    if (!client.Send(frames(i))) return true;
  }
  return client.IsEnded();
}

TEST_F(Http2LimitsTest, ResetsInNumbersEndTheConnection) {
  Attacker client(port_);
  EXPECT_TRUE(IsCutOffAfter(client, [](int i) {
    const auto stream = static_cast<uint16_t>(2 * i + 1);
    return Frame(kHeaders, kEndStream | kEndHeaders, stream, Request()) +
           Frame(kResetStream, 0, stream, std::string("\0\0\0\x08", 4));
  }));
}

TEST_F(Http2LimitsTest, ChangesOfSettingsInNumbersEndTheConnection) {
  Attacker client(port_);
  EXPECT_TRUE(IsCutOffAfter(client, [](int) { return Frame(kSettings, 0, 0, ""); }));
}

TEST_F(Http2LimitsTest, PingsInNumbersEndTheConnection) {
  Attacker client(port_);
  EXPECT_TRUE(
      IsCutOffAfter(client, [](int) { return Frame(kPing, 0, 0, std::string(8, 'p')); }));
}

// The attacker acknowledges no settings, so that gRPC itself sees no limit.
TEST_F(Http2LimitsTest, StreamsInNumbersEndTheConnection) {
  Attacker client(port_);
  EXPECT_TRUE(IsCutOffAfter(client, [](int i) {
    const auto stream = static_cast<uint16_t>(2 * i + 1);
    return Frame(kHeaders, kEndHeaders, stream, Request(kHold));
  }));
}

TEST_F(Http2LimitsTest, FewStreamsAtOnceAreTaken) {
  Attacker client(port_);
  for (uint16_t i = 0; i < 200; ++i) {
    ASSERT_TRUE(client.Send(
        Frame(kHeaders, kEndHeaders, static_cast<uint16_t>(2 * i + 1), Request(kHold))));
  }
  ASSERT_TRUE(client.Send(Frame(kHeaders, kEndStream | kEndHeaders, 1001, Request())));
  EXPECT_TRUE(client.IsAnswered());
}

TEST_F(Http2LimitsTest, StreamsThatHaveEndedCountNoMore) {
  Attacker client(port_);
  for (uint16_t i = 0; i < 1000; ++i) {
    const auto stream = static_cast<uint16_t>(2 * i + 1);
    ASSERT_TRUE(client.Send(Frame(kHeaders, kEndStream | kEndHeaders, stream, Request())));
    ASSERT_TRUE(client.IsAnswered()) << i;
  }
}

TEST_F(Http2LimitsTest, FewResetsAndSettingsAreTaken) {
  Attacker client(port_);
  for (int i = 0; i < 50; ++i) {
    const auto stream = static_cast<uint16_t>(2 * i + 1);
    ASSERT_TRUE(client.Send(Frame(kHeaders, kEndStream | kEndHeaders, stream, Request()) +
                            Frame(kResetStream, 0, stream, std::string("\0\0\0\x08", 4)) +
                            Frame(kSettings, 0, 0, "")));
  }
  ASSERT_TRUE(client.Send(Frame(kHeaders, kEndStream | kEndHeaders, 1001, Request())));
  EXPECT_TRUE(client.IsAnswered());
}

TEST_F(Http2LimitsTest, OthersAreServedAfterwards) {
  EXPECT_TRUE(Attacker(port_).IsCutOff("", SmallHeaders(0)));
  Attacker client(port_);
  ASSERT_TRUE(client.Send(Frame(kHeaders, kEndStream | kEndHeaders, 1, Request())));
  EXPECT_TRUE(client.IsAnswered());
}

}  // namespace
}  // namespace certwright::rpc
