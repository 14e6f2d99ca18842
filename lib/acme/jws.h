// Signed ACME requests (RFC 8555 §6.2) in the flattened JSON form of RFC 7515
// §7.2.2.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lib/base/secret.h"
#include "lib/pki/jose.h"
#include "lib/pki/key.h"
#include "lib/runtime/awaitable.h"
#include "lib/runtime/context.h"

namespace certwright::acme {

// What a request is for, so that whoever holds the key can decide whether to
// sign it.
enum class RequestKind {
  kNewAccount,  // by key, not by account URL
  kAccount,     // update or deactivate
  kKeyChange,
  kNewOrder,
  kOrder,
  kFinalize,
  kAuthorization,
  kChallenge,
  kCertificate,
  kRevoke,       // by the account
  kRevokeByKey,  // by the certificate's own key
};
absl::string_view RequestKindName(RequestKind kind);

struct SignRequest {
  std::string url;
  std::string nonce;
  std::string payload;  // JSON; empty for POST-as-GET
  RequestKind kind = RequestKind::kOrder;
};

struct SignedRequest {
  std::string body;  // {"protected":…,"payload":…,"signature":…}
};

// Threading: Sign() may be called by many coroutines at once.
class JwsSigner {
 public:
  virtual ~JwsSigner() = default;
  virtual runtime::Awaitable<absl::StatusOr<SignedRequest>> Sign(runtime::Context context,
                                                                 SignRequest request) = 0;
};

// Signs with a key held here. FAILED_PRECONDITION for a kind that needs the
// account's URL when there is none.
class LocalJwsSigner final : public JwsSigner {
 public:
  // `kid` is the account's URL, empty before registration.
  explicit LocalJwsSigner(const pki::PrivateKey& key, std::string kid = "");
  runtime::Awaitable<absl::StatusOr<SignedRequest>> Sign(runtime::Context context,
                                                         SignRequest request) override;
  // The same at once, for those who sign on behalf of others.
  absl::StatusOr<SignedRequest> SignNow(const SignRequest& request) const;

 private:
  const pki::JoseSigner signer_;
  const std::string kid_;
  const std::string algorithm_;
  const std::string jwk_;
};

// External account binding (RFC 8555 §7.3.4): what the CA's operator handed
// out.
struct ExternalAccount {
  std::string key_id;
  // As pasted: base64url or standard base64, with or without padding.
  base::Secret mac_key;
};

// INVALID_ARGUMENT if `mac_key` is in neither alphabet or empty.
absl::StatusOr<base::Secret> DecodeMacKey(absl::string_view mac_key);

// The inner JWS of a newAccount request: the account's JWK under HMAC-SHA256.
absl::StatusOr<std::string> ExternalAccountJws(const ExternalAccount& account,
                                               absl::string_view new_account_url,
                                               const pki::PublicKey& account_key);

// The inner JWS of a keyChange request (RFC 8555 §7.3.5), signed by the new
// key.
absl::StatusOr<std::string> KeyChangeJws(const pki::PrivateKey& new_key,
                                         const pki::PublicKey& old_key,
                                         absl::string_view account_url,
                                         absl::string_view key_change_url);

}  // namespace certwright::acme
