#include "services/issuer/vault_client.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "boost/json/array.hpp"
#include "boost/json/serialize.hpp"
#include "boost/json/value.hpp"
#include "lib/base/status_macros.h"
#include "lib/pki/certificate.h"

namespace certwright::issuer_service {
namespace {

// Vault answers 200 for every node that serves requests, itself or through another.
constexpr char kHealthPath[] = "sys/health?standbyok=true&perfstandbyok=true";
constexpr std::size_t kMaxChain = 20;

absl::Status NoCertificate(absl::string_view why) {
  return absl::FailedPreconditionError(absl::StrCat(
      "Vault's answer: ", why, "; check that the issuer's path is an endpoint that signs"));
}

absl::StatusOr<pki::Certificate> ReadOne(absl::string_view pem, absl::string_view what) {
  absl::StatusOr<std::vector<pki::Certificate>> certificates = pki::ParseChainPem(pem);
  if (!certificates.ok()) {
    return NoCertificate(absl::StrCat(what, ": ", certificates.status().message()));
  }
  if (certificates->size() != 1) {
    return NoCertificate(absl::StrCat(what, " is not one certificate"));
  }
  return std::move(certificates->front());
}

// issuing_ca and ca_chain, in no order that could be relied on: where CAs sign each other,
// Vault lists all of them.
absl::StatusOr<std::vector<pki::Certificate>> ReadAuthorities(const boost::json::object& data) {
  std::vector<pki::Certificate> authorities;
  CW_ASSIGN_OR_RETURN(pki::Certificate issuing,
                      ReadOne(VaultString(data, "issuing_ca"), "issuing_ca"));
  authorities.push_back(std::move(issuing));
  const boost::json::value* chain = data.if_contains("ca_chain");
  if (chain == nullptr || !chain->is_array()) return authorities;
  if (chain->get_array().size() > kMaxChain) {
    return NoCertificate(absl::StrCat("ca_chain has more than ", kMaxChain, " certificates"));
  }
  for (const boost::json::value& value : chain->get_array()) {
    const boost::json::string* text = value.if_string();
    if (text == nullptr) return NoCertificate("ca_chain holds something else than strings");
    CW_ASSIGN_OR_RETURN(
        pki::Certificate authority,
        ReadOne(absl::string_view(text->data(), text->size()), "a part of ca_chain"));
    authorities.push_back(std::move(authority));
  }
  return authorities;
}

// The path from what issued `leaf` upwards, as far as it is among `authorities`.
std::vector<pki::Certificate> PathAbove(const pki::Certificate& leaf,
                                        std::vector<pki::Certificate> authorities) {
  std::vector<pki::Certificate> path;
  std::string wanted = leaf.issuer;
  while (true) {
    auto next = std::find_if(
        authorities.begin(), authorities.end(),
        [&wanted](const pki::Certificate& authority) { return authority.subject == wanted; });
    if (next == authorities.end()) return path;
    path.push_back(std::move(*next));
    authorities.erase(next);
    if (pki::IsSelfSigned(path.back())) return path;
    wanted = path.back().issuer;
  }
}

// Vault's parameters take names as one text with commas between them.
absl::Status AddList(boost::json::object& body, const char* parameter,
                     const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    if (absl::StrContains(name, ',')) {
      return absl::InvalidArgumentError(absl::StrCat("Vault takes no comma inside a name (",
                                                     parameter, "); leave that name out"));
    }
  }
  if (!names.empty()) body[parameter] = absl::StrJoin(names, ",");
  return absl::OkStatus();
}

absl::StatusOr<std::string> SignBody(const VaultSignRequest& request) {
  boost::json::object body;
  body["csr"] = request.csr_pem;
  if (!request.common_name.empty()) body["common_name"] = request.common_name;
  std::vector<std::string> alt_names = request.names.dns_names;
  alt_names.insert(alt_names.end(), request.names.email_addresses.begin(),
                   request.names.email_addresses.end());
  std::vector<std::string> other_names;
  for (const pki::OtherName& name : request.names.other_names) {
    other_names.push_back(absl::StrCat(name.oid, ";UTF8:", name.utf8_value));
  }
  CW_RETURN_IF_ERROR(AddList(body, "alt_names", alt_names));
  CW_RETURN_IF_ERROR(AddList(body, "ip_sans", request.names.ip_addresses));
  CW_RETURN_IF_ERROR(AddList(body, "uri_sans", request.names.uris));
  CW_RETURN_IF_ERROR(AddList(body, "other_sans", other_names));
  const int64_t seconds = absl::ToInt64Seconds(request.duration);
  if (seconds > 0) body["ttl"] = absl::StrCat(seconds, "s");
  body["exclude_cn_from_sans"] = "true";
  return boost::json::serialize(body);
}

}  // namespace

absl::StatusOr<VaultCertificate> ReadVaultCertificate(const boost::json::object& answer,
                                                      bool is_ca) {
  const boost::json::object* data = VaultObject(answer, "data");
  if (data == nullptr) return NoCertificate("it has no data");
  CW_ASSIGN_OR_RETURN(const pki::Certificate leaf,
                      ReadOne(VaultString(*data, "certificate"), "certificate"));
  if (leaf.is_ca != is_ca) {
    return NoCertificate(is_ca ? "the certificate is not a CA's, as was asked for"
                               : "the certificate is a CA's, which was not asked for");
  }
  CW_ASSIGN_OR_RETURN(std::vector<pki::Certificate> authorities, ReadAuthorities(*data));
  std::vector<pki::Certificate> path = PathAbove(leaf, std::move(authorities));
  if (path.empty()) return NoCertificate("issuing_ca has not issued the certificate");
  VaultCertificate certificate;
  certificate.certificate_pem = leaf.Pem();
  certificate.ca_pem = path.back().Pem();
  if (pki::IsSelfSigned(path.back())) path.pop_back();
  for (const pki::Certificate& authority : path) {
    certificate.chain_pem.push_back(authority.Pem());
  }
  return certificate;
}

absl::StatusOr<std::unique_ptr<VaultClient>> VaultClient::Create(http::HttpClient& http,
                                                                 runtime::Timers& timers,
                                                                 VaultOptions options) {
  CW_ASSIGN_OR_RETURN(VaultServer server,
                      MakeVaultServer(options.server, options.vault_namespace,
                                      std::move(options.ca_bundle_pem), options.allow_http));
  CW_ASSIGN_OR_RETURN(std::string path, NormalizeVaultPath(options.path, "Vault's path"));
  CW_ASSIGN_OR_RETURN(VaultAuth auth, NormalizeVaultAuth(std::move(options.auth)));
  return std::unique_ptr<VaultClient>(
      new VaultClient(http, timers, std::move(server), std::move(path), std::move(auth)));
}

VaultClient::VaultClient(http::HttpClient& http, runtime::Timers& timers, VaultServer server,
                         std::string path, VaultAuth auth)
    : http_(http),
      timers_(timers),
      server_(std::move(server)),
      path_(std::move(path)),
      tokens_(http, timers, server_, std::move(auth)) {}

bool VaultClient::SignsCas() const { return absl::EndsWith(path_, "/sign-intermediate"); }

absl::Status VaultClient::CheckRequest(const VaultSignRequest& request) const {
  if (request.is_ca && !SignsCas()) {
    return absl::InvalidArgumentError(
        absl::StrCat("Vault signs no CA at ", path_,
                     "; an issuer whose path is <mount>/root/sign-intermediate does"));
  }
  if (!request.is_ca && SignsCas()) {
    return absl::InvalidArgumentError(
        absl::StrCat("Vault signs only CAs at ", path_,
                     "; ask for a CA, or of an issuer whose path is <mount>/sign/<role>"));
  }
  return absl::OkStatus();
}

runtime::Awaitable<absl::StatusOr<VaultCertificate>> VaultClient::Sign(
    runtime::Context context, VaultSignRequest request) {
  CW_CO_RETURN_IF_ERROR(CheckRequest(request));
  CW_CO_ASSIGN_OR_RETURN(std::string body, SignBody(request));
  CW_CO_ASSIGN_OR_RETURN(const boost::json::object answer,
                         co_await Post(context, std::move(body)));
  co_return ReadVaultCertificate(answer, request.is_ca);
}

runtime::Awaitable<absl::StatusOr<boost::json::object>> VaultClient::Post(
    runtime::Context context, std::string body) {
  const base::MonotonicTime started = timers_.clock().MonotonicNow();
  for (bool first = true;; first = false) {
    CW_CO_ASSIGN_OR_RETURN(const VaultTokens::Shared token, co_await tokens_.Get(context));
    VaultCall call;
    call.path = path_;
    call.body = body;
    call.token = std::shared_ptr<const base::Secret>(token, &token->value);
    absl::StatusOr<boost::json::object> answer =
        co_await AskVault(http_, context, server_, std::move(call));
    if (answer.status().code() != absl::StatusCode::kPermissionDenied) co_return answer;
    if (!first || !tokens_.can_log_in()) co_return answer;
    // A token of this very call cannot be too old: it lacks the right.
    if (token->obtained >= started) co_return answer;
    tokens_.Invalidate(token);
  }
}

runtime::Awaitable<absl::Status> VaultClient::CheckHealth(runtime::Context context) {
  VaultCall call;
  call.method = "GET";
  call.path = kHealthPath;
  call.in_namespace = false;
  absl::StatusOr<http::HttpResponse> response =
      co_await SendToVault(http_, context, server_, std::move(call));
  if (!response.ok()) co_return response.status();
  const std::string where = absl::StrCat("Vault at ", server_.origin);
  const absl::StatusOr<boost::json::object> answer = ParseVaultJson(response->body);
  // Proxies know some of these codes too; only Vault says how it is.
  const boost::json::value* sealed = answer.ok() ? answer->if_contains("sealed") : nullptr;
  if (sealed == nullptr || !sealed->is_bool()) {
    co_return absl::UnavailableError(absl::StrCat(where, " does not say how it is (HTTP ",
                                                  response->status,
                                                  "); check that the server is a Vault"));
  }
  switch (response->status) {
    case 200:
      co_return absl::OkStatus();
    case 472:
      co_return absl::UnavailableError(
          absl::StrCat(where, " is a disaster recovery secondary, which signs nothing"));
    case 501:
      co_return absl::FailedPreconditionError(
          absl::StrCat(where, " is not initialised; initialise and unseal it"));
    case 503:
      co_return absl::UnavailableError(absl::StrCat(where, " is sealed; unseal it"));
    default:
      co_return absl::UnavailableError(
          absl::StrCat(where, " is not healthy (HTTP ", response->status, ")"));
  }
}

}  // namespace certwright::issuer_service
