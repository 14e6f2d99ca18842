// HttpClient: one HTTP request and its whole, capped answer.
//
// Errors: an answer of any status code is a success here. UNAVAILABLE for trouble on the
// way (DNS, connect, reset, truncated body), FAILED_PRECONDITION where the server's TLS
// certificate is refused, the address policy forbids the address, only https is allowed or a
// redirect leads to what is no http URL, RESOURCE_EXHAUSTED for an answer over its cap,
// DEADLINE_EXCEEDED and CANCELLED from the context, INVALID_ARGUMENT for a request that cannot
// be sent. WasSent() tells whether the server may have acted all the same. Messages name
// scheme, host and port, never the path or the body.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "lib/runtime/awaitable.h"
#include "lib/runtime/context.h"

namespace certwright::http {

struct Header {
  std::string name;
  std::string value;
};

// The values of every header called `name` (compared without case), in order.
std::vector<std::string> FindHeaders(const std::vector<Header>& headers,
                                     absl::string_view name);
// The first of them.
std::optional<std::string> FindHeader(const std::vector<Header>& headers,
                                      absl::string_view name);

// Whom to trust as a TLS server. The default is the system's roots.
struct TlsTrust {
  // PEM certificates trusted instead of the system's; empty for the system's.
  std::string ca_bundle_pem;
  // Accept any certificate. Only for tests and for what an issuer's
  // skip_tls_verify allows.
  bool skip_verify = false;
};

struct HttpRequest {
  std::string method = "GET";
  std::string url;
  std::vector<Header> headers;
  std::string body;
  TlsTrust trust;
  // 0: a redirect is an answer like any other, as is one after so many. Only GET follows
  // redirects; to another origin it takes no Authorization, Cookie or Host header along.
  int max_redirects = 0;
  // Refuse http URLs, that of this request and those that it is redirected to.
  bool https_only = false;
  std::size_t max_response_bytes = 1 << 20;
  // The header of a 2xx answer is enough: if its body breaks off or is over the cap, the answer
  // counts without one.
  bool header_suffices = false;
  absl::Duration connect_timeout = absl::Seconds(10);
  // If set, asked for each address (textual IPv4 or IPv6, without brackets)
  // before it is connected to, also after redirects; false forbids it.
  std::function<bool(absl::string_view address, uint16_t port)> allow_address;
  // "host:port" to connect to instead of the URL's, whose Host header stays;
  // empty for none.
  std::string connect_to;
  // Ask for HTTP/1.1 and a fresh connection, closed afterwards.
  bool fresh_connection = false;
};

struct HttpResponse {
  int status = 0;
  // Of the last response of a chain of redirects.
  std::vector<Header> headers;
  std::string body;
  // The URL that answered, after redirects.
  std::string url;
  // The request was sent twice: first on a kept-alive connection that ended without a byte of
  // an answer, so that the server may have acted on it before.
  bool sent_twice = false;
};

// An error of a request that was sent at least in part and not answered in full, so that the
// server may have done what it asks for. HttpClient::Send() marks its errors so; `status` must
// be one.
absl::Status MarkAsSent(absl::Status status);
bool WasSent(const absl::Status& status);

class HttpClient {
 public:
  virtual ~HttpClient() = default;
  virtual runtime::Awaitable<absl::StatusOr<HttpResponse>> Send(runtime::Context context,
                                                                HttpRequest request) = 0;
};

}  // namespace certwright::http
