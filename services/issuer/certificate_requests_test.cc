#include "services/issuer/certificate_requests.h"

#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace certwright::issuer_service {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

CertificateRequests::Shared Request(const std::string& name, const std::string& owner,
                                    const std::string& kind = "Certificate") {
  auto request = std::make_shared<issuer::v1::CertificateRequest>();
  request->mutable_metadata()->set_namespace_("web");
  request->mutable_metadata()->set_name(name);
  request->mutable_metadata()->mutable_owner()->set_kind(kind);
  request->mutable_metadata()->mutable_owner()->set_namespace_("web");
  request->mutable_metadata()->mutable_owner()->set_name(owner);
  return request;
}

std::vector<std::string> NamesOf(const CertificateRequests& requests, const std::string& key) {
  std::vector<std::string> names;
  for (const auto& request : requests.Of(key)) names.push_back(request->metadata().name());
  return names;
}

TEST(CertificateRequestsTest, TellsTheRequestsOfEachCertificate) {
  CertificateRequests requests;
  requests.Replace(nullptr, Request("a-1", "a"));
  requests.Replace(nullptr, Request("a-2", "a"));
  requests.Replace(nullptr, Request("b-1", "b"));
  EXPECT_THAT(NamesOf(requests, "web/a"), ElementsAre("a-1", "a-2"));
  EXPECT_THAT(NamesOf(requests, "web/b"), ElementsAre("b-1"));
  EXPECT_THAT(NamesOf(requests, "shop/a"), IsEmpty());
}

TEST(CertificateRequestsTest, LeavesOutRequestsThatNoCertificateOwns) {
  CertificateRequests requests;
  requests.Replace(nullptr, Request("a-1", "a", "Robot"));
  requests.Replace(nullptr, Request("a-2", "", ""));
  EXPECT_THAT(NamesOf(requests, "web/a"), IsEmpty());
}

TEST(CertificateRequestsTest, ForgetsDeletedRequestsAndHoldsTheNewestState) {
  CertificateRequests requests;
  const auto first = Request("a-1", "a");
  auto marked = std::make_shared<issuer::v1::CertificateRequest>(*first);
  marked->mutable_metadata()->mutable_delete_time()->set_seconds(1);
  requests.Replace(nullptr, first);
  requests.Replace(first, marked);
  ASSERT_THAT(NamesOf(requests, "web/a"), ElementsAre("a-1"));
  EXPECT_TRUE(requests.Of("web/a").front()->metadata().has_delete_time());
  requests.Replace(marked, nullptr);
  EXPECT_THAT(NamesOf(requests, "web/a"), IsEmpty());
}

}  // namespace
}  // namespace certwright::issuer_service
