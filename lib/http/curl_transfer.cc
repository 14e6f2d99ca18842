#include "lib/http/curl_transfer.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "lib/base/status_macros.h"
#include "lib/http/address_policy.h"
#include "lib/http/url.h"

namespace certwright::http {
namespace {

// A token of RFC 9110 §5.6.2, as methods and header names are.
bool IsToken(absl::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_isalnum(c) || absl::StrContains("!#$%&'*+-.^_`|~", c);
  });
}

bool IsHeaderValue(absl::string_view text) {
  return std::none_of(text.begin(), text.end(),
                      [](char c) { return c == '\r' || c == '\n' || c == '\0'; });
}

absl::Status CheckHeaders(const std::vector<Header>& headers) {
  for (const Header& header : headers) {
    if (!IsToken(header.name) || !IsHeaderValue(header.value)) {
      return absl::InvalidArgumentError("a header's name or value has a forbidden character");
    }
  }
  return absl::OkStatus();
}

// libcurl's own words, which may quote a peer's certificate.
std::string Printable(absl::string_view text) {
  std::string printable(text);
  for (char& c : printable) {
    if (!absl::ascii_isprint(static_cast<unsigned char>(c))) c = '?';
  }
  return printable;
}

// A signature that does not fit its key, as when an authority was made anew under its old
// name, is reported by libcurl as a failed handshake with OpenSSL's words for it.
bool IsBadSignature(CURLcode code, absl::string_view words) {
  return code == CURLE_SSL_CONNECT_ERROR &&
         (absl::StrContains(words, "asn1 encoding routines") ||
          absl::StrContains(words, "rsa routines"));
}

// For a certificate that is refused for its time, which more often is this machine's: OpenSSL's
// words for both of its ends.
absl::string_view ClockHint(absl::string_view error) {
  const bool of_time = absl::StrContains(error, "certificate has expired") ||
                       absl::StrContains(error, "certificate is not yet valid");
  return of_time ? "; if it is valid, check this machine's clock" : "";
}

// Results that leave open whether the server has seen the request.
bool IsBrokenConnection(CURLcode code) {
  return code == CURLE_GOT_NOTHING || code == CURLE_SEND_ERROR || code == CURLE_RECV_ERROR ||
         code == CURLE_HTTP2 || code == CURLE_HTTP2_STREAM || code == CURLE_PARTIAL_FILE;
}

// Without brackets.
absl::string_view HostOf(const Origin& origin) {
  return absl::StripSuffix(absl::StripPrefix(origin.host, "["), "]");
}

// The address that `host` is without any lookup; "" if it needs one (RFC 6761 §6.3 for
// localhost).
std::string AddressInPlaceOf(absl::string_view host) {
  host = absl::StripSuffix(host, ".");
  if (host == "localhost" || absl::EndsWith(host, ".localhost")) return "127.0.0.1";
  return Classify(host) == AddressClass::kInvalid ? "" : std::string(host);
}

// What is set to a string that libcurl copies.
void SetString(CURL* easy, CURLoption option, const std::string& value) {
  curl_easy_setopt(easy, option, value.c_str());
}

}  // namespace

absl::StatusOr<Origin> ParseOrigin(const std::string& url) {
  const std::optional<Url> parsed = ParseUrl(url);
  if (!parsed.has_value()) {
    return absl::InvalidArgumentError(
        "the URL is no plain http or https URL, or holds a user or password");
  }
  Origin origin;
  origin.scheme = parsed->https ? "https" : "http";
  const bool v6 = absl::StrContains(parsed->host, ':');
  origin.host = v6 ? absl::StrCat("[", parsed->host, "]") : parsed->host;
  origin.port = absl::StrCat(parsed->port);
  return origin;
}

bool HeaderLines::Add(absl::string_view line) {
  bytes_ += line.size();
  if (bytes_ > kMaxBytes) return false;
  if (absl::StartsWith(line, "HTTP/")) {
    // After an informational answer (100, 103) the real one begins.
    headers_.clear();
    complete_ = false;
    return true;
  }
  line = absl::StripTrailingAsciiWhitespace(line);
  // What comes after the empty line are trailers, which nobody asked for.
  if (line.empty()) complete_ = true;
  const std::size_t colon = line.find(':');
  if (complete_ || colon == absl::string_view::npos || colon == 0) return true;
  headers_.push_back({std::string(line.substr(0, colon)),
                      std::string(absl::StripAsciiWhitespace(line.substr(colon + 1)))});
  return true;
}

absl::StatusOr<std::shared_ptr<CurlTransfer>> CurlTransfer::Create(HttpRequest request) {
  CW_ASSIGN_OR_RETURN(Origin origin, ParseOrigin(request.url));
  if (!IsToken(request.method) || request.method == "CONNECT") {
    return absl::InvalidArgumentError("the method is not one that can be sent");
  }
  CW_RETURN_IF_ERROR(CheckHeaders(request.headers));
  if (!request.connect_to.empty() && !absl::StrContains(request.connect_to, ':')) {
    return absl::InvalidArgumentError("connect_to is not host:port");
  }
  const bool https = origin.scheme == "https";
  const bool https_only = request.https_only;
  std::shared_ptr<CurlTransfer> transfer(
      new CurlTransfer(std::move(request), std::move(origin)));
  if (https_only && !https) {
    return absl::FailedPreconditionError(
        transfer->Describe("only https URLs are followed here, and this is none"));
  }
  return transfer;
}

CurlTransfer::CurlTransfer(HttpRequest request, Origin origin)
    : request_(std::move(request)), origin_(std::move(origin)) {}

absl::Status CurlTransfer::Configure(CURL* easy, const CurlTransferOptions& options) {
  SetString(easy, CURLOPT_URL, request_.url);
  SetString(easy, CURLOPT_USERAGENT, options.user_agent);
  SetString(easy, CURLOPT_PROTOCOLS_STR, request_.https_only ? "https" : "http,https");
  curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  // Else giving up on a name's resolution would wait for getaddrinfo() to return.
  curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
  curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, static_cast<long>(options.idle_seconds));
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, error_);
  curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, &CurlTransfer::OnRequest);
  curl_easy_setopt(easy, CURLOPT_PREREQDATA, this);
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, &CurlTransfer::OnHeader);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, this);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, &CurlTransfer::OnBody);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, this);
  ConfigureMethod(easy);
  ConfigureHeaders(easy);
  ConfigureTls(easy);
  ConfigureConnection(easy);
  ConfigureProxy(easy, options);
  return CheckTarget(options);
}

bool CurlTransfer::has_body() const {
  return !request_.body.empty() || request_.method == "POST" || request_.method == "PUT" ||
         request_.method == "PATCH";
}

void CurlTransfer::ConfigureMethod(CURL* easy) {
  if (has_body()) {
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
                     static_cast<curl_off_t>(request_.body.size()));
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request_.body.data());
    if (request_.method != "POST") SetString(easy, CURLOPT_CUSTOMREQUEST, request_.method);
  } else if (request_.method == "HEAD") {
    curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
  } else if (request_.method != "GET") {
    SetString(easy, CURLOPT_CUSTOMREQUEST, request_.method);
  }
  // A body announced as too large is refused before it arrives, and before the header's end.
  if (request_.method != "HEAD" && !request_.header_suffices) {
    curl_easy_setopt(easy, CURLOPT_MAXFILESIZE_LARGE,
                     static_cast<curl_off_t>(request_.max_response_bytes));
  }
}

void CurlTransfer::ConfigureHeaders(CURL* easy) {
  const auto add = [this](const std::string& line) {
    curl_slist* longer = curl_slist_append(header_list_, line.c_str());
    if (longer != nullptr) header_list_ = longer;
  };
  // libcurl drops a header that is written "Name:" and sends one without a value for "Name;".
  if (has_body()) {
    add("Expect:");
    if (!FindHeader(request_.headers, "Content-Type")) add("Content-Type:");
  }
  if (!FindHeader(request_.headers, "Accept-Encoding")) add("Accept-Encoding: identity");
  for (const Header& header : request_.headers) {
    add(header.value.empty() ? absl::StrCat(header.name, ";")
                             : absl::StrCat(header.name, ": ", header.value));
  }
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, header_list_);
}

void CurlTransfer::ConfigureTls(CURL* easy) {
  curl_easy_setopt(easy, CURLOPT_SSLVERSION, long{CURL_SSLVERSION_TLSv1_2});
  if (request_.trust.skip_verify) {
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
  }
  // With a folder of certificates set, libcurl would parse the system's roots anew for each
  // connection instead of once.
  curl_easy_setopt(easy, CURLOPT_CAPATH, nullptr);
  if (!request_.trust.ca_bundle_pem.empty()) {
    curl_blob bundle{request_.trust.ca_bundle_pem.data(), request_.trust.ca_bundle_pem.size(),
                     CURL_BLOB_NOCOPY};
    curl_easy_setopt(easy, CURLOPT_CAINFO_BLOB, &bundle);
  }
}

void CurlTransfer::ConfigureConnection(CURL* easy) {
  const bool alone = request_.fresh_connection || request_.allow_address;
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION,
                   alone ? long{CURL_HTTP_VERSION_1_1} : long{CURL_HTTP_VERSION_2TLS});
  if (alone) {
    curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
    curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
  } else {
    // Wait for a connection that may turn out to be HTTP/2 rather than open another.
    curl_easy_setopt(easy, CURLOPT_PIPEWAIT, 1L);
  }
  const int64_t connect_ms = absl::ToInt64Milliseconds(request_.connect_timeout);
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                   static_cast<long>(std::clamp<int64_t>(connect_ms, 1, 1 << 30)));
  if (!request_.connect_to.empty()) {
    connect_to_ = absl::StrCat(origin_.host, ":", origin_.port, ":", request_.connect_to);
    connect_to_list_.data = connect_to_.data();
    curl_easy_setopt(easy, CURLOPT_CONNECT_TO, &connect_to_list_);
  }
}

// Both options are always set, since libcurl else reads the environment.
void CurlTransfer::ConfigureProxy(CURL* easy, const CurlTransferOptions& options) {
  const bool direct = request_.allow_address || !request_.connect_to.empty();
  through_proxy_ =
      !direct && options.proxy.has_value() && options.proxy->Serves(HostOf(origin_));
  SetString(easy, CURLOPT_PROXY, through_proxy_ ? options.proxy->url() : "");
  SetString(easy, CURLOPT_NOPROXY, "");
}

// Where a name leads is the proxy's business; an address can be judged here.
absl::Status CurlTransfer::CheckTarget(const CurlTransferOptions& options) {
  if (!through_proxy_ || !options.allow_address) return absl::OkStatus();
  const std::string address = AddressInPlaceOf(HostOf(origin_));
  int port = 0;
  if (address.empty() || !absl::SimpleAtoi(origin_.port, &port)) return absl::OkStatus();
  if (options.allow_address(address, static_cast<uint16_t>(port))) return absl::OkStatus();
  Forbid(address, static_cast<uint16_t>(port), options.address_advice);
  return Forbidden();
}

bool CurlTransfer::Allow(const CurlTransferOptions& options, absl::string_view address,
                         uint16_t port) {
  if (through_proxy_) return port == options.proxy->port();
  const auto& policy = request_.allow_address ? request_.allow_address : options.allow_address;
  if (!policy || policy(address, port)) return true;
  Forbid(address, port, request_.allow_address ? "" : options.address_advice);
  return false;
}

void CurlTransfer::Forbid(absl::string_view address, uint16_t port, absl::string_view advice) {
  address_advice_ = std::string(advice);
  forbidden_address_ = absl::StrContains(address, ':') ? absl::StrCat("[", address, "]:", port)
                                                       : absl::StrCat(address, ":", port);
}

absl::Status CurlTransfer::Forbidden() const {
  return absl::FailedPreconditionError(
      Describe(absl::StrCat("the address policy forbids to connect to ", forbidden_address_,
                            address_advice_.empty() ? "" : "; ", address_advice_)));
}

int CurlTransfer::OnRequest(void* self, char*, char*, int, int) {
  ++static_cast<CurlTransfer*>(self)->times_sent_;
  return CURL_PREREQFUNC_OK;
}

std::size_t CurlTransfer::OnHeader(char* bytes, std::size_t size, std::size_t count,
                                   void* self) {
  auto* transfer = static_cast<CurlTransfer*>(self);
  if (transfer->header_lines_.Add(absl::string_view(bytes, size * count))) return size * count;
  transfer->over_cap_ = true;
  return 0;
}

std::size_t CurlTransfer::OnBody(char* bytes, std::size_t size, std::size_t count, void* self) {
  auto* transfer = static_cast<CurlTransfer*>(self);
  std::string& body = transfer->response_.body;
  if (size * count > transfer->request_.max_response_bytes - body.size()) {
    transfer->over_cap_ = true;
    return 0;
  }
  body.append(bytes, size * count);
  return size * count;
}

absl::Status CurlTransfer::Finish(CURL* easy, CURLcode code) {
  long status = 0;
  curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
  const bool suffices =
      request_.header_suffices && header_lines_.complete() && status >= 200 && status < 300;
  if (code != CURLE_OK) response_ = HttpResponse();
  if (code != CURLE_OK && !suffices) {
    long new_connections = 0;
    curl_easy_getinfo(easy, CURLINFO_NUM_CONNECTS, &new_connections);
    reused_connection_ended_ =
        new_connections == 0 && header_lines_.bytes() == 0 && IsBrokenConnection(code);
    return Explain(code);
  }
  // libcurl is content with a connection that ends within the header.
  if (status < 100 || !header_lines_.complete()) {
    response_ = HttpResponse();
    return absl::UnavailableError(Describe("the answer's header is cut short"));
  }
  response_.status = static_cast<int>(status);
  response_.headers = header_lines_.headers();
  response_.url = request_.url;
  response_.sent_twice = times_sent_ > 1;
  char* redirect = nullptr;
  curl_easy_getinfo(easy, CURLINFO_REDIRECT_URL, &redirect);
  if (redirect != nullptr) redirect_url_ = redirect;
  return absl::OkStatus();
}

absl::Status CurlTransfer::Explain(CURLcode code) const {
  if (!forbidden_address_.empty() && code == CURLE_COULDNT_CONNECT) return Forbidden();
  if (over_cap_ || code == CURLE_FILESIZE_EXCEEDED) {
    return absl::ResourceExhaustedError(
        Describe(absl::StrCat("the answer is larger than ", request_.max_response_bytes,
                              " bytes, or its headers than ", HeaderLines::kMaxBytes)));
  }
  if (IsBadSignature(code, error_)) {
    return absl::FailedPreconditionError(
        Describe("the server's certificate is not signed by any of the trusted CAs' keys"));
  }
  const std::string reason =
      Describe(Printable(error_[0] != '\0' ? error_ : curl_easy_strerror(code)));
  switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ISSUER_ERROR:
      return absl::FailedPreconditionError(absl::StrCat(reason, ClockHint(error_)));
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
      return absl::FailedPreconditionError(
          Describe("the CA certificates to trust cannot be read; they must be in PEM format"));
    case CURLE_OUT_OF_MEMORY:
      // Also what libcurl says of a header line beyond its own cap.
      return absl::ResourceExhaustedError(reason);
    case CURLE_URL_MALFORMAT:
      return absl::InvalidArgumentError(reason);
    default:
      return absl::UnavailableError(reason);
  }
}

std::string CurlTransfer::Describe(absl::string_view reason) const {
  return absl::StrCat(request_.method, " ", origin_.scheme, "://", origin_.host, ":",
                      origin_.port, ": ", reason);
}

}  // namespace certwright::http
