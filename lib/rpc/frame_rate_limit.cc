// A bound on how often a peer may reset streams and change settings, which gRPC 1.51 has not.
//
// A stream that its client resets counts no more as open, and what was begun for it stays in
// memory until it has run to its end: so a client that resets as fast as it begins is under no
// bound (CVE-2023-44487). Each change of settings is acknowledged, and acknowledgements that
// the peer does not read pile up. Both are frames that peers seldom send: whoever sends more
// than here loses the connection.
//
// The functions here stand in front of those of libgrpc, like those in header_block_limit.cc,
// and as there newer versions are left alone. They serve both sides of a connection; servers of
// ours send clients neither kind of frame in numbers.
#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "grpc/slice.h"
#include "grpcpp/version_info.h"
#include "lib/base/clock.h"

#if GRPC_CPP_VERSION_MAJOR == 1 && GRPC_CPP_VERSION_MINOR == 51

struct grpc_chttp2_transport;
struct grpc_chttp2_stream;

namespace {

using ParseFrame = absl::Status(void*, grpc_chttp2_transport*, grpc_chttp2_stream*,
                                const grpc_slice&, int);

// A bucket of tokens for each connection: `burst` of them, of which one comes back each
// `interval`.
class FrameRate {
 public:
  FrameRate(int burst, absl::Duration interval)
      : burst_(absl::ToInt64Nanoseconds(burst * interval)),
        interval_(absl::ToInt64Nanoseconds(interval)) {}

  // False if the bucket of this connection is empty. gRPC tells of the frames of one connection
  // one after the other.
  bool Take(const grpc_chttp2_transport* connection) {
    // Two connections seldom share a bucket, and one that has gone leaves a bucket that fills
    // by itself, so nothing needs to be taken out.
    std::atomic<int64_t>& full_at =
        full_at_[std::hash<const void*>()(connection) / kAlignment % full_at_.size()];
    const int64_t now =
        absl::ToInt64Nanoseconds(certwright::base::Clock::Real().MonotonicNow().since_origin);
    const int64_t next = std::max(full_at.load(std::memory_order_relaxed), now) + interval_;
    if (next > now + burst_) return false;
    full_at.store(next, std::memory_order_relaxed);
    return true;
  }

 private:
  static constexpr std::size_t kAlignment = 64;

  const int64_t burst_;
  const int64_t interval_;
  // In nanoseconds; a bucket whose time has passed is full.
  std::array<std::atomic<int64_t>, 4099> full_at_ = {};
};

ParseFrame* Original(const char* symbol) {
  void* const address = dlsym(RTLD_NEXT, symbol);
  if (address != nullptr) return reinterpret_cast<ParseFrame*>(address);
  std::fprintf(stderr, "frame_rate_limit: libgrpc is not the one built for: %s\n", symbol);
  std::abort();
}

absl::Status TooMany(const char* frames) { return absl::ResourceExhaustedError(frames); }

}  // namespace

#define CW_PARAMETERS "PvP21grpc_chttp2_transportP18grpc_chttp2_streamRK10grpc_slicei"
#define CW_PARSE_RESET "_Z35grpc_chttp2_rst_stream_parser_parse" CW_PARAMETERS
#define CW_PARSE_SETTINGS "_Z33grpc_chttp2_settings_parser_parse" CW_PARAMETERS

// NOLINTBEGIN(readability-identifier-naming,bugprone-reserved-identifier)

ParseFrame ParseReset __asm__(CW_PARSE_RESET);
ParseFrame ParseSettings __asm__(CW_PARSE_SETTINGS);

absl::Status ParseReset(void* parser, grpc_chttp2_transport* transport,
                        grpc_chttp2_stream* stream, const grpc_slice& slice, int last) {
  static ParseFrame* const original = Original(CW_PARSE_RESET);
  // As many as there may be calls at once, which may all be given up together, twice.
  static auto& rate = *new FrameRate(200, absl::Milliseconds(10));
  if (last != 0 && !rate.Take(transport)) return TooMany("too many streams are reset");
  return original(parser, transport, stream, slice, last);
}

absl::Status ParseSettings(void* parser, grpc_chttp2_transport* transport,
                           grpc_chttp2_stream* stream, const grpc_slice& slice, int last) {
  static ParseFrame* const original = Original(CW_PARSE_SETTINGS);
  // Clients of gRPC change their windows now and then.
  static auto& rate = *new FrameRate(100, absl::Milliseconds(50));
  if (last != 0 && !rate.Take(transport)) return TooMany("too many settings");
  return original(parser, transport, stream, slice, last);
}

// NOLINTEND(readability-identifier-naming,bugprone-reserved-identifier)

#endif
