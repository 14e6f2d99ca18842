// What to do next about an order (RFC 8555 §7.1.6), and what to do about an error: pure
// functions of what is known, so that every case can be tested as a line of a table.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "certwright/order/v1/order.pb.h"
#include "certwright/solver/v1/challenge.pb.h"
#include "lib/acme/objects.h"

namespace certwright::order {

enum class Step {
  kPlace,               // newOrder
  kReadOrder,           // ask the CA how far it is
  kReadAuthorizations,  // those that have no details yet
  kCreateChallenges,    // at the solver service, those that are missing
  kFinalize,
  kDownload,
  kPoll,           // the CA is at work: ask it again soon
  kWait,           // for an event, or until wake_at
  kWaitForIssuer,  // for an event of the issuer, or until wake_at
  kFail,           // with failed_state
  kCleanUp,        // delete the challenges, then the order
};

struct Action {
  Step step = Step::kWait;
  absl::Time wake_at = absl::InfiniteFuture();
  v1::OrderState failed_state = v1::ORDER_STATE_UNSPECIFIED;
};

// Everything about an order that is not in its own record.
struct Snapshot {
  // Whether the issuer's account can be used; if not, why.
  absl::Status account;
  // The order as the CA showed it in this pass; null if it was not asked.
  const acme::Order* ca_order = nullptr;
  // Per authorization of the order's status, in that order; null where there is none.
  std::vector<const solver::v1::Challenge*> challenges;
  // The CA has taken the signing request in this pass.
  bool finalized = false;
  // The CA answered orderNotReady in this pass.
  bool finalize_refused = false;
  // How often the CA was found at work, and when it is to be asked again.
  int polls = 0;
  absl::Time next_poll = absl::InfinitePast();
  // Nothing is to be asked of the CA before, as it wished.
  absl::Time retry_at = absl::InfinitePast();
  // How long a finished order is kept.
  absl::Duration retention = absl::Hours(24);
};

Action Decide(const v1::Order& order, const Snapshot& snapshot, absl::Time now);

enum class Recovery {
  kBackoff,    // again, later and later
  kRetryAt,    // at retry_at
  kReadOrder,  // the order is in another state than thought
  kOperator,   // a person must act: slowly again, at retry_at
  kFail,       // with failed_state
};

struct ErrorAction {
  Recovery recovery = Recovery::kBackoff;
  absl::Time retry_at = absl::InfiniteFuture();
  v1::OrderState failed_state = v1::ORDER_STATE_UNSPECIFIED;
  // Reason of the Ready condition.
  std::string reason;
};

// Whether the CA may have made an order although newOrder ended with `error`.
bool MayHavePlaced(const absl::Status& error);

// What the failure of `step`, one that talks to the CA, asks for. `unanswered` counts the
// newOrder requests, with this one, of which MayHavePlaced() is true.
ErrorAction DecideOnError(const absl::Status& error, Step step, int unanswered, absl::Time now);

// VALID, INVALID, EXPIRED, ERRORED.
bool IsFinal(v1::OrderState state);
bool IsFinal(solver::v1::ChallengeState state);

// Whether the name of the authorization has to be proven by a challenge: its details are
// known, and it was not valid already.
bool NeedsChallenge(const v1::Authorization& authorization);

}  // namespace certwright::order
