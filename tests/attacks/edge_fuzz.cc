// What strangers send to a real gRPC server: headers, header blocks, messages and frames. The
// input is lines that begin with what they are, with C escapes:
//
//   h name: value   a header of the next HEADERS frame, after those that every call has
//   b bytes         a piece of its header block
//   p path          sends that frame, which begins a call of this method
//   m bytes         a message, in its frame
//   d bytes         DATA as it is
//   f Tfbytes       a frame of type T and flags f ('0' is 0) on the call's stream
//   r bytes         anything
//
// An input that begins with '!' goes to the port for health, in plaintext.
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "lib/base/clock.h"
#include "lib/base/fuzz.h"
#include "lib/pki/test_ca.h"
#include "lib/rpc/access.h"
#include "lib/rpc/server.h"
#include "lib/rpc/testing/echo_service.h"
#include "lib/runtime/thread_pool.h"
#include "lib/runtime/timers.h"
#include "tests/attacks/http2_attacker.h"
#include "tests/harness/process.h"

namespace certwright::attacks {
namespace {

constexpr char kService[] = "certwright.rpc.testing.EchoService";
constexpr char kEcho[] = "/certwright.rpc.testing.EchoService/Echo";
// How long an answer is waited for; there need be none.
constexpr absl::Duration kAnswerTimeout = absl::Milliseconds(20);
// Health is asked for after each so many inputs.
constexpr int kInputsPerLook = 32;

// A server that knows callers by certificates and tokens; the client has neither.
class Edge {
 public:
  Edge() {
    rpc::AccessPolicy policy;
    policy.enforced = true;
    policy.tokens = {{"ci", std::string(32, 'x')}};
    const std::string prefix = absl::StrCat(kService, ".");
    permissions_ = *rpc::Permissions::Make(
        std::move(policy), {{prefix + "Echo", {.scope = rpc::Scope::kCluster}},
                            {prefix + "WatchEcho", {.scope = rpc::Scope::kCluster}}});
    rpc::ServerOptions options;
    options.listen_address = "127.0.0.1:0";
    options.health_address = "127.0.0.1:0";
    options.tls = MakeFiles();
    options.limits.strangers = {.per_second = 1'000'000, .burst = 1'000'000};
    environment_.permissions = permissions_.get();
    server_ = *rpc::Server::Start(options, environment_, {&service_});
    server_->SetServing(true);
  }

  Target ToGrpc() const { return {server_->port(), tls_, "127.0.0.2"}; }
  Target ToHealth() const { return {server_->health_port(), nullptr, "127.0.0.2"}; }

  void LookAtHealth() const {
    for (Target target : {ToGrpc(), ToHealth()}) {
      target.from = "127.0.0.9";
      CW_FUZZ_CHECK(CheckHealth(target).ok());
    }
  }

 private:
  static rpc::TlsFiles MakeFiles() {
    const pki::TestCa ca;
    pki::SubjectAltNames names;
    names.dns_names = {"localhost"};
    const pki::TestIdentity identity = ca.Issue(names);
    const std::string folder = harness::MakeFolder("edge-fuzz");
    harness::WriteFile(folder + "/crt", identity.chain_pem);
    harness::WriteFile(folder + "/key", identity.key_pem);
    harness::WriteFile(folder + "/ca", ca.root().Pem());
    return {folder + "/crt", folder + "/key", folder + "/ca"};
  }

  const TlsContext tls_ = TlsWithoutCertificate();
  runtime::ThreadPool pool_{1};
  std::unique_ptr<runtime::Timers> timers_ =
      runtime::MakeAsioTimers(pool_.executor(), base::Clock::Real());
  std::unique_ptr<rpc::Permissions> permissions_;
  rpc::CallEnvironment environment_{pool_.executor(), *timers_};
  rpc::testing::EchoServiceForTest service_{environment_};
  std::unique_ptr<rpc::Server> server_;
};

// Plays the lines of one input on a connection.
class Player {
 public:
  explicit Player(std::unique_ptr<Http2Attacker> attacker) : attacker_(std::move(attacker)) {}

  void Play(absl::string_view line) {
    if (line.empty()) return;
    std::string bytes;
    const absl::string_view rest = line.substr(line.size() > 1 && line[1] == ' ' ? 2 : 1);
    if (!absl::CUnescape(rest, &bytes)) bytes = std::string(rest);
    switch (line[0]) {
      case 'h': {
        const std::pair<std::string, std::string> header =
            absl::StrSplit(bytes, absl::MaxSplits(": ", 1));
        block_ += Literal(header.first, header.second);
        break;
      }
      case 'b':
        block_ += bytes;
        break;
      case 'p':
        Begin(bytes);
        break;
      case 'm':
        Send({FrameType::kData, 0, stream_, GrpcMessage(bytes)});
        break;
      case 'd':
        Send({FrameType::kData, 0, stream_, bytes});
        break;
      case 'f':
        if (bytes.size() < 2) break;
        Send({static_cast<FrameType>(bytes[0] - '0'), static_cast<uint8_t>(bytes[1] - '0'),
              stream_, bytes.substr(2)});
        break;
      default:
        attacker_->Send(bytes).IgnoreError();
    }
  }

  void End() {
    if (stream_ == 0) Begin(kEcho);
    Send({FrameType::kData, kEndStream, stream_});
    attacker_->PumpUntil([this] { return attacker_->response(stream_).ended; }, kAnswerTimeout);
  }

 private:
  void Begin(const std::string& path) {
    stream_ = attacker_->NextKeptStream();
    Send({FrameType::kHeaders, kEndHeaders, stream_, HeaderBlock(CallHeaders(path)) + block_});
    block_.clear();
  }
  void Send(const Frame& frame) { attacker_->Send(frame).IgnoreError(); }

  std::unique_ptr<Http2Attacker> attacker_;
  std::string block_;
  uint32_t stream_ = 0;
};

void Run(absl::string_view input) {
  static auto& edge = *new Edge;
  static int inputs = 0;
  const bool to_health = !input.empty() && input[0] == '!';
  auto attacker = Http2Attacker::Connect(to_health ? edge.ToHealth() : edge.ToGrpc());
  CW_FUZZ_CHECK(attacker.ok());
  Player player(*std::move(attacker));
  for (const absl::string_view line : absl::StrSplit(input, '\n')) player.Play(line);
  player.End();
  if (++inputs % kInputsPerLook == 0) edge.LookAtHealth();
}

}  // namespace
}  // namespace certwright::attacks

CW_FUZZ_TARGET(input) { certwright::attacks::Run(input); }
