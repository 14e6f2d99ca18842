#include "services/issuer/jws_policy.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"

namespace certwright::issuer_service {
namespace {

constexpr char kDirectoryUrl[] = "https://ca.test/directory";
constexpr char kAccountUrl[] = "https://api.ca.test/acct/1";

acme::Directory CaDirectory() {
  acme::Directory directory;
  directory.new_account = "https://api.ca.test/new-account";
  directory.new_order = "https://api.ca.test/new-order";
  directory.key_change = "https://api.ca.test/key-change";
  directory.revoke_cert = "https://api.ca.test/revoke-cert";
  return directory;
}

absl::Status Check(const std::string& url, JwsCaller caller = JwsCaller::kOrder) {
  return CheckJwsUrl(url, caller, CaDirectory(), kDirectoryUrl, kAccountUrl);
}

TEST(CheckJwsUrlTest, SignsForResourcesOfTheCasOwnOrigins) {
  for (const char* url : {"https://ca.test/authz/1", "https://api.ca.test/order/1/finalize",
                          "https://api.ca.test/acct/1/orders", "https://api.ca.test/acct/12",
                          "https://api.ca.test/chall?id=1"}) {
    for (const JwsCaller caller :
         {JwsCaller::kOrder, JwsCaller::kSolver, JwsCaller::kUnknown}) {
      EXPECT_THAT(Check(url, caller), base::IsOk()) << url;
    }
  }
}

TEST(CheckJwsUrlTest, RefusesOtherOriginsAndWhatIsNoUrl) {
  for (const char* url : {"https://evil.test/order/1", "http://ca.test/authz/1",
                          "https://ca.test:8443/authz/1", "https://ca.test.evil.test/authz/1",
                          "https://ca.test@evil.test/authz/1", "https://ca.test:443@evil.test/",
                          "https://ca.test/authz/1#x", "/authz/1", "authz", ""}) {
    EXPECT_THAT(Check(url), base::StatusIs(absl::StatusCode::kPermissionDenied)) << url;
  }
}

TEST(CheckJwsUrlTest, RefusesAccountKeyChangeAndRevocationHoweverTheyAreSpelled) {
  const acme::Directory directory = CaDirectory();
  for (const std::string& url : {std::string(kAccountUrl), directory.new_account,
                                 directory.key_change, directory.revoke_cert}) {
    const std::string path = url.substr(url.find_last_of('/') + 1);
    const std::string folder = url.substr(0, url.find_last_of('/'));
    for (const std::string& spelling :
         {url, url + "?", url + "?x=1", url + "/", folder + "/./" + path,
          folder + "/x/../" + path, folder + "//" + path, folder + "%2F" + path,
          folder + "/%2e%2f" + path, folder + "/x%2f..%2f" + path, url + ";x=1"}) {
      EXPECT_THAT(Check(spelling), base::StatusIs(absl::StatusCode::kPermissionDenied))
          << spelling;
    }
  }
  EXPECT_THAT(Check("https://api.ca.test/%61cct/1"),
              base::StatusIs(absl::StatusCode::kPermissionDenied));
}

TEST(CheckJwsUrlTest, RefusesPathsThatServersReadDifferently) {
  for (const char* path : {"x/../authz/1", "x%2F..%2Fauthz/1", "authz%2f1", "x;%2F..%2Fauthz/1",
                           "..;x/authz/1", "authz%5C1", "%2e%2E/authz/1"}) {
    EXPECT_THAT(Check(absl::StrCat("https://ca.test/", path)),
                base::StatusIs(absl::StatusCode::kPermissionDenied))
        << path;
  }
}

TEST(CheckJwsUrlTest, TellsAccountsApartByTheirQuery) {
  const auto check = [](const std::string& url) {
    return CheckJwsUrl(url, JwsCaller::kOrder, CaDirectory(), kDirectoryUrl,
                       "https://ca.test/acct?id=1");
  };
  for (const char* query : {"id=1", "id=%31", "x=2&id=1", "id=1&id=2"}) {
    EXPECT_THAT(check(absl::StrCat("https://ca.test/acct?", query)),
                base::StatusIs(absl::StatusCode::kPermissionDenied))
        << query;
  }
  EXPECT_THAT(check("https://ca.test/acct?id=2"), base::IsOk());
}

TEST(CheckJwsUrlTest, OnlyTheSolverServiceMayNotPlaceOrders) {
  const std::string url = CaDirectory().new_order;
  EXPECT_THAT(Check(url, JwsCaller::kOrder), base::IsOk());
  EXPECT_THAT(Check(url, JwsCaller::kUnknown), base::IsOk());
  EXPECT_THAT(Check(url, JwsCaller::kSolver),
              base::StatusIs(absl::StatusCode::kPermissionDenied));
  EXPECT_THAT(Check(url + "?x", JwsCaller::kSolver),
              base::StatusIs(absl::StatusCode::kPermissionDenied));
}

}  // namespace
}  // namespace certwright::issuer_service
