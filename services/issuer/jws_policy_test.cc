#include "services/issuer/jws_policy.h"

#include <string>

#include "absl/strings/ascii.h"
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
                          "https://api.ca.test/acct/1/orders", "https://api.ca.test/account/2",
                          "https://api.ca.test/chall?id=1", "https://api.ca.test:443/cert/%41",
                          "HTTPS://API.CA.TEST/order/1"}) {
    for (const JwsCaller caller :
         {JwsCaller::kOrder, JwsCaller::kSolver, JwsCaller::kUnknown}) {
      EXPECT_THAT(Check(url, caller), base::IsOk()) << url;
    }
  }
}

TEST(CheckJwsUrlTest, RefusesOtherOriginsAndWhatIsNoUrl) {
  for (const char* url :
       {"https://evil.test/order/1", "http://ca.test/authz/1", "https://ca.test:8443/authz/1",
        "https://ca.test.evil.test/authz/1", "https://ca.test@evil.test/authz/1",
        "https://ca.test:443@evil.test/", "https://api.ca.test./acct/1",
        "https://me@api.ca.test/acct/1", "https://%61pi.ca.test/acct/1",
        "https:///api.ca.test/acct/1", "https://ca.test/authz/1#x", "/authz/1", "authz", ""}) {
    EXPECT_THAT(Check(url), base::StatusIs(absl::StatusCode::kPermissionDenied)) << url;
  }
}

// Fault 118.
TEST(CheckJwsUrlTest, RefusesAccountKeyChangeAndRevocationHoweverTheyAreSpelled) {
  const acme::Directory directory = CaDirectory();
  for (const std::string& url : {std::string(kAccountUrl), directory.new_account,
                                 directory.key_change, directory.revoke_cert}) {
    const std::string path = url.substr(url.find_last_of('/') + 1);
    const std::string folder = url.substr(0, url.find_last_of('/'));
    const std::string below_host = url.substr(std::string("https://api.ca.test").size());
    for (const std::string& spelling :
         {url,
          url + "?",
          url + "?x=1",
          url + "/",
          folder + "/./" + path,
          folder + "/x/../" + path,
          folder + "//" + path,
          folder + "%2F" + path,
          folder + "/%2e%2f" + path,
          folder + "/x%2f..%2f" + path,
          url + ";x=1",
          absl::AsciiStrToUpper(url),
          "https://api.ca.test" + absl::AsciiStrToUpper(below_host),
          "https://api.ca.test:443" + below_host,
          "https://ca.test" + below_host,
          "https://api.ca.test:0443//" + below_host,
          url + "%3Fx",
          url + "%23x",
          url + "%00",
          url + "%20",
          url + "%0a",
          url + "%3bx",
          url + "%253Fx",
          url + "%zz"}) {
      EXPECT_THAT(Check(spelling), base::StatusIs(absl::StatusCode::kPermissionDenied))
          << spelling;
    }
  }
  for (const char* url : {"https://api.ca.test/%61cct/1", "https://api.ca.test/%2561cct/1",
                          "https://api.ca.test/%41cct/%31", "https://api.ca.test/%%361cct/1",
                          "https://api.ca.test/Key%2dChange"}) {
    EXPECT_THAT(Check(url), base::StatusIs(absl::StatusCode::kPermissionDenied)) << url;
  }
}

// Fault 118.
TEST(CheckJwsUrlTest, RefusesOtherAccountsAndWhatIsBelowThem) {
  for (const char* path :
       {"acct/2", "acct/12", "acct/1.", "acct/2/orders", "ACCT/2", "%61cct/2", "acct//2",
        "acct/2?x=1", "acct;x/2", "acct/a%62", "Acct/1/orders"}) {
    EXPECT_THAT(Check(absl::StrCat("https://api.ca.test/", path)),
                base::StatusIs(absl::StatusCode::kPermissionDenied))
        << path;
  }
}

TEST(CheckJwsUrlTest, SignsBesideTheAccountIfThatIsWhereTheCaHasItsEndpoints) {
  acme::Directory directory = CaDirectory();
  directory.new_order = "https://ca.test/acme/new-order";
  const auto check = [&](const std::string& url) {
    return CheckJwsUrl(url, JwsCaller::kOrder, directory, kDirectoryUrl,
                       "https://ca.test/acme/1");
  };
  for (const char* path : {"new-order", "2", "order/5", "1/orders"}) {
    EXPECT_THAT(check(absl::StrCat("https://ca.test/acme/", path)), base::IsOk()) << path;
  }
  EXPECT_THAT(check("https://ca.test/ACME/1"),
              base::StatusIs(absl::StatusCode::kPermissionDenied));
}

TEST(CheckJwsUrlTest, AnEndpointThatTheCaLacksReservesNothing) {
  acme::Directory directory = CaDirectory();
  directory.key_change = "";
  EXPECT_THAT(
      CheckJwsUrl("https://ca.test/", JwsCaller::kOrder, directory, kDirectoryUrl, kAccountUrl),
      base::IsOk());
}

TEST(CheckJwsUrlTest, RefusesPathsThatServersReadDifferently) {
  for (const char* path : {"x/../authz/1", "x%2F..%2Fauthz/1", "authz%2f1", "x;%2F..%2Fauthz/1",
                           "..;x/authz/1", "authz%5C1", "%2e%2E/authz/1"}) {
    EXPECT_THAT(Check(absl::StrCat("https://ca.test/", path)),
                base::StatusIs(absl::StatusCode::kPermissionDenied))
        << path;
  }
}

// Fault 118.
TEST(CheckJwsUrlTest, TellsAccountsApartByTheirQuery) {
  const auto check = [](const std::string& url) {
    return CheckJwsUrl(url, JwsCaller::kOrder, CaDirectory(), kDirectoryUrl,
                       "https://ca.test/acct?id=1");
  };
  for (const char* query : {"id=1", "id=%31", "x=2&id=1", "id=1&id=2", "ID=1", "x;id=1", "id=2",
                            "x=2&id=2", "%69d=2"}) {
    EXPECT_THAT(check(absl::StrCat("https://ca.test/acct?", query)),
                base::StatusIs(absl::StatusCode::kPermissionDenied))
        << query;
  }
  EXPECT_THAT(check("https://ca.test/acct?order=1"), base::IsOk());
  EXPECT_THAT(check("https://ca.test/order?id=1"), base::IsOk());
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
