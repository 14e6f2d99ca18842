// CurlHttpClient: an HttpClient on libcurl's multi interface.
//
// Connections are kept alive and shared: HTTP/2 requests of one origin and one
// TlsTrust go over one TLS connection, HTTP/1.1 ones over up to
// `max_connections_per_host`; more wait their turn. Answers are asked for
// uncompressed. A request on a kept-alive connection that turns out to be
// closed, before a byte of answer came, is repeated once on a fresh one.
//
// A request with an address policy of its own, or with connect_to, has a connection of its
// own and uses no proxy: the policy is asked for what is really connected to. All others go
// through the proxy of the options, if there is one and it serves the host. What the
// environment says of proxies (https_proxy and the like) does not count.
//
// Threading: Send() may be called from any coroutine. libcurl itself runs on
// one strand of `executor`; names are resolved on threads of libcurl's, never
// on the executor's. allow_address is called on that strand: it must be quick
// and not call Send().
//
// Lifetime: `executor` and `timers` must outlive the client. Requests under way
// when the client is destroyed end as CANCELLED.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "lib/http/http_client.h"
#include "lib/http/proxy.h"
#include "lib/runtime/awaitable.h"
#include "lib/runtime/timers.h"

namespace certwright::http {

struct CurlHttpClientOptions {
  std::string user_agent = "certwright";
  int max_connections_per_host = 16;
  // A connection idle for longer is not used again.
  absl::Duration idle_timeout = absl::Seconds(60);
  // If set, which addresses requests without a policy of their own may connect to. It is asked
  // when a connection is opened. A request through the proxy connects to the proxy only, and
  // is asked about if its URL has an address (or localhost) for a host: where a name leads
  // behind the proxy, nobody here can tell.
  std::function<bool(absl::string_view address, uint16_t port)> allow_address = {};
  // Told when an address is forbidden: what to do about it.
  std::string address_advice = {};
  std::optional<Proxy> proxy = {};
};

// Deadlines of requests follow `timers`.
std::unique_ptr<HttpClient> MakeCurlHttpClient(runtime::Executor executor,
                                               runtime::Timers& timers,
                                               CurlHttpClientOptions options = {});

}  // namespace certwright::http
