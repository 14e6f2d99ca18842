#include "tests/attacks/http2_attacker.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "lib/base/status_macros.h"

namespace certwright::attacks {
namespace {

constexpr std::size_t kFrameHeaderBytes = 9;
constexpr std::size_t kMaxFrameBytes = 16 * 1024;
constexpr uint32_t kFullWindow = 0x7fffffff;

uint32_t ReadNumber(absl::string_view bytes) {
  uint32_t value = 0;
  for (const char c : bytes) value = value << 8 | static_cast<unsigned char>(c);
  return value;
}

}  // namespace

std::string Number32(uint32_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(value >> shift);
  return bytes;
}

std::string Serialize(const Frame& frame) {
  std::string bytes = Number32(static_cast<uint32_t>(frame.payload.size())).substr(1);
  bytes += static_cast<char>(frame.type);
  bytes += static_cast<char>(frame.flags);
  return absl::StrCat(bytes, Number32(frame.stream), frame.payload);
}

std::string SerializeHeaders(uint32_t stream, absl::string_view block, uint8_t flags) {
  std::string bytes;
  FrameType type = FrameType::kHeaders;
  do {
    const absl::string_view part = block.substr(0, kMaxFrameBytes);
    block.remove_prefix(part.size());
    if (block.empty()) flags |= kEndHeaders;
    bytes += Serialize({type, flags, stream, std::string(part)});
    type = FrameType::kContinuation;
    flags = 0;
  } while (!block.empty());
  return bytes;
}

Frame SettingsFrame(const std::vector<Setting>& settings) {
  Frame frame{FrameType::kSettings};
  for (const Setting& setting : settings) {
    frame.payload += static_cast<char>(setting.id >> 8);
    frame.payload += static_cast<char>(setting.id);
    frame.payload += Number32(setting.value);
  }
  return frame;
}

std::string GrpcMessage(absl::string_view message, std::optional<uint32_t> claimed) {
  const auto size = static_cast<uint32_t>(message.size());
  return absl::StrCat(std::string(1, '\0'), Number32(claimed.value_or(size)), message);
}

Headers CallHeaders(absl::string_view path) {
  return {{":method", "POST"},          {":scheme", "http"},
          {":path", std::string(path)}, {":authority", "localhost"},
          {"te", "trailers"},           {"content-type", "application/grpc"}};
}

std::string Response::Find(absl::string_view name) const {
  for (const Header& header : headers) {
    if (header.name == name) return header.value;
  }
  return "";
}

std::optional<int> Response::grpc_status() const {
  int code = 0;
  if (!absl::SimpleAtoi(Find("grpc-status"), &code)) return std::nullopt;
  return code;
}

absl::StatusOr<std::unique_ptr<Http2Attacker>> Http2Attacker::Connect(const Target& target,
                                                                      ConnectOptions options) {
  std::unique_ptr<Http2Attacker> attacker(new Http2Attacker(std::move(options)));
  CW_ASSIGN_OR_RETURN(attacker->connection_, Connection::Open(target));
  std::string opening =
      absl::StrCat(kPreface, Serialize(SettingsFrame(attacker->options_.settings)));
  if (attacker->options_.give_windows) {
    opening += Serialize({FrameType::kWindowUpdate, 0, 0, Number32(kFullWindow - 65'535)});
  }
  CW_RETURN_IF_ERROR(attacker->Send(opening));
  return attacker;
}

absl::Status Http2Attacker::Send(absl::string_view bytes) {
  const absl::Status status = connection_->Send(bytes);
  if (absl::IsUnavailable(status)) closed_ = true;
  return status;
}

uint32_t Http2Attacker::NextStream() {
  const uint32_t stream = next_stream_;
  next_stream_ += 2;
  return stream;
}

uint32_t Http2Attacker::NextKeptStream() {
  const uint32_t stream = NextStream();
  responses_[stream];
  stream_windows_[stream] = initial_window_;
  return stream;
}

absl::StatusOr<uint32_t> Http2Attacker::StartStream(const Headers& headers, bool end_stream) {
  const uint32_t stream = NextKeptStream();
  CW_RETURN_IF_ERROR(
      Send(SerializeHeaders(stream, HeaderBlock(headers), end_stream ? kEndStream : 0)));
  return stream;
}

absl::StatusOr<uint32_t> Http2Attacker::StartCall(const Headers& headers,
                                                  absl::string_view message) {
  const uint32_t stream = NextKeptStream();
  const std::string data = GrpcMessage(message);
  window_ -= static_cast<int64_t>(data.size());
  CW_RETURN_IF_ERROR(
      Send(absl::StrCat(SerializeHeaders(stream, HeaderBlock(headers), 0),
                        Serialize({FrameType::kData, kEndStream, stream, data}))));
  return stream;
}

absl::StatusOr<Response> Http2Attacker::Call(absl::string_view path, const Headers& more,
                                             absl::string_view message,
                                             absl::Duration timeout) {
  Headers headers = CallHeaders(path);
  headers.insert(headers.end(), more.begin(), more.end());
  CW_ASSIGN_OR_RETURN(const uint32_t stream, StartCall(headers, message));
  absl::StatusOr<Response> response = WaitFor(stream, timeout);
  Forget(stream);
  return response;
}

absl::Status Http2Attacker::SendData(uint32_t stream, absl::string_view& bytes) {
  int64_t& window = stream_windows_[stream];
  while (!bytes.empty() && window > 0 && window_ > 0) {
    const auto size = std::min({static_cast<int64_t>(bytes.size()), window, window_,
                                static_cast<int64_t>(kMaxFrameBytes)});
    const absl::string_view part = bytes.substr(0, static_cast<std::size_t>(size));
    CW_RETURN_IF_ERROR(Send({FrameType::kData, 0, stream, std::string(part)}));
    bytes.remove_prefix(part.size());
    window -= size;
    window_ -= size;
  }
  return absl::OkStatus();
}

absl::Status Http2Attacker::Pump(absl::Duration timeout) {
  const absl::Status status = connection_->Receive(received_, timeout);
  if (absl::IsUnavailable(status)) closed_ = true;
  CW_RETURN_IF_ERROR(status);
  return HandleFrames();
}

absl::Status Http2Attacker::HandleFrames() {
  absl::string_view left = received_;
  absl::Status status;
  while (left.size() >= kFrameHeaderBytes && status.ok()) {
    const std::size_t size = ReadNumber(left.substr(0, 3));
    if (left.size() < kFrameHeaderBytes + size) break;
    const Frame frame{static_cast<FrameType>(left[3]), static_cast<uint8_t>(left[4]),
                      ReadNumber(left.substr(5, 4)) & kFullWindow,
                      std::string(left.substr(kFrameHeaderBytes, size))};
    left.remove_prefix(kFrameHeaderBytes + size);
    status = Handle(frame);
  }
  received_.erase(0, received_.size() - left.size());
  if (absl::IsUnavailable(status)) closed_ = true;
  return status;
}

absl::Status Http2Attacker::Handle(const Frame& frame) {
  switch (frame.type) {
    case FrameType::kData:
      return HandleData(frame);
    case FrameType::kHeaders:
    case FrameType::kContinuation:
      HandleHeaders(frame);
      return absl::OkStatus();
    case FrameType::kRstStream:
      if (const auto found = responses_.find(frame.stream); found != responses_.end()) {
        found->second.reset = ReadNumber(frame.payload);
        found->second.ended = true;
      }
      return absl::OkStatus();
    case FrameType::kSettings:
      return HandleSettings(frame);
    case FrameType::kPing:
      if ((frame.flags & kAck) != 0) return absl::OkStatus();
      return Send({FrameType::kPing, kAck, 0, frame.payload});
    case FrameType::kGoAway:
      going_away_ = ReadNumber(frame.payload.substr(4, 4));
      return absl::OkStatus();
    case FrameType::kWindowUpdate:
      if (frame.stream == 0) {
        window_ += ReadNumber(frame.payload);
      } else if (responses_.contains(frame.stream)) {
        stream_windows_[frame.stream] += ReadNumber(frame.payload);
      }
      return absl::OkStatus();
    case FrameType::kPriority:
    case FrameType::kPushPromise:
      break;
  }
  return absl::OkStatus();
}

absl::Status Http2Attacker::HandleSettings(const Frame& frame) {
  if ((frame.flags & kAck) != 0) return absl::OkStatus();
  for (absl::string_view left = frame.payload; left.size() >= 6; left.remove_prefix(6)) {
    const uint32_t id = ReadNumber(left.substr(0, 2));
    const uint32_t value = ReadNumber(left.substr(2, 4));
    if (id == kMaxConcurrentStreams) max_concurrent_streams_ = value;
    if (id != kInitialWindowSize) continue;
    for (auto& [stream, window] : stream_windows_) window += value - initial_window_;
    initial_window_ = value;
  }
  if (!options_.acknowledge_settings) return absl::OkStatus();
  return Send({FrameType::kSettings, kAck});
}

absl::Status Http2Attacker::HandleData(const Frame& frame) {
  const auto found = responses_.find(frame.stream);
  const bool ended = (frame.flags & kEndStream) != 0;
  if (found != responses_.end()) {
    found->second.data += frame.payload;
    found->second.ended = found->second.ended || ended;
  }
  if (!options_.give_windows || frame.payload.empty()) return absl::OkStatus();
  const std::string size = Number32(static_cast<uint32_t>(frame.payload.size()));
  std::string updates = Serialize({FrameType::kWindowUpdate, 0, 0, size});
  if (!ended) updates += Serialize({FrameType::kWindowUpdate, 0, frame.stream, size});
  return Send(updates);
}

void Http2Attacker::HandleHeaders(const Frame& frame) {
  absl::string_view block = frame.payload;
  if (frame.type == FrameType::kHeaders) {
    header_block_.clear();
    // Padding and priority: no server of ours sends them, but they would not be in the block.
    if ((frame.flags & 0x20) != 0) block.remove_prefix(5);
  }
  absl::StrAppend(&header_block_, block);
  if ((frame.flags & kEndHeaders) == 0) return;
  const std::optional<Headers> headers = decoder_.Decode(header_block_);
  const auto found = responses_.find(frame.stream);
  if (!headers.has_value() || found == responses_.end()) return;
  Response& response = found->second;
  response.headers.insert(response.headers.end(), headers->begin(), headers->end());
  if ((frame.flags & kEndStream) != 0) response.ended = true;
}

absl::StatusOr<Response> Http2Attacker::WaitFor(uint32_t stream, absl::Duration timeout) {
  const Response& response = responses_[stream];
  if (PumpUntil([&response] { return response.ended; }, timeout)) return response;
  if (closed_) return absl::UnavailableError("the connection was closed before an answer");
  return absl::DeadlineExceededError("no answer");
}

absl::Status CheckHealth(const Target& target) {
  CW_ASSIGN_OR_RETURN(const auto client, Http2Attacker::Connect(target));
  CW_ASSIGN_OR_RETURN(const Response response, client->Call(kHealthCheck, {}, ""));
  if (response.grpc_status() != 0) {
    return absl::UnavailableError(absl::StrCat("health answers ", response.Find("grpc-status"),
                                               " ", response.Find("grpc-message")));
  }
  // HealthCheckResponse{status: SERVING}
  if (response.data != GrpcMessage("\x08\x01")) {
    return absl::UnavailableError("health is not \"serving\"");
  }
  return absl::OkStatus();
}

}  // namespace certwright::attacks
