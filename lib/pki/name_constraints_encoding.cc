#include "lib/pki/name_constraints_encoding.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/pki/general_name.h"
#include "lib/pki/ip_range.h"

namespace certwright::pki {
namespace {

using Subtrees = STACK_OF(GENERAL_SUBTREE);

bool PushSubtree(Subtrees* subtrees, OpensslPtr<GENERAL_NAME> base) {
  OpensslPtr<GENERAL_SUBTREE> subtree(GENERAL_SUBTREE_new());
  if (subtrees == nullptr || subtree == nullptr || base == nullptr) return false;
  GENERAL_NAME_free(subtree->base);
  subtree->base = base.release();
  if (sk_GENERAL_SUBTREE_push(subtrees, subtree.get()) <= 0) return false;
  subtree.release();
  return true;
}

// An absent list and not an empty one, which RFC 5280 forbids, where there is nothing.
bool EncodeSubtrees(const NameSubtrees& subtrees, Subtrees*& encoded) {
  if (subtrees.empty()) return true;
  encoded = sk_GENERAL_SUBTREE_new_null();
  bool ok = encoded != nullptr;
  auto add = [&](int type, absl::string_view value) {
    ok = ok && PushSubtree(encoded, MakeGeneralName(type, value));
  };
  for (const std::string& domain : subtrees.dns_domains) add(GEN_DNS, domain);
  for (const std::string& range : subtrees.ip_ranges) {
    std::string octets = IpRangeToOctets(range);
    ok = ok && !octets.empty();
    add(GEN_IPADD, octets);
  }
  for (const std::string& address : subtrees.email_addresses) add(GEN_EMAIL, address);
  for (const std::string& domain : subtrees.uri_domains) add(GEN_URI, domain);
  return ok;
}

// False if `base` is of a kind that `subtrees` cannot hold, or malformed.
bool DecodeBase(const GENERAL_NAME& base, NameSubtrees& subtrees) {
  if (base.type == GEN_IPADD) {
    std::string range = IpRangeFromOctets(Bytes(base.d.iPAddress));
    if (range.empty()) return false;
    subtrees.ip_ranges.push_back(std::move(range));
    return true;
  }
  if (base.type != GEN_DNS && base.type != GEN_EMAIL && base.type != GEN_URI) return false;
  absl::string_view text = Bytes(base.d.ia5);
  if (!IsPlain(text)) return false;
  if (base.type == GEN_EMAIL && absl::StrContains(text, '@')) {
    // The case of a local part may mean something.
    subtrees.email_addresses.emplace_back(text);
    return true;
  }
  std::vector<std::string>& list = base.type == GEN_DNS     ? subtrees.dns_domains
                                   : base.type == GEN_EMAIL ? subtrees.email_addresses
                                                            : subtrees.uri_domains;
  list.push_back(absl::AsciiStrToLower(text));
  return true;
}

void DecodeSubtrees(const Subtrees* encoded, absl::string_view which, NameSubtrees& subtrees,
                    std::vector<std::string>& other_kinds) {
  for (int i = 0; encoded != nullptr && i < sk_GENERAL_SUBTREE_num(encoded); ++i) {
    const GENERAL_SUBTREE& subtree = *sk_GENERAL_SUBTREE_value(encoded, i);
    // RFC 5280 §4.2.1.10: minimum is always zero, and maximum absent.
    bool plain = (subtree.minimum == nullptr || ASN1_INTEGER_get(subtree.minimum) == 0) &&
                 subtree.maximum == nullptr;
    if (!plain || !DecodeBase(*subtree.base, subtrees)) {
      other_kinds.push_back(absl::StrCat(which, " ", GeneralNameKind(subtree.base->type)));
    }
  }
}

}  // namespace

OpensslPtr<NAME_CONSTRAINTS> EncodeNameConstraints(const NameConstraints& constraints) {
  OpensslPtr<NAME_CONSTRAINTS> encoded(NAME_CONSTRAINTS_new());
  if (encoded == nullptr ||
      !EncodeSubtrees(constraints.permitted, encoded->permittedSubtrees) ||
      !EncodeSubtrees(constraints.excluded, encoded->excludedSubtrees)) {
    return nullptr;
  }
  return encoded;
}

NameConstraints DecodeNameConstraints(const NAME_CONSTRAINTS& encoded, bool critical) {
  NameConstraints constraints;
  constraints.critical = critical;
  DecodeSubtrees(encoded.permittedSubtrees, "permitted", constraints.permitted,
                 constraints.other_kinds);
  DecodeSubtrees(encoded.excludedSubtrees, "excluded", constraints.excluded,
                 constraints.other_kinds);
  // An empty extension, which RFC 5280 forbids, constrains nothing.
  if (constraints.empty()) return NameConstraints();
  return constraints;
}

}  // namespace certwright::pki
