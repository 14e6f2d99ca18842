#include "lib/dns/server_address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "lib/dns/name.h"

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

// Digits only: SimpleAtoi() takes blanks and signs too.
std::optional<uint16_t> ParsePort(absl::string_view text) {
  int number = 0;
  if (!std::all_of(text.begin(), text.end(), absl::ascii_isdigit) ||
      !absl::SimpleAtoi(text, &number) || number < 1 || number > 65535) {
    return std::nullopt;
  }
  return static_cast<uint16_t>(number);
}

// No top-level domain is a number, but a mistyped address ends in one.
bool IsHostName(absl::string_view name) {
  const absl::string_view last = name.substr(name.rfind('.') + 1);
  return !name.empty() && !absl::StrContains(name, '*') &&
         !std::all_of(last.begin(), last.end(), absl::ascii_isdigit);
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
    const std::optional<uint16_t> number = ParsePort(port);
    if (!number.has_value()) return error;
    address.port = *number;
  }
  return address;
}

absl::StatusOr<NameserverAddress> ParseNameserver(absl::string_view text) {
  const absl::StatusOr<ServerAddress> address = ParseServerAddress(text);
  if (address.ok()) return NameserverAddress{address->ip, address->port};
  const absl::Status error = absl::InvalidArgumentError(absl::StrCat(
      "\"", absl::CHexEscape(text.substr(0, 100)),
      "\" is not a nameserver: write HOST, HOST:PORT, IP, IPv4:PORT or [IPv6]:PORT"));
  NameserverAddress nameserver;
  const std::size_t colon = text.rfind(':');
  if (colon != absl::string_view::npos) {
    const std::optional<uint16_t> port = ParsePort(text.substr(colon + 1));
    if (!port.has_value()) return error;
    nameserver.port = *port;
  }
  const absl::StatusOr<std::string> host = Normalize(text.substr(0, colon));
  if (!host.ok() || !IsHostName(*host)) return error;
  nameserver.host = *host;
  return nameserver;
}

}  // namespace certwright::dns
