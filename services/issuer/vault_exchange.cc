#include "services/issuer/vault_exchange.h"

#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "boost/json/array.hpp"
#include "boost/json/parse.hpp"
#include "boost/json/value.hpp"
#include "lib/base/status_macros.h"
#include "lib/http/url.h"

namespace certwright::issuer_service {
namespace {

constexpr std::size_t kMaxDepth = 16;
constexpr std::size_t kMaxErrors = 16;
constexpr std::size_t kMaxErrorText = 1024;
constexpr std::size_t kMaxPathBytes = 512;

const boost::json::value* Member(const boost::json::object& object, absl::string_view name) {
  return object.if_contains(boost::json::string_view(name.data(), name.size()));
}

// `text` as printable ASCII of at most kMaxErrorText characters.
std::string Printable(absl::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const absl::string_view byte = text.substr(i, 1);
    const std::string shown = absl::ascii_isprint(static_cast<unsigned char>(byte[0]))
                                  ? std::string(byte)
                                  : absl::CHexEscape(byte);
    if (out.size() + shown.size() > kMaxErrorText) break;
    out += shown;
  }
  return out;
}

// What Vault says in {"errors": [...]}; empty if it says nothing.
std::string ErrorsText(const VaultCall& call, absl::string_view body) {
  const absl::StatusOr<boost::json::object> answer = ParseVaultJson(body);
  if (!answer.ok()) return "";
  const boost::json::value* errors = Member(*answer, "errors");
  if (errors == nullptr || !errors->is_array()) return "";
  std::vector<std::string> texts;
  for (const boost::json::value& error : errors->get_array()) {
    if (texts.size() == kMaxErrors) break;
    const boost::json::string* text = error.if_string();
    if (text != nullptr) texts.emplace_back(text->data(), text->size());
  }
  std::string joined = absl::StrJoin(texts, "; ");
  for (const auto& secret : {call.token, call.body_secret}) {
    if (secret == nullptr || secret->empty()) continue;
    joined = absl::StrReplaceAll(joined, {{secret->Reveal(), "(secret)"}});
  }
  return Printable(absl::StripAsciiWhitespace(joined));
}

absl::StatusCode CodeOf(int http_status) {
  switch (http_status) {
    case 400:
      return absl::StatusCode::kInvalidArgument;
    case 403:
      return absl::StatusCode::kPermissionDenied;
    case 404:
      return absl::StatusCode::kNotFound;
    case 408:
    case 412:  // a node that is behind the one which issued the token
    case 425:
    case 429:
      return absl::StatusCode::kUnavailable;
    default:
      break;
  }
  return http_status >= 400 && http_status < 500 ? absl::StatusCode::kFailedPrecondition
                                                 : absl::StatusCode::kUnavailable;
}

// What to do about an answer whose code alone does not say it.
absl::string_view AdviceFor(int http_status) {
  if (http_status >= 300 && http_status < 400) {
    return "; it sends us to another node, which is not followed: name the active node, or "
           "let standby nodes forward requests";
  }
  if (http_status == 404) return "; check the path and the namespace of the issuer";
  if (http_status == 405) return "; the path is not an endpoint that signs";
  return "";
}

// The error of a request that got no answer.
absl::Status NoAnswer(const VaultServer& server, const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kDeadlineExceeded:
      return absl::UnavailableError(absl::StrCat("Vault at ", server.origin,
                                                 " gave no answer within ",
                                                 absl::FormatDuration(kVaultTimeout)));
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kResourceExhausted:
      return absl::FailedPreconditionError(
          absl::StrCat("Vault at ", server.origin, ": ", status.message()));
    default:
      return base::Annotate(status, absl::StrCat("Vault at ", server.origin));
  }
}

}  // namespace

absl::StatusOr<std::string> NormalizeVaultPath(absl::string_view path, absl::string_view what) {
  while (absl::ConsumePrefix(&path, "/")) {
  }
  while (absl::ConsumeSuffix(&path, "/")) {
  }
  if (path.empty()) return absl::InvalidArgumentError(absl::StrCat(what, " is required"));
  if (path.size() > kMaxPathBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, " has more than ", kMaxPathBytes, " characters"));
  }
  for (const absl::string_view segment : absl::StrSplit(path, '/')) {
    if (segment.find_first_not_of('.') == absl::string_view::npos) {
      return absl::InvalidArgumentError(
          absl::StrCat(what, " has a segment that is empty or of dots alone"));
    }
    for (const char c : segment) {
      if (absl::ascii_isalnum(static_cast<unsigned char>(c)) || absl::StrContains("._~-", c)) {
        continue;
      }
      return absl::InvalidArgumentError(
          absl::StrCat(what,
                       " may hold only letters, digits and the characters ._~- between "
                       "slashes"));
    }
  }
  return std::string(path);
}

absl::StatusOr<VaultServer> MakeVaultServer(absl::string_view url,
                                            absl::string_view vault_namespace,
                                            std::string ca_bundle_pem, bool allow_http) {
  const std::optional<http::Url> parsed = http::ParseUrl(url);
  if (!parsed.has_value() || absl::StrContains(parsed->text, '?')) {
    return absl::InvalidArgumentError("Vault's server is not an absolute URL without query");
  }
  if (!parsed->https && !allow_http) {
    return absl::InvalidArgumentError("Vault's server is not an https URL");
  }
  VaultServer server;
  server.url = std::string(absl::StripSuffix(parsed->text, "/"));
  server.origin = parsed->Origin();
  if (!vault_namespace.empty()) {
    CW_ASSIGN_OR_RETURN(server.vault_namespace,
                        NormalizeVaultPath(vault_namespace, "Vault's namespace"));
  }
  server.trust.ca_bundle_pem = std::move(ca_bundle_pem);
  return server;
}

runtime::Awaitable<absl::StatusOr<http::HttpResponse>> SendToVault(http::HttpClient& http,
                                                                   runtime::Context context,
                                                                   const VaultServer& server,
                                                                   VaultCall call) {
  http::HttpRequest request;
  request.method = std::move(call.method);
  request.url = absl::StrCat(server.url, "/v1/", call.path);
  request.headers.push_back({"Accept", "application/json"});
  if (!call.body.empty()) request.headers.push_back({"Content-Type", "application/json"});
  // Vault's own proxies can be set to refuse requests without it.
  request.headers.push_back({"X-Vault-Request", "true"});
  if (call.token != nullptr) {
    request.headers.push_back({"X-Vault-Token", std::string(call.token->Reveal())});
  }
  if (call.in_namespace && !server.vault_namespace.empty()) {
    request.headers.push_back({"X-Vault-Namespace", server.vault_namespace});
  }
  request.body = std::move(call.body);
  request.trust = server.trust;
  request.max_response_bytes = kMaxVaultAnswerBytes;
  absl::StatusOr<http::HttpResponse> response =
      co_await http.Send(context.Within(kVaultTimeout), std::move(request));
  if (response.ok()) co_return response;
  CW_CO_RETURN_IF_ERROR(context.Check());
  co_return NoAnswer(server, response.status());
}

runtime::Awaitable<absl::StatusOr<boost::json::object>> AskVault(http::HttpClient& http,
                                                                 runtime::Context context,
                                                                 const VaultServer& server,
                                                                 VaultCall call) {
  VaultCall asked;  // without the body, which may hold a secret
  asked.path = call.path;
  asked.token = call.token;
  asked.body_secret = call.body_secret;
  absl::StatusOr<http::HttpResponse> response =
      co_await SendToVault(http, context, server, std::move(call));
  if (!response.ok()) co_return response.status();
  if (response->status < 200 || response->status > 299) {
    co_return VaultErrorOf(server, asked, response->status, response->body);
  }
  absl::StatusOr<boost::json::object> answer = ParseVaultJson(response->body);
  // It may hold a token.
  base::Wipe(response->body);
  if (!answer.ok()) {
    co_return absl::FailedPreconditionError(
        absl::StrCat("Vault at ", server.origin, ": ", asked.path, ": ",
                     answer.status().message(), "; check that the server is a Vault"));
  }
  co_return answer;
}

absl::Status VaultErrorOf(const VaultServer& server, const VaultCall& call, int http_status,
                          absl::string_view body) {
  const std::string text = ErrorsText(call, body);
  const std::string where = absl::StrCat("Vault at ", server.origin);
  if (http_status == 503 && absl::StrContains(absl::AsciiStrToLower(text), "sealed")) {
    return absl::UnavailableError(absl::StrCat(where, " is sealed; unseal it"));
  }
  return absl::Status(CodeOf(http_status),
                      absl::StrCat(where, ": ", call.path, " answered HTTP ", http_status,
                                   text.empty() ? "" : ": ", text, AdviceFor(http_status)));
}

absl::StatusOr<boost::json::object> ParseVaultJson(absl::string_view body) {
  if (body.size() > kMaxVaultAnswerBytes) {
    return absl::InvalidArgumentError("the answer is too long");
  }
  boost::json::parse_options options;
  options.max_depth = kMaxDepth;
  boost::json::error_code error;
  boost::json::value value = boost::json::parse(
      boost::json::string_view(body.data(), body.size()), error, {}, options);
  if (error || !value.is_object()) {
    return absl::InvalidArgumentError("the answer is not a JSON object");
  }
  return std::move(value.get_object());
}

const boost::json::object* VaultObject(const boost::json::object& object,
                                       absl::string_view name) {
  const boost::json::value* value = Member(object, name);
  return value == nullptr ? nullptr : value->if_object();
}

std::string VaultString(const boost::json::object& object, absl::string_view name) {
  const boost::json::value* value = Member(object, name);
  const boost::json::string* text = value == nullptr ? nullptr : value->if_string();
  return text == nullptr ? "" : std::string(text->data(), text->size());
}

}  // namespace certwright::issuer_service
