#include "services/issuer/approval_policy.h"

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "google/protobuf/text_format.h"
#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"
#include "lib/pki/key.h"
#include "openssl/asn1.h"

namespace certwright::issuer_service {
namespace {

using issuer::v1::CertificateRequest;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Verdict = ApprovalDecision::Verdict;

config::v1::Approval ParseConfig(const std::string& text) {
  config::v1::Approval approval;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &approval)) << text;
  return approval;
}

ApprovalPolicy MakePolicy(const std::string& text) {
  std::vector<std::string> problems;
  ApprovalPolicy policy = ApprovalPolicy::Parse(ParseConfig(text), problems);
  EXPECT_THAT(problems, IsEmpty());
  return policy;
}

struct Asked {
  pki::CsrSpec csr;
  pki::KeySpec key;
  CertificateRequest request;
  // Changes what was read from the signing request, for what ours never writes.
  std::function<void(pki::Csr&)> forge = {};
};

ApprovalDecision Decide(const ApprovalPolicy& policy, Asked asked) {
  static const pki::PrivateKey& usual_key =
      *new pki::PrivateKey(*pki::PrivateKey::Generate(pki::KeySpec()));
  const pki::PrivateKey key =
      asked.key == pki::KeySpec() ? usual_key : *pki::PrivateKey::Generate(asked.key);
  const absl::StatusOr<std::string> pem = pki::CreateCsrPem(asked.csr, key);
  EXPECT_THAT(pem, base::IsOk());
  asked.request.mutable_spec()->set_request(*pem);
  pki::Csr csr = *pki::ParseCsrPem(*pem);
  if (asked.forge) asked.forge(csr);
  return policy.Decide(asked.request, csr);
}

// A request for www.example.com of the Issuer "ca" in namespace "web".
Asked Usual() {
  Asked asked;
  asked.csr.names.dns_names = {"www.example.com"};
  asked.request.mutable_metadata()->set_namespace_("web");
  asked.request.mutable_metadata()->set_name("site-1");
  asked.request.mutable_spec()->mutable_issuer_ref()->set_name("ca");
  return asked;
}

struct Case {
  const char* name;
  // Of the one rule.
  const char* rule;
  std::function<void(Asked&)> change;
  // Part of the reason why not; empty if it is approved.
  const char* objection;
};

class ApprovalRuleTest : public testing::TestWithParam<Case> {};

TEST_P(ApprovalRuleTest, Decides) {
  const ApprovalPolicy policy =
      MakePolicy(std::string("rules { name: 'one' ") + GetParam().rule + " }");
  Asked asked = Usual();
  if (GetParam().change) GetParam().change(asked);
  const ApprovalDecision decision = Decide(policy, asked);
  if (std::string(GetParam().objection).empty()) {
    EXPECT_EQ(decision.verdict, Verdict::kApprove) << decision.why;
    EXPECT_EQ(decision.rule, "one");
  } else {
    EXPECT_EQ(decision.verdict, Verdict::kWait);
    EXPECT_THAT(decision.why, AllOf(HasSubstr(GetParam().objection), HasSubstr("\"one\"")));
  }
}

const auto kAddress = [](Asked& a) { a.csr.names.ip_addresses = {"192.0.2.7"}; };
const auto kUri = [](Asked& a) { a.csr.names.uris = {"spiffe://example.com/web"}; };
const auto kEmail = [](Asked& a) { a.csr.names.email_addresses = {"ann@example.com"}; };
const auto kOtherName = [](Asked& a) {
  a.csr.names.other_names = {{"1.3.6.1.4.1.311.20.2.3", "ann@example.com"}};
};
const auto kCommonName = [](const char* name) {
  return [name](Asked& a) { a.csr.subject.common_name = name; };
};
const auto kKey = [](pki::KeyAlgorithm algorithm, int size) {
  return [algorithm, size](Asked& a) { a.key = {algorithm, size}; };
};
const auto kDuration = [](int64_t seconds) {
  return [seconds](Asked& a) {
    a.request.mutable_spec()->mutable_duration()->set_seconds(seconds);
  };
};
const auto kUsages = [](std::vector<std::string> spec, std::vector<std::string> csr) {
  return [spec, csr](Asked& a) {
    a.request.mutable_spec()->mutable_usages()->Assign(spec.begin(), spec.end());
    a.csr.usages = csr;
  };
};

const auto kSubject = [](const char* text) {
  return [text](Asked& a) { a.csr.literal_subject = text; };
};

std::string Tlv(int tag, const std::string& content) {
  return std::string(1, static_cast<char>(tag)) +
         std::string(1, static_cast<char>(content.size())) + content;
}

// A subject with an organization of that type and these octets.
const auto kOrganizationOf = [](int tag, const std::string& octets) {
  const std::string attribute = Tlv(V_ASN1_SEQUENCE | V_ASN1_CONSTRUCTED,
                                    Tlv(V_ASN1_OBJECT, "\x55\x04\x0a") + Tlv(tag, octets));
  const std::string relative_name = Tlv(V_ASN1_SET | V_ASN1_CONSTRUCTED, attribute);
  const std::string name = Tlv(V_ASN1_SEQUENCE | V_ASN1_CONSTRUCTED, relative_name);
  return [name](Asked& a) { a.forge = [name](pki::Csr& csr) { csr.subject_der = name; }; };
};
const auto kExtension = [](Asked& a) {
  a.forge = [](pki::Csr& csr) { csr.other_extensions = {"1.3.6.1.4.1.311.25.2"}; };
};

INSTANTIATE_TEST_SUITE_P(
    Rules, ApprovalRuleTest,
    testing::ValuesIn(std::vector<Case>{
        {"EmptyRule", "", nullptr, ""},
        {"Namespace", "namespaces: 'web'", nullptr, ""},
        {"NamespacePattern", "namespaces: ['x', 'w*']", nullptr, ""},
        {"OtherNamespace", "namespaces: 'prod-*'", nullptr, "namespace web is not allowed"},
        {"Issuer", "issuers: 'c*'", nullptr, ""},
        {"OtherIssuer", "issuers: 'le'", nullptr, "Issuer web/ca is not allowed"},
        {"OtherKindOfIssuer", "issuers: 'ClusterIssuer/ca'", nullptr, "Issuer web/ca is not"},
        {"DnsName", "dns_names: '*.example.com'", nullptr, ""},
        {"DnsNameInCapitals", "dns_names: '*.EXAMPLE.com'", nullptr, ""},
        {"OtherDnsName", "dns_names: '*.example.org'", nullptr,
         "the DNS name \"www.example.com\" is not allowed"},
        {"OneOfTwoNames", "dns_names: 'www.*'",
         [](Asked& a) {
           a.csr.names.dns_names = {"evil.test", "www.example.com"};
         },
         "\"evil.test\" is not allowed"},
        {"Apex", "dns_names: '*.example.com'",
         [](Asked& a) { a.csr.names.dns_names = {"example.com"}; }, "\"example.com\" is not"},
        {"Wildcard", "dns_names: '*.example.com'",
         [](Asked& a) { a.csr.names.dns_names = {"*.example.com"}; }, ""},
        {"WildcardOfAName", "dns_names: 'example.com'",
         [](Asked& a) { a.csr.names.dns_names = {"*.example.com"}; }, "is not allowed"},
        {"CommonName", "dns_names: '*.example.com'", kCommonName("WWW.example.com"), ""},
        {"OtherCommonName", "dns_names: '*.example.com'", kCommonName("evil.test"),
         "the common name \"evil.test\" is not allowed"},
        {"CommonNameThatIsNoName", "dns_names: '*.example.com'",
         kCommonName("evil.test .example.com"), "the common name"},
        {"CommonNameWithUrisOnly", "uris: '*'", kCommonName("www.example.com"),
         "the common name \"www.example.com\""},
        {"CommonNameBySubjects", "dns_names: '*' subjects: 'CN=Web *'", kCommonName("Web 1"),
         ""},
        {"OtherCommonNameBySubjects", "dns_names: '*.example.com' subjects: 'CN=Web *'",
         kCommonName("Mail 1"), "the common name \"Mail 1\""},
        {"AnyCommonName", "namespaces: 'web'", kCommonName("My Service"), ""},
        {"AddressAsCommonName", "dns_names: '*'", kCommonName("192.0.2.7"), "the address"},
        {"AddressInRangeAsCommonName", "dns_names: '*' ip_ranges: '192.0.2.0/24'",
         kCommonName("192.0.2.7"), ""},
        {"AddressWithoutRanges", "namespaces: 'web'", kAddress, ""},
        {"AddressWithDnsNamesOnly", "dns_names: '*'", kAddress, "the address \"192.0.2.7\""},
        {"AddressInRange", "dns_names: '*' ip_ranges: '192.0.2.0/24'", kAddress, ""},
        {"AddressOutOfRange", "ip_ranges: '192.0.3.0/24'", kAddress, "\"192.0.2.7\" is not"},
        {"UriWithoutPatterns", "", kUri, ""},
        {"UriWithDnsNamesOnly", "dns_names: '*'", kUri, "the URI \"spiffe://example.com/web\""},
        {"Uri", "dns_names: '*' uris: 'spiffe://example.com/*'", kUri, ""},
        {"OtherUri", "uris: 'spiffe://example.org/*'", kUri, "the URI"},
        {"EmailWithoutPatterns", "", kEmail, ""},
        {"EmailWithDnsNamesOnly", "dns_names: '*'", kEmail, "the e-mail address"},
        {"Email", "dns_names: '*' email_addresses: '*@EXAMPLE.com'", kEmail, ""},
        {"OtherEmail", "email_addresses: '*@example.org'", kEmail,
         "\"ann@example.com\" is not"},
        {"EmailInTheSubject", "email_addresses: '*@example.org'",
         [](Asked& a) { a.csr.literal_subject = "1.2.840.113549.1.9.1=ann@example.com"; },
         "\"ann@example.com\" is not"},
        {"OtherNameWithoutRestriction", "key_algorithms: 'ECDSA'", kOtherName, ""},
        {"OtherNameWithDnsNames", "dns_names: '*'", kOtherName, "1.3.6.1.4.1.311.20.2.3"},
        {"OtherNameWithRanges", "ip_ranges: '0.0.0.0/0'", kOtherName, "1.3.6.1.4.1.311.20.2.3"},
        {"OtherNameWithUris", "uris: '*'", kOtherName, "1.3.6.1.4.1.311.20.2.3"},
        {"OtherNameWithEmails", "email_addresses: '*'", kOtherName, "1.3.6.1.4.1.311.20.2.3"},
        {"Algorithm", "key_algorithms: ['RSA', 'ECDSA']", nullptr, ""},
        {"OtherAlgorithm", "key_algorithms: 'RSA'", nullptr, "algorithm ECDSA is not allowed"},
        {"Ed25519", "key_algorithms: 'Ed25519'", kKey(pki::KeyAlgorithm::kEd25519, 0), ""},
        {"RsaSize", "", kKey(pki::KeyAlgorithm::kRsa, 2048), ""},
        {"SmallRsa", "min_rsa_bits: 3072", kKey(pki::KeyAlgorithm::kRsa, 2048),
         "has 2048 bits, at least 3072 are required"},
        {"Duration", "max_duration { seconds: 7200 }", kDuration(7200), ""},
        {"LongDuration", "max_duration { seconds: 7200 }", kDuration(7201), "a duration of"},
        {"DefaultDuration", "max_duration { seconds: 7776000 }", nullptr, ""},
        {"DefaultDurationTooLong", "max_duration { seconds: 7775999 }", nullptr,
         "a duration of 2160h is not allowed"},
        {"DefaultUsages", "usages: ['key encipherment', 'digital signature']", nullptr, ""},
        {"DefaultUsageThatIsNotAllowed", "usages: ['server auth', 'key encipherment']", nullptr,
         "the usage \"digital signature\" is not allowed"},
        {"ServerUsagesWithNames", "dns_names: '*'",
         kUsages({"server auth", "digital signature"}, {}), ""},
        {"ClientUsageWithNames", "dns_names: '*'", kUsages({"server auth", "client auth"}, {}),
         "the usage \"client auth\" is not allowed"},
        {"UsageOfTheCsrWithNames", "ip_ranges: '0.0.0.0/0' dns_names: '*'",
         kUsages({}, {"any"}), "the usage \"any\" is not allowed"},
        {"CertSignOfTheCsrWithNames", "dns_names: '*'", kUsages({}, {"cert sign"}),
         "the usage \"cert sign\" is not allowed"},
        {"ClientUsageWithoutNames", "namespaces: 'web'", kUsages({"client auth"}, {}), ""},
        {"Usages", "usages: ['digital signature', 'server auth']",
         kUsages({"signing"}, {"server auth"}), ""},
        {"OtherUsageOfTheSpec", "usages: 'server auth'", kUsages({"client auth"}, {}),
         "the usage \"client auth\" is not allowed"},
        {"OtherUsageOfTheCsr", "usages: 'server auth'",
         kUsages({"server auth"}, {"code signing"}), "the usage \"code signing\" is not"},
        {"Ca", "", [](Asked& a) { a.csr.is_ca = true; }, "a CA is not allowed"},
        {"CaBySpec", "", [](Asked& a) { a.request.mutable_spec()->set_is_ca(true); },
         "a CA is not allowed"},
        {"LongDurationWithNames", "dns_names: '*'", kDuration(7776001), "a duration of"},
        {"DefaultDurationWithNames", "dns_names: '*'", nullptr, ""},
        {"AllowedDurationWithNames", "dns_names: '*' max_duration { seconds: 7776001 }",
         kDuration(7776001), ""},
        {"LongDurationWithoutNames", "namespaces: 'web'", kDuration(777600000), ""},
        {"DnsNameWithUrisOnly", "uris: '*'", nullptr, "the DNS name \"www.example.com\""},
        {"DnsNameWithRangesOnly", "ip_ranges: '0.0.0.0/0'", nullptr, "the DNS name"},
        {"DnsNameWithEmailsOnly", "email_addresses: '*'", nullptr, "the DNS name"},
        {"DnsNameWithSubjectsOnly", "subjects: 'O=*'", nullptr, "the DNS name"},
        {"AddressWithUrisOnly", "uris: '*'", kAddress, "the address"},
        {"UriWithEmailsOnly", "email_addresses: '*'", kUri, "the URI"},
        {"EmailWithUrisOnly", "uris: '*'", kEmail, "the e-mail address"},
        {"OtherNameWithSubjects", "subjects: 'O=*'", kOtherName, "1.3.6.1.4.1.311.20.2.3"},
        {"ExtensionWithoutRestriction", "key_algorithms: 'ECDSA'", kExtension, ""},
        {"ExtensionWithNames", "dns_names: '*'", kExtension,
         "the extension 1.3.6.1.4.1.311.25.2 is not allowed"},
        {"SubjectWithoutRestriction", "namespaces: 'web'", kSubject("O=system:masters"), ""},
        {"Organization", "dns_names: '*'", kSubject("O=system:masters"),
         "the subject's O \"system:masters\" is not allowed"},
        {"OrganizationWithUris", "uris: '*'", kSubject("O=system:masters"), "the subject's O"},
        {"OrganizationBesideAName", "dns_names: '*'", kSubject("CN=www.example.com,O=x"),
         "the subject's O \"x\""},
        {"AllowedOrganization", "dns_names: '*' subjects: 'O=Example*'",
         kSubject("O=Example Ltd"), ""},
        {"AllowedByIdentifier", "dns_names: '*' subjects: '2.5.4.10=Example*'",
         kSubject("O=Example Ltd"), ""},
        {"OtherOrganization", "dns_names: '*' subjects: 'O=Example*'",
         kSubject("O=system:masters"), "system:masters"},
        {"OrganizationInCapitals", "dns_names: '*' subjects: 'O=Example'",
         kSubject("O=EXAMPLE"), "the subject's O"},
        {"SecondOrganization", "dns_names: '*' subjects: 'O=Example*'",
         kSubject("O=Example,O=system:masters"), "system:masters"},
        {"UnitInTheSameRelativeName", "dns_names: '*' subjects: 'O=Example*'",
         kSubject("O=Example+OU=admins"), "the subject's OU \"admins\""},
        {"UnitThatLooksLikeTheOrganization", "dns_names: '*' subjects: 'O=Example*'",
         kSubject("OU=Example"), "the subject's OU"},
        {"SerialNumber", "dns_names: '*'", kSubject("serialNumber=7"), "serialNumber \"7\""},
        {"UserId", "dns_names: '*'", kSubject("UID=root"), "the subject's UID \"root\""},
        {"DomainComponent", "dns_names: '*'", kSubject("DC=corp"), "the subject's DC"},
        {"Country", "dns_names: '*'", kSubject("C=DE"), "the subject's C \"DE\""},
        {"Title", "dns_names: '*' subjects: 'O=*'", kSubject("2.5.4.12=boss"),
         "the subject's 2.5.4.12 \"boss\""},
        {"UnknownAttribute", "dns_names: '*' subjects: 'O=*'", kSubject("1.2.3.4=x"),
         "the subject's 1.2.3.4"},
        {"AllowedUnknownAttribute", "dns_names: '*' subjects: '1.2.3.4=x'",
         kSubject("1.2.3.4=x"), ""},
        {"EmailAttribute", "dns_names: '*' subjects: 'O=*'",
         kSubject("1.2.840.113549.1.9.1=root@example.com"), "the e-mail address"},
        {"AllowedEmailAttribute", "dns_names: '*' email_addresses: '*@example.com'",
         kSubject("1.2.840.113549.1.9.1=ann@EXAMPLE.com"), ""},
        {"BmpOrganization", "dns_names: '*' subjects: 'O=Ex'",
         kOrganizationOf(V_ASN1_BMPSTRING, std::string("\0E\0x", 4)), ""},
        {"OtherBmpOrganization", "dns_names: '*' subjects: 'O=Ex'",
         kOrganizationOf(V_ASN1_BMPSTRING, std::string("\0E\0y", 4)), "the subject's O \"Ey\""},
        {"TeletexOrganization", "dns_names: '*' subjects: 'O=*'",
         kOrganizationOf(V_ASN1_T61STRING, "Example"), "the subject's O is no plain text"},
        {"PrintableOrganizationWithOtherOctets", "dns_names: '*' subjects: 'O=*'",
         kOrganizationOf(V_ASN1_PRINTABLESTRING, "Ex\xe4mple"), "is no plain text"},
        {"OrganizationThatIsNoUtf8", "dns_names: '*' subjects: 'O=*'",
         kOrganizationOf(V_ASN1_UTF8STRING, "Ex\xe4mple"), "no DER of a name"},
        {"OrganizationWithNul", "dns_names: '*' subjects: 'O=Example*'",
         kOrganizationOf(V_ASN1_UTF8STRING, std::string("Example\0admins", 14)),
         "is no plain text"},
        {"OrganizationOfBits", "dns_names: '*' subjects: 'O=*'",
         kOrganizationOf(V_ASN1_BIT_STRING, std::string("\0Example", 8)), "is no plain text"},
        {"BrokenSubject", "dns_names: '*' subjects: 'O=*'",
         [](Asked& a) { a.forge = [](pki::Csr& csr) { csr.subject_der = "no DER"; }; },
         "no DER of a name"},
        {"AllowedCa", "allow_ca: true", [](Asked& a) { a.csr.is_ca = true; }, ""},
    }),
    [](const auto& info) { return std::string(info.param.name); });

TEST(ApprovalPolicyTest, WithoutOneEverythingIsApproved) {
  Asked asked = Usual();
  asked.csr.is_ca = true;
  const ApprovalPolicy policy;
  EXPECT_TRUE(policy.approves_everything());
  EXPECT_EQ(Decide(policy, asked).verdict, Verdict::kApprove);
}

TEST(ApprovalPolicyTest, OneRuleThatAllowsAllPartsIsEnough) {
  const ApprovalPolicy policy = MakePolicy(
      "rules { name: 'a' dns_names: '*.org' } rules { name: 'b' dns_names: '*.com' }");
  EXPECT_FALSE(policy.approves_everything());
  EXPECT_EQ(Decide(policy, Usual()).rule, "b");
  // Not two that each allow a half.
  Asked both = Usual();
  both.csr.names.dns_names = {"a.org", "b.com"};
  EXPECT_EQ(Decide(policy, both).verdict, Verdict::kWait);
}

TEST(ApprovalPolicyTest, UnmatchedRequestsWaitOrAreDenied) {
  EXPECT_EQ(Decide(MakePolicy("unmatched: UNMATCHED_REQUEST_WAIT"), Usual()).verdict,
            Verdict::kWait);
  const ApprovalDecision denied =
      Decide(MakePolicy("unmatched: UNMATCHED_REQUEST_DENY"), Usual());
  EXPECT_EQ(denied.verdict, Verdict::kDeny);
  EXPECT_THAT(denied.why, HasSubstr("has no rules"));
}

TEST(ApprovalPolicyTest, NamesTheRuleThatCameNearest) {
  const ApprovalPolicy policy = MakePolicy(
      "rules { name: 'elsewhere' namespaces: 'prod' }"
      "rules { name: 'far' dns_names: '*.org' key_algorithms: 'RSA' }"
      "rules { name: 'near' dns_names: '*.org' }");
  const std::string why = Decide(policy, Usual()).why;
  EXPECT_THAT(why, AllOf(HasSubstr("The nearest is \"near\""), HasSubstr("www.example.com")));
}

TEST(ApprovalPolicyTest, ShowsNotMoreThanThreeReasons) {
  Asked asked = Usual();
  for (int i = 0; i < 50; ++i) {
    asked.csr.names.dns_names.push_back("n" + std::to_string(10 + i) + ".example.com");
  }
  const std::string why =
      Decide(MakePolicy("rules { name: 'one' dns_names: '*.org' }"), asked).why;
  EXPECT_THAT(why, HasSubstr("and 48 more"));
  EXPECT_LT(why.size(), 500u);
}

TEST(ApprovalPolicyTest, EveryProblemOfTheConfigurationIsNamed) {
  std::vector<std::string> problems;
  ApprovalPolicy::Parse(ParseConfig(R"(
      rules { namespaces: '' issuers: 'Issuer/ca' dns_names: 'b*\303\274.example'
              ip_ranges: ['10.0.0.0/8', '10.0.0.0/33'] uris: '' email_addresses: ''
              subjects: ['Example', 'E=x', 'O=', '1.2.840.113549.1.9.1=*']
              key_algorithms: 'DSA' min_rsa_bits: 1024 max_duration { seconds: 60 }
              usages: 'world peace' }
      rules { name: 'a' } rules { name: 'a' })"),
                        problems);
  EXPECT_THAT(problems, ElementsAre(HasSubstr("approval.rules[0].name: is required"),
                                    HasSubstr("approval.rules[0].namespaces[0]: "),
                                    HasSubstr("approval.rules[0].issuers[0]: "),
                                    HasSubstr("approval.rules[0].dnsNames[0]: "),
                                    HasSubstr("approval.rules[0].ipRanges[1]: "),
                                    HasSubstr("approval.rules[0].uris[0]: "),
                                    HasSubstr("approval.rules[0].emailAddresses[0]: "),
                                    HasSubstr("approval.rules[0].subjects[0]: "),
                                    HasSubstr("approval.rules[0].subjects[1]: "),
                                    HasSubstr("approval.rules[0].subjects[2]: "),
                                    HasSubstr("approval.rules[0].subjects[3]: "),
                                    HasSubstr("approval.rules[0].keyAlgorithms[0]: "),
                                    HasSubstr("approval.rules[0].minRsaBits: "),
                                    HasSubstr("approval.rules[0].maxDuration: "),
                                    HasSubstr("approval.rules[0].usages[0]: "),
                                    HasSubstr("approval.rules[2].name: ")));
}

}  // namespace
}  // namespace certwright::issuer_service
