// ConnectionCounts: how many connections are open, in all and from each peer, and whether one
// more may be.
//
// A peer is an IPv4 address or an IPv6 network of 64 bits, which is what one machine is given.
// Threading: for one thread at a time.
#pragma once

#include <sys/socket.h>

#include <map>
#include <string>

#include "absl/strings/string_view.h"

namespace certwright::rpc {

struct ConnectionLimits {
  int total = 1000;
  int per_peer = 100;
};

// "192.0.2.1", also for one that came as ::ffff:192.0.2.1, or "2001:db8::/64".
std::string PeerOf(const sockaddr_storage& address);

// The same of a name that gRPC gives to a connection, as UriOf(); what is none is given back.
std::string PeerOfUri(absl::string_view uri);

// As gRPC names the connection from there: "ipv4:192.0.2.1:4711",
// "ipv6:%5B2001:db8::1%5D:4711".
std::string UriOf(const sockaddr_storage& address);

class ConnectionCounts {
 public:
  enum class Verdict { kAdmitted, kTooMany, kTooManyOfPeer };

  explicit ConnectionCounts(const ConnectionLimits& limits) : limits_(limits) {}

  // Counts one that is admitted, until Release().
  Verdict Admit(const std::string& peer);
  void Release(const std::string& peer);

  int total() const { return total_; }
  // That have any.
  std::size_t peers() const { return of_peer_.size(); }

 private:
  const ConnectionLimits limits_;
  int total_ = 0;
  std::map<std::string, int> of_peer_;
};

}  // namespace certwright::rpc
