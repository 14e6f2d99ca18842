#include "lib/dns/server_address.h"

#include <arpa/inet.h>

#include <array>
#include <optional>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace certwright::dns {
namespace {

std::optional<std::string> CanonicalIp(int family, absl::string_view text) {
  std::array<unsigned char, sizeof(in6_addr)> bytes = {};
  std::array<char, INET6_ADDRSTRLEN> canonical = {};
  if (inet_pton(family, std::string(text).c_str(), bytes.data()) != 1) return std::nullopt;
  if (inet_ntop(family, bytes.data(), canonical.data(), canonical.size()) == nullptr) {
    return std::nullopt;
  }
  return std::string(canonical.data());
}

}  // namespace

std::string ServerAddress::ToString() const {
  return is_v6() ? absl::StrCat("[", ip, "]:", port) : absl::StrCat(ip, ":", port);
}

absl::StatusOr<ServerAddress> ParseServerAddress(absl::string_view text) {
  const absl::Status error = absl::InvalidArgumentError(absl::StrCat(
      "\"", absl::CHexEscape(text.substr(0, 100)),
      "\" is not the address of a DNS server: write IP, IPv4:PORT or [IPv6]:PORT"));
  ServerAddress address;
  if (text.find('\0') != absl::string_view::npos) return error;
  if (std::optional<std::string> ip = CanonicalIp(AF_INET6, text)) {
    address.ip = *std::move(ip);
    return address;
  }
  absl::string_view host = text;
  absl::string_view port;
  const std::size_t colon = text.rfind(':');
  const bool has_port = colon != absl::string_view::npos && !absl::EndsWith(text, "]");
  if (has_port) {
    host = text.substr(0, colon);
    port = text.substr(colon + 1);
  }
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  std::optional<std::string> ip = CanonicalIp(bracketed ? AF_INET6 : AF_INET, host);
  if (!ip.has_value()) return error;
  address.ip = *std::move(ip);
  if (has_port) {
    int number = 0;
    if (!absl::SimpleAtoi(port, &number) || number < 1 || number > 65535) return error;
    address.port = static_cast<uint16_t>(number);
  }
  return address;
}

}  // namespace certwright::dns
