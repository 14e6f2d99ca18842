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

TEST(MetadataTest, LabelsCountTowardsTheBytesOfAnnotations) {
  meta::v1::ObjectMeta metadata = Metadata("web", "a");
  (*metadata.mutable_annotations())["a"] = std::string((64 << 10) - 1, 'x');
  (*metadata.mutable_labels())["b"] = "";
  EXPECT_THAT(BrokenFields(metadata), ElementsAre("metadata.annotations"));
}

TEST(MetadataTest, AtMost256Annotations) {
  meta::v1::ObjectMeta metadata = Metadata("web", "a");
  for (int i = 0; i < 256; ++i) (*metadata.mutable_annotations())[absl::StrCat("key", i)] = "";
  EXPECT_THAT(BrokenFields(metadata), IsEmpty());
  (*metadata.mutable_annotations())["one-more"] = "";
  EXPECT_THAT(BrokenFields(metadata), ElementsAre("metadata.annotations"));
}

TEST(MetadataTest, AnOwnerIsNamedByTheRulesOfNames) {
  struct Case {
    const char* what;
    std::string kind, resource_namespace, name, uid;
    std::vector<std::string> broken;
  };
  const std::string uuid = "01234567-89ab-4cde-8f01-23456789abcd";
  const Case cases[] = {
      {"a namespaced owner", "Certificate", "web", "a", uuid, {}},
      {"a cluster-wide owner", "ClusterIssuer", "", "a", uuid, {}},
      {"without a uid", "Certificate", "web", "a", "", {}},
      {"nothing", "", "", "", "", {"metadata.owner.kind", "metadata.owner.name"}},
      {"a megabyte each",
       std::string(1 << 20, 'k'),
       std::string(1 << 20, 'n'),
       std::string(1 << 20, 'a'),
       std::string(1 << 20, '0'),
       {"metadata.owner.kind", "metadata.owner.namespace", "metadata.owner.name",
        "metadata.owner.uid"}},
      {"lines",
       "Certificate\n",
       "web\n",
       "a\n",
       uuid + "\n",
       {"metadata.owner.kind", "metadata.owner.namespace", "metadata.owner.name",
        "metadata.owner.uid"}},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.what);
    meta::v1::ObjectMeta metadata = Metadata("web", "a");
    metadata.mutable_owner()->set_kind(c.kind);
    metadata.mutable_owner()->set_namespace_(c.resource_namespace);
    metadata.mutable_owner()->set_name(c.name);
    metadata.mutable_owner()->set_uid(c.uid);
    EXPECT_EQ(BrokenFields(metadata), c.broken);
  }
}

TEST(MetadataTest, WhatTheServerSetsIsShortToo) {
  meta::v1::ObjectMeta metadata = Metadata("web", "a");
  metadata.set_uid(std::string(65, '0'));
  metadata.set_resource_version(std::string(65, '0'));
  EXPECT_THAT(BrokenFields(metadata), ElementsAre("metadata.uid", "metadata.resourceVersion"));
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
