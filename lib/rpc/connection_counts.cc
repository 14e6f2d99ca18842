#include "lib/rpc/connection_counts.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace certwright::rpc {
namespace {

constexpr std::size_t kNetworkBytes = 8;
constexpr std::size_t kMappedPrefixBytes = 12;

std::string TextOf(int family, const void* address) {
  char text[INET6_ADDRSTRLEN] = "";
  inet_ntop(family, address, text, sizeof text);
  return text;
}

}  // namespace

std::string PeerOf(const sockaddr_storage& address) {
  if (address.ss_family == AF_INET) {
    return TextOf(AF_INET, &reinterpret_cast<const sockaddr_in&>(address).sin_addr);
  }
  if (address.ss_family != AF_INET6) return "unknown";
  in6_addr ip = reinterpret_cast<const sockaddr_in6&>(address).sin6_addr;
  if (IN6_IS_ADDR_V4MAPPED(&ip)) return TextOf(AF_INET, ip.s6_addr + kMappedPrefixBytes);
  std::memset(ip.s6_addr + kNetworkBytes, 0, sizeof ip.s6_addr - kNetworkBytes);
  return absl::StrCat(TextOf(AF_INET6, &ip), "/64");
}

std::string PeerOfUri(absl::string_view uri) {
  absl::string_view host = uri.substr(0, uri.rfind(':'));
  if (absl::ConsumePrefix(&host, "ipv4:")) return std::string(host);
  if (!absl::ConsumePrefix(&host, "ipv6:%5B") || !absl::ConsumeSuffix(&host, "%5D")) {
    return std::string(uri);
  }
  sockaddr_storage address{};
  address.ss_family = AF_INET6;
  auto& ip = reinterpret_cast<sockaddr_in6&>(address).sin6_addr;
  // Link-local addresses have a zone.
  const std::string text(host.substr(0, host.find('%')));
  return inet_pton(AF_INET6, text.c_str(), &ip) == 1 ? PeerOf(address) : std::string(uri);
}

std::string UriOf(const sockaddr_storage& address) {
  if (address.ss_family == AF_INET) {
    const auto& ip = reinterpret_cast<const sockaddr_in&>(address);
    return absl::StrCat("ipv4:", TextOf(AF_INET, &ip.sin_addr), ":", ntohs(ip.sin_port));
  }
  if (address.ss_family != AF_INET6) return "unknown";
  const auto& ip = reinterpret_cast<const sockaddr_in6&>(address);
  if (IN6_IS_ADDR_V4MAPPED(&ip.sin6_addr)) {
    return absl::StrCat("ipv4:", TextOf(AF_INET, ip.sin6_addr.s6_addr + kMappedPrefixBytes),
                        ":", ntohs(ip.sin6_port));
  }
  return absl::StrCat("ipv6:%5B", TextOf(AF_INET6, &ip.sin6_addr), "%5D:", ntohs(ip.sin6_port));
}

ConnectionCounts::Verdict ConnectionCounts::Admit(const std::string& peer) {
  if (total_ >= limits_.total) return Verdict::kTooMany;
  const auto found = of_peer_.find(peer);
  if ((found == of_peer_.end() ? 0 : found->second) >= limits_.per_peer) {
    return Verdict::kTooManyOfPeer;
  }
  ++total_;
  ++of_peer_[peer];
  return Verdict::kAdmitted;
}

void ConnectionCounts::Release(const std::string& peer) {
  const auto found = of_peer_.find(peer);
  --total_;
  if (--found->second == 0) of_peer_.erase(found);
}

}  // namespace certwright::rpc
