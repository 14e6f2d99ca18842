#include "services/order/order_service.h"

#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/pki/csr.h"
#include "lib/pki/key.h"

namespace certwright::order {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::string CsrFor(const pki::SubjectAltNames& names) {
  static const auto& key = *new pki::PrivateKey(*pki::PrivateKey::Generate(pki::KeySpec()));
  pki::CsrSpec spec;
  spec.names = names;
  return *pki::CreateCsrPem(spec, key);
}

v1::Order GoodOrder() {
  pki::SubjectAltNames names;
  names.dns_names = {"a.test"};
  v1::Order order;
  order.mutable_spec()->set_request(CsrFor(names));
  order.mutable_spec()->add_dns_names("a.test");
  order.mutable_spec()->mutable_issuer_ref()->set_name("ca");
  return order;
}

v1::Order OrderFor(int dns_names, int ip_addresses) {
  pki::SubjectAltNames names;
  for (int i = 0; i < dns_names; ++i) names.dns_names.push_back(absl::StrCat("n", i, ".test"));
  for (int i = 0; i < ip_addresses; ++i) {
    names.ip_addresses.push_back(absl::StrCat("192.0.2.", i));
  }
  v1::Order order = GoodOrder();
  v1::OrderSpec& spec = *order.mutable_spec();
  spec.set_request(CsrFor(names));
  spec.clear_dns_names();
  for (const std::string& name : names.dns_names) spec.add_dns_names(name);
  for (const std::string& address : names.ip_addresses) spec.add_ip_addresses(address);
  return order;
}

std::vector<std::string> FieldsOf(v1::Order order, std::string* descriptions = nullptr) {
  rpc::Violations violations;
  ValidateOrder(order, violations);
  std::vector<std::string> fields;
  for (const rpc::FieldViolation& violation : violations.all()) {
    fields.push_back(violation.field);
    if (descriptions != nullptr) *descriptions += violation.description + "\n";
  }
  return fields;
}

TEST(ValidateOrderTest, AcceptsAGoodOrder) { EXPECT_THAT(FieldsOf(GoodOrder()), IsEmpty()); }

TEST(ValidateOrderTest, TakesAHundredNamesOfBothKindsTogether) {
  EXPECT_THAT(FieldsOf(OrderFor(100, 0)), IsEmpty());
  EXPECT_THAT(FieldsOf(OrderFor(60, 40)), IsEmpty());
  EXPECT_THAT(FieldsOf(OrderFor(101, 0)), ElementsAre("spec.dnsNames"));
  EXPECT_THAT(FieldsOf(OrderFor(60, 41)), ElementsAre("spec.dnsNames"));
}

TEST(ValidateOrderTest, TakesWhatIsJustWithinItsLimits) {
  v1::Order order = GoodOrder();
  order.mutable_spec()->mutable_duration()->set_seconds(1);
  order.mutable_spec()->set_profile(std::string(64, 'p'));
  order.mutable_spec()->set_replaces(std::string(256, 'r'));
  EXPECT_THAT(FieldsOf(order), IsEmpty());
  order.mutable_spec()->mutable_duration()->set_seconds(0);
  EXPECT_THAT(FieldsOf(order), ElementsAre("spec.duration"));
}

// Fault 44.
TEST(ValidateOrderTest, BringsNamesIntoTheirOneSpelling) {
  v1::Order order = GoodOrder();
  order.mutable_spec()->set_dns_names(0, "A.Test.");
  rpc::Violations violations;
  ValidateOrder(order, violations);
  EXPECT_TRUE(violations.empty());
  EXPECT_EQ(order.spec().dns_names(0), "a.test");
}

TEST(ValidateOrderTest, ReportsEveryBrokenRuleAtOnce) {
  v1::Order order;
  order.mutable_spec()->add_dns_names("a.test");
  order.mutable_spec()->add_dns_names("not a name");
  order.mutable_spec()->add_ip_addresses("1.2.3");
  order.mutable_spec()->mutable_duration()->set_seconds(-1);
  order.mutable_spec()->set_profile(std::string(65, 'p'));
  order.mutable_spec()->set_replaces(std::string(257, 'r'));
  EXPECT_THAT(FieldsOf(order),
              ElementsAre("spec.issuerRef.name", "spec.dnsNames[1]", "spec.ipAddresses[0]",
                          "spec.request", "spec.duration", "spec.profile", "spec.replaces"));
}

TEST(ValidateOrderTest, RefusesARequestForOtherNamesAndSaysWhich) {
  v1::Order order = GoodOrder();
  order.mutable_spec()->add_dns_names("b.test");
  std::string descriptions;
  EXPECT_THAT(FieldsOf(order, &descriptions), ElementsAre("spec.request"));
  EXPECT_THAT(descriptions, HasSubstr("b.test"));
}

TEST(ValidateOrderTest, RefusesWhatAcmeCannotCertify) {
  pki::SubjectAltNames with_email;
  with_email.dns_names = {"a.test"};
  with_email.email_addresses = {"x@a.test"};
  pki::SubjectAltNames with_uri;
  with_uri.dns_names = {"a.test"};
  with_uri.uris = {"spiffe://a.test/x"};
  for (const pki::SubjectAltNames& names : {with_email, with_uri}) {
    v1::Order order = GoodOrder();
    order.mutable_spec()->set_request(CsrFor(names));
    std::string descriptions;
    EXPECT_THAT(FieldsOf(order, &descriptions), Contains("spec.request"));
    EXPECT_THAT(descriptions, HasSubstr("URIs or email addresses"));
  }
}

TEST(ValidateOrderTest, RefusesABadRequestAndAnOrderWithoutNames) {
  v1::Order order = GoodOrder();
  order.mutable_spec()->set_request("no PEM");
  EXPECT_THAT(FieldsOf(order), ElementsAre("spec.request"));
  order = GoodOrder();
  order.mutable_spec()->clear_dns_names();
  EXPECT_THAT(FieldsOf(order), ElementsAre("spec.dnsNames"));
}

}  // namespace
}  // namespace certwright::order
