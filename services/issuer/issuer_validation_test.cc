#include "services/issuer/issuer_validation.h"

#include <functional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"
#include "lib/pki/pem.h"
#include "lib/pki/test_ca.h"

namespace certwright::issuer_service {
namespace {

using issuer::v1::AcmeIssuer;
using issuer::v1::AcmeSolver;
using issuer::v1::IssuerSpec;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

IssuerSpec Minimal() {
  IssuerSpec spec;
  spec.mutable_acme()->set_server("https://ca.test/directory");
  spec.mutable_acme()->add_solvers()->mutable_http01();
  auto& rfc2136 = *spec.mutable_acme()->add_solvers()->mutable_dns01()->mutable_rfc2136();
  rfc2136.add_nameservers("192.0.2.53");
  rfc2136.set_tsig_key_name("key");
  rfc2136.mutable_tsig_secret_secret_ref()->set_name("tsig");
  return spec;
}

std::vector<std::string> Validate(IssuerSpec& spec, const std::string& name = "ca") {
  rpc::Violations violations;
  ValidateIssuerSpec(name, spec, violations);
  std::vector<std::string> fields;
  for (const auto& violation : violations.all()) fields.push_back(violation.field);
  return fields;
}

TEST(ValidateIssuerSpecTest, FillsDefaultsIn) {
  IssuerSpec spec = Minimal();
  EXPECT_THAT(Validate(spec), IsEmpty());
  const AcmeIssuer& acme = spec.acme();
  EXPECT_EQ(acme.private_key_secret_ref().name(), "ca-account-key");
  EXPECT_EQ(acme.private_key_secret_ref().key(), "tls.key");
  EXPECT_EQ(acme.account_key_algorithm(), issuer::v1::ACCOUNT_KEY_ALGORITHM_ECDSA_P256);
  EXPECT_EQ(acme.renewal_information(), issuer::v1::RENEWAL_INFORMATION_ARI);
  EXPECT_EQ(acme.solvers(0).name(), "solver-1");
  EXPECT_EQ(acme.solvers(0).self_check().mode(), issuer::v1::SELF_CHECK_MODE_AUTHORITATIVE);
  EXPECT_EQ(acme.solvers(0).self_check().deadline().seconds(), 600);
  const issuer::v1::Dns01Solver& dns01 = acme.solvers(1).dns01();
  EXPECT_EQ(dns01.cname_strategy(), issuer::v1::CNAME_STRATEGY_FOLLOW);
  EXPECT_EQ(dns01.ttl().seconds(), 60);
  EXPECT_EQ(dns01.rfc2136().tsig_algorithm(), issuer::v1::TSIG_ALGORITHM_HMAC_SHA256);
  EXPECT_EQ(dns01.rfc2136().protocol(), issuer::v1::DNS_PROTOCOL_UDP);
  EXPECT_EQ(dns01.rfc2136().tsig_secret_secret_ref().key(), "tsig-secret");
}

TEST(ValidateIssuerSpecTest, LongNameOfAnIssuerStillGivesAValidSecretName) {
  IssuerSpec spec = Minimal();
  EXPECT_THAT(Validate(spec, std::string(63, 'a')), IsEmpty());
}

TEST(ValidateIssuerSpecTest, NormalizesNamesOfSelectorsAndZones) {
  IssuerSpec spec = Minimal();
  AcmeSolver& solver = *spec.mutable_acme()->mutable_solvers(1);
  solver.mutable_selector()->add_dns_names("*.A.example.");
  solver.mutable_selector()->add_dns_zones("B\u00fccher.example");
  solver.mutable_dns01()->mutable_rfc2136()->set_zone("A.Example.");
  solver.mutable_dns01()->add_alias_zones("_ACME.b.example.");
  EXPECT_THAT(Validate(spec), IsEmpty());
  EXPECT_THAT(solver.selector().dns_names(), ElementsAre("*.a.example"));
  EXPECT_THAT(solver.selector().dns_zones(), ElementsAre("xn--bcher-kva.example"));
  EXPECT_EQ(solver.dns01().rfc2136().zone(), "a.example");
  EXPECT_EQ(solver.dns01().alias_zones(0), "_acme.b.example");
}

TEST(ValidateIssuerSpecTest, AcceptsNameserversWithAndWithoutPort) {
  for (const char* server : {"192.0.2.1", "192.0.2.1:5353", "2001:db8::1", "[2001:db8::1]",
                             "[2001:db8::1]:53", "ns.example", "ns.example:53"}) {
    IssuerSpec spec = Minimal();
    spec.mutable_acme()
        ->mutable_solvers(1)
        ->mutable_dns01()
        ->mutable_rfc2136()
        ->set_nameservers(0, server);
    EXPECT_THAT(Validate(spec), IsEmpty()) << server;
  }
}

TEST(ValidateIssuerSpecTest, RefusesOtherNameservers) {
  for (const char* server : {"", "ns.example:", "ns.example:0", "ns.example:65536", ":53",
                             "[192.0.2.1", "[2001:db8::1]x", "[", "a b", "[192.0.2.1]:53",
                             "ns.example: 53", "B\u00fccher.example"}) {
    IssuerSpec spec = Minimal();
    spec.mutable_acme()
        ->mutable_solvers(1)
        ->mutable_dns01()
        ->mutable_rfc2136()
        ->set_nameservers(0, server);
    EXPECT_THAT(Validate(spec),
                ElementsAre("spec.acme.solvers[1].dns01.rfc2136.nameservers[0]"))
        << server;
  }
}

struct Rule {
  std::string field;
  std::function<void(AcmeIssuer&)> violate;
};

void ExpectViolations(const std::vector<Rule>& rules, const std::string& prefix) {
  for (const Rule& rule : rules) {
    IssuerSpec spec = Minimal();
    rule.violate(*spec.mutable_acme());
    EXPECT_THAT(Validate(spec), ElementsAre(prefix + rule.field)) << spec.DebugString();
  }
}

// Fault 106.
TEST(ValidateIssuerSpecTest, TakesEmailAddressesInUnicode) {
  for (const char* email :
       {"j\u00f6rg@example.test", "\u4f8b@b\u00fccher.test", "o'neil+ca@xn--e28h.test"}) {
    IssuerSpec spec = Minimal();
    spec.mutable_acme()->set_email(email);
    EXPECT_THAT(Validate(spec), IsEmpty()) << email;
    EXPECT_EQ(spec.acme().email(), email);
  }
}

TEST(ValidateIssuerSpecTest, ReportsEachBrokenRuleOfTheAccount) {
  ExpectViolations(
      {
          {"server", [](auto& acme) { acme.clear_server(); }},
          {"server", [](auto& acme) { acme.set_server("http://ca.test/directory"); }},
          {"server", [](auto& acme) { acme.set_server("https:///directory"); }},
          {"email", [](auto& acme) { acme.set_email("nobody"); }},
          {"privateKeySecretRef.name",
           [](auto& acme) { acme.mutable_private_key_secret_ref()->set_name("A_b"); }},
          {"externalAccountBinding.keyId",
           [](auto& acme) {
             acme.mutable_external_account_binding()->mutable_key_secret_ref()->set_name("eab");
           }},
          {"externalAccountBinding.keySecretRef.name",
           [](auto& acme) { acme.mutable_external_account_binding()->set_key_id("kid"); }},
          {"preferredChain",
           [](auto& acme) { acme.set_preferred_chain(std::string(65, 'a')); }},
          {"caBundle", [](auto& acme) { acme.set_ca_bundle("not PEM"); }},
          {"solvers",
           [](auto& acme) {
             for (int i = 0; i < 99; ++i) acme.add_solvers()->mutable_http01();
           }},
      },
      "spec.acme.");
}

TEST(ValidateIssuerSpecTest, ReportsEachBrokenRuleOfASolver) {
  const auto solver = [](std::function<void(AcmeSolver&)> violate) {
    return [violate](AcmeIssuer& acme) { violate(*acme.mutable_solvers(0)); };
  };
  ExpectViolations(
      {
          {".name", solver([](auto& s) { s.set_name("A_b"); })},
          {"", solver([](auto& s) { s.clear_http01(); })},
          {".http01.selfCheckPort",
           solver([](auto& s) { s.mutable_http01()->set_self_check_port(65536); })},
          {".selector.matchLabels", solver([](auto& s) {
             (*s.mutable_selector()->mutable_match_labels())["a b"] = "c";
           })},
          {".selector.dnsNames[0]",
           solver([](auto& s) { s.mutable_selector()->add_dns_names("a_b"); })},
          {".selector.dnsZones[0]",
           solver([](auto& s) { s.mutable_selector()->add_dns_zones("a_b"); })},
          {".selfCheck.nameservers[0]",
           solver([](auto& s) { s.mutable_self_check()->add_nameservers("a b"); })},
          // Only addresses: nothing could resolve the name of a recursive nameserver.
          {".selfCheck.nameservers[0]",
           solver([](auto& s) { s.mutable_self_check()->add_nameservers("ns.example"); })},
          {".selfCheck.deadline", solver([](auto& s) {
             s.mutable_self_check()->mutable_deadline()->set_seconds(86401);
           })},
          {".selfCheck.wait",
           solver([](auto& s) { s.mutable_self_check()->mutable_wait()->set_seconds(1); })},
          {".selfCheck.settle",
           solver([](auto& s) { s.mutable_self_check()->mutable_settle()->set_seconds(601); })},
          {".selfCheck.settle",
           solver([](auto& s) { s.mutable_self_check()->mutable_settle()->set_seconds(-1); })},
      },
      "spec.acme.solvers[0]");
}

TEST(ValidateIssuerSpecTest, ReportsEachBrokenRuleOfDns01) {
  const auto dns01 = [](std::function<void(issuer::v1::Dns01Solver&)> violate) {
    return [violate](AcmeIssuer& acme) { violate(*acme.mutable_solvers(1)->mutable_dns01()); };
  };
  ExpectViolations(
      {
          {"", dns01([](auto& d) { d.clear_rfc2136(); })},
          {".ttl", dns01([](auto& d) { d.mutable_ttl()->set_seconds(86401); })},
          {".rfc2136.nameservers",
           dns01([](auto& d) { d.mutable_rfc2136()->clear_nameservers(); })},
          {".rfc2136.nameservers", dns01([](auto& d) {
             for (int i = 0; i < 8; ++i) d.mutable_rfc2136()->add_nameservers("192.0.2.1");
           })},
          {".rfc2136.tsigKeyName",
           dns01([](auto& d) { d.mutable_rfc2136()->clear_tsig_key_name(); })},
          {".rfc2136.tsigKeyName",
           dns01([](auto& d) { d.mutable_rfc2136()->set_tsig_key_name("a key"); })},
          {".rfc2136.tsigSecretSecretRef.name",
           dns01([](auto& d) { d.mutable_rfc2136()->clear_tsig_secret_secret_ref(); })},
          {".rfc2136.zone", dns01([](auto& d) { d.mutable_rfc2136()->set_zone("a_b"); })},
          {".aliasZones[0]", dns01([](auto& d) { d.add_alias_zones("."); })},
      },
      "spec.acme.solvers[1].dns01");
}

TEST(ValidateIssuerSpecTest, RefusesSolversOfTheSameName) {
  IssuerSpec spec = Minimal();
  spec.mutable_acme()->mutable_solvers(0)->set_name("solver-2");
  EXPECT_THAT(Validate(spec), ElementsAre("spec.acme.solvers[1].name"));
}

TEST(ValidateIssuerSpecTest, AcceptsACaBundleAndRefusesASpecOfNoKind) {
  IssuerSpec spec = Minimal();
  spec.mutable_acme()->set_ca_bundle(pki::TestCa().certificate().Pem());
  EXPECT_THAT(Validate(spec), IsEmpty());
  IssuerSpec none;
  EXPECT_THAT(Validate(none), ElementsAre("spec"));
}

IssuerSpec MinimalVault() {
  IssuerSpec spec;
  spec.mutable_vault()->set_server("https://vault.test:8200/");
  spec.mutable_vault()->set_path("/pki/sign/web/");
  spec.mutable_vault()->mutable_token_secret_ref()->set_name("token");
  return spec;
}

TEST(ValidateIssuerSpecTest, AcceptsIssuersThatSignByThemselves) {
  IssuerSpec ca;
  ca.mutable_ca()->set_secret_name("ca");
  ca.mutable_ca()->add_crl_distribution_points("http://crl.test/a");
  ca.mutable_ca()->add_ocsp_servers("http://ocsp.test");
  ca.mutable_ca()->add_issuing_certificate_urls("ldap://ca.test/cn=a");
  EXPECT_THAT(Validate(ca), IsEmpty());
  IssuerSpec self_signed;
  self_signed.mutable_self_signed()->add_crl_distribution_points("http://crl.test/a");
  EXPECT_THAT(Validate(self_signed), IsEmpty());
  IssuerSpec vault = MinimalVault();
  EXPECT_THAT(Validate(vault), IsEmpty());
  EXPECT_EQ(vault.vault().path(), "pki/sign/web");
  EXPECT_EQ(vault.vault().token_secret_ref().key(), "token");
  vault.mutable_vault()->mutable_app_role()->set_role_id("id");
  vault.mutable_vault()->mutable_app_role()->mutable_secret_ref()->set_name("role");
  EXPECT_THAT(Validate(vault), IsEmpty());
  EXPECT_EQ(vault.vault().app_role().path(), "approle");
  EXPECT_EQ(vault.vault().app_role().secret_ref().key(), "secretId");
}

TEST(ValidateIssuerSpecTest, ReportsEachBrokenRuleOfIssuersThatSignByThemselves) {
  const auto ca = [](auto change) {
    IssuerSpec spec;
    spec.mutable_ca()->set_secret_name("ca");
    change(*spec.mutable_ca());
    return Validate(spec);
  };
  EXPECT_THAT(ca([](auto& c) { c.clear_secret_name(); }), ElementsAre("spec.ca.secretName"));
  EXPECT_THAT(ca([](auto& c) { c.add_crl_distribution_points("ftp://a.test"); }),
              ElementsAre("spec.ca.crlDistributionPoints[0]"));
  EXPECT_THAT(ca([](auto& c) { c.add_ocsp_servers("nowhere"); }),
              ElementsAre("spec.ca.ocspServers[0]"));
  EXPECT_THAT(ca([](auto& c) {
                for (int i = 0; i < 2; ++i) c.add_issuing_certificate_urls("http://a.test");
              }),
              ElementsAre("spec.ca.issuingCertificateUrls[1]"));
  EXPECT_THAT(ca([](auto& c) {
                for (int i = 0; i < 17; ++i) {
                  c.add_ocsp_servers(absl::StrCat("http://a.test/", i));
                }
              }),
              ElementsAre("spec.ca.ocspServers"));
  const auto vault = [](auto change) {
    IssuerSpec spec = MinimalVault();
    change(*spec.mutable_vault());
    return Validate(spec);
  };
  EXPECT_THAT(vault([](auto& v) { v.set_server("http://vault.test"); }),
              ElementsAre("spec.vault.server"));
  EXPECT_THAT(vault([](auto& v) { v.set_path("a/../b"); }), ElementsAre("spec.vault.path"));
  EXPECT_THAT(vault([](auto& v) { v.clear_path(); }), ElementsAre("spec.vault.path"));
  EXPECT_THAT(vault([](auto& v) { v.set_namespace_("a b"); }),
              ElementsAre("spec.vault.namespace"));
  EXPECT_THAT(vault([](auto& v) { v.set_ca_bundle("no PEM"); }),
              ElementsAre("spec.vault.caBundle"));
  EXPECT_THAT(vault([](auto& v) { v.clear_auth(); }), ElementsAre("spec.vault"));
  EXPECT_THAT(vault([](auto& v) { v.mutable_token_secret_ref()->clear_name(); }),
              ElementsAre("spec.vault.tokenSecretRef.name"));
  EXPECT_THAT(vault([](auto& v) { v.mutable_app_role()->set_path("a b"); }),
              ElementsAre("spec.vault.appRole.path", "spec.vault.appRole.roleId",
                          "spec.vault.appRole.secretRef.name"));
}

TEST(CheckIssuerIsServedTest, ServesAcmeWithRfc2136Only) {
  EXPECT_THAT(CheckIssuerIsServed(Minimal()), base::IsOk());
  IssuerSpec spec;
  spec.mutable_self_signed();
  EXPECT_THAT(CheckIssuerIsServed(spec), base::IsOk());
  spec = Minimal();
  spec.mutable_acme()->mutable_solvers(1)->mutable_dns01()->mutable_cloudflare();
  EXPECT_THAT(CheckIssuerIsServed(spec), base::StatusIs(absl::StatusCode::kUnimplemented,
                                                        HasSubstr("spec.acme.solvers[1]")));
}

TEST(SecretRefsOfTest, AreThoseOfTheTsigKey) {
  const IssuerSpec spec = Minimal();
  EXPECT_THAT(SecretRefsOf(spec.acme().solvers(0)), IsEmpty());
  const auto refs = SecretRefsOf(spec.acme().solvers(1));
  ASSERT_EQ(refs.size(), 1u);
  EXPECT_EQ(refs[0].name(), "tsig");
}

TEST(ValidateIssuerSpecTest, BoundsTheRateLimits) {
  IssuerSpec spec = Minimal();
  issuer::v1::RateLimits& limits = *spec.mutable_acme()->mutable_rate_limits();
  EXPECT_THAT(Validate(spec), IsEmpty());
  limits.set_orders(1'000'000);
  limits.mutable_certificates_per_domain_window()->set_seconds(31 * 24 * 3600);
  limits.mutable_failed_validations_window()->set_seconds(1);
  EXPECT_THAT(Validate(spec), IsEmpty());
  limits.set_orders(1'000'001);
  limits.set_certificates_per_domain(-1);
  limits.mutable_certificates_per_domain_window()->set_seconds(31 * 24 * 3600 + 1);
  limits.mutable_certificates_per_name_set_window();
  limits.set_failed_validations(-5);
  limits.mutable_failed_validations_window()->set_nanos(-1);
  EXPECT_THAT(Validate(spec), ElementsAre("spec.acme.rateLimits.orders",
                                          "spec.acme.rateLimits.certificatesPerDomain",
                                          "spec.acme.rateLimits.certificatesPerDomainWindow",
                                          "spec.acme.rateLimits.certificatesPerNameSetWindow",
                                          "spec.acme.rateLimits.failedValidations",
                                          "spec.acme.rateLimits.failedValidationsWindow"));
}

// Fault 105.
TEST(ValidateIssuerSpecTest, BringsABundleIntoTheFormThatLibcurlReads) {
  const pki::TestCa one("One");
  const pki::TestCa two("Two");
  const std::string normal = one.certificate().Pem() + two.certificate().Pem();
  const std::string unbroken =
      one.certificate().Pem().substr(0, one.certificate().Pem().size() - 1);
  for (const std::string& bundle :
       {normal, "\xef\xbb\xbf" + normal, "# One\n" + normal, unbroken + two.certificate().Pem(),
        pki::EncodePem("X509 CERTIFICATE", one.certificate().der) +
            pki::EncodePem("TRUSTED CERTIFICATE", two.certificate().der)}) {
    IssuerSpec acme = Minimal();
    acme.mutable_acme()->set_ca_bundle(bundle);
    EXPECT_THAT(Validate(acme), IsEmpty());
    EXPECT_EQ(acme.acme().ca_bundle(), normal);
    IssuerSpec vault = MinimalVault();
    vault.mutable_vault()->set_ca_bundle(bundle);
    EXPECT_THAT(Validate(vault), IsEmpty());
    EXPECT_EQ(vault.vault().ca_bundle(), normal);
  }
}

}  // namespace
}  // namespace certwright::issuer_service
