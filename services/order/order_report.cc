#include "services/order/order_report.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "lib/service/conditions.h"
#include "services/order/order_decision.h"
#include "services/order/order_names.h"

namespace certwright::order {
namespace {

// Names that a sentence shows; a status holds them all in its failures.
constexpr std::size_t kMaxShown = 10;

std::string JoinShown(std::vector<std::string> parts, absl::string_view separator) {
  if (parts.size() > kMaxShown) {
    const std::size_t more = parts.size() - kMaxShown;
    parts.resize(kMaxShown);
    parts.push_back(absl::StrCat("and ", more, " more"));
  }
  return absl::StrJoin(parts, separator);
}

std::string TypeName(solver::v1::ChallengeType type) {
  switch (type) {
    case solver::v1::CHALLENGE_TYPE_HTTP01:
      return "HTTP01";
    case solver::v1::CHALLENGE_TYPE_DNS01:
      return "DNS01";
    case solver::v1::CHALLENGE_TYPE_TLSALPN01:
      return "TLSALPN01";
    default:
      return "unknown";
  }
}

std::string StateText(const solver::v1::ChallengeStatus& status) {
  switch (status.state()) {
    case solver::v1::CHALLENGE_STATE_SCHEDULED:
      return "about to be presented";
    case solver::v1::CHALLENGE_STATE_PRESENTED:
      return "presented, not seen in public yet";
    case solver::v1::CHALLENGE_STATE_PROPAGATED:
      return "seen in public";
    case solver::v1::CHALLENGE_STATE_ACCEPTED:
      return "the CA is looking at it";
    case solver::v1::CHALLENGE_STATE_INVALID:
      return "the CA refused it";
    case solver::v1::CHALLENGE_STATE_EXPIRED:
      return "its time ran out";
    case solver::v1::CHALLENGE_STATE_ERRORED:
      return "it failed";
    default:
      return "waiting for its turn";
  }
}

std::string WhyNotValid(const solver::v1::Challenge& challenge) {
  return challenge.status().reason().empty() ? StateText(challenge.status())
                                             : challenge.status().reason();
}

std::string FailedStateText(v1::OrderState state) {
  switch (state) {
    case v1::ORDER_STATE_EXPIRED:
      return "The order was not completed in time";
    case v1::ORDER_STATE_INVALID:
      return "The order was refused";
    default:
      return "The order failed";
  }
}

// "*.a.example" for authorizations of the wildcard, as the order's own names are written.
std::string DisplayName(const acme::Authorization& authorization) {
  return authorization.wildcard ? absl::StrCat("*.", authorization.identifier.value)
                                : authorization.identifier.value;
}

// Ends with a full stop, as a sentence does.
std::string Sentence(std::string text) {
  if (!text.empty() && text.back() != '.') text += '.';
  return text;
}

}  // namespace

void SetNotReady(v1::Order& order, const std::string& reason, const std::string& sentence,
                 absl::Time now) {
  service::ConditionUpdate update;
  update.type = "Ready";
  update.status = false;
  update.reason = reason;
  update.message = Sentence(sentence);
  service::SetCondition(*order.mutable_status()->mutable_conditions(), update,
                        order.metadata().generation(), now);
  order.mutable_status()->set_reason(update.message);
}

std::string DescribePending(const v1::Order& order,
                            const std::vector<const solver::v1::Challenge*>& challenges) {
  const auto& authorizations = order.status().authorizations();
  int needed = 0;
  std::vector<std::string> open;
  for (int i = 0; i < authorizations.size(); ++i) {
    if (!NeedsChallenge(authorizations[i])) continue;
    ++needed;
    const solver::v1::Challenge* challenge = challenges[i];
    const std::string name = order::DisplayName(authorizations[i]);
    if (challenge == nullptr) {
      open.push_back(absl::StrCat(name, ": no challenge yet"));
    } else if (challenge->status().state() != solver::v1::CHALLENGE_STATE_VALID) {
      open.push_back(absl::StrCat(name, " (", TypeName(challenge->spec().type()),
                                  "): ", WhyNotValid(*challenge)));
    }
  }
  return absl::StrCat(open.size(), " of ", needed,
                      needed == 1 ? " challenge is" : " challenges are",
                      " not valid yet: ", JoinShown(open, "; "));
}

std::string DescribeExpired(const v1::Order& order,
                            const std::vector<const solver::v1::Challenge*>& challenges) {
  const v1::OrderStatus& status = order.status();
  const absl::Time placed = service::FromProto(status.placed_time());
  const absl::Time expires = service::FromProto(status.expires());
  // No CA means that, so one of the two clocks is wrong.
  if (status.has_placed_time() && status.has_expires() && expires <= placed) {
    const auto format = [](absl::Time time) {
      return absl::FormatTime(absl::RFC3339_sec, time, absl::UTCTimeZone());
    };
    return absl::StrCat("The CA's order ended at ", format(expires),
                        ", before it was placed at ", format(placed),
                        "; check this machine's clock");
  }
  return absl::StrCat("The order was not completed in time: ",
                      status.state() == v1::ORDER_STATE_PROCESSING
                          ? "the CA is still working on it"
                          : DescribePending(order, challenges));
}

std::string DescribeToProve(const v1::Order& order) {
  std::vector<std::string> names;
  for (const v1::Authorization& authorization : order.status().authorizations()) {
    if (NeedsChallenge(authorization)) names.push_back(order::DisplayName(authorization));
  }
  const std::size_t count = names.size();
  return absl::StrCat(count, count == 1 ? " name has" : " names have",
                      " to be proven: ", JoinShown(std::move(names), ", "));
}

void AddProblem(const acme::Problem& problem, const std::string& identifier,
                Failures& failures) {
  bool named = false;
  for (const acme::Subproblem& part : problem.subproblems) {
    if (!part.identifier.has_value()) continue;
    named = true;
    acme::Problem alone;
    alone.type = part.type;
    v1::Failure& failure = *failures.Add();
    failure.set_identifier(part.identifier->value);
    failure.set_type(alone.ShortType());
    failure.set_detail(part.detail);
  }
  if (named) return;
  v1::Failure& failure = *failures.Add();
  failure.set_identifier(identifier);
  failure.set_type(problem.ShortType());
  failure.set_detail(problem.detail.empty() ? problem.title : problem.detail);
}

void AddUnusableCertificate(absl::string_view why, Failures& failures) {
  v1::Failure& failure = *failures.Add();
  failure.set_type("unusableCertificate");
  failure.set_detail(std::string(why));
}

Failures CollectFailures(const v1::Order& order, const acme::Order* ca_order,
                         const std::vector<acme::Authorization>& authorizations,
                         const std::vector<const solver::v1::Challenge*>& challenges) {
  Failures failures;
  std::set<std::string> explained;  // URLs of authorizations
  for (const acme::Authorization& authorization : authorizations) {
    const std::optional<acme::Problem> error = authorization.Error();
    if (error.has_value()) {
      AddProblem(*error, DisplayName(authorization), failures);
    } else if (authorization.status == acme::AuthorizationStatus::kPending ||
               authorization.status == acme::AuthorizationStatus::kValid) {
      continue;
    } else {
      v1::Failure& failure = *failures.Add();
      failure.set_identifier(DisplayName(authorization));
      failure.set_detail(absl::StrCat("the CA calls the authorization ",
                                      acme::StatusName(authorization.status)));
    }
    explained.insert(authorization.url);
  }
  for (int i = 0; i < order.status().authorizations_size(); ++i) {
    const v1::Authorization& authorization = order.status().authorizations(i);
    const solver::v1::Challenge* challenge = challenges[i];
    if (challenge == nullptr || explained.count(authorization.url()) > 0) continue;
    const solver::v1::ChallengeStatus& status = challenge->status();
    if (!IsFinal(status.state()) || status.state() == solver::v1::CHALLENGE_STATE_VALID)
      continue;
    v1::Failure& failure = *failures.Add();
    failure.set_identifier(order::DisplayName(authorization));
    failure.set_type(status.error_type());
    failure.set_detail(WhyNotValid(*challenge));
  }
  // The order's own error often only repeats what the authorizations said.
  if (failures.empty() && ca_order != nullptr && ca_order->error.has_value()) {
    AddProblem(*ca_order->error, "", failures);
  }
  return failures;
}

std::string DescribeFailures(const Failures& failures) {
  std::vector<std::string> parts;
  for (const v1::Failure& failure : failures) {
    std::string part = failure.identifier();
    if (!failure.type().empty()) {
      absl::StrAppend(&part, part.empty() ? "" : " ", "(", failure.type(), ")");
    }
    if (!failure.detail().empty()) {
      absl::StrAppend(&part, part.empty() ? "" : ": ", failure.detail());
    }
    parts.push_back(std::move(part));
  }
  return JoinShown(std::move(parts), "; ");
}

void SetFailed(v1::Order& order, v1::OrderState state, std::string sentence, Failures failures,
               absl::Time now) {
  if (sentence.empty()) {
    const std::string details = DescribeFailures(failures);
    sentence = FailedStateText(state);
    if (!details.empty()) absl::StrAppend(&sentence, ": ", details);
  }
  v1::OrderStatus& status = *order.mutable_status();
  status.set_state(state);
  *status.mutable_failures() = std::move(failures);
  *status.mutable_failure_time() = service::ToProto(now);
  status.clear_next_check_time();
  status.clear_retry_time();
  SetNotReady(order, "Failed", sentence, now);
}

}  // namespace certwright::order
