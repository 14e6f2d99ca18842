#include "services/issuer/approval_policy.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "lib/pki/names.h"
#include "lib/pki/subject.h"
#include "lib/pki/subject_type.h"
#include "lib/pki/usages.h"
#include "lib/rpc/validation.h"
#include "lib/service/conditions.h"
#include "lib/service/issuer_ref.h"
#include "services/issuer/request_defaults.h"

namespace certwright::issuer_service {
namespace {

using issuer::v1::CertificateRequest;

constexpr char kCommonNameOid[] = "2.5.4.3";
// What a TLS server needs: allowed by rules that say which names are, and nothing of usages.
constexpr std::array kServerUsages = {"digital signature", "key encipherment", "server auth"};
constexpr int kMinRsaBits = 2048;
constexpr int kMaxRsaBits = 8192;
// Objections that a message shows.
constexpr std::size_t kMaxShown = 3;
constexpr std::size_t kMaxShownName = 100;

std::string Quote(absl::string_view text) {
  return absl::StrCat("\"", absl::CHexEscape(text.substr(0, kMaxShownName)), "\"");
}

// Parsing.

class RuleParser {
 public:
  RuleParser(std::string field, std::vector<std::string>& problems)
      : field_(std::move(field)), problems_(problems) {}

  ApprovalRule Parse(const config::v1::ApprovalRule& rule) {
    ApprovalRule parsed;
    parsed.name = rule.name();
    if (rule.name().empty()) Add("name", "is required");
    parsed.namespaces = All(rule.namespaces(), "namespaces", ParsePattern);
    parsed.issuers = All(rule.issuers(), "issuers", IssuerPattern::Parse);
    parsed.dns_names = All(rule.dns_names(), "dnsNames", ParseDnsPattern);
    parsed.ip_ranges = All(rule.ip_ranges(), "ipRanges", AddressRange::Parse);
    parsed.uris = All(rule.uris(), "uris", ParsePattern);
    parsed.email_addresses = All(rule.email_addresses(), "emailAddresses", ParseEmailPattern);
    parsed.subjects = All(rule.subjects(), "subjects", SubjectPattern::Parse);
    parsed.key_algorithms = All(rule.key_algorithms(), "keyAlgorithms", ParseAlgorithm);
    ParseBounds(rule, parsed);
    for (const auto& words : All(rule.usages(), "usages", ParseUsage)) {
      parsed.usages.insert(words.begin(), words.end());
    }
    parsed.allow_ca = rule.allow_ca();
    return parsed;
  }

 private:
  template <typename Parsed>
  std::vector<Parsed> All(const google::protobuf::RepeatedPtrField<std::string>& texts,
                          const char* name,
                          absl::StatusOr<Parsed> (*parse)(absl::string_view text)) {
    std::vector<Parsed> all;
    for (int i = 0; i < texts.size(); ++i) {
      absl::StatusOr<Parsed> parsed = parse(texts[i]);
      if (parsed.ok()) {
        all.push_back(*std::move(parsed));
      } else {
        Add(rpc::Indexed(name, i), parsed.status().message());
      }
    }
    return all;
  }

  void ParseBounds(const config::v1::ApprovalRule& rule, ApprovalRule& parsed) {
    if (rule.min_rsa_bits() != 0) parsed.min_rsa_bits = rule.min_rsa_bits();
    if (parsed.min_rsa_bits < kMinRsaBits || parsed.min_rsa_bits > kMaxRsaBits) {
      Add("minRsaBits", "must be 2048 to 8192, or 0 for the default");
    }
    if (!rule.has_max_duration()) return;
    parsed.max_duration = service::FromProto(rule.max_duration());
    if (*parsed.max_duration < absl::Hours(1)) Add("maxDuration", "must be at least 1 h");
  }

  static absl::StatusOr<pki::KeyAlgorithm> ParseAlgorithm(absl::string_view name) {
    if (name == "RSA") return pki::KeyAlgorithm::kRsa;
    if (name == "ECDSA") return pki::KeyAlgorithm::kEcdsa;
    if (name == "Ed25519") return pki::KeyAlgorithm::kEd25519;
    return absl::InvalidArgumentError("must be \"RSA\", \"ECDSA\" or \"Ed25519\"");
  }

  static absl::StatusOr<std::vector<std::string>> ParseUsage(absl::string_view word) {
    const absl::StatusOr<pki::UsageSet> usages = pki::ParseUsages({std::string(word)});
    if (!usages.ok()) return usages.status();
    return pki::UsageWords(*usages);
  }

  void Add(absl::string_view name, absl::string_view problem) {
    problems_.push_back(absl::StrCat(field_, ".", name, ": ", problem));
  }

  const std::string field_;
  std::vector<std::string>& problems_;
};

// Deciding.

bool MatchesAny(const std::vector<std::string>& patterns, absl::string_view text) {
  return std::any_of(patterns.begin(), patterns.end(),
                     [&](const std::string& pattern) { return MatchesPattern(pattern, text); });
}

const char* AlgorithmName(pki::KeyAlgorithm algorithm) {
  switch (algorithm) {
    case pki::KeyAlgorithm::kRsa:
      return "RSA";
    case pki::KeyAlgorithm::kEcdsa:
      return "ECDSA";
    case pki::KeyAlgorithm::kEd25519:
      return "Ed25519";
  }
  return "unknown";
}

// What a rule has against a request.
class Objections {
 public:
  Objections(const ApprovalRule& rule, const CertificateRequest& request, const pki::Csr& csr)
      : rule_(rule), request_(request), csr_(csr), restricts_names_(rule.RestrictsNames()) {
    CheckScope();
    CheckNames();
    CheckSubject();
    CheckKey();
    CheckKind();
    CheckDuration();
    CheckUsages();
  }

  bool empty() const { return objections_.empty(); }
  std::string Text() const {
    std::vector<std::string> shown = objections_;
    if (shown.size() > kMaxShown) {
      const std::size_t more = shown.size() - kMaxShown;
      shown.resize(kMaxShown);
      shown.push_back(absl::StrCat("and ", more, " more"));
    }
    return absl::StrJoin(shown, "; ");
  }
  // A rule for other namespaces or issuers is never near.
  bool NearerThan(const Objections& other) const {
    return std::pair(out_of_scope_, objections_.size()) <
           std::pair(other.out_of_scope_, other.objections_.size());
  }

 private:
  void Add(std::string objection) { objections_.push_back(std::move(objection)); }

  void CheckScope() {
    const std::string& resource_namespace = request_.metadata().namespace_();
    if (!rule_.namespaces.empty() && !MatchesAny(rule_.namespaces, resource_namespace)) {
      Add(absl::StrCat("the namespace ", resource_namespace, " is not allowed"));
    }
    const meta::v1::IssuerRef& ref = request_.spec().issuer_ref();
    const bool issuer_allowed =
        rule_.issuers.empty() ||
        std::any_of(rule_.issuers.begin(), rule_.issuers.end(),
                    [&](const IssuerPattern& pattern) { return pattern.Matches(ref); });
    if (!issuer_allowed) {
      Add(absl::StrCat(service::IssuerKey(ref, resource_namespace), " is not allowed"));
    }
    out_of_scope_ = !objections_.empty();
  }

  void CheckNames() {
    for (const std::string& name : csr_.names.dns_names) {
      Check(rule_.dns_names, "the DNS name", name);
    }
    for (const std::string& address : csr_.names.ip_addresses) CheckAddress(address);
    for (const std::string& uri : csr_.names.uris) Check(rule_.uris, "the URI", uri);
    for (const std::string& email : csr_.names.email_addresses) {
      Check(rule_.email_addresses, "the e-mail address", email);
    }
    if (restricts_names_ && !csr_.names.other_names.empty()) {
      Add(absl::StrCat("the name of type ", csr_.names.other_names.front().oid,
                       " is not allowed"));
    }
  }

  void Check(const std::vector<std::string>& patterns, const char* what,
             absl::string_view name) {
    if (patterns.empty() ? !restricts_names_ : MatchesAny(patterns, name)) return;
    Add(absl::StrCat(what, " ", Quote(name), " is not allowed"));
  }

  void CheckAddress(absl::string_view address) {
    const bool allowed =
        rule_.ip_ranges.empty()
            ? !restricts_names_
            : std::any_of(rule_.ip_ranges.begin(), rule_.ip_ranges.end(),
                          [&](const AddressRange& range) { return range.Contains(address); });
    if (!allowed) Add(absl::StrCat("the address ", Quote(address), " is not allowed"));
  }

  void CheckSubject() {
    if (!restricts_names_) return;
    const auto attributes = pki::SubjectAttributesOf(csr_.subject_der);
    if (!attributes.ok()) return Add(std::string(attributes.status().message()));
    for (const pki::SubjectAttribute& attribute : *attributes) {
      const bool allowed = std::any_of(
          rule_.subjects.begin(), rule_.subjects.end(),
          [&](const SubjectPattern& pattern) { return pattern.Matches(attribute); });
      if (allowed) continue;
      if (attribute.oid == kCommonNameOid) {
        CheckCommonName(attribute.value);
      } else if (attribute.oid == kEmailAddressOid) {
        Check(rule_.email_addresses, "the e-mail address",
              pki::NormalizeEmail(attribute.value).value_or(attribute.value));
      } else {
        Add(absl::StrCat("the subject's ", pki::SubjectTypeName(attribute.oid), " ",
                         Quote(attribute.value), " is not allowed"));
      }
    }
  }

  // It counts as the name or address that programs without an eye for alternative names take
  // it for.
  void CheckCommonName(const std::string& name) {
    if (pki::NormalizeIpAddress(name).ok()) return CheckAddress(name);
    const absl::StatusOr<std::string> dns_name = pki::NormalizeDnsName(name);
    if (dns_name.ok() && MatchesAny(rule_.dns_names, *dns_name)) return;
    Add(absl::StrCat("the common name ", Quote(name), " is not allowed"));
  }

  void CheckKey() {
    const pki::KeySpec key = csr_.public_key.spec();
    const auto& algorithms = rule_.key_algorithms;
    if (!algorithms.empty() &&
        std::find(algorithms.begin(), algorithms.end(), key.algorithm) == algorithms.end()) {
      Add(absl::StrCat("a key of algorithm ", AlgorithmName(key.algorithm), " is not allowed"));
    }
    if (key.algorithm == pki::KeyAlgorithm::kRsa && key.size < rule_.min_rsa_bits) {
      Add(absl::StrCat("the RSA key has ", key.size, " bits, at least ", rule_.min_rsa_bits,
                       " are required"));
    }
  }

  void CheckKind() {
    if ((request_.spec().is_ca() || csr_.is_ca) && !rule_.allow_ca) Add("a CA is not allowed");
    if (!restricts_names_) return;
    for (const std::string& extension : csr_.other_extensions) {
      Add(absl::StrCat("the extension ", extension, " is not allowed"));
    }
  }

  void CheckDuration() {
    const issuer::v1::CertificateRequestSpec& spec = request_.spec();
    const absl::Duration duration =
        spec.has_duration() ? service::FromProto(spec.duration()) : kDefaultDuration;
    const absl::Duration longest = rule_.max_duration.value_or(
        restricts_names_ ? kDefaultDuration : absl::InfiniteDuration());
    if (duration <= longest) return;
    Add(absl::StrCat("a duration of ", absl::FormatDuration(duration), " is not allowed, ",
                     absl::FormatDuration(longest), " is"));
  }

  // Those of the request's spec and of its signing request, in their one spelling.
  std::set<std::string> UsagesAskedFor() const {
    std::set<std::string> asked(csr_.usages.begin(), csr_.usages.end());
    for (const std::string& word : request_.spec().usages()) {
      const absl::StatusOr<pki::UsageSet> usage = pki::ParseUsages({word});
      if (!usage.ok()) {
        asked.insert(word);
        continue;
      }
      for (std::string& normal : pki::UsageWords(*usage)) asked.insert(std::move(normal));
    }
    if (asked.empty()) asked.insert(kDefaultUsages.begin(), kDefaultUsages.end());
    return asked;
  }

  void CheckUsages() {
    std::set<std::string> allowed = rule_.usages;
    if (allowed.empty()) {
      if (!restricts_names_) return;
      allowed.insert(kServerUsages.begin(), kServerUsages.end());
    }
    for (const std::string& word : UsagesAskedFor()) {
      if (!allowed.contains(word)) {
        Add(absl::StrCat("the usage ", Quote(word), " is not allowed"));
      }
    }
  }

  const ApprovalRule& rule_;
  const CertificateRequest& request_;
  const pki::Csr& csr_;
  const bool restricts_names_;
  bool out_of_scope_ = false;
  std::vector<std::string> objections_;
};

}  // namespace

ApprovalPolicy ApprovalPolicy::Parse(const config::v1::Approval& approval,
                                     std::vector<std::string>& problems) {
  ApprovalPolicy policy;
  policy.configured_ = true;
  policy.deny_unmatched_ = approval.unmatched() == config::v1::UNMATCHED_REQUEST_DENY;
  if (!config::v1::UnmatchedRequest_IsValid(approval.unmatched())) {
    problems.push_back(
        "approval.unmatched: must be UNMATCHED_REQUEST_WAIT or UNMATCHED_REQUEST_DENY");
  }
  std::set<std::string> names;
  for (int i = 0; i < approval.rules_size(); ++i) {
    const std::string field = rpc::Indexed("approval.rules", i);
    policy.rules_.push_back(RuleParser(field, problems).Parse(approval.rules(i)));
    const std::string& name = approval.rules(i).name();
    if (!name.empty() && !names.insert(name).second) {
      problems.push_back(absl::StrCat(field, ".name: is the name of an earlier rule too"));
    }
  }
  return policy;
}

ApprovalDecision ApprovalPolicy::Decide(const CertificateRequest& request,
                                        const pki::Csr& csr) const {
  using Verdict = ApprovalDecision::Verdict;
  if (!configured_) return {Verdict::kApprove, "", ""};
  const Verdict unmatched = deny_unmatched_ ? Verdict::kDeny : Verdict::kWait;
  std::optional<Objections> nearest;
  const ApprovalRule* nearest_rule = nullptr;
  for (const ApprovalRule& rule : rules_) {
    Objections objections(rule, request, csr);
    if (objections.empty()) return {Verdict::kApprove, rule.name, ""};
    if (!nearest.has_value() || objections.NearerThan(*nearest)) {
      nearest.emplace(std::move(objections));
      nearest_rule = &rule;
    }
  }
  if (nearest_rule == nullptr) return {unmatched, "", "The approval policy has no rules."};
  return {unmatched, "",
          absl::StrCat("No rule of the approval policy allows this request. The nearest is ",
                       Quote(nearest_rule->name), ": ", nearest->Text(), ".")};
}

}  // namespace certwright::issuer_service
