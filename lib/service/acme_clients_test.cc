#include "lib/service/acme_clients.h"

#include <malloc.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "boost/asio/io_context.hpp"
#include "gtest/gtest.h"
#include "lib/base/fake_clock.h"
#include "lib/http/fake_http_client.h"
#include "lib/runtime/fake_timers.h"

namespace certwright::service {
namespace {

class AcmeClientsTest : public testing::Test {
 protected:
  static issuer::v1::AcmeIssuer Spec(const std::string& ca_bundle) {
    issuer::v1::AcmeIssuer spec;
    spec.set_server("https://ca.test/directory");
    spec.set_ca_bundle(ca_bundle);
    return spec;
  }

  boost::asio::io_context loop_;
  base::FakeClock clock_;
  runtime::FakeTimers timers_{clock_};
  base::FixedRandom random_;
  http::FakeHttpClient http_;
  telemetry::Metrics metrics_;
  AcmeClients clients_{Environment{loop_.get_executor(), timers_, random_, http_, metrics_}};
};

TEST_F(AcmeClientsTest, IssuersOfTheSameDirectoryAndTrustShareOne) {
  const auto client = clients_.For(Spec("a"));
  EXPECT_EQ(clients_.For(Spec("a")), client);
  EXPECT_NE(clients_.For(Spec("b")), client);
  issuer::v1::AcmeIssuer other = Spec("a");
  other.set_server("https://other.test/directory");
  EXPECT_NE(clients_.For(other), client);
  issuer::v1::AcmeIssuer unverified = Spec("a");
  unverified.set_skip_tls_verify(true);
  EXPECT_NE(clients_.For(unverified), client);
}

// Fault 117. A CA bundle is as large as an object may be, and somebody may change it often.
TEST_F(AcmeClientsTest, NothingIsKeptOfWhatNobodyUses) {
  constexpr std::size_t kBundle = 100'000;
  const auto kept = clients_.For(Spec("kept"));
  const std::size_t before = mallinfo2().uordblks;
  for (int i = 0; i < 300; ++i) {
    clients_.For(Spec(absl::StrCat(i, std::string(kBundle, 'x'))));
  }
  EXPECT_LT(mallinfo2().uordblks, before + 10 * kBundle);
  EXPECT_EQ(clients_.For(Spec("kept")), kept);
}

// Fault 117.
TEST_F(AcmeClientsTest, ServersThatNobodyUsesAreForgottenToo) {
  constexpr std::size_t kUrl = 2'000;
  const auto kept = clients_.For(Spec("kept"));
  const std::size_t before = mallinfo2().uordblks;
  for (int i = 0; i < 1'000; ++i) {
    issuer::v1::AcmeIssuer spec = Spec("kept");
    spec.set_server(absl::StrCat("https://ca.test/", i, std::string(kUrl, 'x')));
    spec.set_skip_tls_verify(i % 2 == 0);
    clients_.For(spec);
  }
  EXPECT_LT(mallinfo2().uordblks, before + 50 * kUrl);
  EXPECT_EQ(clients_.For(Spec("kept")), kept);
}

// Fault 117.
TEST_F(AcmeClientsTest, WhoComesBackAfterItWasForgottenGetsAnother) {
  std::weak_ptr<acme::AcmeClient> gone = clients_.For(Spec("a"));
  EXPECT_TRUE(gone.expired());
  const auto again = clients_.For(Spec("a"));
  ASSERT_NE(again, nullptr);
  const auto other = clients_.For(Spec("b"));
  EXPECT_EQ(clients_.For(Spec("a")), again);
}

}  // namespace
}  // namespace certwright::service
