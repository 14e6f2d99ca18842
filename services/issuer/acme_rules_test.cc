#include "services/issuer/acme_rules.h"

#include <functional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace certwright::issuer_service {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// A DNS name of so many characters.
std::string NameOf(std::size_t length) {
  std::string name = "example.test";
  while (name.size() < length) {
    const std::size_t more = std::min<std::size_t>(63, length - name.size() - 1);
    name = absl::StrCat(std::string(more, 'a'), ".", name);
  }
  return name;
}

issuer::v1::AcmeIssuer IssuerWith(bool dns01, bool http01) {
  issuer::v1::AcmeIssuer issuer;
  if (dns01) issuer.add_solvers()->mutable_dns01();
  if (http01) issuer.add_solvers()->mutable_http01();
  return issuer;
}

std::vector<std::string> Broken(const std::function<void(AskedOfAcme&)>& change,
                                const issuer::v1::AcmeIssuer& issuer = IssuerWith(true, true)) {
  AskedOfAcme asked;
  asked.names.dns_names = {"a.example"};
  change(asked);
  rpc::Violations violations;
  CheckAcmeSigns(asked, issuer, violations);
  std::vector<std::string> fields;
  for (const auto& violation : violations.all()) fields.push_back(violation.field);
  return fields;
}

TEST(CheckAcmeSignsTest, RefusesWhatNoAcmeServerSigns) {
  EXPECT_THAT(Broken([](auto&) {}), IsEmpty());
  EXPECT_THAT(Broken([](auto& asked) { asked.common_name = "A.Example"; }), IsEmpty());
  EXPECT_THAT(Broken([](auto& asked) { asked.common_name = "b.example"; }),
              ElementsAre("spec.commonName"));
  EXPECT_THAT(Broken([](auto& asked) { asked.common_name = "My service"; }),
              ElementsAre("spec.commonName"));
  EXPECT_THAT(Broken([](auto& asked) { asked.is_ca = true; }), ElementsAre("spec.isCa"));
  EXPECT_THAT(Broken([](auto& asked) { asked.names.uris = {"urn:a"}; }),
              ElementsAre("spec.uris"));
  EXPECT_THAT(Broken([](auto& asked) { asked.names.email_addresses = {"a@b.example"}; }),
              ElementsAre("spec.emailAddresses"));
  EXPECT_THAT(Broken([](auto& asked) {
                asked.names.other_names = {{"1.2.3", "v"}};
              }),
              ElementsAre("spec.otherNames"));
  EXPECT_THAT(Broken([](auto& asked) {
                asked.names = {};
                asked.common_name = "a.example";
              }),
              ElementsAre("spec.dnsNames", "spec.commonName"));
  EXPECT_THAT(Broken([](auto& asked) { asked.names.ip_addresses = {"192.0.2.1"}; }), IsEmpty());
}

// Fault 120.
TEST(CheckAcmeSignsTest, SaysWhereAServerLooksForNames) {
  for (const char* common_name : {"www.example.test", "192.0.2.1", "My Site"}) {
    AskedOfAcme asked;
    asked.common_name = common_name;
    rpc::Violations violations;
    CheckAcmeSigns(asked, IssuerWith(true, true), violations);
    EXPECT_THAT(std::string(violations.ToStatus().message()),
                testing::HasSubstr("among the subject alternative names only"));
  }
}

// Fault 109.
TEST(CheckAcmeSignsTest, AnOrderHasAtMostAHundredNames) {
  for (const int more : {0, 1, 50}) {
    const auto broken = Broken([more](AskedOfAcme& asked) {
      asked.names.dns_names.clear();
      for (int i = 0; i < 60; ++i) asked.names.dns_names.push_back(absl::StrCat(i, ".test"));
      for (int i = 0; i < 40 + more; ++i) {
        asked.names.ip_addresses.push_back(absl::StrCat("192.0.2.", i));
      }
    });
    EXPECT_EQ(broken.size(), more > 0 ? 1u : 0u) << more;
  }
}

// Fault 109.
TEST(CheckAcmeSignsTest, ANameForDns01LeavesRoomForTheNameOfItsRecord) {
  const auto with = [](std::string name) {
    return
        [name = std::move(name)](AskedOfAcme& asked) { asked.names.dns_names.push_back(name); };
  };
  const issuer::v1::AcmeIssuer dns01 = IssuerWith(true, false);
  EXPECT_THAT(Broken(with(NameOf(237)), dns01), IsEmpty());
  EXPECT_THAT(Broken(with(NameOf(238)), dns01), ElementsAre("spec.dnsNames[1]"));
  EXPECT_THAT(Broken(with(NameOf(253)), dns01), ElementsAre("spec.dnsNames[1]"));
  EXPECT_THAT(Broken(with(absl::StrCat("*.", NameOf(237))), dns01), IsEmpty());
  // By HTTP-01 it may be proven all the same.
  EXPECT_THAT(Broken(with(NameOf(253)), IssuerWith(true, true)), IsEmpty());
  EXPECT_THAT(Broken(with(NameOf(253)), IssuerWith(false, true)), IsEmpty());
  EXPECT_THAT(Broken(with(NameOf(253)), IssuerWith(false, false)), IsEmpty());
  EXPECT_THAT(Broken(with(absl::StrCat("*.", NameOf(238))), IssuerWith(true, true)),
              ElementsAre("spec.dnsNames[1]"));
}

}  // namespace
}  // namespace certwright::issuer_service
