// The records that the solver service keeps: challenges, and the ledger of what was put out.
#pragma once

#include <string>

#include "certwright/solver/v1/challenge.pb.h"
#include "lib/store/resource_store.h"
#include "services/solver/presentation.pb.h"

namespace certwright::solver {

using ChallengeStore = store::ResourceStore<v1::Challenge>;
inline constexpr char kChallengeKind[] = "challenges";
using PresentationStore = store::ResourceStore<ledger::Presentation>;
inline constexpr char kPresentationKind[] = "presentations";

// VALID, INVALID, EXPIRED, ERRORED.
bool IsFinal(v1::ChallengeState state);

// "<namespace>/<name>" of the challenge.
std::string KeyOf(const v1::Challenge& challenge);

// The name, and the key, of the challenge's ledger record.
std::string PresentationName(const std::string& challenge_name, const std::string& uid);
std::string PresentationKeyOf(const v1::Challenge& challenge);

// The ledger record for a challenge, whose status says where a TXT record goes.
ledger::Presentation MakePresentation(const v1::Challenge& challenge);

}  // namespace certwright::solver
