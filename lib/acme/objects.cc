#include "lib/acme/objects.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "boost/json/array.hpp"
#include "boost/json/serialize.hpp"
#include "lib/acme/json.h"
#include "lib/acme/key_authorization.h"
#include "lib/acme/url.h"
#include "lib/base/status_macros.h"

namespace certwright::acme {
namespace {

// More than any CA allows; a bound for what is kept of an answer.
constexpr std::size_t kMaxIdentifiers = 1000;
constexpr std::size_t kMaxChallenges = 32;
constexpr std::size_t kMaxContacts = 32;
constexpr std::size_t kMaxProfiles = 64;
constexpr std::size_t kMaxNameBytes = 1024;

template <typename Status>
struct StatusText {
  absl::string_view text;
  Status status;
};

constexpr StatusText<AccountStatus> kAccountStatuses[] = {
    {"valid", AccountStatus::kValid},
    {"deactivated", AccountStatus::kDeactivated},
    {"revoked", AccountStatus::kRevoked},
};
constexpr StatusText<OrderStatus> kOrderStatuses[] = {
    {"pending", OrderStatus::kPending},       {"ready", OrderStatus::kReady},
    {"processing", OrderStatus::kProcessing}, {"valid", OrderStatus::kValid},
    {"invalid", OrderStatus::kInvalid},
};
constexpr StatusText<AuthorizationStatus> kAuthorizationStatuses[] = {
    {"pending", AuthorizationStatus::kPending},
    {"valid", AuthorizationStatus::kValid},
    {"invalid", AuthorizationStatus::kInvalid},
    {"deactivated", AuthorizationStatus::kDeactivated},
    {"expired", AuthorizationStatus::kExpired},
    {"revoked", AuthorizationStatus::kRevoked},
};
constexpr StatusText<ChallengeStatus> kChallengeStatuses[] = {
    {"pending", ChallengeStatus::kPending},
    {"processing", ChallengeStatus::kProcessing},
    {"valid", ChallengeStatus::kValid},
    {"invalid", ChallengeStatus::kInvalid},
};

template <typename Status, std::size_t size>
absl::string_view NameIn(const StatusText<Status> (&table)[size], Status status) {
  for (const StatusText<Status>& row : table) {
    if (row.status == status) return row.text;
  }
  return "unknown";
}

absl::Status Wrong(absl::string_view what, absl::string_view member, absl::string_view fault) {
  return absl::InvalidArgumentError(absl::StrCat(what, ": \"", member, "\" ", fault));
}

template <typename Status, std::size_t size>
absl::StatusOr<Status> StatusMember(const boost::json::object& object, absl::string_view what,
                                    const StatusText<Status> (&table)[size]) {
  const std::string text = StringMember(object, "status");
  for (const StatusText<Status>& row : table) {
    if (row.text == text) return row.status;
  }
  return Wrong(what, "status", text.empty() ? "is missing" : "is none that RFC 8555 knows");
}

// A URL of the CA, or "" if the member is absent; a fault if it is something else.
absl::StatusOr<std::string> UrlMember(const boost::json::object& object, absl::string_view what,
                                      absl::string_view member, bool allow_http) {
  std::string url = StringMember(object, member);
  if (!url.empty() && !IsCaUrl(url, allow_http)) {
    return Wrong(what, member, "is not an https URL");
  }
  return url;
}

absl::StatusOr<std::string> RequiredUrl(const boost::json::object& object,
                                        absl::string_view what, absl::string_view member,
                                        bool allow_http) {
  CW_ASSIGN_OR_RETURN(std::string url, UrlMember(object, what, member, allow_http));
  if (url.empty()) return Wrong(what, member, "is missing");
  return url;
}

absl::StatusOr<Identifier> ParseIdentifier(const boost::json::object& object,
                                           absl::string_view what) {
  Identifier identifier{StringMember(object, "type"), StringMember(object, "value")};
  if (identifier.type.empty() || identifier.value.empty() ||
      identifier.value.size() > kMaxNameBytes) {
    return Wrong(what, "identifier", "lacks a usable type or value");
  }
  return identifier;
}

absl::StatusOr<std::vector<Identifier>> IdentifiersMember(const boost::json::object& object) {
  const boost::json::array* array = ArrayMember(object, "identifiers");
  if (array == nullptr || array->empty()) return Wrong("order", "identifiers", "is missing");
  if (array->size() > kMaxIdentifiers) return Wrong("order", "identifiers", "is too long");
  std::vector<Identifier> identifiers;
  for (const boost::json::value& value : *array) {
    const boost::json::object* one = value.if_object();
    if (one == nullptr) return Wrong("order", "identifiers", "holds something else");
    CW_ASSIGN_OR_RETURN(Identifier identifier, ParseIdentifier(*one, "order"));
    identifiers.push_back(std::move(identifier));
  }
  return identifiers;
}

absl::StatusOr<std::vector<std::string>> AuthorizationsMember(const boost::json::object& object,
                                                              bool allow_http) {
  const boost::json::array* array = ArrayMember(object, "authorizations");
  if (array == nullptr) return Wrong("order", "authorizations", "is missing");
  if (array->size() > kMaxIdentifiers) return Wrong("order", "authorizations", "is too long");
  std::vector<std::string> urls = StringsMember(object, "authorizations", kMaxIdentifiers);
  const auto usable = [allow_http](const std::string& url) { return IsCaUrl(url, allow_http); };
  if (urls.size() != array->size() || !std::all_of(urls.begin(), urls.end(), usable)) {
    return Wrong("order", "authorizations", "holds something that is not an https URL");
  }
  return urls;
}

std::optional<Problem> ErrorMember(const boost::json::object& object) {
  const boost::json::object* error = ObjectMember(object, "error");
  if (error == nullptr) return std::nullopt;
  absl::StatusOr<Problem> problem = ParseProblem(boost::json::serialize(*error));
  // One that is too long to keep is still an error.
  if (!problem.ok()) return Problem();
  return *std::move(problem);
}

bool NeedsToken(absl::string_view type) {
  return type == "http-01" || type == "dns-01" || type == "tls-alpn-01" ||
         type == "dns-account-01";
}

absl::StatusOr<Challenge> ChallengeFrom(const boost::json::object& object, bool allow_http) {
  Challenge challenge;
  challenge.type = StringMember(object, "type");
  if (challenge.type.empty()) return Wrong("challenge", "type", "is missing");
  CW_ASSIGN_OR_RETURN(challenge.url, RequiredUrl(object, "challenge", "url", allow_http));
  CW_ASSIGN_OR_RETURN(challenge.status, StatusMember(object, "challenge", kChallengeStatuses));
  challenge.token = StringMember(object, "token");
  if (NeedsToken(challenge.type) || !challenge.token.empty()) {
    if (!IsValidToken(challenge.token)) {
      return Wrong("challenge", "token", "is missing or not base64url of 128 bits");
    }
  }
  challenge.error = ErrorMember(object);
  challenge.validated = TimeMember(object, "validated");
  return challenge;
}

DirectoryMeta MetaFrom(const boost::json::object& object) {
  DirectoryMeta meta;
  meta.terms_of_service = StringMember(object, "termsOfService");
  meta.website = StringMember(object, "website");
  meta.caa_identities = StringsMember(object, "caaIdentities", kMaxContacts);
  meta.external_account_required = BoolMember(object, "externalAccountRequired");
  const boost::json::object* profiles = ObjectMember(object, "profiles");
  if (profiles == nullptr) return meta;
  for (const auto& profile : *profiles) {
    if (meta.profiles.size() == kMaxProfiles) break;
    const boost::json::string* text = profile.value().if_string();
    meta.profiles.emplace(std::string(profile.key().data(), profile.key().size()),
                          text == nullptr ? "" : std::string(text->data(), text->size()));
  }
  return meta;
}

}  // namespace

absl::string_view StatusName(AccountStatus status) { return NameIn(kAccountStatuses, status); }
absl::string_view StatusName(OrderStatus status) { return NameIn(kOrderStatuses, status); }
absl::string_view StatusName(AuthorizationStatus status) {
  return NameIn(kAuthorizationStatuses, status);
}
absl::string_view StatusName(ChallengeStatus status) {
  return NameIn(kChallengeStatuses, status);
}

const Challenge* Authorization::Find(absl::string_view type) const {
  for (const Challenge& challenge : challenges) {
    if (challenge.type == type) return &challenge;
  }
  return nullptr;
}

std::optional<Problem> Authorization::Error() const {
  for (const Challenge& challenge : challenges) {
    if (challenge.error.has_value()) return challenge.error;
  }
  return std::nullopt;
}

absl::StatusOr<Directory> ParseDirectory(absl::string_view body, bool allow_http) {
  CW_ASSIGN_OR_RETURN(boost::json::object object, ParseJsonObject(body, "directory"));
  struct Endpoint {
    absl::string_view name;
    std::string Directory::*url;
    bool required;
  };
  static constexpr Endpoint kEndpoints[] = {
      {"newNonce", &Directory::new_nonce, true},
      {"newAccount", &Directory::new_account, true},
      {"newOrder", &Directory::new_order, true},
      {"newAuthz", &Directory::new_authz, false},
      {"revokeCert", &Directory::revoke_cert, false},
      {"keyChange", &Directory::key_change, false},
      {"renewalInfo", &Directory::renewal_info, false},
  };
  Directory directory;
  for (const Endpoint& endpoint : kEndpoints) {
    const boost::json::value* value = object.if_contains(
        boost::json::string_view(endpoint.name.data(), endpoint.name.size()));
    const bool present = value != nullptr && !value->is_null();
    std::string url = StringMember(object, endpoint.name);
    const bool usable = IsCaUrl(url, allow_http);
    if (endpoint.required && !usable) {
      return Wrong("directory", endpoint.name,
                   present ? "is not an absolute https URL" : "is missing");
    }
    if (usable) {
      directory.*endpoint.url = std::move(url);
    } else if (present) {
      directory.unusable.emplace_back(endpoint.name);
    }
  }
  const boost::json::object* meta = ObjectMember(object, "meta");
  if (meta != nullptr) directory.meta = MetaFrom(*meta);
  return directory;
}

absl::StatusOr<Account> ParseAccount(absl::string_view body, std::string url) {
  CW_ASSIGN_OR_RETURN(boost::json::object object, ParseJsonObject(body, "account"));
  Account account;
  account.url = std::move(url);
  CW_ASSIGN_OR_RETURN(account.status, StatusMember(object, "account", kAccountStatuses));
  account.contacts = StringsMember(object, "contact", kMaxContacts);
  account.terms_of_service_agreed = BoolMember(object, "termsOfServiceAgreed");
  account.external_account_bound = ObjectMember(object, "externalAccountBinding") != nullptr;
  return account;
}

absl::StatusOr<Order> ParseOrder(absl::string_view body, std::string url, bool allow_http) {
  CW_ASSIGN_OR_RETURN(boost::json::object object, ParseJsonObject(body, "order"));
  Order order;
  order.url = std::move(url);
  CW_ASSIGN_OR_RETURN(order.status, StatusMember(object, "order", kOrderStatuses));
  CW_ASSIGN_OR_RETURN(order.identifiers, IdentifiersMember(object));
  CW_ASSIGN_OR_RETURN(order.authorizations, AuthorizationsMember(object, allow_http));
  CW_ASSIGN_OR_RETURN(order.finalize, RequiredUrl(object, "order", "finalize", allow_http));
  CW_ASSIGN_OR_RETURN(order.certificate, UrlMember(object, "order", "certificate", allow_http));
  if (order.status == OrderStatus::kValid && order.certificate.empty()) {
    return Wrong("order", "certificate", "is missing though the order is valid");
  }
  order.expires = TimeMember(object, "expires");
  order.not_before = TimeMember(object, "notBefore");
  order.not_after = TimeMember(object, "notAfter");
  order.error = ErrorMember(object);
  order.profile = StringMember(object, "profile");
  order.replaces = StringMember(object, "replaces");
  return order;
}

absl::StatusOr<Authorization> ParseAuthorization(absl::string_view body, std::string url,
                                                 bool allow_http) {
  CW_ASSIGN_OR_RETURN(boost::json::object object, ParseJsonObject(body, "authorization"));
  Authorization authorization;
  authorization.url = std::move(url);
  CW_ASSIGN_OR_RETURN(authorization.status,
                      StatusMember(object, "authorization", kAuthorizationStatuses));
  const boost::json::object* identifier = ObjectMember(object, "identifier");
  if (identifier == nullptr) return Wrong("authorization", "identifier", "is missing");
  CW_ASSIGN_OR_RETURN(authorization.identifier, ParseIdentifier(*identifier, "authorization"));
  authorization.expires = TimeMember(object, "expires");
  authorization.wildcard = BoolMember(object, "wildcard");
  const boost::json::array* challenges = ArrayMember(object, "challenges");
  if (challenges == nullptr) return authorization;
  for (const boost::json::value& value : *challenges) {
    if (authorization.challenges.size() == kMaxChallenges) break;
    const boost::json::object* one = value.if_object();
    if (one == nullptr) continue;
    absl::StatusOr<Challenge> challenge = ChallengeFrom(*one, allow_http);
    if (challenge.ok()) authorization.challenges.push_back(*std::move(challenge));
  }
  return authorization;
}

absl::StatusOr<Challenge> ParseChallenge(absl::string_view body, bool allow_http) {
  CW_ASSIGN_OR_RETURN(boost::json::object object, ParseJsonObject(body, "challenge"));
  return ChallengeFrom(object, allow_http);
}

absl::StatusOr<RenewalInfo> ParseRenewalInfo(absl::string_view body) {
  CW_ASSIGN_OR_RETURN(boost::json::object object, ParseJsonObject(body, "renewal information"));
  const boost::json::object* window = ObjectMember(object, "suggestedWindow");
  if (window == nullptr) return Wrong("renewal information", "suggestedWindow", "is missing");
  const std::optional<absl::Time> start = TimeMember(*window, "start");
  const std::optional<absl::Time> end = TimeMember(*window, "end");
  if (!start.has_value() || !end.has_value() || *end <= *start) {
    return Wrong("renewal information", "suggestedWindow", "is not a span of time");
  }
  RenewalInfo info{*start, *end, "", std::nullopt};
  const std::string explanation = StringMember(object, "explanationURL");
  if (IsHttpUrl(explanation)) info.explanation_url = explanation;
  return info;
}

}  // namespace certwright::acme
