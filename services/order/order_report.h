// What an order's status says to people: sentences and the Ready condition.
//
// All functions are pure.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "certwright/order/v1/order.pb.h"
#include "certwright/solver/v1/challenge.pb.h"
#include "google/protobuf/repeated_field.h"
#include "lib/acme/objects.h"

namespace certwright::order {

// Sets the Ready condition and the status's reason to the same sentence.
void SetNotReady(v1::Order& order, const std::string& reason, const std::string& sentence,
                 absl::Time now);

// "1 of 2 challenges is not valid yet: a.example (DNS01): …". `challenges` as in Snapshot.
std::string DescribePending(const v1::Order& order,
                            const std::vector<const solver::v1::Challenge*>& challenges);

// Why an order's time was over before it was done.
std::string DescribeExpired(const v1::Order& order,
                            const std::vector<const solver::v1::Challenge*>& challenges);

// "2 names have to be proven: a.example, *.b.example."
std::string DescribeToProve(const v1::Order& order);

using Failures = google::protobuf::RepeatedPtrField<v1::Failure>;

// The parts of a problem that name an identifier, or else the whole for `identifier`.
void AddProblem(const acme::Problem& problem, const std::string& identifier,
                Failures& failures);

// Says that the certificate which the CA has issued is of no use. Its type is none of ACME's:
// another order would cost another certificate, which may be no better.
void AddUnusableCertificate(absl::string_view why, Failures& failures);

// What went wrong for which name, of an order that failed: by what the CA says where it says
// something, else by what the challenges say. `authorizations` holds those that could be read.
Failures CollectFailures(const v1::Order& order, const acme::Order* ca_order,
                         const std::vector<acme::Authorization>& authorizations,
                         const std::vector<const solver::v1::Challenge*>& challenges);

// "a.example (dns): …; b.example (caa): …".
std::string DescribeFailures(const Failures& failures);

// Sets the state, its time, the failures and the sentence. `sentence` may be empty: then the
// failures make it.
void SetFailed(v1::Order& order, v1::OrderState state, std::string sentence, Failures failures,
               absl::Time now);

}  // namespace certwright::order
