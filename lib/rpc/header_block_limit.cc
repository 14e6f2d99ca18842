// A bound on the headers of one request or answer, which gRPC 1.51 has not.
//
// It counts what a HEADERS or CONTINUATION frame holds, anew with each frame, and keeps what it
// cannot parse yet, copied with each read: so a peer who never ends its headers, or who
// announces one of gigabytes, fills the memory or the CPU (CVE-2023-33953, VU#421644). And it
// takes the limit that the peer has acknowledged, which is 16 MiB as long as the peer
// acknowledges nothing.
//
// The functions here stand in front of those of libgrpc, as it calls them through the dynamic
// linker, and go on to them. They count over all frames of a block, and refuse what is larger
// than any limit of ours; gRPC closes the connection then. Newer versions do this themselves
// and are left alone. docs/GRPC_ADVISORIES.md
#include <dlfcn.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "absl/status/status.h"
#include "grpc/slice.h"
#include "grpcpp/version_info.h"
#include "lib/rpc/stream_limit.h"

#if GRPC_CPP_VERSION_MAJOR == 1 && GRPC_CPP_VERSION_MINOR == 51

struct grpc_chttp2_transport;
struct grpc_chttp2_stream;
struct grpc_metadata_batch;

// NOLINTBEGIN(readability-identifier-naming,bugprone-reserved-identifier)

// The first members of grpc_core::HPackParser.
struct HpackParserHead {
  grpc_metadata_batch* metadata;
  std::vector<uint8_t> unparsed;
  uint8_t boundary;
  uint8_t priority;
  uint8_t table_updates_allowed;
  uint32_t metadata_size;
  uint32_t metadata_size_limit;
};

// grpc_core::HPackParser::LogInfo.
struct HpackLogInfo {
  uint32_t stream_id;
  uint8_t type;
  bool is_client;
};

namespace {

// Of a block, with 32 octets for each header, as SETTINGS_MAX_HEADER_LIST_SIZE counts.
constexpr uint32_t kMaxBytes = 16 << 10;
// Base64 and bad Huffman codes are longer on the wire than what they stand for.
constexpr std::size_t kMaxUnparsedBytes = 2 * kMaxBytes;

constexpr uint8_t kMoreFramesFollow = 0;
constexpr uint8_t kEndOfHeaders = 1;

[[noreturn]] void Crash(const char* what) {
  std::fprintf(stderr, "header_block_limit: libgrpc is not the one built for: %s\n", what);
  std::abort();
}

template <typename Function>
Function Original(const char* symbol) {
  void* const address = dlsym(RTLD_NEXT, symbol);
  if (address == nullptr) Crash(symbol);
  return reinterpret_cast<Function>(address);
}

}  // namespace

#define CW_PARSER "_ZN9grpc_core11HPackParser"
#define CW_CONSTRUCT CW_PARSER "C1Ev"
#define CW_BEGIN_FRAME \
  CW_PARSER            \
  "10BeginFrameEP19grpc_metadata_batchjNS0_8BoundaryENS0_8PriorityENS0_7LogInfoE"
#define CW_PARSE                                                                       \
  "_Z31grpc_chttp2_header_parser_parsePvP21grpc_chttp2_transportP18grpc_chttp2_stream" \
  "RK10grpc_slicei"

void ConstructHpackParser(HpackParserHead*) __asm__(CW_CONSTRUCT);
void BeginHpackFrame(HpackParserHead*, grpc_metadata_batch*, uint32_t, uint8_t, uint8_t,
                     HpackLogInfo) __asm__(CW_BEGIN_FRAME);
absl::Status ParseHpack(void*, grpc_chttp2_transport*, grpc_chttp2_stream*, const grpc_slice&,
                        int) __asm__(CW_PARSE);

// gRPC's leaves the boundary as it finds it.
void ConstructHpackParser(HpackParserHead* parser) {
  static const auto original = Original<decltype(&ConstructHpackParser)>(CW_CONSTRUCT);
  original(parser);
  parser->boundary = kEndOfHeaders;
}

void BeginHpackFrame(HpackParserHead* parser, grpc_metadata_batch* metadata, uint32_t limit,
                     uint8_t boundary, uint8_t priority, HpackLogInfo info) {
  static const auto original = Original<decltype(&BeginHpackFrame)>(CW_BEGIN_FRAME);
  const bool continues = parser->boundary == kMoreFramesFollow;
  const uint32_t size = continues ? parser->metadata_size : 0;
  limit = std::min(limit, kMaxBytes);
  original(parser, metadata, limit, boundary, priority, info);
  const bool as_known = parser->metadata == metadata && parser->boundary == boundary &&
                        parser->priority == priority && parser->metadata_size == 0 &&
                        parser->metadata_size_limit == limit;
  if (!as_known) Crash("the parser's members");
  parser->metadata_size = size;
}

absl::Status ParseHpack(void* parser, grpc_chttp2_transport* transport,
                        grpc_chttp2_stream* stream, const grpc_slice& slice, int last) {
  static const auto original = Original<decltype(&ParseHpack)>(CW_PARSE);
  if (static_cast<HpackParserHead*>(parser)->unparsed.size() > kMaxUnparsedBytes) {
    return absl::ResourceExhaustedError("a header is larger than any may be");
  }
  if (certwright::rpc::HasTooManyStreams(transport)) {
    return absl::ResourceExhaustedError("the connection has too many streams");
  }
  return original(parser, transport, stream, slice, last);
}

// NOLINTEND(readability-identifier-naming,bugprone-reserved-identifier)

#endif
