// AcmeClient: the calls of RFC 8555 and RFC 9773 to one CA, typed.
//
// One client serves all accounts at a CA and shares its directory and nonces:
// the account is whoever the JwsSigner signs for. Calls do one step each and
// never wait for the CA to get on with an order: that is the caller's state
// machine (see poll.h).
//
// Errors: see problem.h. kRetryNonce never reaches the caller. After an error of
// NewOrder or Finalize without an answer from the CA (kRetryBackoff, no problem)
// the step may or may not have happened: http::WasSent() tells for NewOrder. Threading: safe
// from any thread. The client must outlive its calls.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/acme/directory.h"
#include "lib/acme/jws.h"
#include "lib/acme/objects.h"
#include "lib/acme/transport.h"
#include "lib/base/random.h"
#include "lib/http/http_client.h"
#include "lib/pki/certificate.h"
#include "lib/pki/key.h"
#include "lib/runtime/awaitable.h"
#include "lib/runtime/timers.h"

namespace certwright::acme {

inline constexpr char kDefaultUserAgent[] = "certwright/0.1";
inline constexpr std::size_t kMaxChainBytes = 64 << 10;

struct NewAccountRequest {
  std::vector<std::string> contacts;  // "mailto:…"
  std::optional<ExternalAccount> external_account;
  // Do not register: find the account of this key, or NOT_FOUND (kReregister).
  bool only_return_existing = false;
};

struct NewOrderRequest {
  std::vector<Identifier> identifiers;
  std::optional<absl::Time> not_before;
  std::optional<absl::Time> not_after;
  std::string profile;   // empty for the CA's default
  std::string replaces;  // CertId() of the certificate to renew; dropped if the
                         // CA has no ARI
  // As http::HttpRequest has it.
  bool fresh_connection = false;
};

struct CertificateChain {
  std::vector<pki::Certificate> certificates;  // never empty
  std::vector<std::string> alternate_urls;  // for DownloadAlternate(); only the default has any
};

// Reasons of RFC 5280 §5.3.1 that CAs accept from subscribers.
enum class RevocationReason {
  kUnspecified = 0,
  kKeyCompromise = 1,
  kSuperseded = 4,
  kCessationOfOperation = 5,
};

class AcmeClient {
 public:
  // An empty user agent becomes kDefaultUserAgent. All references must outlive
  // this.
  AcmeClient(http::HttpClient& http, runtime::Timers& timers, base::Random& random,
             CaOptions options);

  runtime::Awaitable<absl::StatusOr<DirectoryCache::Shared>> GetDirectory(
      runtime::Context context);

  // Registers `key`, or finds its account if it is registered: safe to repeat.
  // Agrees to the CA's terms of service.
  runtime::Awaitable<absl::StatusOr<Account>> NewAccount(runtime::Context context,
                                                         pki::PrivateKey key,
                                                         NewAccountRequest request);
  runtime::Awaitable<absl::StatusOr<Account>> UpdateAccount(runtime::Context context,
                                                            JwsSigner& signer,
                                                            std::string account_url,
                                                            std::vector<std::string> contacts);
  // For ever: a deactivated account never comes back.
  runtime::Awaitable<absl::StatusOr<Account>> DeactivateAccount(runtime::Context context,
                                                                JwsSigner& signer,
                                                                std::string account_url);
  // `signer` signs with the old key. Write the new key down first: after a lost
  // answer either may be the account's, which NewAccount(only_return_existing)
  // tells.
  runtime::Awaitable<absl::Status> KeyChange(runtime::Context context, JwsSigner& signer,
                                             std::string account_url, pki::PublicKey old_key,
                                             pki::PrivateKey new_key);

  // The order's identifiers are those asked for, or the call fails. Write the
  // URL down first of all. An order that could not be read has nothing else, not
  // even a finalize URL, and its identifiers are to be checked when it is read;
  // one without a URL is kPermanent. A CA that refuses an order with `replaces`
  // is asked once more without, unless it is a matter of rates or the account.
  runtime::Awaitable<absl::StatusOr<Order>> NewOrder(runtime::Context context,
                                                     JwsSigner& signer,
                                                     NewOrderRequest request);
  runtime::Awaitable<absl::StatusOr<Order>> GetOrder(runtime::Context context,
                                                     JwsSigner& signer, std::string order_url);
  // The CSR's key must have been written down before.
  runtime::Awaitable<absl::StatusOr<Order>> Finalize(runtime::Context context,
                                                     JwsSigner& signer, std::string order_url,
                                                     std::string finalize_url,
                                                     std::string csr_der);

  runtime::Awaitable<absl::StatusOr<Authorization>> GetAuthorization(
      runtime::Context context, JwsSigner& signer, std::string authorization_url);
  runtime::Awaitable<absl::StatusOr<Authorization>> DeactivateAuthorization(
      runtime::Context context, JwsSigner& signer, std::string authorization_url);
  // Tells the CA that the challenge may be validated now.
  runtime::Awaitable<absl::StatusOr<Challenge>> AcceptChallenge(runtime::Context context,
                                                                JwsSigner& signer,
                                                                std::string challenge_url);
  runtime::Awaitable<absl::StatusOr<Challenge>> GetChallenge(runtime::Context context,
                                                             JwsSigner& signer,
                                                             std::string challenge_url);

  // A chain that holds anything but certificates is refused (RFC 8555 §11.4). They
  // are in the CA's order (pki::ChainFromLeaf()).
  // Whether it is the one asked for is for pki::VerifyIssuedChain() to say. A
  // certificate not yet there (404) is NOT_FOUND and kRetryBackoff.
  runtime::Awaitable<absl::StatusOr<CertificateChain>> DownloadCertificate(
      runtime::Context context, JwsSigner& signer, std::string certificate_url);
  runtime::Awaitable<absl::StatusOr<CertificateChain>> DownloadAlternate(
      runtime::Context context, JwsSigner& signer, std::string alternate_url);

  // OK also if it was revoked before.
  runtime::Awaitable<absl::Status> RevokeCertificate(
      runtime::Context context, JwsSigner& signer, std::string certificate_der,
      std::optional<RevocationReason> reason = std::nullopt);
  // Signed by the certificate's own key: what a key compromise asks for.
  runtime::Awaitable<absl::Status> RevokeCertificateByKey(
      runtime::Context context, pki::PrivateKey certificate_key, std::string certificate_der,
      std::optional<RevocationReason> reason = std::nullopt);

  // UNIMPLEMENTED if the CA has no renewal information. `cert_id` is CertId()
  // of a certificate of this CA.
  runtime::Awaitable<absl::StatusOr<RenewalInfo>> GetRenewalInfo(runtime::Context context,
                                                                 std::string cert_id);

  Transport& transport() { return transport_; }
  const CaOptions& options() const { return transport_.options(); }

 private:
  runtime::Awaitable<absl::StatusOr<Order>> PostNewOrder(runtime::Context context,
                                                         JwsSigner& signer,
                                                         NewOrderRequest request);
  runtime::Awaitable<absl::StatusOr<Authorization>> PostAuthorization(runtime::Context context,
                                                                      JwsSigner& signer,
                                                                      Transport::Call call);
  runtime::Awaitable<absl::StatusOr<Challenge>> PostChallenge(runtime::Context context,
                                                              JwsSigner& signer,
                                                              Transport::Call call);
  runtime::Awaitable<absl::StatusOr<CertificateChain>> Download(runtime::Context context,
                                                                JwsSigner& signer,
                                                                std::string url);
  runtime::Awaitable<absl::Status> Revoke(runtime::Context context, JwsSigner& signer,
                                          RequestKind kind, std::string certificate_der,
                                          std::optional<RevocationReason> reason);
  std::optional<absl::Time> RetryAt(const http::HttpResponse& response) const;

  Transport transport_;
};

}  // namespace certwright::acme
