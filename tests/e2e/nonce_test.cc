// Two hundred certificates of each kind, with nonces rejected as Pebble does by default, and
// with half of them rejected.
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"
#include "tests/harness/world.h"

namespace certwright {
namespace {

using harness::World;

constexpr int kCertificates = 200;
constexpr absl::Duration kTimeout = absl::Minutes(3);

class NonceTest : public testing::TestWithParam<std::tuple<int, bool>> {};

TEST_P(NonceTest, EveryCertificateGetsReady) {
  const auto [rejected_percent, dns] = GetParam();
  harness::WorldOptions options;
  options.nonce_reject_percent = rejected_percent;
  CW_ASSERT_OK_AND_ASSIGN(const auto world, World::Start(options));
  CW_ASSERT_OK(world->CreateClusterIssuer(
      world->MakeClusterIssuer({}, {dns ? "example.test" : "dns.example.test"})));
  std::vector<std::string> names;
  for (int i = 0; i < kCertificates; ++i) {
    names.push_back(absl::StrCat("c", i));
    CW_ASSERT_OK(world->CreateCertificate(
        World::MakeCertificate(names.back(), {absl::StrCat(names.back(), ".example.test")})));
  }
  CW_EXPECT_OK(world->WaitUntilReady(names, kTimeout));
}

INSTANTIATE_TEST_SUITE_P(All, NonceTest,
                         testing::Combine(testing::Values(-1, 50), testing::Bool()),
                         [](const auto& info) {
                           const int percent = std::get<0>(info.param);
                           return absl::StrCat(std::get<1>(info.param) ? "Dns01" : "Http01",
                                               percent < 0 ? "Default" : "HalfRejected");
                         });

}  // namespace
}  // namespace certwright
