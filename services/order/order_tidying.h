// What is put in order, outside, around an order that has failed or is to go.
//
// Threading: the references must outlive the calls.
#pragma once

#include <vector>

#include "absl/status/status.h"
#include "certwright/order/v1/order.pb.h"
#include "certwright/solver/v1/challenge.pb.h"
#include "lib/acme/objects.h"
#include "lib/runtime/awaitable.h"
#include "lib/runtime/context.h"
#include "services/order/certificate_authority.h"
#include "services/order/challenges.h"

namespace certwright::order {

using PresentChallenges = std::vector<const solver::v1::Challenge*>;  // as in Snapshot

// The authorizations of `order` that had to be proven and are not, as they are at the CA now;
// those that cannot be read are left out.
runtime::Awaitable<std::vector<acme::Authorization>> ReadUnproven(
    runtime::Context context, CertificateAuthority& authority, const v1::Order& order,
    const PresentChallenges& challenges);

// Deactivates the authorizations that may still be pending (RFC 8555 §7.5.2), as a CA allows
// an account only so many; those that nobody has read yet are read first. Errors are ignored:
// they expire by themselves.
runtime::Awaitable<void> DeactivatePending(runtime::Context context,
                                           CertificateAuthority& authority,
                                           const v1::Order& order,
                                           const PresentChallenges& challenges);

// Deletes the challenges that are not final, so that no more is done for them. Errors are
// ignored: challenges end by themselves, and go with their order.
runtime::Awaitable<void> DeleteOpenChallenges(runtime::Context context, Challenges& solver,
                                              const v1::Order& order,
                                              const PresentChallenges& challenges);

// Deletes every challenge that may exist; the first error.
runtime::Awaitable<absl::Status> DeleteAllChallenges(runtime::Context context,
                                                     Challenges& solver,
                                                     const v1::Order& order);

}  // namespace certwright::order
