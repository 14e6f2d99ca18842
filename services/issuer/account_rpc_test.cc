#include "services/issuer/account_rpc.h"

#include <memory>
#include <string>

#include "boost/json/parse.hpp"
#include "boost/json/value.hpp"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/base64.h"
#include "lib/pki/jose.h"
#include "services/issuer/issuer_rpc_testing.h"

namespace certwright::issuer_service {
namespace {

namespace v1 = issuer::v1;

using base::StatusIs;
using testing::ElementsAre;
using testing::HasSubstr;

using Stub = v1::AccountService::StubInterface;

constexpr char kAccountUrl[] = "https://ca.test/account/1";
constexpr char kNewOrderUrl[] = "https://ca.test/new-order";
constexpr char kDirectory[] = R"({
  "newNonce": "https://ca.test/nonce", "newAccount": "https://ca.test/new-account",
  "newOrder": "https://ca.test/new-order", "revokeCert": "https://ca.test/revoke",
  "keyChange": "https://ca.test/key-change"})";

class AccountRpcTest : public RpcWorld {
 protected:
  explicit AccountRpcTest(Transport transport = Transport::kPlaintext) : RpcWorld(transport) {
    http_.On("GET", "https://ca.test/directory").Reply(200, kDirectory);
  }

  static v1::SignJwsRequest RequestFor(const std::string& url) {
    v1::SignJwsRequest request;
    request.mutable_issuer_ref()->set_name("ca");
    request.set_namespace_("web");
    request.set_url(url);
    request.set_nonce("nonce-1");
    request.set_payload("{}");
    return request;
  }
  absl::StatusOr<v1::SignJwsResponse> Sign(Stub& stub, const std::string& url) {
    return Call(stub, &Stub::SignJws, RequestFor(url));
  }
  std::unique_ptr<Stub> StubOf(const std::string& client_name) {
    return v1::AccountService::NewStub(Channel(client_name));
  }
  static std::string Decode(const boost::json::value& jws, const char* member) {
    return base::Base64UrlDecode(std::string(jws.at(member).as_string())).value();
  }

  const pki::PrivateKey key_ = *pki::PrivateKey::Generate(pki::KeySpec());
  std::unique_ptr<Stub> stub_ = StubOf("order.test");
};

TEST_F(AccountRpcTest, GetAccountTellsWhatIsPublic) {
  v1::GetAccountRequest request;
  request.mutable_issuer_ref()->set_name("ca");
  request.set_namespace_("web");
  EXPECT_THAT(Call(*stub_, &Stub::GetAccount, request),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("Issuer web/ca")));
  CreateRegisteredIssuer(key_);
  CW_ASSERT_OK_AND_ASSIGN(const auto response, Call(*stub_, &Stub::GetAccount, request));
  EXPECT_EQ(response.account().uri(), kAccountUrl);
  EXPECT_EQ(response.account().key_thumbprint(), pki::JwkThumbprint(key_.public_key()));
  EXPECT_EQ(response.account().server(), "https://ca.test/directory");
  EXPECT_EQ(response.account().key_algorithm(), "ES256");
}

TEST_F(AccountRpcTest, AnIssuerThatIsNotReadyHasNoAccountToSignWith) {
  CreateRegisteredIssuer(key_);
  v1::Issuer issuer = Read(stores_->issuers, "ca");
  issuer.mutable_spec()->mutable_acme()->set_email("new@ca.test");
  CW_ASSERT_OK(Await(stores_->issuers.Update(Context(), issuer)));
  const absl::Status status = Sign(*stub_, kNewOrderUrl).status();
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_EQ(rpc::ErrorReasonOf(status), "ISSUER_NOT_READY");
}

TEST_F(AccountRpcTest, SignsARequestOfTheAccountWithWhatWasGiven) {
  CreateRegisteredIssuer(key_);
  CW_ASSERT_OK_AND_ASSIGN(const auto response, Sign(*stub_, kNewOrderUrl));
  const boost::json::value jws = boost::json::parse(response.jws());
  const boost::json::value header = boost::json::parse(Decode(jws, "protected"));
  EXPECT_EQ(header.at("alg").as_string(), "ES256");
  EXPECT_EQ(header.at("kid").as_string(), kAccountUrl);
  EXPECT_EQ(header.at("nonce").as_string(), "nonce-1");
  EXPECT_EQ(header.at("url").as_string(), kNewOrderUrl);
  EXPECT_EQ(Decode(jws, "payload"), "{}");
}

TEST_F(AccountRpcTest, SignsNothingAboutTheAccountNoRevocationAndForNoOtherServer) {
  CreateRegisteredIssuer(key_);
  for (const char* url :
       {kAccountUrl, "https://ca.test/account/1?", "https://ca.test/new-account",
        "https://ca.test/key-change", "https://ca.test/revoke", "https://ca.test/x/../revoke",
        "https://evil.test/new-order", "http://ca.test/new-order", "new-order"}) {
    EXPECT_THAT(Sign(*stub_, url), StatusIs(absl::StatusCode::kPermissionDenied)) << url;
  }
}

TEST_F(AccountRpcTest, EveryMissingFieldIsNamed) {
  v1::SignJwsRequest request;
  request.set_payload(std::string((128 << 10) + 1, 'x'));
  const absl::Status status = Call(*stub_, &Stub::SignJws, request).status();
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(BrokenFields(status), ElementsAre("issuerRef.name", "url", "nonce", "payload"));
}

TEST_F(AccountRpcTest, NothingIsSignedWhileTheKeyIsBeingChanged) {
  CreateRegisteredIssuer(key_);
  v1::Secret secret = Read(stores_->secrets, "ca-account-key");
  const pki::PrivateKey next = *pki::PrivateKey::Generate(pki::KeySpec());
  (*secret.mutable_data())["next-tls.key"] = std::string(next.ToPem().Reveal());
  CW_ASSERT_OK(Await(stores_->secrets.Update(Context(), secret)));
  EXPECT_THAT(Sign(*stub_, kNewOrderUrl),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("being changed")));
  // Not what a rollover left.
  (*secret.mutable_data())["next-tls.key"] = "x";
  secret.mutable_metadata()->clear_resource_version();
  CW_ASSERT_OK(Await(stores_->secrets.Update(Context(), secret)));
  CW_EXPECT_OK(Sign(*stub_, kNewOrderUrl));
}

TEST_F(AccountRpcTest, RolloverAndDeactivationNeedAnIssuerWithAnAccount) {
  EXPECT_THAT(BrokenFields(Call(*stub_, &Stub::RolloverAccountKey, {}).status()),
              ElementsAre("issuerRef.name"));
  EXPECT_THAT(BrokenFields(Call(*stub_, &Stub::DeactivateAccount, {}).status()),
              ElementsAre("issuerRef.name"));
  v1::RolloverAccountKeyRequest rollover;
  rollover.mutable_issuer_ref()->set_name("ca");
  rollover.set_namespace_("web");
  v1::DeactivateAccountRequest deactivation;
  *deactivation.mutable_issuer_ref() = rollover.issuer_ref();
  deactivation.set_namespace_("web");
  const auto no_issuer = StatusIs(absl::StatusCode::kNotFound, HasSubstr("Issuer web/ca"));
  EXPECT_THAT(Call(*stub_, &Stub::RolloverAccountKey, rollover), no_issuer);
  EXPECT_THAT(Call(*stub_, &Stub::DeactivateAccount, deactivation), no_issuer);
  CreateRegisteredIssuer(key_);
  v1::Issuer issuer = Read(stores_->issuers, "ca");
  issuer.mutable_status()->mutable_acme()->clear_uri();
  WriteStatus(stores_->issuers, issuer);
  EXPECT_EQ(rpc::ErrorReasonOf(Call(*stub_, &Stub::RolloverAccountKey, rollover).status()),
            "ISSUER_NOT_READY");
  EXPECT_EQ(rpc::ErrorReasonOf(Call(*stub_, &Stub::DeactivateAccount, deactivation).status()),
            "ISSUER_NOT_READY");
}

class MutualTlsAccountRpcTest : public AccountRpcTest {
 protected:
  MutualTlsAccountRpcTest() : AccountRpcTest(Transport::kMutualTls) {}
};

TEST_F(MutualTlsAccountRpcTest, SignsForTheOrderAndTheSolverServiceOnly) {
  CreateRegisteredIssuer(key_);
  CW_EXPECT_OK(Sign(*stub_, kNewOrderUrl));
  const std::unique_ptr<Stub> solver = StubOf("solver.test");
  CW_EXPECT_OK(Sign(*solver, "https://ca.test/challenge/1"));
  EXPECT_THAT(Sign(*solver, kNewOrderUrl), StatusIs(absl::StatusCode::kPermissionDenied));
  const std::unique_ptr<Stub> stranger = StubOf("operator.test");
  EXPECT_THAT(Sign(*stranger, "https://ca.test/challenge/1"),
              StatusIs(absl::StatusCode::kPermissionDenied));
}

TEST_F(MutualTlsAccountRpcTest, TheServicesThatHaveRequestsSignedMayNotChangeAccounts) {
  v1::RolloverAccountKeyRequest rollover;
  rollover.mutable_issuer_ref()->set_name("ca");
  v1::DeactivateAccountRequest deactivation;
  deactivation.mutable_issuer_ref()->set_name("ca");
  for (const char* service : {"order.test", "solver.test"}) {
    const std::unique_ptr<Stub> stub = StubOf(service);
    EXPECT_THAT(Call(*stub, &Stub::RolloverAccountKey, rollover),
                StatusIs(absl::StatusCode::kPermissionDenied));
    EXPECT_THAT(Call(*stub, &Stub::DeactivateAccount, deactivation),
                StatusIs(absl::StatusCode::kPermissionDenied));
  }
  const std::unique_ptr<Stub> person = StubOf("operator.test");
  EXPECT_THAT(Call(*person, &Stub::RolloverAccountKey, rollover),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(Call(*person, &Stub::DeactivateAccount, deactivation),
              StatusIs(absl::StatusCode::kNotFound));
}

}  // namespace
}  // namespace certwright::issuer_service
