#include "lib/pki/extensions.h"

#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"

namespace certwright::pki {
namespace {

using base::StatusIs;
using testing::ElementsAre;
using testing::UnorderedElementsAre;

// Adds an extension in the words of OpenSSL's configuration.
void Add(STACK_OF(X509_EXTENSION) * extensions, int nid, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, nullptr, nullptr, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value);
  ASSERT_NE(extension, nullptr) << value;
  ASSERT_GT(sk_X509_EXTENSION_push(extensions, extension), 0);
}

class ExtensionsTest : public testing::Test {
 protected:
  OpensslPtr<STACK_OF(X509_EXTENSION)> extensions_{sk_X509_EXTENSION_new_null()};
  OpensslErrorScope scope_;
};

TEST_F(ExtensionsTest, OnlyOtherNamesThatAreUtf8StringsAreHeld) {
  Add(extensions_.get(), NID_subject_alt_name,
      "DNS:a.example,otherName:1.2.3;IA5STRING:x,otherName:1.2.4;UTF8:y,RID:1.2.5,"
      "otherName:1.2.6;UTF8:");
  CW_ASSERT_OK_AND_ASSIGN(ExtensionValues values, DecodeExtensions(extensions_.get()));
  EXPECT_THAT(values.names.dns_names, ElementsAre("a.example"));
  EXPECT_THAT(values.names.other_names, ElementsAre(OtherName{"1.2.4", "y"}));
  EXPECT_THAT(values.other_name_kinds,
              UnorderedElementsAre("otherName", "registeredID", "otherName"));
}

TEST_F(ExtensionsTest, NameConstraintsOfOtherKindsAreNamed) {
  Add(extensions_.get(), NID_name_constraints,
      "permitted;DNS:Example.com,permitted;RID:1.2.3,permitted;email:Jo@example.com,"
      "excluded;IP:192.0.2.7/255.255.255.0,excluded;IP:192.0.2.0/255.0.255.0");
  CW_ASSERT_OK_AND_ASSIGN(ExtensionValues values, DecodeExtensions(extensions_.get()));
  EXPECT_FALSE(values.name_constraints.critical);
  EXPECT_THAT(values.name_constraints.permitted.dns_domains, ElementsAre("example.com"));
  EXPECT_THAT(values.name_constraints.permitted.email_addresses, ElementsAre("Jo@example.com"));
  EXPECT_THAT(values.name_constraints.excluded.ip_ranges, ElementsAre("192.0.2.0/24"));
  EXPECT_THAT(values.name_constraints.other_kinds,
              ElementsAre("permitted registeredID", "excluded iPAddress"));
}

TEST_F(ExtensionsTest, RefusesTheSameExtensionTwice) {
  Add(extensions_.get(), NID_name_constraints, "permitted;DNS:a.example");
  Add(extensions_.get(), NID_name_constraints, "permitted;DNS:b.example");
  EXPECT_THAT(DecodeExtensions(extensions_.get()),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace certwright::pki
