// VaultClient: has certificates signed by the PKI engine of a Vault server.
//
// Errors are those of vault_exchange.h: INVALID_ARGUMENT is for ever, FAILED_PRECONDITION,
// PERMISSION_DENIED and NOT_FOUND are for an operator, UNAVAILABLE may pass. Only a
// signing whose token was refused is repeated here, once.
// Threading: safe from any thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "boost/json/object.hpp"
#include "lib/http/http_client.h"
#include "lib/pki/names.h"
#include "lib/runtime/awaitable.h"
#include "lib/runtime/context.h"
#include "lib/runtime/timers.h"
#include "services/issuer/vault_exchange.h"
#include "services/issuer/vault_tokens.h"

namespace certwright::issuer_service {

struct VaultOptions {
  // "https://vault.example:8200"; a path before Vault's own is kept.
  std::string server;
  // Of the endpoint that signs: "pki/sign/web", "pki/sign-verbatim/web",
  // "pki/root/sign-intermediate".
  std::string path;
  // Of Vault Enterprise; empty for none.
  std::string vault_namespace;
  // Trusted instead of the system's; empty for the system's.
  std::string ca_bundle_pem;
  VaultAuth auth;
  // Accept an http:// server; for tests only.
  bool allow_http = false;
};

struct VaultSignRequest {
  std::string csr_pem;
  std::string common_name;  // may be empty where the role allows it
  // All names of the certificate; Vault adds none, so the common name may be among them.
  pki::SubjectAltNames names;
  // Whole seconds are asked for; zero leaves it to the role.
  absl::Duration duration;
  bool is_ca = false;
};

// What Vault signed, in PEM. Each was read as a certificate and written anew; whether they are
// what was asked for, pki::VerifyIssuedChain() tells.
struct VaultCertificate {
  std::string certificate_pem;
  // Each signs the one before, the first signs the certificate; without the root.
  std::vector<std::string> chain_pem;
  // The root if Vault names it, else the topmost certificate that it names.
  std::string ca_pem;
};

class VaultClient {
 public:
  // INVALID_ARGUMENT says what is wrong with `options`, without their secrets. `http` and
  // `timers` must outlive the client.
  static absl::StatusOr<std::unique_ptr<VaultClient>> Create(http::HttpClient& http,
                                                             runtime::Timers& timers,
                                                             VaultOptions options);
  VaultClient(const VaultClient&) = delete;
  VaultClient& operator=(const VaultClient&) = delete;

  // INVALID_ARGUMENT also for a CA where the path signs none, for another certificate where it
  // signs only CAs, and for a name that Vault's lists cannot hold. A token that Vault refuses
  // is replaced by one fresh login.
  runtime::Awaitable<absl::StatusOr<VaultCertificate>> Sign(runtime::Context context,
                                                            VaultSignRequest request);

  // OK if the server can sign, whatever the token may do. UNAVAILABLE while it is sealed
  // ("is sealed") or does not answer, FAILED_PRECONDITION while it is not initialised. Asks
  // without token.
  runtime::Awaitable<absl::Status> CheckHealth(runtime::Context context);

 private:
  VaultClient(http::HttpClient& http, runtime::Timers& timers, VaultServer server,
              std::string path, VaultAuth auth);

  bool SignsCas() const;
  absl::Status CheckRequest(const VaultSignRequest& request) const;
  // The answer to `body`, with the token and, once, with a fresh one.
  runtime::Awaitable<absl::StatusOr<boost::json::object>> Post(runtime::Context context,
                                                               std::string body);

  http::HttpClient& http_;
  runtime::Timers& timers_;
  const VaultServer server_;
  const std::string path_;
  VaultTokens tokens_;
};

// What the answer of an endpoint that signs holds. FAILED_PRECONDITION, without bytes of the
// answer, unless it is a certificate and the one that signed it.
absl::StatusOr<VaultCertificate> ReadVaultCertificate(const boost::json::object& answer,
                                                      bool is_ca);

}  // namespace certwright::issuer_service
