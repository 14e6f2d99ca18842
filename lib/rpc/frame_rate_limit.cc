// A bound on how often a peer may reset streams, change settings and ping, which gRPC 1.51 has
// not.
//
// A stream that its client resets counts no more as open, and what was begun for it stays in
// memory until it has run to its end: so a client that resets as fast as it begins is under no
// bound (CVE-2023-44487). Each change of settings is acknowledged, and acknowledgements that
// the peer does not read pile up. gRPC ends the connection of a peer that pings too often, but
// not while something is still to be written, and meanwhile says so again after each ping:
// where the peer does not read, that piles up (CVE-2019-9512). All are frames that peers seldom
// send: whoever sends more than here loses the connection.
//
// The functions here stand in front of those of libgrpc, like those in header_block_limit.cc,
// and as there newer versions are left alone. They serve both sides of a connection; servers of
// ours send clients none of these frames in numbers.
#include <dlfcn.h>

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <map>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "grpc/slice.h"
#include "grpcpp/version_info.h"
#include "lib/base/clock.h"
#include "lib/base/mutex.h"

#if GRPC_CPP_VERSION_MAJOR == 1 && GRPC_CPP_VERSION_MINOR == 51

struct grpc_chttp2_transport;
struct grpc_chttp2_stream;

namespace {

using certwright::base::MonotonicTime;
using ParseFrame = absl::Status(void*, grpc_chttp2_transport*, grpc_chttp2_stream*,
                                const grpc_slice&, int);

// A bucket of tokens for each connection: `burst` of them, of which one comes back each
// `interval`.
class FrameRate {
 public:
  FrameRate(int burst, absl::Duration interval)
      : burst_(burst * interval), interval_(interval) {}

  // False if the bucket of this connection is empty.
  bool Take(const grpc_chttp2_transport* connection) {
    const MonotonicTime now = certwright::base::Clock::Real().MonotonicNow();
    certwright::base::MutexLock lock(mutex_);
    MonotonicTime& full_at = full_at_.try_emplace(connection, now).first->second;
    const MonotonicTime next = std::max(full_at, now) + interval_;
    if (next > now + burst_) return false;
    full_at = next;
    return true;
  }

  // The connection that has its parser of headers there ends.
  void Forget(const void* parser) {
    // A transport is smaller than this. To forget that of a neighbour as well does no harm.
    constexpr std::ptrdiff_t kTransportBytes = 4096;
    const void* const begin = static_cast<const char*>(parser) - kTransportBytes;
    certwright::base::MutexLock lock(mutex_);
    full_at_.erase(full_at_.lower_bound(begin), full_at_.upper_bound(parser));
  }

 private:
  const absl::Duration burst_;
  const absl::Duration interval_;
  certwright::base::Mutex mutex_;
  std::map<const void*, MonotonicTime> full_at_ CW_GUARDED_BY(mutex_);
};

// Twice as many as there may be calls at once, which may all be given up together.
FrameRate& Resets() {
  static auto& rate = *new FrameRate(200, absl::Milliseconds(10));
  return rate;
}

// Clients of gRPC change their windows now and then.
FrameRate& Settings() {
  static auto& rate = *new FrameRate(100, absl::Milliseconds(50));
  return rate;
}

// Of those that gRPC itself finds too many: it ends the connection at the third.
FrameRate& NeedlessPings() {
  static auto& rate = *new FrameRate(20, absl::Seconds(1));
  return rate;
}

// Whether the ping that this thread is parsing is one of them.
thread_local bool ping_is_needless = false;

template <typename Function>
Function* Original(const char* symbol) {
  void* const address = dlsym(RTLD_NEXT, symbol);
  if (address != nullptr) return reinterpret_cast<Function*>(address);
  std::fprintf(stderr, "frame_rate_limit: libgrpc is not the one built for: %s\n", symbol);
  std::abort();
}

absl::Status TooMany(const char* frames) { return absl::ResourceExhaustedError(frames); }

}  // namespace

#define CW_PARAMETERS "PvP21grpc_chttp2_transportP18grpc_chttp2_streamRK10grpc_slicei"
#define CW_PARSE_RESET "_Z35grpc_chttp2_rst_stream_parser_parse" CW_PARAMETERS
#define CW_DESTROY_PARSER "_ZN9grpc_core11HPackParserD1Ev"
#define CW_PARSE_PING "_Z29grpc_chttp2_ping_parser_parse" CW_PARAMETERS
#define CW_ADD_PING_STRIKE "_Z27grpc_chttp2_add_ping_strikeP21grpc_chttp2_transport"
#define CW_PARSE_SETTINGS "_Z33grpc_chttp2_settings_parser_parse" CW_PARAMETERS

// NOLINTBEGIN(readability-identifier-naming,bugprone-reserved-identifier)

ParseFrame ParseReset __asm__(CW_PARSE_RESET);
ParseFrame ParseSettings __asm__(CW_PARSE_SETTINGS);
ParseFrame ParsePing __asm__(CW_PARSE_PING);
void AddPingStrike(grpc_chttp2_transport*) __asm__(CW_ADD_PING_STRIKE);
void DestroyHpackParser(void*) __asm__(CW_DESTROY_PARSER);

absl::Status ParseReset(void* parser, grpc_chttp2_transport* transport,
                        grpc_chttp2_stream* stream, const grpc_slice& slice, int last) {
  static ParseFrame* const original = Original<ParseFrame>(CW_PARSE_RESET);
  if (last != 0 && !Resets().Take(transport)) return TooMany("too many streams are reset");
  return original(parser, transport, stream, slice, last);
}

absl::Status ParseSettings(void* parser, grpc_chttp2_transport* transport,
                           grpc_chttp2_stream* stream, const grpc_slice& slice, int last) {
  static ParseFrame* const original = Original<ParseFrame>(CW_PARSE_SETTINGS);
  if (last != 0 && !Settings().Take(transport)) return TooMany("too many settings");
  return original(parser, transport, stream, slice, last);
}

absl::Status ParsePing(void* parser, grpc_chttp2_transport* transport,
                       grpc_chttp2_stream* stream, const grpc_slice& slice, int last) {
  static ParseFrame* const original = Original<ParseFrame>(CW_PARSE_PING);
  ping_is_needless = false;
  absl::Status status = original(parser, transport, stream, slice, last);
  if (status.ok() && ping_is_needless && !NeedlessPings().Take(transport)) {
    return TooMany("too many pings");
  }
  return status;
}

void AddPingStrike(grpc_chttp2_transport* transport) {
  static auto* const original = Original<decltype(AddPingStrike)>(CW_ADD_PING_STRIKE);
  ping_is_needless = true;
  original(transport);
}

// Part of the transport, and with it the only sign here that a connection has ended.
void DestroyHpackParser(void* parser) {
  static auto* const original = Original<decltype(DestroyHpackParser)>(CW_DESTROY_PARSER);
  Resets().Forget(parser);
  Settings().Forget(parser);
  NeedlessPings().Forget(parser);
  original(parser);
}

// NOLINTEND(readability-identifier-naming,bugprone-reserved-identifier)

#endif
