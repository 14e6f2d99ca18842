// The names of an order: those it asks for, and what its signing request has to say.
//
// All functions are pure.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "certwright/order/v1/order.pb.h"
#include "lib/acme/identifier.h"
#include "lib/pki/csr.h"
#include "lib/pki/names.h"

namespace certwright::order {

// The DNS names and IP addresses that `spec` asks for, each in its one spelling, sorted and
// without duplicates. The common name is among them if it is an address or a DNS name of
// more than one label. INVALID_ARGUMENT for the first one that breaks a rule.
absl::StatusOr<pki::SubjectAltNames> OrderedNames(const v1::OrderSpec& spec);

std::vector<acme::Identifier> IdentifiersOf(const pki::SubjectAltNames& names);

// How the names of `request` differ from `ordered`, as a sentence; empty if they do not.
std::string RequestDifference(const pki::Csr& request, const pki::SubjectAltNames& ordered);

// "*.example.com" for the wildcard below example.com, else the identifier.
std::string DisplayName(const v1::Authorization& authorization);

}  // namespace certwright::order
