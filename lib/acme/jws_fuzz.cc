// What others have a say in when a request is signed: "key id\nMAC key\nnonce\nURL". The first
// two are a user's, the others a CA's.
#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"
#include "boost/json/object.hpp"
#include "lib/acme/json.h"
#include "lib/acme/jws.h"
#include "lib/acme/nonce_pool.h"
#include "lib/acme/url.h"
#include "lib/base/base64.h"
#include "lib/base/fuzz.h"

namespace certwright::acme {
namespace {

constexpr char kNewAccountUrl[] = "https://ca.test/new-account";

const pki::PrivateKey& Key() {
  static const pki::PrivateKey& key =
      *new pki::PrivateKey(*pki::PrivateKey::Generate({pki::KeyAlgorithm::kEd25519, 0}));
  return key;
}

boost::json::object Parse(absl::string_view json) {
  absl::StatusOr<boost::json::object> object = ParseJsonObject(json, "a JWS");
  CW_FUZZ_CHECK(object.ok());
  return *std::move(object);
}

boost::json::object HeaderOf(absl::string_view jws) {
  const std::optional<std::string> header =
      base::Base64UrlDecode(StringMember(Parse(jws), "protected"));
  CW_FUZZ_CHECK(header.has_value());
  return Parse(*header);
}

void CheckBase64(absl::string_view text) {
  CW_FUZZ_CHECK(base::Base64UrlDecode(base::Base64UrlEncode(text)) == text);
  const std::optional<std::string> bytes = base::Base64UrlDecode(text);
  if (!bytes.has_value()) return;
  CW_FUZZ_CHECK(bytes->size() == text.size() * 3 / 4);
  CW_FUZZ_CHECK(base::Base64UrlEncode(*bytes).size() == text.size());
}

void CheckExternalAccount(const std::string& key_id, const std::string& mac_key) {
  const absl::StatusOr<base::Secret> decoded = DecodeMacKey(mac_key);
  const ExternalAccount account{key_id, base::Secret(std::string(mac_key))};
  const absl::StatusOr<std::string> jws =
      ExternalAccountJws(account, kNewAccountUrl, Key().public_key());
  CW_FUZZ_CHECK(jws.ok() == decoded.ok());
  if (!jws.ok()) return;
  CW_FUZZ_CHECK(!decoded->Reveal().empty() && decoded->Reveal().size() <= 4096);
  const auto again = DecodeMacKey(base::Base64UrlEncode(decoded->Reveal()));
  CW_FUZZ_CHECK(again.ok() && again->Reveal() == decoded->Reveal());
  // A message that came over gRPC is UTF-8; here only ASCII is sure to be.
  if (!std::all_of(key_id.begin(), key_id.end(), absl::ascii_isascii)) return;
  const boost::json::object header = HeaderOf(*jws);
  CW_FUZZ_CHECK(StringMember(header, "kid") == key_id && header.size() == 3);
  CW_FUZZ_CHECK(StringMember(header, "url") == kNewAccountUrl);
}

void CheckRequest(const std::string& nonce, const std::string& url) {
  if (!NoncePool::IsValid(nonce) || !IsHttpUrl(url)) return;
  const LocalJwsSigner signer(Key(), url);
  for (const RequestKind kind : {RequestKind::kNewAccount, RequestKind::kOrder}) {
    const absl::StatusOr<SignedRequest> request = signer.SignNow({url, nonce, "{}", kind});
    CW_FUZZ_CHECK(request.ok());
    const boost::json::object header = HeaderOf(request->body);
    CW_FUZZ_CHECK(StringMember(header, "nonce") == nonce && header.size() == 4);
    CW_FUZZ_CHECK(StringMember(header, "url") == url);
    CW_FUZZ_CHECK((StringMember(header, "kid") == url) == (kind == RequestKind::kOrder));
  }
}

}  // namespace
}  // namespace certwright::acme

CW_FUZZ_TARGET(input) {
  using namespace certwright::acme;
  CheckBase64(input);
  std::vector<std::string> parts = absl::StrSplit(input, absl::MaxSplits('\n', 3));
  parts.resize(4);
  CheckExternalAccount(parts[0], parts[1]);
  CheckRequest(parts[2], parts[3]);
}
