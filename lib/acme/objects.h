// The resources of RFC 8555 §7.1 and RFC 9773 §4.2 and their parsers, which are
// pure.
//
// Errors: INVALID_ARGUMENT says which member is missing or wrong, never what it
// held. Unknown members are ignored, as are optional ones of the wrong kind; an
// unknown status is an error.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "lib/acme/identifier.h"
#include "lib/acme/problem.h"

namespace certwright::acme {

enum class AccountStatus { kValid, kDeactivated, kRevoked };
enum class OrderStatus { kPending, kReady, kProcessing, kValid, kInvalid };
enum class AuthorizationStatus { kPending, kValid, kInvalid, kDeactivated, kExpired, kRevoked };
enum class ChallengeStatus { kPending, kProcessing, kValid, kInvalid };
absl::string_view StatusName(AccountStatus status);
absl::string_view StatusName(OrderStatus status);
absl::string_view StatusName(AuthorizationStatus status);
absl::string_view StatusName(ChallengeStatus status);

struct DirectoryMeta {
  std::string terms_of_service;
  std::string website;
  std::vector<std::string> caa_identities;
  bool external_account_required = false;
  std::map<std::string, std::string> profiles;  // name → description or its URL
};

struct Directory {
  std::string new_nonce;
  std::string new_account;
  std::string new_order;
  std::string new_authz;  // empty if the CA has none, like the next two
  std::string revoke_cert;
  std::string key_change;
  std::string renewal_info;
  DirectoryMeta meta;
  // Optional members that are no URLs at which the CA may be asked, and so are left out above.
  std::vector<std::string> unusable;
};

struct Account {
  std::string url;  // the kid
  AccountStatus status = AccountStatus::kValid;
  std::vector<std::string> contacts;
  bool terms_of_service_agreed = false;
  bool external_account_bound = false;
  // Whether this call made it; false for an account that the CA knew already.
  bool created = false;
};

struct Order {
  std::string url;
  OrderStatus status = OrderStatus::kPending;
  std::optional<absl::Time> expires;
  std::vector<Identifier> identifiers;
  std::vector<std::string> authorizations;
  std::string finalize;
  std::string certificate;  // once valid
  std::optional<Problem> error;
  std::string profile;
  std::string replaces;
  std::optional<absl::Time> not_before;
  std::optional<absl::Time> not_after;
  // Of the answer that held this order, for NextPollDelay().
  std::optional<absl::Time> retry_at;
};

struct Challenge {
  std::string type;
  std::string url;
  ChallengeStatus status = ChallengeStatus::kPending;
  std::string token;  // IsValidToken(), or empty for types that have none
  std::optional<Problem> error;
  std::optional<absl::Time> validated;
  std::optional<absl::Time> retry_at;
};

struct Authorization {
  std::string url;
  Identifier identifier;  // without "*."
  AuthorizationStatus status = AuthorizationStatus::kPending;
  std::optional<absl::Time> expires;
  bool wildcard = false;
  std::vector<Challenge> challenges;  // those that could be used at all
  std::optional<absl::Time> retry_at;

  // The challenge of this type, or null.
  const Challenge* Find(absl::string_view type) const;
  // The error of the first failed challenge.
  std::optional<Problem> Error() const;
};

struct RenewalInfo {
  absl::Time window_start;
  absl::Time window_end;
  std::string explanation_url;
  std::optional<absl::Time> retry_at;
};

// URLs at which the CA is to be asked must be absolute and https, unless `allow_http`. The
// directory's optional ones that are not are left out.
absl::StatusOr<Directory> ParseDirectory(absl::string_view body, bool allow_http = false);
absl::StatusOr<Account> ParseAccount(absl::string_view body, std::string url);
absl::StatusOr<Order> ParseOrder(absl::string_view body, std::string url,
                                 bool allow_http = false);
// Leaves out challenges without type or usable URL, and those of the types that need a
// token but lack a valid one.
absl::StatusOr<Authorization> ParseAuthorization(absl::string_view body, std::string url,
                                                 bool allow_http = false);
absl::StatusOr<Challenge> ParseChallenge(absl::string_view body, bool allow_http = false);
// INVALID_ARGUMENT also for a window that ends before it starts.
absl::StatusOr<RenewalInfo> ParseRenewalInfo(absl::string_view body);

}  // namespace certwright::acme
