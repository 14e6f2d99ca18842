#include "lib/rpc/stream_limit.h"

#include <dlfcn.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "absl/container/flat_hash_map.h"
#include "grpcpp/version_info.h"
#include "lib/base/mutex.h"

namespace certwright::rpc {
namespace {

std::atomic<int> max_streams = 256;

class StreamCounts {
 public:
  // False if the connection has as many as it may, and is to be ended.
  bool MayBegin(const void* connection) {
    base::MutexLock lock(mutex_);
    const auto found = connections_.find(connection);
    if (found == connections_.end() || found->second.streams < max_streams) return true;
    found->second.has_too_many = true;
    return false;
  }

  void Begin(const void* connection, const void* stream) {
    base::MutexLock lock(mutex_);
    ++connections_[connection].streams;
    streams_[stream] = connection;
  }

  void End(const void* stream) {
    base::MutexLock lock(mutex_);
    const auto found = streams_.find(stream);
    if (found == streams_.end()) return;
    const auto connection = connections_.find(found->second);
    streams_.erase(found);
    if (--connection->second.streams == 0) connections_.erase(connection);
  }

  bool HasTooMany(const void* connection) {
    base::MutexLock lock(mutex_);
    const auto found = connections_.find(connection);
    return found != connections_.end() && found->second.has_too_many;
  }

 private:
  struct Connection {
    int streams = 0;
    bool has_too_many = false;
  };

  base::Mutex mutex_;
  absl::flat_hash_map<const void*, Connection> connections_ CW_GUARDED_BY(mutex_);
  // The connection of each.
  absl::flat_hash_map<const void*, const void*> streams_ CW_GUARDED_BY(mutex_);
};

StreamCounts& Counts() {
  static auto& counts = *new StreamCounts;
  return counts;
}

}  // namespace

void AllowStreamsOfConnection(int streams) {
  int allowed = max_streams;
  while (allowed < streams && !max_streams.compare_exchange_weak(allowed, streams)) {
  }
}

bool HasTooManyStreams(const void* connection) { return Counts().HasTooMany(connection); }

}  // namespace certwright::rpc

// The functions here stand in front of those of libgrpc, like those in header_block_limit.cc,
// and as there newer versions are left alone.
#if GRPC_CPP_VERSION_MAJOR == 1 && GRPC_CPP_VERSION_MINOR == 51

struct grpc_chttp2_transport;
struct grpc_chttp2_stream;
struct grpc_stream_refcount;

namespace {

template <typename Function>
Function* Original(const char* symbol) {
  void* const address = dlsym(RTLD_NEXT, symbol);
  if (address != nullptr) return reinterpret_cast<Function*>(address);
  std::fprintf(stderr, "stream_limit: libgrpc is not the one built for: %s\n", symbol);
  std::abort();
}

}  // namespace

#define CW_ACCEPT "_Z33grpc_chttp2_parsing_accept_streamP21grpc_chttp2_transportj"
#define CW_CONSTRUCT           \
  "_ZN18grpc_chttp2_streamC1E" \
  "P21grpc_chttp2_transportP20grpc_stream_refcountPKvPN9grpc_core5ArenaE"
#define CW_DESTROY "_ZN18grpc_chttp2_streamD1Ev"

// NOLINTBEGIN(readability-identifier-naming,bugprone-reserved-identifier)

grpc_chttp2_stream* AcceptStream(grpc_chttp2_transport*, uint32_t) __asm__(CW_ACCEPT);
void ConstructStream(grpc_chttp2_stream*, grpc_chttp2_transport*, grpc_stream_refcount*,
                     const void*, void*) __asm__(CW_CONSTRUCT);
void DestroyStream(grpc_chttp2_stream*) __asm__(CW_DESTROY);

// Without a stream gRPC passes the headers over, in which HasTooManyStreams() is asked.
grpc_chttp2_stream* AcceptStream(grpc_chttp2_transport* transport, uint32_t number) {
  static auto* const original = Original<decltype(AcceptStream)>(CW_ACCEPT);
  if (!certwright::rpc::Counts().MayBegin(transport)) return nullptr;
  return original(transport, number);
}

void ConstructStream(grpc_chttp2_stream* stream, grpc_chttp2_transport* transport,
                     grpc_stream_refcount* references, const void* server_data, void* arena) {
  static auto* const original = Original<decltype(ConstructStream)>(CW_CONSTRUCT);
  // Those of a client are bounded by who makes them.
  if (server_data != nullptr) certwright::rpc::Counts().Begin(transport, stream);
  original(stream, transport, references, server_data, arena);
}

void DestroyStream(grpc_chttp2_stream* stream) {
  static auto* const original = Original<decltype(DestroyStream)>(CW_DESTROY);
  // Before, as the connection may end with its last stream.
  certwright::rpc::Counts().End(stream);
  original(stream);
}

// NOLINTEND(readability-identifier-naming,bugprone-reserved-identifier)

#endif
