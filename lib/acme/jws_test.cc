#include "lib/acme/jws.h"

#include <string>

#include "boost/json/parse.hpp"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/acme/fake_ca.h"
#include "lib/acme/key_authorization.h"
#include "lib/base/base64.h"
#include "lib/base/status_matchers.h"
#include "lib/pki/jose.h"
#include "openssl/evp.h"

namespace certwright::acme {
namespace {

using base::IsOk;
using base::StatusIs;
using ::testing::HasSubstr;
using ::testing::Not;

struct Opened {
  std::string header;
  std::string payload;
  std::string signed_text;
  std::string signature;
};

Opened Open(const std::string& body) {
  const boost::json::object jws = boost::json::parse(body).as_object();
  auto text = [&jws](const char* member) { return std::string(jws.at(member).as_string()); };
  EXPECT_EQ(jws.size(), 3u);
  return Opened{base::Base64UrlDecode(text("protected")).value(),
                base::Base64UrlDecode(text("payload")).value(),
                text("protected") + "." + text("payload"),
                base::Base64UrlDecode(text("signature")).value()};
}

bool VerifiesRs256(const pki::PublicKey& key, const Opened& jws) {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  const bool ok =
      EVP_DigestVerifyInit(context, nullptr, EVP_sha256(), nullptr, key.get()) == 1 &&
      EVP_DigestVerify(context, reinterpret_cast<const unsigned char*>(jws.signature.data()),
                       jws.signature.size(),
                       reinterpret_cast<const unsigned char*>(jws.signed_text.data()),
                       jws.signed_text.size()) == 1;
  EVP_MD_CTX_free(context);
  return ok;
}

SignRequest RequestOf(RequestKind kind, const std::string& payload) {
  SignRequest request;
  request.url = "https://ca.test/x";
  request.nonce = "n-1";
  request.payload = payload;
  request.kind = kind;
  return request;
}

TEST(LocalJwsSignerTest, PostAsGetHasAnEmptyPayloadAndTheAccountsUrl) {
  LocalJwsSigner signer(TestKey(), "https://ca.test/account/1");
  CW_ASSERT_OK_AND_ASSIGN(const SignedRequest request,
                          signer.SignNow(RequestOf(RequestKind::kOrder, "")));
  EXPECT_THAT(request.body, HasSubstr("\"payload\":\"\""));
  const Opened jws = Open(request.body);
  EXPECT_EQ(jws.header, R"({"alg":"ES256","kid":"https://ca.test/account/1","nonce":"n-1",)"
                        R"("url":"https://ca.test/x"})");
  EXPECT_EQ(jws.signature.size(), 64u);
}

TEST(LocalJwsSignerTest, NewAccountIsSignedByKey) {
  const pki::PrivateKey key = TestKey();
  LocalJwsSigner signer(key, "https://ca.test/account/1");
  for (const RequestKind kind : {RequestKind::kNewAccount, RequestKind::kRevokeByKey}) {
    CW_ASSERT_OK_AND_ASSIGN(const SignedRequest request, signer.SignNow(RequestOf(kind, "{}")));
    EXPECT_EQ(Open(request.body).header, R"({"alg":"ES256","jwk":)" +
                                             pki::JwkJson(key.public_key()) +
                                             R"(,"nonce":"n-1","url":"https://ca.test/x"})");
  }
}

TEST(LocalJwsSignerTest, SignatureCoversHeaderAndPayload) {
  CW_ASSERT_OK_AND_ASSIGN(const pki::PrivateKey key,
                          pki::PrivateKey::Generate({pki::KeyAlgorithm::kRsa, 2048}));
  LocalJwsSigner signer(key, "https://ca.test/account/1");
  CW_ASSERT_OK_AND_ASSIGN(const SignedRequest request,
                          signer.SignNow(RequestOf(RequestKind::kChallenge, "{}")));
  Opened jws = Open(request.body);
  EXPECT_EQ(jws.payload, "{}");
  EXPECT_TRUE(VerifiesRs256(key.public_key(), jws));
  jws.signed_text.back() ^= 1;
  EXPECT_FALSE(VerifiesRs256(key.public_key(), jws));
}

TEST(LocalJwsSignerTest, UnregisteredKeySignsOnlyNewAccount) {
  LocalJwsSigner signer(TestKey());
  EXPECT_THAT(signer.SignNow(RequestOf(RequestKind::kNewAccount, "{}")), IsOk());
  EXPECT_THAT(signer.SignNow(RequestOf(RequestKind::kNewOrder, "{}")),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("newOrder")));
}

TEST(LocalJwsSignerTest, UrlsAndNoncesAreEscaped) {
  LocalJwsSigner signer(TestKey(), "https://ca.test/\"account");
  SignRequest request = RequestOf(RequestKind::kOrder, "");
  request.url = "https://ca.test/\"\\";
  CW_ASSERT_OK_AND_ASSIGN(const SignedRequest signed_request, signer.SignNow(request));
  const boost::json::object header =
      boost::json::parse(Open(signed_request.body).header).as_object();
  EXPECT_EQ(std::string(header.at("url").as_string()), request.url);
  EXPECT_EQ(header.size(), 4u);
}

TEST(LocalJwsSignerTest, EndedContextSignsNothing) {
  base::FakeClock clock;
  LocalJwsSigner signer(TestKey());
  const runtime::Context context = runtime::Context::WithTimeout(clock, absl::Seconds(1));
  clock.Advance(absl::Seconds(2));
  EXPECT_THAT(runtime::RunSync(signer.Sign(context, RequestOf(RequestKind::kNewAccount, "{}"))),
              StatusIs(absl::StatusCode::kDeadlineExceeded));
}

TEST(ExternalAccountJwsTest, IsAnHmacOverTheAccountKeyInAnySpellingOfTheMacKey) {
  for (const char* mac_key : {"+//+MDEyMzQ1Njc4OQ==", "-__-MDEyMzQ1Njc4OQ",
                              " -__-MDEyMzQ1Njc4OQ==\n", "+//+MDEyMzQ1Njc4OQ"}) {
    ExternalAccount account;
    account.key_id = "kid-1";
    account.mac_key = base::Secret(std::string(mac_key));
    CW_ASSERT_OK_AND_ASSIGN(
        const std::string body,
        ExternalAccountJws(account, "https://ca.test/new-account", TestKey().public_key()));
    const Opened jws = Open(body);
    EXPECT_EQ(jws.header,
              R"({"alg":"HS256","kid":"kid-1","url":"https://ca.test/new-account"})");
    EXPECT_EQ(jws.payload, pki::JwkJson(TestKey().public_key()));
    // Computed with Python's hmac module.
    EXPECT_EQ(base::Base64UrlEncode(jws.signature),
              "bYgPL4rsTUIYTnDPWtxQQpdfhLzuKtfBdssjCUdA3Eg");
  }
}

TEST(DecodeMacKeyTest, RefusesOtherTextWithoutEchoingIt) {
  for (const char* text : {"", "=", "a", "not base64!", "abcd===="}) {
    const absl::StatusOr<base::Secret> key = DecodeMacKey(text);
    EXPECT_THAT(key, StatusIs(absl::StatusCode::kInvalidArgument, Not(HasSubstr("base64!"))))
        << text;
  }
}

TEST(KeyChangeJwsTest, NamesTheAccountAndTheOldKeyWithoutANonce) {
  CW_ASSERT_OK_AND_ASSIGN(const pki::PrivateKey new_key,
                          pki::PrivateKey::Generate({pki::KeyAlgorithm::kEcdsa, 384}));
  CW_ASSERT_OK_AND_ASSIGN(const std::string body,
                          KeyChangeJws(new_key, TestKey().public_key(),
                                       "https://ca.test/account/1", "https://ca.test/key"));
  const Opened jws = Open(body);
  EXPECT_EQ(jws.header, R"({"alg":"ES384","jwk":)" + pki::JwkJson(new_key.public_key()) +
                            R"(,"url":"https://ca.test/key"})");
  EXPECT_EQ(jws.payload, R"({"account":"https://ca.test/account/1","oldKey":)" +
                             pki::JwkJson(TestKey().public_key()) + "}");
  EXPECT_EQ(jws.signature.size(), 96u);
}

TEST(KeyAuthorizationTest, IsTokenAndThumbprintAndItsDigestFitsATxtRecord) {
  const std::string authorization =
      KeyAuthorization("evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA",
                       pki::JwkThumbprint(TestKey().public_key()));
  EXPECT_EQ(authorization,
            "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA."
            "VARqdKP2-7sj_EZdjY-hdEK3-ELM82aAFU8YJyFqQ9s");
  // Computed with Python's hashlib.
  EXPECT_EQ(Dns01Digest(authorization), "w-HTAoSkHZipZ2lsoQBRlwSr92NGvVGKl5c2hHgpZBM");
}

TEST(IsValidTokenTest, TakesOnlyBase64UrlOf128BitsOrMore) {
  EXPECT_TRUE(IsValidToken("evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"));
  EXPECT_TRUE(IsValidToken(std::string(22, '_')));
  EXPECT_FALSE(IsValidToken(std::string(21, 'a')));
  EXPECT_FALSE(IsValidToken(std::string(513, 'a')));
  for (const char bad : {'/', '.', '=', '+', ' ', '\n', '%'}) {
    EXPECT_FALSE(IsValidToken(std::string(30, 'a') + bad)) << bad;
  }
}

}  // namespace
}  // namespace certwright::acme
