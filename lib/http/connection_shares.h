// ConnectionShares: how many connections each client has to a server, and which one goes where
// there are too many.
//
// A server whose clients hold connections open and send nothing, or half a request, serves
// nobody. So there is always room for a new connection: it takes the place of the one whose
// last whole request, or beginning, is longest ago; among its client's own if the client has
// its share, else among all.
//
// A client is an IPv4 address or an IPv6 network of 64 bits, which is what one machine is
// given. Threading: for one thread at a time.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "boost/asio/ip/address.hpp"

namespace certwright::http {

// The client at `address`, in octets: also one that came as ::ffff:192.0.2.1.
std::string ClientAt(const boost::asio::ip::address& address);

class ConnectionShares {
 public:
  using Id = uint64_t;

  // Both at least 1.
  ConnectionShares(std::size_t max_total, std::size_t max_per_client)
      : max_total_(max_total), max_per_client_(max_per_client) {}

  struct Admission {
    Id admitted = 0;
    // To be closed in its place; it counts no more.
    std::optional<Id> closed;
  };
  Admission Admit(const std::string& client);

  // A whole request has come. Like Remove(), nothing for a connection that counts no more.
  void Touch(Id id);
  void Remove(Id id);

  std::size_t total() const { return connections_.size(); }

 private:
  // By their last sign of life, as a number that grows.
  using ByAge = std::map<uint64_t, Id>;
  struct Connection {
    std::map<std::string, ByAge>::iterator share;
    uint64_t touched = 0;
  };

  const std::size_t max_total_;
  const std::size_t max_per_client_;
  uint64_t last_number_ = 0;
  std::map<Id, Connection> connections_;
  ByAge by_age_;
  // Of clients that have any.
  std::map<std::string, ByAge> shares_;
};

}  // namespace certwright::http
