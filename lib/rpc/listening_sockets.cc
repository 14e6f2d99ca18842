#include "lib/rpc/listening_sockets.h"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "lib/base/status_macros.h"

namespace certwright::rpc {
namespace {

struct HostPort {
  std::string host;
  uint16_t port = 0;
};

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;

  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  int family() const { return storage.ss_family; }
};

absl::StatusOr<HostPort> ParseHostPort(const std::string& address) {
  const std::size_t colon = address.rfind(':');
  uint32_t port = 0;
  if (colon == 0 || colon == std::string::npos ||
      !absl::SimpleAtoi(address.substr(colon + 1), &port) || port > 65535) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot listen on \"", address, "\": it is not host:port"));
  }
  std::string host = address.substr(0, colon);
  const bool brackets = host.front() == '[' && host.back() == ']';
  if (brackets) host = host.substr(1, host.size() - 2);
  return HostPort{std::move(host), static_cast<uint16_t>(port)};
}

SocketAddress AnyAddress() {
  SocketAddress any;
  auto* in6 = reinterpret_cast<sockaddr_in6*>(&any.storage);
  in6->sin6_family = AF_INET6;
  in6->sin6_addr = in6addr_any;
  any.size = sizeof(sockaddr_in6);
  return any;
}

absl::StatusOr<std::vector<SocketAddress>> Resolve(const std::string& host) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(host.c_str(), nullptr, &hints, &found);
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(found, &freeaddrinfo);
  if (error != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot listen on \"", host, "\": ", gai_strerror(error)));
  }
  std::vector<SocketAddress> addresses;
  for (const addrinfo* info = found; info != nullptr; info = info->ai_next) {
    SocketAddress address;
    address.size = info->ai_addrlen;
    std::memcpy(&address.storage, info->ai_addr, info->ai_addrlen);
    // glibc tells 127.0.0.1 twice where /etc/hosts has ::1 for a name, too.
    const bool known =
        std::any_of(addresses.begin(), addresses.end(), [&address](const SocketAddress& other) {
          return std::memcmp(&other.storage, &address.storage, sizeof address.storage) == 0;
        });
    if (!known) addresses.push_back(address);
  }
  return addresses;
}

void SetPort(SocketAddress& address, int port) {
  const uint16_t number = htons(static_cast<uint16_t>(port));
  if (address.family() == AF_INET6) {
    reinterpret_cast<sockaddr_in6*>(&address.storage)->sin6_port = number;
  } else {
    reinterpret_cast<sockaddr_in*>(&address.storage)->sin_port = number;
  }
}

int PortOf(const base::FileDescriptor& socket) {
  SocketAddress address;
  address.size = sizeof address.storage;
  if (getsockname(socket.get(), address.get(), &address.size) != 0) return 0;
  return ntohs(address.family() == AF_INET6
                   ? reinterpret_cast<sockaddr_in6*>(&address.storage)->sin6_port
                   : reinterpret_cast<sockaddr_in*>(&address.storage)->sin_port);
}

absl::Status ListenError(absl::string_view where) {
  const int error = errno;
  const std::string message =
      absl::StrCat("cannot listen on ", where, ": ", std::generic_category().message(error));
  switch (error) {
    case EADDRINUSE:
      return absl::AlreadyExistsError(
          absl::StrCat(message, ": the address is in use; choose another port"));
    case EACCES:
      return absl::PermissionDeniedError(
          absl::StrCat(message, "; ports below 1024 need CAP_NET_BIND_SERVICE"));
    case EADDRNOTAVAIL:
    case EAFNOSUPPORT:
      return absl::InvalidArgumentError(
          absl::StrCat(message, ": it is not an address of this machine"));
    default:
      return absl::UnavailableError(message);
  }
}

bool SetOption(const base::FileDescriptor& socket, int level, int option, int value) {
  return setsockopt(socket.get(), level, option, &value, sizeof value) == 0;
}

absl::StatusOr<base::FileDescriptor> Open(SocketAddress address, absl::string_view where) {
  base::FileDescriptor socket(
      ::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  // SO_REUSEADDR lets a port be used again right after its last server has gone. Not
  // SO_REUSEPORT: with it, a second server on the same port would start without a word.
  const bool listens =
      socket.ok() && SetOption(socket, SOL_SOCKET, SO_REUSEADDR, 1) &&
      (address.family() != AF_INET6 || SetOption(socket, IPPROTO_IPV6, IPV6_V6ONLY, 0)) &&
      bind(socket.get(), address.get(), address.size) == 0 &&
      listen(socket.get(), SOMAXCONN) == 0;
  if (!listens) return ListenError(where);
  return socket;
}

}  // namespace

absl::StatusOr<ListeningSockets> ListenAt(const std::string& address) {
  CW_ASSIGN_OR_RETURN(const HostPort given, ParseHostPort(address));
  ListeningSockets listening;
  listening.port = given.port;
  if (given.host == "0.0.0.0") {
    SocketAddress any = AnyAddress();
    SetPort(any, given.port);
    absl::StatusOr<base::FileDescriptor> socket = Open(any, address);
    // A machine without IPv6 gets what was asked for.
    if (socket.ok()) {
      listening.port = PortOf(*socket);
      listening.sockets.push_back(*std::move(socket));
      return listening;
    }
    if (!absl::IsInvalidArgument(socket.status())) return socket.status();
  }
  CW_ASSIGN_OR_RETURN(std::vector<SocketAddress> addresses, Resolve(given.host));
  absl::Status failed;
  for (SocketAddress& one : addresses) {
    SetPort(one, listening.port);
    absl::StatusOr<base::FileDescriptor> socket = Open(one, address);
    if (socket.ok()) {
      listening.port = PortOf(*socket);
      listening.sockets.push_back(*std::move(socket));
    } else if (!absl::IsInvalidArgument(socket.status())) {
      return socket.status();
    } else {
      failed = socket.status();
    }
  }
  // "localhost" may have an address of a family that the machine does not.
  if (listening.sockets.empty()) return failed;
  return listening;
}

}  // namespace certwright::rpc
