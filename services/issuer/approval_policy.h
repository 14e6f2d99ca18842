// ApprovalPolicy: which CertificateRequests are approved, which are denied and which wait for
// someone's verdict, as the configuration says (config.v1.Approval).
//
// Threading: immutable, so safe from any thread.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "certwright/config/v1/issuer_config.pb.h"
#include "certwright/issuer/v1/certificate_request.pb.h"
#include "lib/pki/csr.h"
#include "services/issuer/approval_patterns.h"

namespace certwright::issuer_service {

struct ApprovalDecision {
  enum class Verdict { kApprove, kDeny, kWait };
  Verdict verdict = Verdict::kApprove;
  // The rule that approved; empty if there is no policy.
  std::string rule;
  // Why no rule approved, as a sentence.
  std::string why;
};

// One rule, ready to be compared with. Absent and empty parts allow everything, but those of
// names, usages and duration do not in a rule that has any pattern of names.
struct ApprovalRule {
  // Whether it says which names are allowed.
  bool RestrictsNames() const {
    return !dns_names.empty() || !ip_ranges.empty() || !uris.empty() ||
           !email_addresses.empty() || !subjects.empty();
  }

  std::string name;
  std::vector<std::string> namespaces;
  std::vector<IssuerPattern> issuers;
  std::vector<std::string> dns_names;
  std::vector<AddressRange> ip_ranges;
  std::vector<std::string> uris;
  std::vector<std::string> email_addresses;
  std::vector<SubjectPattern> subjects;
  std::vector<pki::KeyAlgorithm> key_algorithms;
  int min_rsa_bits = 2048;
  std::optional<absl::Duration> max_duration;
  // In the one spelling of pki::UsageWords().
  std::set<std::string> usages;
  bool allow_ca = false;
};

class ApprovalPolicy {
 public:
  // Approves everything.
  ApprovalPolicy() = default;

  // Adds every problem of the configuration to `problems`, as "approval.rules[0].name: is
  // required"; if there is one, the policy is of no use.
  static ApprovalPolicy Parse(const config::v1::Approval& approval,
                              std::vector<std::string>& problems);

  bool approves_everything() const { return !configured_; }

  // `csr` is what the request holds. What a request does not say counts as what it then gets
  // (request_defaults.h).
  ApprovalDecision Decide(const issuer::v1::CertificateRequest& request,
                          const pki::Csr& csr) const;

 private:
  bool configured_ = false;
  bool deny_unmatched_ = false;
  std::vector<ApprovalRule> rules_;
};

}  // namespace certwright::issuer_service
