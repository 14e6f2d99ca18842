#include "lib/service/issuer_ref.h"

#include "gtest/gtest.h"

namespace certwright::service {
namespace {

meta::v1::IssuerRef Ref(meta::v1::IssuerKind kind) {
  meta::v1::IssuerRef ref;
  ref.set_name("ca");
  ref.set_kind(kind);
  return ref;
}

TEST(IssuerRefTest, TheKeyHasKindNamespaceAndName) {
  EXPECT_EQ(IssuerKey(Ref(meta::v1::ISSUER_KIND_UNSPECIFIED), "web"), "Issuer web/ca");
  EXPECT_EQ(IssuerKey(Ref(meta::v1::ISSUER_KIND_ISSUER), "web"), "Issuer web/ca");
  EXPECT_EQ(IssuerKey(Ref(meta::v1::ISSUER_KIND_CLUSTER_ISSUER), "web"), "ClusterIssuer ca");
}

TEST(IssuerRefTest, AKindThatIsNotGivenIsIssuer) {
  EXPECT_STREQ(IssuerKindName(Ref(meta::v1::ISSUER_KIND_UNSPECIFIED)), "Issuer");
  EXPECT_STREQ(IssuerKindName(Ref(meta::v1::ISSUER_KIND_CLUSTER_ISSUER)), "ClusterIssuer");
}

}  // namespace
}  // namespace certwright::service
