#include "tests/fakes/tsig_signer.h"

#include <openssl/evp.h>

#include <array>
#include <optional>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "lib/dns/name.h"
#include "lib/dns/tsig.h"

namespace certwright::fakes {
namespace {

using Request = dns::TestDnsServer::Request;

constexpr auto kTsigType = static_cast<dns::RecordType>(250);
constexpr uint16_t kClassAny = 255;
constexpr int kFudgeSeconds = 300;

std::string BigEndian(uint64_t number, int octets) {
  std::string bytes;
  for (int shift = 8 * (octets - 1); shift >= 0; shift -= 8) {
    bytes.push_back(static_cast<char>(number >> shift & 0xFF));
  }
  return bytes;
}

std::string Hmac(const dns::TsigKey& key, const std::string& text) {
  std::string secret;
  absl::Base64Unescape(key.secret.Reveal(), &secret);
  const char* digest = key.algorithm == dns::TsigAlgorithm::kHmacSha512 ? "SHA512" : "SHA256";
  std::array<unsigned char, EVP_MAX_MD_SIZE> mac = {};
  std::size_t size = 0;
  EVP_Q_mac(nullptr, "HMAC", nullptr, digest, nullptr, secret.data(), secret.size(),
            reinterpret_cast<const unsigned char*>(text.data()), text.size(), mac.data(),
            mac.size(), &size);
  return std::string(reinterpret_cast<const char*>(mac.data()), size);
}

dns::Record TsigRecord(const dns::TsigKey& key, uint64_t seconds, const std::string& mac,
                       uint16_t id, dns::Rcode error) {
  dns::Record record;
  record.name = key.name;
  record.type = kTsigType;
  record.record_class = kClassAny;
  record.data = dns::RawData{
      absl::StrCat(dns::WireName(dns::AlgorithmName(key.algorithm)), BigEndian(seconds, 6),
                   BigEndian(kFudgeSeconds, 2), BigEndian(mac.size(), 2), mac, BigEndian(id, 2),
                   BigEndian(static_cast<uint64_t>(error), 2), BigEndian(0, 2))};
  return record;
}

}  // namespace

dns::Rcode CheckTsig(const Request& request, const dns::TsigKey& key) {
  const std::optional<dns::TsigRecord> tsig = dns::FindTsig(request.message);
  if (!tsig.has_value()) return dns::Rcode::kBadSig;
  if (tsig->key_name != key.name ||
      tsig->algorithm != dns::WireName(dns::AlgorithmName(key.algorithm))) {
    return dns::Rcode::kBadKey;
  }
  if (!dns::IsSigned(request.message, request.packet, *tsig, "", key, tsig->signed_at)) {
    return dns::Rcode::kBadSig;
  }
  const absl::Duration age = absl::AbsDuration(absl::Now() - tsig->signed_at);
  return age > tsig->fudge ? dns::Rcode::kBadTime : dns::Rcode::kNoError;
}

std::string SignedAnswer(const Request& request, dns::Message answer, const dns::TsigKey& key) {
  const std::string request_mac = dns::FindTsig(request.message)->mac;
  const uint64_t seconds = static_cast<uint64_t>(absl::ToUnixSeconds(absl::Now()));
  const std::string text = absl::StrCat(
      BigEndian(request_mac.size(), 2), request_mac, dns::TestDnsServer::Reply(request, answer),
      dns::WireName(key.name),
      absl::StrCat(BigEndian(kClassAny, 2), BigEndian(0, 4),
                   dns::WireName(dns::AlgorithmName(key.algorithm)), BigEndian(seconds, 6),
                   BigEndian(kFudgeSeconds, 2), BigEndian(0, 2), BigEndian(0, 2)));
  answer.additional.push_back(
      TsigRecord(key, seconds, Hmac(key, text), request.message.id, dns::Rcode::kNoError));
  return dns::TestDnsServer::Reply(request, std::move(answer));
}

std::string TsigErrorAnswer(const Request& request, dns::Rcode error, const dns::TsigKey& key) {
  dns::Message answer;
  answer.rcode = dns::Rcode::kNotAuth;
  answer.additional.push_back(
      TsigRecord(key, static_cast<uint64_t>(absl::ToUnixSeconds(absl::Now())), "",
                 request.message.id, error));
  return dns::TestDnsServer::Reply(request, std::move(answer));
}

}  // namespace certwright::fakes
