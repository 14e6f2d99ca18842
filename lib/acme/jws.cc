#include "lib/acme/jws.h"

#include <array>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "lib/acme/json.h"
#include "lib/base/base64.h"
#include "lib/base/status_macros.h"
#include "openssl/evp.h"

namespace certwright::acme {
namespace {

constexpr std::size_t kMaxMacKeyBytes = 4096;

// What the signature covers: both parts encoded, with a dot between (RFC 7515 §5.1).
struct SigningInput {
  std::string protected_header;
  std::string payload;

  SigningInput(absl::string_view header_json, absl::string_view payload_bytes)
      : protected_header(base::Base64UrlEncode(header_json)),
        payload(base::Base64UrlEncode(payload_bytes)) {}

  std::string Text() const { return absl::StrCat(protected_header, ".", payload); }
};

std::string Flatten(const SigningInput& input, absl::string_view signature) {
  return absl::StrCat(R"({"protected":")", input.protected_header, R"(","payload":")",
                      input.payload, R"(","signature":")", base::Base64UrlEncode(signature),
                      R"("})");
}

absl::StatusOr<std::string> HmacSha256(const base::Secret& key, absl::string_view message) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> mac;
  std::size_t size = 0;
  const absl::string_view key_bytes = key.Reveal();
  if (EVP_Q_mac(nullptr, "HMAC", nullptr, "SHA256", nullptr, key_bytes.data(), key_bytes.size(),
                reinterpret_cast<const unsigned char*>(message.data()), message.size(),
                mac.data(), mac.size(), &size) == nullptr) {
    return absl::InternalError("OpenSSL could not compute an HMAC-SHA256");
  }
  return std::string(reinterpret_cast<const char*>(mac.data()), size);
}

bool SignsByKey(RequestKind kind) {
  return kind == RequestKind::kNewAccount || kind == RequestKind::kRevokeByKey;
}

}  // namespace

absl::string_view RequestKindName(RequestKind kind) {
  switch (kind) {
    case RequestKind::kNewAccount:
      return "newAccount";
    case RequestKind::kAccount:
      return "account";
    case RequestKind::kKeyChange:
      return "keyChange";
    case RequestKind::kNewOrder:
      return "newOrder";
    case RequestKind::kOrder:
      return "order";
    case RequestKind::kFinalize:
      return "finalize";
    case RequestKind::kAuthorization:
      return "authorization";
    case RequestKind::kChallenge:
      return "challenge";
    case RequestKind::kCertificate:
      return "certificate";
    case RequestKind::kRevoke:
    case RequestKind::kRevokeByKey:
      return "revokeCert";
  }
  return "unknown";
}

LocalJwsSigner::LocalJwsSigner(const pki::PrivateKey& key, std::string kid)
    : signer_(key),
      kid_(std::move(kid)),
      algorithm_(pki::JoseAlgorithm(key.public_key())),
      jwk_(pki::JwkJson(key.public_key())) {}

runtime::Awaitable<absl::StatusOr<SignedRequest>> LocalJwsSigner::Sign(runtime::Context context,
                                                                       SignRequest request) {
  CW_CO_RETURN_IF_ERROR(context.Check());
  co_return SignNow(request);
}

absl::StatusOr<SignedRequest> LocalJwsSigner::SignNow(const SignRequest& request) const {
  const bool by_key = SignsByKey(request.kind);
  if (!by_key && kid_.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the account is not registered yet, so its key cannot sign a request of kind ",
        RequestKindName(request.kind)));
  }
  const std::string identity =
      by_key ? absl::StrCat(R"("jwk":)", jwk_) : absl::StrCat(R"("kid":)", JsonQuote(kid_));
  const std::string header =
      absl::StrCat(R"({"alg":")", algorithm_, R"(",)", identity, R"(,"nonce":)",
                   JsonQuote(request.nonce), R"(,"url":)", JsonQuote(request.url), "}");
  const SigningInput input(header, request.payload);
  CW_ASSIGN_OR_RETURN(std::string signature, signer_.Sign(input.Text()));
  return SignedRequest{Flatten(input, signature)};
}

absl::StatusOr<base::Secret> DecodeMacKey(absl::string_view mac_key) {
  mac_key = absl::StripAsciiWhitespace(mac_key);
  for (int padding = 0; padding < 2 && !mac_key.empty() && mac_key.back() == '='; ++padding) {
    mac_key.remove_suffix(1);
  }
  base::Secret text(absl::StrReplaceAll(mac_key, {{"+", "-"}, {"/", "_"}}));
  std::optional<std::string> bytes = base::Base64UrlDecode(text.Reveal());
  if (!bytes.has_value() || bytes->empty() || bytes->size() > kMaxMacKeyBytes) {
    return absl::InvalidArgumentError(
        "the MAC key of the external account binding is not base64url; paste it as the CA "
        "shows "
        "it");
  }
  return base::Secret(*std::move(bytes));
}

absl::StatusOr<std::string> ExternalAccountJws(const ExternalAccount& account,
                                               absl::string_view new_account_url,
                                               const pki::PublicKey& account_key) {
  CW_ASSIGN_OR_RETURN(base::Secret mac_key, DecodeMacKey(account.mac_key.Reveal()));
  const std::string header = absl::StrCat(R"({"alg":"HS256","kid":)", JsonQuote(account.key_id),
                                          R"(,"url":)", JsonQuote(new_account_url), "}");
  const SigningInput input(header, pki::JwkJson(account_key));
  CW_ASSIGN_OR_RETURN(std::string mac, HmacSha256(mac_key, input.Text()));
  return Flatten(input, mac);
}

absl::StatusOr<std::string> KeyChangeJws(const pki::PrivateKey& new_key,
                                         const pki::PublicKey& old_key,
                                         absl::string_view account_url,
                                         absl::string_view key_change_url) {
  const pki::PublicKey public_key = new_key.public_key();
  const std::string header =
      absl::StrCat(R"({"alg":")", pki::JoseAlgorithm(public_key), R"(","jwk":)",
                   pki::JwkJson(public_key), R"(,"url":)", JsonQuote(key_change_url), "}");
  const std::string payload = absl::StrCat(R"({"account":)", JsonQuote(account_url),
                                           R"(,"oldKey":)", pki::JwkJson(old_key), "}");
  const SigningInput input(header, payload);
  CW_ASSIGN_OR_RETURN(std::string signature, pki::SignJose(new_key, input.Text()));
  return Flatten(input, signature);
}

}  // namespace certwright::acme
