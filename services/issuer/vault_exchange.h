// One request to a Vault server, and what its answer means.
//
// Errors: INVALID_ARGUMENT for what Vault will refuse for ever (HTTP 400), PERMISSION_DENIED
// (403), NOT_FOUND naming the path (404), UNAVAILABLE for trouble that may pass: no answer, a
// sealed or overloaded server, a server that errs or that sends us elsewhere;
// FAILED_PRECONDITION for what an operator has to put right: a refused TLS certificate, an
// answer that Vault does not give. CANCELLED and DEADLINE_EXCEEDED mean that the context has
// ended. Messages name the server and the path and hold what Vault says is wrong, at most 1
// KiB of printable ASCII, without the secrets of the request.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "boost/json/object.hpp"
#include "lib/base/secret.h"
#include "lib/http/http_client.h"
#include "lib/runtime/awaitable.h"
#include "lib/runtime/context.h"

namespace certwright::issuer_service {

// Bounds one exchange.
inline constexpr absl::Duration kVaultTimeout = absl::Seconds(30);
inline constexpr std::size_t kMaxVaultAnswerBytes = 256 << 10;

struct VaultServer {
  std::string url;     // without a slash at its end
  std::string origin;  // of `url`, for messages
  std::string vault_namespace;
  http::TlsTrust trust;
};

// INVALID_ARGUMENT unless `url` is an absolute https URL without query, or an http one where
// `allow_http`, and `vault_namespace` is empty or a path (see NormalizeVaultPath()).
absl::StatusOr<VaultServer> MakeVaultServer(absl::string_view url,
                                            absl::string_view vault_namespace,
                                            std::string ca_bundle_pem, bool allow_http);

// `path` without slashes around it. INVALID_ARGUMENT naming `what` unless it is at most 512
// characters of A-Z a-z 0-9 . _ ~ - in segments, none of them empty or of dots alone.
absl::StatusOr<std::string> NormalizeVaultPath(absl::string_view path, absl::string_view what);

struct VaultCall {
  std::string method = "POST";
  // Below v1/, with its query.
  std::string path;
  std::string body;
  // Sent as X-Vault-Token; null for none.
  std::shared_ptr<const base::Secret> token;
  // A secret inside `body`, to be kept out of messages; null for none.
  std::shared_ptr<const base::Secret> body_secret;
  // Whether the path is one of the server's namespace; some exist only in the root.
  bool in_namespace = true;
};

// An answer of any HTTP status. `http` and `server` must outlive the call.
runtime::Awaitable<absl::StatusOr<http::HttpResponse>> SendToVault(http::HttpClient& http,
                                                                   runtime::Context context,
                                                                   const VaultServer& server,
                                                                   VaultCall call);

// The JSON object of a 2xx answer.
runtime::Awaitable<absl::StatusOr<boost::json::object>> AskVault(http::HttpClient& http,
                                                                 runtime::Context context,
                                                                 const VaultServer& server,
                                                                 VaultCall call);

// The error that an answer which is not 2xx stands for.
absl::Status VaultErrorOf(const VaultServer& server, const VaultCall& call, int http_status,
                          absl::string_view body);

// INVALID_ARGUMENT unless `body` is one JSON object of at most kMaxVaultAnswerBytes and 16
// levels.
absl::StatusOr<boost::json::object> ParseVaultJson(absl::string_view body);

// Members of another kind count as absent.
const boost::json::object* VaultObject(const boost::json::object& object,
                                       absl::string_view name);
std::string VaultString(const boost::json::object& object, absl::string_view name);

}  // namespace certwright::issuer_service
