// What to do next about a challenge, and what to do about an error: pure functions of what is
// known, so that every case can be tested as a line of a table.
#pragma once

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "certwright/issuer/v1/issuer.pb.h"
#include "certwright/solver/v1/challenge.pb.h"
#include "lib/base/random.h"

namespace certwright::solver {

enum class Step {
  kResolveSolver,  // its configuration and credentials
  kLocate,         // find out where the TXT record goes
  kAcquire,        // ask for a slot
  kLook,           // at the authorization: it may be decided already
  kPresent,        // put the proof out
  kCheck,          // look for it as the CA will
  kAccept,         // tell the CA to look
  kPoll,           // ask the CA what it found
  kGiveBack,       // the slot, and wait until wake_at
  kWait,           // for an event, or until wake_at
  kWaitForIssuer,  // for an event of the issuer, or until wake_at
  kExpire,         // time ran out
  kDelete,         // it was finished long enough ago
};

struct Action {
  Step step = Step::kWait;
  absl::Time wake_at = absl::InfiniteFuture();
};

// A self-check that has not succeeded after this long gives its slot back...
inline constexpr absl::Duration kTurn = absl::Seconds(60);
// ...and so does one that has had a turn before, after one look.
inline constexpr absl::Duration kFirstPause = absl::Seconds(5);
inline constexpr absl::Duration kLongestPause = absl::Seconds(60);
// What is still not seen after this long is put out again: something may have removed it.
inline constexpr absl::Duration kPresentAgain = absl::Seconds(30);
inline constexpr absl::Duration kDefaultDeadline = absl::Minutes(10);
inline constexpr absl::Duration kLongestDeadline = absl::Hours(24);
// Before what a person has to mend is tried again, unless the issuer changes earlier.
inline constexpr absl::Duration kOperatorDelay = absl::Minutes(1);

// Everything about a challenge that is not in its own record.
struct Snapshot {
  // Whether the issuer's account can be used; if not, why.
  absl::Status account;
  // Null until resolved in this pass.
  const issuer::v1::AcmeSolver* solver = nullptr;
  // It cannot be resolved now, but is not needed: the CA has been told.
  bool solver_unknown = false;
  // Its provider holds one value per name, so a slot needs to know the name.
  bool exclusive = false;
  // When this process got the slot.
  std::optional<absl::Time> slot_since;
  // It was asked for, but must be waited for.
  bool slot_denied = false;
  // How many slots were given back, and how often was looked since this one was got.
  int turns = 0;
  int checks_in_turn = 0;
  // The authorization was pending when it was last looked at, in this turn; also when the
  // order service has only just read it.
  bool authorization_known = false;
  // The CA was asked once more after the deadline.
  bool last_look_taken = false;
  // When this process has put the proof out.
  std::optional<absl::Time> put_out_time;
  // When the self-check saw it.
  std::optional<absl::Time> found_at;
  // Nothing is to be done before, because of an earlier result.
  absl::Time due = absl::InfinitePast();
};

Action Decide(const v1::Challenge& challenge, const Snapshot& snapshot, absl::Time now);

// When to give up. `solver` may be null: then it is not known what it says.
absl::Time DeadlineOf(const v1::Challenge& challenge, const issuer::v1::AcmeSolver* solver);

// The wait after self-check number `attempt`, from 0: 50 ms, doubling up to 5 s, with jitter.
absl::Duration CheckDelay(int attempt, base::Random& random);

enum class Recovery {
  kBackoff,  // again, later and later
  kRetryAt,  // at wake_at
  kLook,     // at the authorization, which decides
  kFail,     // with failed_state
};

struct ErrorAction {
  Recovery recovery = Recovery::kBackoff;
  absl::Time wake_at = absl::InfiniteFuture();
  v1::ChallengeState failed_state = v1::CHALLENGE_STATE_UNSPECIFIED;
  // Reason of the condition.
  std::string reason;
};

// What the failure of `step` asks for. `looked`: the authorization has been looked at on
// behalf of an earlier failure, and is pending.
ErrorAction DecideOnError(const absl::Status& error, Step step, bool looked, absl::Time now);

}  // namespace certwright::solver
