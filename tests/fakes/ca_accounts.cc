// Accounts of the fake CA: RFC 8555 §7.3.
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "boost/json/parse.hpp"
#include "lib/pki/jose.h"
#include "tests/fakes/ca_reply.h"
#include "tests/fakes/ca_server.h"

namespace certwright::fakes {
namespace {

namespace json = boost::json;

std::optional<Reply> CheckContacts(const std::vector<std::string>& contacts) {
  for (const std::string& contact : contacts) {
    if (!absl::StartsWith(contact, "mailto:")) {
      return ProblemReply(400, "unsupportedContact", "only mailto is supported");
    }
    if (absl::StrContains(contact, ",") || absl::StrContains(contact, "?") ||
        !absl::StrContains(contact, "@")) {
      return ProblemReply(400, "invalidContact", "not one address");
    }
  }
  return std::nullopt;
}

bool TrueAt(const json::object& object, const char* name) {
  const json::value* value = object.if_contains(name);
  return value != nullptr && value->is_bool() && value->as_bool();
}

}  // namespace

Reply CaServer::NewAccount(Call& call) {
  const std::optional<json::object> payload = call.Object();
  if (!payload.has_value()) return ProblemReply(400, "malformed", "no JSON object");
  const std::string thumbprint = pki::JwkThumbprint(*call.key);
  {
    base::MutexLock lock(mutex_);
    if (const Id id = FindAccount(thumbprint); id != 0) {
      if (!accounts_.at(id).active) {
        return ProblemReply(401, "unauthorized", "the account is deactivated");
      }
      return AccountReply(call, 200, id);
    }
  }
  if (TrueAt(*payload, "onlyReturnExisting")) {
    return ProblemReply(400, "accountDoesNotExist", "no account has this key");
  }
  std::optional<std::vector<std::string>> contacts = StringsAt(*payload, "contact");
  if (!contacts.has_value()) return ProblemReply(400, "malformed", "contact is no list");
  if (std::optional<Reply> refusal = CheckContacts(*contacts)) return *std::move(refusal);
  if (!TrueAt(*payload, "termsOfServiceAgreed")) {
    return ProblemReply(403, "userActionRequired", "agree to the terms of service");
  }
  if (std::optional<Reply> refusal = CheckExternalAccount(call, *payload)) {
    return *std::move(refusal);
  }
  AccountEntry account(*call.key);
  account.jwk = call.jwk;
  account.thumbprint = thumbprint;
  account.contacts = *std::move(contacts);
  if (const json::value* binding = payload->if_contains("externalAccountBinding")) {
    account.external_account = binding->as_object();
  }
  base::MutexLock lock(mutex_);
  // Another request with the same key may have been faster.
  if (const Id id = FindAccount(thumbprint); id != 0) return AccountReply(call, 200, id);
  const Id id = ++last_id_;
  accounts_.emplace(id, std::move(account));
  accounts_by_thumbprint_[thumbprint] = id;
  return AccountReply(call, 201, id);
}

// RFC 8555 §7.3.4.
std::optional<Reply> CaServer::CheckExternalAccount(const Call& call,
                                                    const json::object& payload) const {
  const json::value* binding = payload.if_contains("externalAccountBinding");
  if (binding == nullptr) {
    if (options_.external_accounts.empty()) return std::nullopt;
    return ProblemReply(403, "externalAccountRequired", "bind the account to an external one");
  }
  const auto jws = binding->is_object() ? ReadJws(binding->as_object())
                                        : absl::InvalidArgumentError("not an object");
  if (!jws.ok()) return ProblemReply(400, "malformed", jws.status().message());
  const auto mac_key = options_.external_accounts.find(StringAt(jws->header, "kid"));
  boost::system::error_code error;
  const json::value jwk = json::parse(jws->payload, error);
  const bool is_well_formed = StringAt(jws->header, "alg") == "HS256" &&
                              !jws->header.contains("nonce") &&
                              StringAt(jws->header, "url") == call.Url("/new-account");
  if (!is_well_formed || error || jwk != json::parse(call.jwk)) {
    return ProblemReply(400, "malformed", "the external account binding is for something else");
  }
  if (mac_key == options_.external_accounts.end() || !HasMac(*jws, mac_key->second)) {
    return ProblemReply(403, "unauthorized", "the external account binding is not proven");
  }
  return std::nullopt;
}

Reply CaServer::Account(Call& call) {
  const Id id = ParseId(call.rest);
  if (id != call.account) return ProblemReply(403, "unauthorized", "another's account");
  if (call.ReadsOnly()) {
    base::MutexLock lock(mutex_);
    return AccountReply(call, 200, id);
  }
  const std::optional<json::object> payload = call.Object();
  if (!payload.has_value()) return ProblemReply(400, "malformed", "no JSON object");
  std::optional<std::vector<std::string>> contacts = StringsAt(*payload, "contact");
  if (!contacts.has_value()) return ProblemReply(400, "malformed", "contact is no list");
  if (std::optional<Reply> refusal = CheckContacts(*contacts)) return *std::move(refusal);
  base::MutexLock lock(mutex_);
  const auto account = accounts_.find(id);
  if (account == accounts_.end()) return ProblemReply(404, "malformed", "no such account");
  if (payload->contains("contact")) account->second.contacts = *std::move(contacts);
  if (StringAt(*payload, "status") == "deactivated") account->second.active = false;
  return AccountReply(call, 200, id);
}

// RFC 8555 §7.3.5.
Reply CaServer::KeyChange(Call& call) {
  const absl::StatusOr<Jws> inner = ReadJws(call.payload);
  if (!inner.ok()) return ProblemReply(400, "malformed", inner.status().message());
  const json::value* jwk = inner->header.if_contains("jwk");
  if (jwk == nullptr || !jwk->is_object()) {
    return ProblemReply(400, "malformed", "the inner JWS has no jwk");
  }
  absl::StatusOr<pki::PublicKey> new_key = ReadJwk(jwk->as_object());
  if (!new_key.ok()) return ProblemReply(400, "badPublicKey", new_key.status().message());
  if (!JwsVerifier(*new_key).Accepts(*inner) || inner->header.contains("nonce") ||
      StringAt(inner->header, "url") != call.Url(call.http.target)) {
    return ProblemReply(400, "malformed", "the inner JWS is wrong");
  }
  boost::system::error_code error;
  const json::value change = json::parse(inner->payload, error);
  if (error || !change.is_object() || !change.as_object().contains("oldKey") ||
      StringAt(change.as_object(), "account") !=
          call.Url(absl::StrCat("/account/", call.account))) {
    return ProblemReply(400, "malformed", "the inner JWS is for another account");
  }
  const std::string thumbprint = pki::JwkThumbprint(*new_key);
  base::MutexLock lock(mutex_);
  const auto account = accounts_.find(call.account);
  if (account == accounts_.end() ||
      change.as_object().at("oldKey") != json::parse(account->second.jwk)) {
    return ProblemReply(400, "malformed", "oldKey is not the account's key");
  }
  if (const Id owner = FindAccount(thumbprint); owner != 0) {
    Reply reply = ProblemReply(409, "malformed", "an account has the new key");
    AddHeader(reply, "Location", call.Url(absl::StrCat("/account/", owner)));
    return reply;
  }
  accounts_by_thumbprint_.erase(account->second.thumbprint);
  accounts_by_thumbprint_[thumbprint] = call.account;
  account->second.jwk = pki::JwkJson(*new_key);
  account->second.verifier = JwsVerifier(*new_key);
  account->second.key = *std::move(new_key);
  account->second.thumbprint = thumbprint;
  return AccountReply(call, 200, call.account);
}

Id CaServer::FindAccount(const std::string& thumbprint) const {
  const auto found = accounts_by_thumbprint_.find(thumbprint);
  return found == accounts_by_thumbprint_.end() ? 0 : found->second;
}

Reply CaServer::AccountReply(const Call& call, int status, Id id) const {
  const auto found = accounts_.find(id);
  if (found == accounts_.end()) return ProblemReply(404, "malformed", "no such account");
  const AccountEntry& account = found->second;
  json::object object;
  object["status"] = account.active ? "valid" : "deactivated";
  object["contact"] = json::array(account.contacts.begin(), account.contacts.end());
  object["termsOfServiceAgreed"] = true;
  if (account.external_account.has_value()) {
    object["externalAccountBinding"] = *account.external_account;
  }
  Reply reply = JsonReply(status, object);
  AddHeader(reply, "Location", call.Url(absl::StrCat("/account/", id)));
  return reply;
}

}  // namespace certwright::fakes
