// A bound on the streams that one connection may bring to life, which gRPC 1.51 has not.
//
// It applies SETTINGS_MAX_CONCURRENT_STREAMS only to peers that have acknowledged it, and
// forgets a stream that is reset or ended, while the call that was begun for it may wait for
// long: for its turn, or for what is written before it to be taken. So a peer that neither
// acknowledges nor reads anything fills the memory.
//
// What counts here is the stream as gRPC has it in memory, from its first header until nothing
// of it is left. A connection that has as many as it may is ended by its next.
#pragma once

namespace certwright::rpc {

// At least as many for each connection of this process, from now on. At first 256.
void AllowStreamsOfConnection(int streams);

// Whether this connection, a grpc_chttp2_transport, is to be ended.
bool HasTooManyStreams(const void* connection);

}  // namespace certwright::rpc
