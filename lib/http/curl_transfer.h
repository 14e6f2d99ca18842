// CurlTransfer: one HTTP exchange on a libcurl easy handle: its options, the answer as it
// arrives within its caps, and what libcurl's result means. A redirect is an answer here.
//
// Threading: one thread at a time. It must outlive its use of the easy handle.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "curl/curl.h"
#include "lib/http/http_client.h"
#include "lib/http/proxy.h"

namespace certwright::http {

// Where a URL leads.
struct Origin {
  std::string scheme;
  // With brackets if it is an IPv6 address.
  std::string host;
  std::string port;

  bool operator==(const Origin&) const = default;
};

// INVALID_ARGUMENT for what is no http or https URL, or holds a user or password.
absl::StatusOr<Origin> ParseOrigin(const std::string& url);

// The header of an answer, from its lines as libcurl hands them over. When several answers
// come (100 and 103 before the real one), it is the last one's.
class HeaderLines {
 public:
  static constexpr std::size_t kMaxBytes = 64 * 1024;

  // False once all lines together are over kMaxBytes; that line is not taken.
  bool Add(absl::string_view line);
  // Whether the empty line that ends a header has come.
  bool complete() const { return complete_; }
  // Of all lines that came.
  std::size_t bytes() const { return bytes_; }
  const std::vector<Header>& headers() const { return headers_; }

 private:
  std::vector<Header> headers_;
  std::size_t bytes_ = 0;
  bool complete_ = false;
};

struct CurlTransferOptions {
  std::string user_agent;
  int64_t idle_seconds = 60;
  // See CurlHttpClientOptions.
  std::function<bool(absl::string_view address, uint16_t port)> allow_address = {};
  std::string address_advice = {};
  std::optional<Proxy> proxy = {};
};

class CurlTransfer {
 public:
  // INVALID_ARGUMENT for a URL, method, header or connect_to that cannot be sent,
  // FAILED_PRECONDITION for an http URL where only https is allowed.
  static absl::StatusOr<std::shared_ptr<CurlTransfer>> Create(HttpRequest request);
  ~CurlTransfer() { curl_slist_free_all(header_list_); }
  CurlTransfer(const CurlTransfer&) = delete;
  CurlTransfer& operator=(const CurlTransfer&) = delete;

  // Sets all options of `easy`, which was reset, but those of its sockets. FAILED_PRECONDITION,
  // before anything is connected to, for an address that the proxy must not be asked for.
  absl::Status Configure(CURL* easy, const CurlTransferOptions& options);

  // Whether `address` may be connected to; remembers it if not. Only the proxy is connected to
  // by a transfer that goes through it, and that is allowed by being configured.
  bool Allow(const CurlTransferOptions& options, absl::string_view address, uint16_t port);

  // What the transfer came to, before `easy` is reset; OK if there is an answer.
  absl::Status Finish(CURL* easy, CURLcode code);

  // "<reason>" with method and origin put before it.
  std::string Describe(absl::string_view reason) const;

  const HttpRequest& request() const { return request_; }
  const Origin& origin() const { return origin_; }
  HttpResponse& response() { return response_; }
  // Absolute URL that the answer redirects to; empty if it does not.
  const std::string& redirect_url() const { return redirect_url_; }
  // Whether it failed for a kept-alive connection that ended before a byte of answer came.
  bool reused_connection_ended() const { return reused_connection_ended_; }
  // Ends this object's use.
  HttpRequest TakeRequest() { return std::move(request_); }

 private:
  CurlTransfer(HttpRequest request, Origin origin);

  void ConfigureMethod(CURL* easy);
  void ConfigureHeaders(CURL* easy);
  void ConfigureTls(CURL* easy);
  void ConfigureConnection(CURL* easy);
  void ConfigureProxy(CURL* easy, const CurlTransferOptions& options);
  absl::Status CheckTarget(const CurlTransferOptions& options);
  void Forbid(absl::string_view address, uint16_t port, absl::string_view advice);
  absl::Status Forbidden() const;
  absl::Status Explain(CURLcode code) const;
  bool has_body() const;

  static int OnRequest(void* self, char*, char*, int, int);
  static std::size_t OnHeader(char* bytes, std::size_t size, std::size_t count, void* self);
  static std::size_t OnBody(char* bytes, std::size_t size, std::size_t count, void* self);

  HttpRequest request_;
  Origin origin_;
  HttpResponse response_;
  std::string redirect_url_;
  bool through_proxy_ = false;
  std::string forbidden_address_;
  std::string address_advice_;
  curl_slist* header_list_ = nullptr;
  std::string connect_to_;
  curl_slist connect_to_list_{};
  HeaderLines header_lines_;
  bool over_cap_ = false;
  bool reused_connection_ended_ = false;
  // More than once where libcurl itself repeats it.
  int times_sent_ = 0;
  char error_[CURL_ERROR_SIZE] = "";
};

}  // namespace certwright::http
