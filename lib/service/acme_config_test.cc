#include "lib/service/acme_config.h"

#include <cstdlib>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace certwright::service {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

TEST(AcmeConfigTest, DefaultsAllowPublicAddressesWithoutAProxy) {
  EXPECT_THAT(ValidateAcme({}), IsEmpty());
  const http::CurlHttpClientOptions options = ToHttpOptions({}, "agent");
  EXPECT_EQ(options.user_agent, "agent");
  EXPECT_TRUE(options.allow_address("9.9.9.9", 443));
  EXPECT_FALSE(options.allow_address("127.0.0.1", 443));
  EXPECT_FALSE(options.proxy.has_value());
}

TEST(AcmeConfigTest, NamesEveryProblem) {
  config::v1::Acme config;
  config.mutable_request_timeout()->set_nanos(1);
  config.add_allowed_ranges("10.0.0.0/33");
  config.mutable_proxy()->set_url("http://user:hunter2@proxy.test");
  EXPECT_THAT(ValidateAcme(config),
              ElementsAre(HasSubstr("acme.requestTimeout: "), HasSubstr("acme.allowedRanges: "),
                          AllOf(HasSubstr("acme.proxy.url: "), Not(HasSubstr("hunter2")))));
}

TEST(AcmeConfigTest, TakesTheProxyFromTheConfiguration) {
  config::v1::Acme config;
  config.add_allowed_ranges("127.0.0.0/8");
  config.mutable_proxy()->set_url("http://proxy.test:3128");
  config.mutable_proxy()->add_no_proxy("corp.test");
  ASSERT_THAT(ValidateAcme(config), IsEmpty());
  const http::CurlHttpClientOptions options = ToHttpOptions(config, "agent");
  ASSERT_TRUE(options.proxy.has_value());
  EXPECT_EQ(options.proxy->url(), "http://proxy.test:3128");
  EXPECT_FALSE(options.proxy->Serves("ca.corp.test"));
  // The policy stays, for what is reached without the proxy.
  EXPECT_TRUE(options.allow_address("127.0.0.1", 443));
  EXPECT_FALSE(options.allow_address("10.0.0.1", 443));
}

TEST(AcmeConfigTest, TellsOfProxyVariables) {
  for (const std::string& name : ProxyVariables()) unsetenv(name.c_str());
  EXPECT_THAT(ProxyVariables(), IsEmpty());
  ASSERT_EQ(setenv("https_proxy", "http://proxy.test", 1), 0);
  ASSERT_EQ(setenv("NO_PROXY", "", 1), 0);
  EXPECT_THAT(ProxyVariables(), ElementsAre("https_proxy"));
}

}  // namespace
}  // namespace certwright::service
