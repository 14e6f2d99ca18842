#include "lib/service/metadata.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace certwright::service {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

meta::v1::ObjectMeta Metadata(const std::string& resource_namespace, const std::string& name) {
  meta::v1::ObjectMeta metadata;
  metadata.set_namespace_(resource_namespace);
  metadata.set_name(name);
  return metadata;
}

std::vector<std::string> BrokenFields(const meta::v1::ObjectMeta& metadata,
                                      bool cluster = false) {
  rpc::Violations violations;
  CheckMetadata(metadata, cluster, violations);
  std::vector<std::string> fields;
  for (const auto& violation : violations.all()) fields.push_back(violation.field);
  return fields;
}

TEST(MetadataTest, AnEmptyNamespaceBecomesDefaultUnlessTheKindIsClusterWide) {
  meta::v1::ObjectMeta metadata = Metadata("", "a");
  ApplyDefaultNamespace(metadata, true);
  EXPECT_EQ(metadata.namespace_(), "");
  ApplyDefaultNamespace(metadata, false);
  EXPECT_EQ(metadata.namespace_(), "default");
  metadata.set_namespace_("web");
  ApplyDefaultNamespace(metadata, false);
  EXPECT_EQ(metadata.namespace_(), "web");
}

TEST(MetadataTest, GoodMetadataBreaksNoRule) {
  meta::v1::ObjectMeta metadata = Metadata("web", "a-1");
  (*metadata.mutable_labels())["team"] = "web";
  (*metadata.mutable_annotations())["note"] = "any text: even \n this";
  EXPECT_THAT(BrokenFields(metadata), IsEmpty());
  EXPECT_THAT(BrokenFields(Metadata("", "a-1"), /*cluster=*/true), IsEmpty());
}

TEST(MetadataTest, EveryBrokenRuleIsReported) {
  meta::v1::ObjectMeta metadata = Metadata("Web", "a_b");
  (*metadata.mutable_labels())["bad key"] = "x";
  (*metadata.mutable_annotations())["bad key"] = "x";
  EXPECT_THAT(BrokenFields(metadata),
              UnorderedElementsAre("metadata.namespace", "metadata.name", "metadata.labels",
                                   "metadata.annotations"));
}

TEST(MetadataTest, ClusterWideKindsHaveNoNamespace) {
  EXPECT_THAT(BrokenFields(Metadata("web", "a"), /*cluster=*/true),
              ElementsAre("metadata.namespace"));
}

TEST(MetadataTest, AtMost64Labels) {
  meta::v1::ObjectMeta metadata = Metadata("web", "a");
  for (int i = 0; i < 64; ++i) (*metadata.mutable_labels())[absl::StrCat("key", i)] = "x";
  EXPECT_THAT(BrokenFields(metadata), IsEmpty());
  (*metadata.mutable_labels())["one-more"] = "x";
  EXPECT_THAT(BrokenFields(metadata), ElementsAre("metadata.labels"));
}

TEST(MetadataTest, AtMost64KiBOfAnnotations) {
  meta::v1::ObjectMeta metadata = Metadata("web", "a");
  (*metadata.mutable_annotations())["a"] = std::string((64 << 10) - 1, 'x');
  EXPECT_THAT(BrokenFields(metadata), IsEmpty());
  (*metadata.mutable_annotations())["b"] = "";
  EXPECT_THAT(BrokenFields(metadata), ElementsAre("metadata.annotations"));
}

TEST(MetadataTest, AnIssuerRefNeedsAName) {
  rpc::Violations violations;
  CheckIssuerRef(meta::v1::IssuerRef(), "spec.issuerRef", violations);
  ASSERT_EQ(violations.all().size(), 1u);
  EXPECT_EQ(violations.all()[0].field, "spec.issuerRef.name");
}

TEST(MetadataTest, EventTypesSurviveTheWayToProtoAndBack) {
  using controller::EventType;
  for (const EventType type :
       {EventType::kAdded, EventType::kModified, EventType::kDeleted, EventType::kBookmark}) {
    EXPECT_NE(ToProto(type), meta::v1::EVENT_TYPE_UNSPECIFIED);
    EXPECT_EQ(FromProto(ToProto(type)), type);
  }
}

}  // namespace
}  // namespace certwright::service
