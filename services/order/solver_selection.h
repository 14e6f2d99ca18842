// Which of an issuer's solvers proves a name.
//
// A solver that proves names in a way which the CA does not offer for this one is left out,
// as is HTTP-01 for a wildcard. Of those left whose selector matches (all its parts must), an
// exact DNS name wins, then the longest zone (in labels), then the number of labels, then the
// place in the list. A solver without selector is like one whose selector has no parts. A
// wildcard is compared with its "*.".
//
// Pure; one name has one solver, whatever becomes of the attempt.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "certwright/issuer/v1/issuer.pb.h"
#include "certwright/solver/v1/challenge.pb.h"
#include "google/protobuf/map.h"
#include "google/protobuf/repeated_field.h"

namespace certwright::order {

struct NameToProve {
  std::string identifier;  // without "*."
  bool wildcard = false;
  // ACME challenge types that the CA offers for it ("dns-01").
  std::vector<std::string> offered;
};

struct SolverChoice {
  std::string solver_name;
  solver::v1::ChallengeType type = solver::v1::CHALLENGE_TYPE_UNSPECIFIED;
};

using Solvers = google::protobuf::RepeatedPtrField<issuer::v1::AcmeSolver>;
using Labels = google::protobuf::Map<std::string, std::string>;

// NOT_FOUND, with what the CA offers and why each solver was left out, if none fits.
absl::StatusOr<SolverChoice> SelectSolver(const Solvers& solvers, const NameToProve& name,
                                          const Labels& labels);

// "dns-01"; empty for a type that ACME does not have.
std::string AcmeTypeName(solver::v1::ChallengeType type);

}  // namespace certwright::order
