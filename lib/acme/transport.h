// Transport: signed requests to one CA, with the nonce rules of RFC 8555 §6.5.
//
// It answers badNonce itself, with the nonce of the refusing answer as §6.5
// demands, and refetches the directory once when an endpoint has moved. A
// request that got no answer is repeated only where a repetition cannot do
// anything twice. All errors carry an ErrorClass. Threading: safe from any
// thread.
#pragma once

#include <cstddef>
#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "lib/acme/directory.h"
#include "lib/acme/jws.h"
#include "lib/acme/nonce_pool.h"
#include "lib/base/random.h"
#include "lib/http/http_client.h"

namespace certwright::acme {

class Transport {
 public:
  // A CA that refuses every second nonce fails a request of this many tries
  // once in 65,536.
  static constexpr int kMaxNonceTries = 16;
  // From this try on, each is preceded by a short wait.
  static constexpr int kImmediateNonceTries = 4;

  struct Call {
    std::string url;
    std::string payload;  // empty for POST-as-GET
    RequestKind kind = RequestKind::kOrder;
    // Doing it twice is as good as once: it may be repeated when no answer
    // came.
    bool repeatable = false;
    std::string accept = "application/json";
    std::size_t max_response_bytes = 1 << 20;
    // As http::HttpRequest has them.
    bool header_suffices = false;
    bool fresh_connection = false;
  };
  // Chooses a directory's endpoint.
  using Endpoint = std::string Directory::*;
  // Makes the payload for that endpoint's URL.
  using MakePayload = std::function<absl::StatusOr<std::string>(const std::string& url)>;

  // All references must outlive this.
  Transport(http::HttpClient& http, runtime::Timers& timers, base::Random& random,
            CaOptions options);

  // A 2xx answer, or an error.
  runtime::Awaitable<absl::StatusOr<http::HttpResponse>> Post(runtime::Context context,
                                                              JwsSigner& signer, Call call);
  // The same to an endpoint of the directory; call.url and call.payload are
  // filled in here.
  runtime::Awaitable<absl::StatusOr<http::HttpResponse>> PostToEndpoint(
      runtime::Context context, JwsSigner& signer, Endpoint endpoint, MakePayload make_payload,
      Call call);
  // An unsigned GET, as renewalInfo takes.
  runtime::Awaitable<absl::StatusOr<http::HttpResponse>> Get(runtime::Context context,
                                                             std::string url);

  DirectoryCache& directory() { return directory_; }
  NoncePool& nonces() { return nonces_; }
  const base::Clock& clock() const { return timers_.clock(); }
  const CaOptions& options() const { return directory_.options(); }

 private:
  struct Nonce {
    std::string value;
    bool from_pool = false;
  };
  runtime::Awaitable<absl::StatusOr<Nonce>> TakeNonce(runtime::Context context);
  runtime::Awaitable<absl::StatusOr<std::string>> FetchNonce(runtime::Context context);
  // Empty if the answer has none.
  runtime::Awaitable<absl::StatusOr<std::string>> AskForNonce(runtime::Context context,
                                                              DirectoryCache::Shared directory,
                                                              std::string method);
  // One try. `nonce` goes back to the pool if it could not be spent.
  runtime::Awaitable<absl::StatusOr<http::HttpResponse>> Try(runtime::Context context,
                                                             JwsSigner& signer, Call call,
                                                             std::string nonce);
  // A short wait that grows with `attempt`.
  runtime::Awaitable<absl::Status> Pause(runtime::Context context, int attempt);
  // Whether a failed `status` says that `url`, taken from `seen`, has moved; then `seen` is
  // given up for a newer directory.
  runtime::Awaitable<bool> HasMoved(runtime::Context context, absl::Status status,
                                    DirectoryCache::Shared seen, Endpoint endpoint);

  http::HttpClient& http_;
  runtime::Timers& timers_;
  base::Random& random_;
  DirectoryCache directory_;
  NoncePool nonces_;
};

}  // namespace certwright::acme
