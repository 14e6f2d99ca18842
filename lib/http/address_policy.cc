#include "lib/http/address_policy.h"

#include <array>
#include <cstdint>
#include <string>

#include "absl/strings/match.h"
#include "boost/asio/ip/address.hpp"

namespace certwright::http {
namespace {

using boost::asio::ip::address_v6;

struct BlockV4 {
  uint32_t network;
  int prefix;
  AddressClass address_class;
};

constexpr uint32_t Ip(uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
  return a << 24 | b << 16 | c << 8 | d;
}

// IANA's special-purpose registry; the first match decides.
constexpr BlockV4 kBlocksV4[] = {
    {Ip(0, 0, 0, 0), 8, AddressClass::kReserved},
    {Ip(10, 0, 0, 0), 8, AddressClass::kPrivate},
    {Ip(100, 64, 0, 0), 10, AddressClass::kPrivate},
    {Ip(127, 0, 0, 0), 8, AddressClass::kLoopback},
    {Ip(169, 254, 0, 0), 16, AddressClass::kPrivate},
    {Ip(172, 16, 0, 0), 12, AddressClass::kPrivate},
    {Ip(192, 0, 0, 0), 24, AddressClass::kReserved},
    {Ip(192, 0, 2, 0), 24, AddressClass::kReserved},
    {Ip(192, 88, 99, 0), 24, AddressClass::kReserved},
    {Ip(192, 168, 0, 0), 16, AddressClass::kPrivate},
    {Ip(198, 18, 0, 0), 15, AddressClass::kReserved},
    {Ip(198, 51, 100, 0), 24, AddressClass::kReserved},
    {Ip(203, 0, 113, 0), 24, AddressClass::kReserved},
    {Ip(224, 0, 0, 0), 4, AddressClass::kReserved},
    {Ip(240, 0, 0, 0), 4, AddressClass::kReserved},
};

AddressClass ClassifyV4(uint32_t address) {
  for (const BlockV4& block : kBlocksV4) {
    if ((address ^ block.network) >> (32 - block.prefix) == 0) return block.address_class;
  }
  return AddressClass::kPublic;
}

using Bytes = address_v6::bytes_type;

uint32_t WordAt(const Bytes& bytes, int offset) {
  return Ip(bytes[offset], bytes[offset + 1], bytes[offset + 2], bytes[offset + 3]);
}

bool StartsWith(const Bytes& bytes, const std::array<uint32_t, 4>& network, int prefix) {
  for (int word = 0; word < 4 && prefix > 0; ++word, prefix -= 32) {
    const int shift = prefix >= 32 ? 0 : 32 - prefix;
    if ((WordAt(bytes, 4 * word) ^ network[word]) >> shift != 0) return false;
  }
  return true;
}

AddressClass ClassifyV6(const Bytes& bytes) {
  if (StartsWith(bytes, {0, 0, 0, 1}, 128)) return AddressClass::kLoopback;
  if (StartsWith(bytes, {0, 0, 0, 0}, 128)) return AddressClass::kReserved;
  // Those that carry an IPv4 address: compatible, mapped, NAT64, 6to4.
  if (StartsWith(bytes, {0, 0, 0, 0}, 96)) return ClassifyV4(WordAt(bytes, 12));
  if (StartsWith(bytes, {0, 0, 0xffff, 0}, 96)) return ClassifyV4(WordAt(bytes, 12));
  if (StartsWith(bytes, {0x0064ff9b, 0, 0, 0}, 96)) return ClassifyV4(WordAt(bytes, 12));
  if (StartsWith(bytes, {0x20020000, 0, 0, 0}, 16)) return ClassifyV4(WordAt(bytes, 2));
  // Unique local, link-local, deprecated site-local, NAT64 of a site.
  if (StartsWith(bytes, {0xfc000000, 0, 0, 0}, 7)) return AddressClass::kPrivate;
  if (StartsWith(bytes, {0xfe800000, 0, 0, 0}, 10)) return AddressClass::kPrivate;
  if (StartsWith(bytes, {0xfec00000, 0, 0, 0}, 10)) return AddressClass::kPrivate;
  if (StartsWith(bytes, {0x0064ff9b, 0x00010000, 0, 0}, 48)) return AddressClass::kPrivate;
  // Documentation, Teredo, ORCHID and other protocol assignments.
  if (StartsWith(bytes, {0x20010db8, 0, 0, 0}, 32)) return AddressClass::kReserved;
  if (StartsWith(bytes, {0x3fff0000, 0, 0, 0}, 20)) return AddressClass::kReserved;
  if (StartsWith(bytes, {0x20010000, 0, 0, 0}, 23)) return AddressClass::kReserved;
  // Only 2000::/3 is handed out as global unicast.
  if (StartsWith(bytes, {0x20000000, 0, 0, 0}, 3)) return AddressClass::kPublic;
  return AddressClass::kReserved;
}

}  // namespace

AddressClass Classify(absl::string_view ip) {
  if (absl::StrContains(ip, '\0')) return AddressClass::kInvalid;
  boost::system::error_code error;
  const auto address = boost::asio::ip::make_address(std::string(ip), error);
  if (error) return AddressClass::kInvalid;
  if (address.is_v4()) return ClassifyV4(address.to_v4().to_uint());
  return ClassifyV6(address.to_v6().to_bytes());
}

}  // namespace certwright::http
