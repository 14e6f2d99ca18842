// Every parser of what a CA sends as JSON. What parses must also be fit to be shown and kept.
#include <algorithm>
#include <optional>
#include <string>

#include "lib/acme/key_authorization.h"
#include "lib/acme/objects.h"
#include "lib/acme/problem.h"
#include "lib/acme/url.h"
#include "lib/base/fuzz.h"

namespace certwright::acme {
namespace {

void CheckPrintable(absl::string_view text) {
  CW_FUZZ_CHECK(text.size() <= 1024);
  for (const char c : text) {
    CW_FUZZ_CHECK(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
  }
}

void CheckProblem(const Problem& problem) {
  CheckPrintable(problem.Describe());
  CheckPrintable(problem.type);
  CheckPrintable(problem.detail);
  CW_FUZZ_CHECK(problem.status == 0 || (problem.status >= 100 && problem.status <= 599));
  CW_FUZZ_CHECK(problem.subproblems.size() <= 100 && problem.algorithms.size() <= 32);
  const absl::Time now = absl::UnixEpoch();
  for (const int http_status : {200, 400, 403, 429, 503}) {
    const absl::Status status = ProblemStatus(http_status, problem, std::nullopt, now);
    CW_FUZZ_CHECK(!status.ok() && HttpStatusOf(status) == http_status);
    CW_FUZZ_CHECK(ProblemOf(status).value_or(Problem()) == problem);
    CW_FUZZ_CHECK(ClassOf(status) == Classify(http_status, problem));
    CW_FUZZ_CHECK(RetryAtOf(status).has_value() == (ClassOf(status) == ErrorClass::kRetryAt));
  }
  CW_FUZZ_CHECK(ClassOf(OrderErrorStatus(problem, now)) == ClassifyOrderError(problem));
}

void CheckProblem(const std::optional<Problem>& problem) {
  if (problem.has_value()) CheckProblem(*problem);
}

// google.protobuf.Timestamp holds the years 1 to 9999.
void CheckTime(const std::optional<absl::Time>& time) {
  if (!time.has_value()) return;
  CW_FUZZ_CHECK(*time >= absl::FromCivil(absl::CivilYear(1), absl::UTCTimeZone()));
  CW_FUZZ_CHECK(*time < absl::FromCivil(absl::CivilYear(10000), absl::UTCTimeZone()));
}

void CheckIdentifier(const Identifier& identifier) {
  CW_FUZZ_CHECK(!identifier.type.empty() && !identifier.value.empty());
  CW_FUZZ_CHECK(identifier.value.size() <= 1024);
}

void CheckChallenge(const Challenge& challenge) {
  CW_FUZZ_CHECK(!challenge.type.empty() && IsHttpUrl(challenge.url));
  CW_FUZZ_CHECK(challenge.token.empty() || IsValidToken(challenge.token));
  if (challenge.type == "http-01" || challenge.type == "dns-01") {
    CW_FUZZ_CHECK(!challenge.token.empty());
  }
  CheckProblem(challenge.error);
  CheckTime(challenge.validated);
}

void CheckOrder(const Order& order) {
  CW_FUZZ_CHECK(!order.identifiers.empty() && order.identifiers.size() <= 1000);
  for (const Identifier& identifier : order.identifiers) CheckIdentifier(identifier);
  const auto normal = NormalizeIdentifiers(order.identifiers);
  CW_FUZZ_CHECK(NormalizeIdentifiers(normal) == normal);
  CW_FUZZ_CHECK(SameIdentifiers(order.identifiers, normal));
  CW_FUZZ_CHECK(order.authorizations.size() <= 1000);
  for (const std::string& url : order.authorizations) CW_FUZZ_CHECK(IsHttpUrl(url));
  CW_FUZZ_CHECK(IsHttpUrl(order.finalize));
  CW_FUZZ_CHECK(order.certificate.empty() || IsHttpUrl(order.certificate));
  CW_FUZZ_CHECK(order.status != OrderStatus::kValid || !order.certificate.empty());
  CheckProblem(order.error);
  for (const auto& time : {order.expires, order.not_before, order.not_after}) CheckTime(time);
}

void CheckAuthorization(const Authorization& authorization) {
  CheckIdentifier(authorization.identifier);
  CheckTime(authorization.expires);
  CW_FUZZ_CHECK(authorization.challenges.size() <= 32);
  for (const Challenge& challenge : authorization.challenges) {
    CheckChallenge(challenge);
    CW_FUZZ_CHECK(authorization.Find(challenge.type) != nullptr);
  }
  CheckProblem(authorization.Error());
}

void CheckDirectory(absl::string_view body) {
  const absl::StatusOr<Directory> lenient = ParseDirectory(body, /*allow_http=*/true);
  const absl::StatusOr<Directory> strict = ParseDirectory(body);
  CW_FUZZ_CHECK(!strict.ok() || lenient.ok());
  if (!lenient.ok()) return;
  bool secure = true;
  for (const auto endpoint :
       {&Directory::new_nonce, &Directory::new_account, &Directory::new_order,
        &Directory::new_authz, &Directory::revoke_cert, &Directory::key_change,
        &Directory::renewal_info}) {
    const std::string& url = *lenient.*endpoint;
    CW_FUZZ_CHECK(url.empty() || IsHttpUrl(url));
    secure &= url.empty() || IsHttpsUrl(url);
  }
  CW_FUZZ_CHECK(!lenient->new_nonce.empty() && !lenient->new_account.empty() &&
                !lenient->new_order.empty());
  CW_FUZZ_CHECK(strict.ok() == secure);
  CW_FUZZ_CHECK(lenient->meta.profiles.size() <= 64);
}

void CheckAll(absl::string_view body) {
  const absl::StatusOr<Problem> problem = ParseProblem(body);
  if (problem.ok()) CheckProblem(*problem);
  const absl::StatusOr<Order> order = ParseOrder(body, "https://ca.test/order/1");
  if (order.ok()) CheckOrder(*order);
  const absl::StatusOr<Authorization> authorization =
      ParseAuthorization(body, "https://ca.test/authz/1");
  if (authorization.ok()) CheckAuthorization(*authorization);
  const absl::StatusOr<Challenge> challenge = ParseChallenge(body);
  if (challenge.ok()) CheckChallenge(*challenge);
  const absl::StatusOr<Account> account = ParseAccount(body, "https://ca.test/account/1");
  if (account.ok()) CW_FUZZ_CHECK(account->contacts.size() <= 32);
  CheckDirectory(body);
  const absl::StatusOr<RenewalInfo> info = ParseRenewalInfo(body);
  if (info.ok()) {
    CW_FUZZ_CHECK(info->window_start < info->window_end);
    CheckTime(info->window_start);
    CheckTime(info->window_end);
    CW_FUZZ_CHECK(info->explanation_url.empty() || IsHttpUrl(info->explanation_url));
  }
}

}  // namespace
}  // namespace certwright::acme

CW_FUZZ_TARGET(input) { certwright::acme::CheckAll(input); }
