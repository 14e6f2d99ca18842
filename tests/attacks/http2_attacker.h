// Http2Attacker: a client of HTTP/2 and gRPC without manners. It does not use gRPC, so it can
// send what gRPC's own client never would: any frame, any header block, anything at all.
//
//   CW_ASSERT_OK_AND_ASSIGN(const auto attacker, Http2Attacker::Connect(target));
//   CW_ASSERT_OK(attacker->Send({FrameType::kHeaders, kEndHeaders, 1, HeaderBlock(…)}));
//   CW_ASSERT_OK_AND_ASSIGN(const Response response, attacker->Call("/a.B/C", {}, ""));
//
// Threading: one thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "tests/attacks/connection.h"
#include "tests/attacks/hpack.h"

namespace certwright::attacks {

// RFC 9113 section 6.
enum class FrameType : uint8_t {
  kData = 0,
  kHeaders = 1,
  kPriority = 2,
  kRstStream = 3,
  kSettings = 4,
  kPushPromise = 5,
  kPing = 6,
  kGoAway = 7,
  kWindowUpdate = 8,
  kContinuation = 9,
};
inline constexpr uint8_t kEndStream = 0x1;
inline constexpr uint8_t kAck = 0x1;
inline constexpr uint8_t kEndHeaders = 0x4;
inline constexpr uint8_t kPadded = 0x8;

struct Frame {
  FrameType type = FrameType::kData;
  uint8_t flags = 0;
  uint32_t stream = 0;
  std::string payload = {};
};
std::string Serialize(const Frame& frame);

// A header block in HEADERS and, where it is too long for one frame, CONTINUATION.
std::string SerializeHeaders(uint32_t stream, absl::string_view block, uint8_t flags);

// A number in network byte order: the payload of RST_STREAM and WINDOW_UPDATE.
std::string Number32(uint32_t value);

struct Setting {
  uint16_t id = 0;
  uint32_t value = 0;
};
inline constexpr uint16_t kHeaderTableSize = 1;
inline constexpr uint16_t kMaxConcurrentStreams = 3;
inline constexpr uint16_t kInitialWindowSize = 4;
Frame SettingsFrame(const std::vector<Setting>& settings);

inline constexpr char kPreface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
// The method that everybody may call.
inline constexpr char kHealthCheck[] = "/grpc.health.v1.Health/Check";

// gRPC's frame around a message: five bytes before it. `claimed` is the length that they say,
// if it is not the message's.
std::string GrpcMessage(absl::string_view message, std::optional<uint32_t> claimed = {});

// What gRPC's own client sends first.
Headers CallHeaders(absl::string_view path);

// What came on one stream.
struct Response {
  // With the trailers.
  Headers headers;
  std::string data;
  // The code of a RST_STREAM.
  std::optional<uint32_t> reset;
  bool ended = false;

  // "" if there is no such header.
  std::string Find(absl::string_view name) const;
  // Of the trailers; nullopt if there is none.
  std::optional<int> grpc_status() const;
};

struct ConnectOptions {
  std::vector<Setting> settings = {};
  // Let the server send as much as it wants. Without, it gets the windows of `settings` once.
  bool give_windows = true;
  // Say that the server's settings are known. Without, they do not count yet.
  bool acknowledge_settings = true;
};

class Http2Attacker {
 public:
  // Preface and settings have been sent; the server's are awaited by nobody.
  static absl::StatusOr<std::unique_ptr<Http2Attacker>> Connect(const Target& target,
                                                                ConnectOptions options = {});

  Connection& connection() { return *connection_; }

  absl::Status Send(absl::string_view bytes);
  absl::Status Send(const Frame& frame) { return Send(Serialize(frame)); }

  // An id that was not used; nothing of its answer is kept.
  uint32_t NextStream();
  // Likewise, but the answer is kept until Forget().
  uint32_t NextKeptStream();
  // HEADERS only, on a NextKeptStream().
  absl::StatusOr<uint32_t> StartStream(const Headers& headers, bool end_stream);
  // HEADERS, `message` in its frame, and the end of the stream.
  absl::StatusOr<uint32_t> StartCall(const Headers& headers, absl::string_view message);
  // StartCall() with CallHeaders() and these, and its answer.
  absl::StatusOr<Response> Call(absl::string_view path, const Headers& more,
                                absl::string_view message, absl::Duration timeout = kPatience);
  // As many of `bytes` as the server's windows allow now, in DATA frames; removes them.
  absl::Status SendData(uint32_t stream, absl::string_view& bytes);

  // Handles what comes, waiting up to `timeout` for the first of it: answers SETTINGS and PING,
  // gives windows and notes answers. DEADLINE_EXCEEDED if nothing came, UNAVAILABLE once the
  // server has closed the connection.
  absl::Status Pump(absl::Duration timeout);
  // Pumps until `done`; false if the time is over before, or the connection.
  template <typename Condition>
  bool PumpUntil(Condition done, absl::Duration timeout = kPatience);
  // Until the stream has ended.
  absl::StatusOr<Response> WaitFor(uint32_t stream, absl::Duration timeout = kPatience);

  // Of a NextKeptStream().
  const Response& response(uint32_t stream) { return responses_[stream]; }
  void Forget(uint32_t stream) {
    responses_.erase(stream);
    stream_windows_.erase(stream);
  }

  // Whether the server has ended the connection.
  bool closed() const { return closed_; }
  // The error code of a GOAWAY.
  std::optional<uint32_t> going_away() const { return going_away_; }
  // Of its SETTINGS.
  std::optional<uint32_t> max_concurrent_streams() const { return max_concurrent_streams_; }

 private:
  explicit Http2Attacker(ConnectOptions options) : options_(std::move(options)) {}
  absl::Status HandleFrames();
  absl::Status Handle(const Frame& frame);
  absl::Status HandleSettings(const Frame& frame);
  absl::Status HandleData(const Frame& frame);
  void HandleHeaders(const Frame& frame);

  const ConnectOptions options_;
  std::unique_ptr<Connection> connection_;
  std::string received_;
  HpackDecoder decoder_;
  std::string header_block_;
  std::map<uint32_t, Response> responses_;
  uint32_t next_stream_ = 1;
  bool closed_ = false;
  std::optional<uint32_t> going_away_;
  std::optional<uint32_t> max_concurrent_streams_;
  // What we may still send: on the connection, on streams, on those that are new.
  int64_t window_ = 65'535;
  int64_t initial_window_ = 65'535;
  std::map<uint32_t, int64_t> stream_windows_;
};

// OK if health is "serving", asked over a connection of its own.
absl::Status CheckHealth(const Target& target);

template <typename Condition>
bool Http2Attacker::PumpUntil(Condition done, absl::Duration timeout) {
  const absl::Time end = absl::Now() + timeout;
  while (!done()) {
    if (!Pump(end - absl::Now()).ok()) return done();
  }
  return true;
}

}  // namespace certwright::attacks
