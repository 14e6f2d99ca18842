#include "lib/dns/tsig.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <array>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "lib/dns/name.h"

namespace certwright::dns {
namespace {

constexpr auto kTsigType = static_cast<RecordType>(250);
constexpr uint16_t kClassAny = 255;
constexpr std::size_t kHeaderBytes = 12;
// Where a header counts the additional records.
constexpr std::size_t kAdditionalCount = 10;
constexpr absl::Duration kMaxFudge = absl::Seconds(300);

// Takes bytes from the front; once some are missing, it stays failed.
class FieldReader {
 public:
  explicit FieldReader(absl::string_view bytes) : bytes_(bytes) {}

  absl::string_view Bytes(std::size_t count) {
    if (count > bytes_.size()) failed_ = true;
    if (failed_) return "";
    const absl::string_view taken = bytes_.substr(0, count);
    bytes_.remove_prefix(count);
    return taken;
  }
  uint64_t Number(std::size_t octets) {
    uint64_t number = 0;
    for (const char byte : Bytes(octets)) number = number << 8 | static_cast<uint8_t>(byte);
    return number;
  }
  absl::string_view Sized() { return Bytes(Number(2)); }
  // On the wire, uncompressed (RFC 8945 §4.2).
  std::string Name() {
    std::string name;
    while (!failed_) {
      const absl::string_view length = Bytes(1);
      if (length.empty() || static_cast<uint8_t>(length[0]) > 63) break;
      absl::StrAppend(&name, length, Bytes(static_cast<uint8_t>(length[0])));
      if (length[0] == 0) return absl::AsciiStrToLower(name);
    }
    failed_ = true;
    return "";
  }
  // Whether there was just what was asked for.
  bool Done() const { return !failed_ && bytes_.empty(); }

 private:
  absl::string_view bytes_;
  bool failed_ = false;
};

std::string BigEndian(uint64_t number, int octets) {
  std::string bytes;
  for (int shift = 8 * (octets - 1); shift >= 0; shift -= 8) {
    bytes.push_back(static_cast<char>(number >> shift & 0xFF));
  }
  return bytes;
}

const char* DigestName(TsigAlgorithm algorithm) {
  switch (algorithm) {
    case TsigAlgorithm::kHmacMd5:
      return "MD5";
    case TsigAlgorithm::kHmacSha1:
      return "SHA1";
    case TsigAlgorithm::kHmacSha256:
      return "SHA256";
    case TsigAlgorithm::kHmacSha512:
      return "SHA512";
  }
  return "";
}

// Empty if it cannot be computed.
std::string Hmac(const TsigKey& key, absl::string_view text) {
  std::string secret;
  if (!absl::Base64Unescape(key.secret.Reveal(), &secret)) return "";
  std::array<unsigned char, EVP_MAX_MD_SIZE> mac = {};
  std::size_t size = 0;
  const bool computed =
      EVP_Q_mac(nullptr, "HMAC", nullptr, DigestName(key.algorithm), nullptr, secret.data(),
                secret.size(), reinterpret_cast<const unsigned char*>(text.data()), text.size(),
                mac.data(), mac.size(), &size) != nullptr;
  base::Wipe(secret);
  return computed ? std::string(reinterpret_cast<const char*>(mac.data()), size) : "";
}

// RFC 8945 §4.3.2: the message as it was before its TSIG record was added.
std::string WithoutTsig(const Message& message, absl::string_view wire, uint16_t original_id) {
  std::string unsigned_wire(wire.substr(0, message.last_record));
  unsigned_wire.replace(0, 2, BigEndian(original_id, 2));
  unsigned_wire.replace(kAdditionalCount, 2, BigEndian(message.additional.size() - 1, 2));
  return unsigned_wire;
}

}  // namespace

absl::string_view AlgorithmName(TsigAlgorithm algorithm) {
  switch (algorithm) {
    case TsigAlgorithm::kHmacMd5:
      return "hmac-md5.sig-alg.reg.int";
    case TsigAlgorithm::kHmacSha1:
      return "hmac-sha1";
    case TsigAlgorithm::kHmacSha256:
      return "hmac-sha256";
    case TsigAlgorithm::kHmacSha512:
      return "hmac-sha512";
  }
  return "";
}

std::optional<TsigRecord> FindTsig(const Message& message) {
  if (message.additional.empty()) return std::nullopt;
  const Record& record = message.additional.back();
  const auto* raw = std::get_if<RawData>(&record.data);
  if (record.type != kTsigType || record.record_class != kClassAny || record.ttl != 0 ||
      raw == nullptr) {
    return std::nullopt;
  }
  FieldReader reader(raw->bytes);
  TsigRecord tsig;
  tsig.key_name = record.name;
  tsig.algorithm = reader.Name();
  // 48 bits fit the signed seconds.
  tsig.signed_at = absl::FromUnixSeconds(static_cast<int64_t>(reader.Number(6)));
  tsig.fudge = absl::Seconds(reader.Number(2));
  tsig.mac = std::string(reader.Sized());
  tsig.original_id = static_cast<uint16_t>(reader.Number(2));
  tsig.error = static_cast<Rcode>(reader.Number(2));
  tsig.other_data = std::string(reader.Sized());
  if (!reader.Done()) return std::nullopt;
  return tsig;
}

bool IsSigned(const Message& message, absl::string_view wire, const TsigRecord& tsig,
              absl::string_view request_mac, const TsigKey& key, absl::Time now) {
  const absl::StatusOr<std::string> key_name = Normalize(key.name);
  const std::string algorithm = WireName(AlgorithmName(key.algorithm));
  if (!key_name.ok() || tsig.key_name != *key_name || tsig.algorithm != algorithm) return false;
  if (absl::AbsDuration(now - tsig.signed_at) > kMaxFudge) return false;
  if (wire.size() < kHeaderBytes || message.last_record < kHeaderBytes) return false;
  const std::string text = absl::StrCat(
      request_mac, WithoutTsig(message, wire, tsig.original_id),
      absl::StrCat(WireName(*key_name), BigEndian(kClassAny, 2), BigEndian(0, 4), algorithm,
                   BigEndian(static_cast<uint64_t>(absl::ToUnixSeconds(tsig.signed_at)), 6),
                   BigEndian(static_cast<uint64_t>(absl::ToInt64Seconds(tsig.fudge)), 2),
                   BigEndian(static_cast<uint64_t>(tsig.error), 2),
                   BigEndian(tsig.other_data.size(), 2), tsig.other_data));
  const std::string mac = Hmac(key, text);
  return !mac.empty() && mac.size() == tsig.mac.size() &&
         CRYPTO_memcmp(mac.data(), tsig.mac.data(), mac.size()) == 0;
}

}  // namespace certwright::dns
