#include "lib/pki/certificate.h"

#include <algorithm>
#include <thread>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gtest/gtest.h"
#include "lib/base/base64.h"
#include "lib/base/status_matchers.h"
#include "lib/pki/csr.h"
#include "lib/pki/pem.h"
#include "lib/pki/test_ca.h"

namespace certwright::pki {
namespace {

using base::StatusIs;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
constexpr auto kFailed = absl::StatusCode::kFailedPrecondition;
constexpr char kClockHint[] = "check this machine's clock";

absl::Time Now() { return absl::FromUnixSeconds(1767323045); }

SubjectAltNames DnsNames(std::vector<std::string> names) {
  SubjectAltNames san;
  san.dns_names = std::move(names);
  return san;
}

// A root, an intermediate and a leaf for two names.
class ChainTest : public testing::Test {
 protected:
  ChainTest() { spec_.names = DnsNames({"a.example", "b.example"}); }

  std::vector<Certificate> Issue() {
    return intermediate_.ChainFor(intermediate_.Sign(key_.public_key(), spec_));
  }
  absl::Status Verify(const std::vector<Certificate>& chain) {
    return VerifyIssuedChain(chain,
                             {&public_key_, DnsNames({"b.example", "a.example"}), Now()});
  }

  TestCa root_;
  TestCa intermediate_ = root_.MakeIntermediate();
  PrivateKey key_ = PrivateKey::Generate({}).value();
  PublicKey public_key_ = key_.public_key();
  TestCertificateSpec spec_;
};

TEST_F(ChainTest, ParseReadsTheFields) {
  spec_.common_name = "a.example";
  spec_.names.ip_addresses = {"192.0.2.1", "2001:db8::1"};
  spec_.names.uris = {"spiffe://x/y"};
  spec_.names.email_addresses = {"jo@example.com"};
  spec_.not_before = absl::FromUnixSeconds(1700000000);
  spec_.not_after = absl::FromUnixSeconds(1900000000);
  std::vector<Certificate> issued = Issue();
  CW_ASSERT_OK_AND_ASSIGN(std::vector<Certificate> chain, ParseChainPem(ToPem(issued)));
  ASSERT_EQ(chain.size(), 2u);
  const Certificate& leaf = chain[0];
  EXPECT_EQ(leaf.der, issued[0].der);
  EXPECT_EQ(leaf.subject_common_name, "a.example");
  EXPECT_EQ(leaf.issuer_common_name, "Test Intermediate");
  EXPECT_EQ(leaf.subject, "CN=a.example");
  EXPECT_EQ(leaf.issuer, "CN=Test Intermediate");
  EXPECT_EQ(leaf.names, spec_.names);
  EXPECT_EQ(leaf.usages, spec_.usages);
  EXPECT_EQ(leaf.not_before, spec_.not_before);
  EXPECT_EQ(leaf.not_after, spec_.not_after);
  EXPECT_EQ(leaf.authority_key_id.size(), 20u);
  EXPECT_FALSE(leaf.is_ca);
  EXPECT_EQ(leaf.public_key, public_key_);
  EXPECT_TRUE(chain[1].is_ca);
  EXPECT_EQ(TopmostCertificate(chain).issuer_common_name, "Test Root");
}

TEST_F(ChainTest, SerialKeepsItsLeadingZeroOctet) {
  // The serial number of RFC 9773 §4.1's example.
  spec_.serial = "\x87\x65\x43\x21";
  Certificate leaf = root_.Sign(public_key_, spec_);
  EXPECT_EQ(leaf.serial_der, std::string("\0\x87\x65\x43\x21", 5));
  EXPECT_EQ(leaf.serial_hex, "0087654321");
  EXPECT_EQ(base::Base64UrlEncode(leaf.serial_der), "AIdlQyE");
  spec_.serial = "\x07\x65";
  EXPECT_EQ(root_.Sign(public_key_, spec_).serial_der, "\x07\x65");
}

TEST_F(ChainTest, ValidityAfter2049IsRead) {
  spec_.not_after = absl::FromUnixSeconds(4102444800);
  EXPECT_EQ(root_.Sign(public_key_, spec_).not_after, spec_.not_after);
}

TEST_F(ChainTest, ParseToleratesCarriageReturnsAndTextAround) {
  std::vector<Certificate> chain = Issue();
  std::string text =
      absl::StrCat("subject=/CN=a\n", chain[0].Pem(), "\n\n# issuer\n", chain[1].Pem());
  CW_ASSERT_OK_AND_ASSIGN(std::vector<Certificate> parsed, ParseChainPem(text));
  EXPECT_EQ(parsed.size(), 2u);
  std::string crlf = absl::StrReplaceAll(text, {{"\n", "\r\n"}});
  CW_ASSERT_OK_AND_ASSIGN(parsed, ParseChainPem(crlf));
  EXPECT_EQ(parsed[1].der, chain[1].der);
  text.pop_back();
  CW_EXPECT_OK(ParseChainPem(text));
}

// Fault 105.
TEST_F(ChainTest, ParseTakesTheFormsThatToolsWrite) {
  const std::vector<Certificate> chain = Issue();
  const std::string leaf = chain[0].Pem();
  const std::string issuer = chain[1].Pem();
  // What `openssl x509 -trustout -addtrust serverAuth` puts behind a certificate.
  const std::string trust("\x30\x0c\x30\x0a\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x01", 14);
  for (const std::string& text :
       {"\xef\xbb\xbf" + leaf + issuer, leaf + "\xef\xbb\xbf" + issuer,
        leaf.substr(0, leaf.size() - 1) + issuer,
        absl::StrReplaceAll(leaf + issuer, {{"\n", ""}}),
        EncodePem("X509 CERTIFICATE", chain[0].der) + issuer,
        EncodePem("X.509 CERTIFICATE", chain[0].der) + issuer,
        EncodePem("TRUSTED CERTIFICATE", chain[0].der + trust) +
            EncodePem("TRUSTED CERTIFICATE", chain[1].der),
        chain[0].der + chain[1].der}) {
    CW_ASSERT_OK_AND_ASSIGN(const std::vector<Certificate> parsed, ParseChainPem(text));
    EXPECT_EQ(ToPem(parsed), leaf + issuer);
  }
  CW_ASSERT_OK_AND_ASSIGN(const std::vector<Certificate> one, ParseChainPem(chain[0].der));
  EXPECT_EQ(one.size(), 1u);
}

// Fault 105.
TEST_F(ChainTest, ParseRefusesDerThatIsNotOnlyCertificates) {
  const std::string der = root_.certificate().der;
  std::string many;
  for (int i = 0; i < 21; ++i) many += der;
  for (const std::string& text :
       {der + "x", der + std::string("\x30\x00", 2), der.substr(0, der.size() - 1), many,
        std::string("\x30\x80", 2) + der}) {
    EXPECT_THAT(ParseChainPem(text), StatusIs(kInvalid));
  }
}

// Fault 59.
TEST_F(ChainTest, ParseRefusesAChainWithAKeyInIt) {
  std::vector<Certificate> chain = Issue();
  std::string pem =
      absl::StrCat(chain[0].Pem(), std::string(key_.ToPem().Reveal()), chain[1].Pem());
  EXPECT_THAT(ParseChainPem(pem),
              StatusIs(kInvalid, HasSubstr("block 2 is not a CERTIFICATE")));
  EXPECT_THAT(
      ParseChainPem(absl::StrCat(chain[0].Pem(), "x ", std::string(key_.ToPem().Reveal()))),
      StatusIs(kInvalid));
}

TEST_F(ChainTest, ParseRefusesTooMuch) {
  const std::string pem = root_.certificate().Pem();
  std::string twenty;
  for (int i = 0; i < 20; ++i) twenty += pem;
  CW_EXPECT_OK(ParseChainPem(twenty));
  EXPECT_THAT(ParseChainPem(twenty + pem), StatusIs(kInvalid, HasSubstr("more than 20")));
  EXPECT_THAT(ParseChainPem(std::string(256 * 1024, '\n') + pem),
              StatusIs(kInvalid, HasSubstr("longer than")));
  EXPECT_THAT(ParseChainPem("hello"), StatusIs(kInvalid, HasSubstr("no PEM block")));
}

TEST_F(ChainTest, ParseSaysWhichCertificateIsBrokenWithoutEchoingIt) {
  std::string broken = root_.certificate().der;
  broken.resize(broken.size() - 1);
  std::string pem = root_.certificate().Pem() + EncodePem("CERTIFICATE", broken);
  EXPECT_THAT(ParseChainPem(pem), StatusIs(kInvalid, HasSubstr("certificate 2")));
  pem = EncodePem("CERTIFICATE", root_.certificate().der + "trailing");
  EXPECT_THAT(ParseChainPem(pem), StatusIs(kInvalid, HasSubstr("certificate 1")));
  EXPECT_THAT(ParseChainPem(EncodePem("CERTIFICATE", "MARKER")),
              StatusIs(kInvalid, Not(HasSubstr("MARKER"))));
}

TEST_F(ChainTest, VerifyAcceptsWhatWasAskedFor) {
  std::vector<Certificate> chain = Issue();
  CW_EXPECT_OK(Verify(chain));
  chain.push_back(root_.certificate());
  CW_EXPECT_OK(Verify(chain));
  chain.erase(chain.begin() + 1, chain.end());
  CW_EXPECT_OK(Verify(chain));
}

TEST_F(ChainTest, VerifyRefusesAnEmptyChain) { EXPECT_THAT(Verify({}), StatusIs(kFailed)); }

// Fault 60.
TEST_F(ChainTest, VerifyRefusesAnotherKey) {
  PublicKey other = PrivateKey::Generate({})->public_key();
  EXPECT_THAT(Verify({root_.Sign(other, spec_)}), StatusIs(kFailed, HasSubstr("another key")));
}

// Fault 60.
TEST_F(ChainTest, VerifyNamesMissingAndExtraNames) {
  spec_.names = DnsNames({"a.example"});
  EXPECT_THAT(Verify(Issue()), StatusIs(kFailed, HasSubstr("missing b.example")));
  spec_.names = DnsNames({"a.example", "b.example", "c.example"});
  EXPECT_THAT(Verify(Issue()), StatusIs(kFailed, HasSubstr("unexpected c.example")));
  spec_.names = DnsNames({"a.example", "b.example"});
  spec_.names.ip_addresses = {"192.0.2.1"};
  EXPECT_THAT(Verify(Issue()), StatusIs(kFailed, HasSubstr("unexpected IP 192.0.2.1")));
}

TEST_F(ChainTest, VerifyRefusesNamesOfOtherKinds) {
  std::vector<Certificate> chain = Issue();
  chain[0].other_name_kinds = {"otherName"};
  EXPECT_THAT(Verify(chain), StatusIs(kFailed, HasSubstr("unexpected otherName")));
}

// Faults 60 and 119.
TEST_F(ChainTest, VerifyLooksAtValidity) {
  spec_.not_after = Now();
  EXPECT_THAT(Verify(Issue()), StatusIs(absl::StatusCode::kOutOfRange,
                                        AllOf(HasSubstr("expired"), HasSubstr(kClockHint))));
  spec_.not_after = Now() - absl::Hours(24 * 3);
  EXPECT_THAT(Verify(Issue()), StatusIs(absl::StatusCode::kOutOfRange, HasSubstr(kClockHint)));
  spec_.not_after = Now() + absl::Seconds(1);
  CW_EXPECT_OK(Verify(Issue()));
  spec_.not_after = Now() + absl::Hours(100);
  spec_.not_before = Now() + absl::Hours(1);
  CW_EXPECT_OK(Verify(Issue()));
  spec_.not_before = Now() + absl::Hours(1) + absl::Seconds(1);
  EXPECT_THAT(Verify(Issue()),
              StatusIs(absl::StatusCode::kOutOfRange,
                       AllOf(HasSubstr("valid only from"), HasSubstr(kClockHint))));
}

// Fault 61.
TEST_F(ChainTest, VerifyRefusesTheWrongOrder) {
  std::vector<Certificate> chain = Issue();
  std::swap(chain[0], chain[1]);
  EXPECT_THAT(Verify(chain), StatusIs(kFailed));
  chain = Issue();
  chain.insert(chain.begin() + 1, root_.certificate());
  EXPECT_THAT(Verify(chain),
              StatusIs(kFailed, HasSubstr("certificate 1 is not signed by certificate 2")));
}

// Fault 61.
TEST_F(ChainTest, VerifyRefusesAMissingIntermediate) {
  TestCa lower = intermediate_.MakeIntermediate("Lower");
  Certificate leaf = lower.Sign(public_key_, spec_);
  CW_EXPECT_OK(Verify(lower.ChainFor(leaf)));
  EXPECT_THAT(Verify({leaf, intermediate_.certificate()}),
              StatusIs(kFailed, HasSubstr("certificate 1 is not signed by certificate 2")));
}

// Fault 61.
TEST_F(ChainTest, VerifyRefusesARepeatedCertificate) {
  std::vector<Certificate> chain = Issue();
  chain.insert(chain.begin(), chain.front());
  EXPECT_THAT(Verify(chain), StatusIs(kFailed, HasSubstr("certificate 2 repeats")));
}

// Fault 105.
TEST_F(ChainTest, FromLeafSortsWhateverIsClear) {
  const TestCa lower = intermediate_.MakeIntermediate("Lower");
  const Certificate leaf = lower.Sign(public_key_, spec_);
  const std::vector<Certificate> chain = {leaf, lower.certificate(),
                                          intermediate_.certificate(), root_.certificate()};
  const TestCa stranger("Stranger");
  std::vector<Certificate> given = chain;
  std::sort(given.begin(), given.end(),
            [](const Certificate& a, const Certificate& b) { return a.der < b.der; });
  do {
    CW_ASSERT_OK_AND_ASSIGN(const auto sorted, ChainFromLeaf(given, public_key_));
    EXPECT_EQ(ToPem(sorted), ToPem(chain));
    CW_EXPECT_OK(Verify(sorted));
  } while (std::next_permutation(
      given.begin(), given.end(),
      [](const Certificate& a, const Certificate& b) { return a.der < b.der; }));
  for (const std::vector<Certificate>& extra : {std::vector<Certificate>{leaf},
                                                {root_.certificate(), lower.certificate()},
                                                {stranger.certificate()}}) {
    given = extra;
    given.insert(given.end(), chain.begin(), chain.end());
    given.insert(given.end(), extra.begin(), extra.end());
    CW_ASSERT_OK_AND_ASSIGN(const auto sorted, ChainFromLeaf(given, public_key_));
    EXPECT_EQ(ToPem(sorted), ToPem(chain));
  }
  CW_ASSERT_OK_AND_ASSIGN(const auto alone, ChainFromLeaf({leaf}, public_key_));
  EXPECT_EQ(alone.size(), 1u);
}

TEST_F(ChainTest, FromLeafFollowsThePathThatComesFirst) {
  // One intermediate, signed by two roots.
  const TestCa other("Other Root");
  TestCertificateSpec spec;
  spec.common_name = intermediate_.certificate().subject_common_name;
  spec.is_ca = true;
  const Certificate crossed = other.Sign(intermediate_.key().public_key(), spec);
  const Certificate leaf = intermediate_.Sign(public_key_, spec_);
  for (const auto& [first, second, top] :
       {std::tuple{intermediate_.certificate(), crossed, root_.certificate()},
        std::tuple{crossed, intermediate_.certificate(), other.certificate()}}) {
    CW_ASSERT_OK_AND_ASSIGN(
        const auto chain,
        ChainFromLeaf({leaf, first, second, root_.certificate(), other.certificate()},
                      public_key_));
    EXPECT_EQ(ToPem(chain), ToPem({leaf, first, top}));
  }
}

// Fault 105.
TEST_F(ChainTest, FromLeafRefusesWhatIsNotClear) {
  const std::vector<Certificate> chain = Issue();
  const Certificate again = intermediate_.Sign(public_key_, spec_);
  const PublicKey other = PrivateKey::Generate({})->public_key();
  const Certificate others = intermediate_.Sign(other, spec_);
  EXPECT_THAT(ChainFromLeaf({others}, public_key_),
              StatusIs(kFailed, HasSubstr("another key")));
  EXPECT_THAT(ChainFromLeaf({others, chain[1]}, public_key_),
              StatusIs(kFailed, HasSubstr("none of its 2")));
  EXPECT_THAT(ChainFromLeaf({chain[1], chain[0], again}, public_key_),
              StatusIs(kFailed, HasSubstr("certificates 2 and 3 are both")));
  EXPECT_THAT(ChainFromLeaf({chain[0], root_.certificate()}, public_key_),
              StatusIs(kFailed, HasSubstr("signed by none of the 1")));
  EXPECT_THAT(ChainFromLeaf({}, public_key_), StatusIs(kFailed));
}

TEST_F(ChainTest, VerifyRefusesASignatureByAnotherKeyOfTheSameName) {
  // Same names as the real intermediate, so only key identifier and signature tell them apart.
  TestCa impostor = root_.MakeIntermediate();
  std::vector<Certificate> chain = Issue();
  chain[1] = impostor.certificate();
  EXPECT_THAT(Verify(chain), StatusIs(kFailed, HasSubstr("is not signed by")));
}

TEST_F(ChainTest, VerifyRefusesAChangedLeaf) {
  std::vector<Certificate> chain = Issue();
  std::string der = chain[0].der;
  der[der.size() - 1] = static_cast<char>(der[der.size() - 1] ^ 1);
  CW_ASSERT_OK_AND_ASSIGN(std::vector<Certificate> changed,
                          ParseChainPem(EncodePem("CERTIFICATE", der)));
  chain[0] = changed[0];
  EXPECT_THAT(Verify(chain), StatusIs(kFailed, HasSubstr("is not signed by")));
}

TEST_F(ChainTest, VerifyRefusesAnIssuerThatIsNoCa) {
  PrivateKey middle_key = PrivateKey::Generate({}).value();
  TestCertificateSpec middle = spec_;
  middle.common_name = "Not a CA";
  middle.usages = {};
  TestCa not_a_ca(middle_key,
                  {root_.Sign(middle_key.public_key(), middle), root_.certificate()});
  std::vector<Certificate> chain = not_a_ca.ChainFor(not_a_ca.Sign(public_key_, spec_));
  EXPECT_THAT(Verify(chain), StatusIs(kFailed, HasSubstr("certificate 2 is not a CA's")));
  EXPECT_THAT(VerifyAgainstRoots(chain, {root_.certificate()}, Now()), StatusIs(kFailed));
}

TEST_F(ChainTest, RootsDecideTrust) {
  std::vector<Certificate> chain = Issue();
  CW_EXPECT_OK(VerifyAgainstRoots(chain, {root_.certificate()}, Now()));
  CW_EXPECT_OK(VerifyAgainstRoots(chain, {intermediate_.certificate()}, Now()));
  TestCa other;
  EXPECT_THAT(VerifyAgainstRoots(chain, {other.certificate()}, Now()),
              StatusIs(kFailed, HasSubstr("trusted root")));
  EXPECT_THAT(VerifyAgainstRoots(chain, {}, Now()), StatusIs(kFailed));
  chain.erase(chain.begin() + 1, chain.end());
  EXPECT_THAT(VerifyAgainstRoots(chain, {root_.certificate()}, Now()), StatusIs(kFailed));
}

TEST_F(ChainTest, RootsAreValidatedAtTheGivenTime) {
  std::vector<Certificate> chain = Issue();
  EXPECT_THAT(VerifyAgainstRoots(chain, {root_.certificate()}, TestNotAfter() + absl::Hours(1)),
              StatusIs(kFailed, HasSubstr("expired")));
  EXPECT_THAT(
      VerifyAgainstRoots(chain, {root_.certificate()}, TestNotBefore() - absl::Hours(1)),
      StatusIs(kFailed, HasSubstr("not yet valid")));
}

TEST_F(ChainTest, EveryKindOfCaKeySigns) {
  for (KeySpec spec : {KeySpec{KeyAlgorithm::kRsa, 2048}, KeySpec{KeyAlgorithm::kEcdsa, 384},
                       KeySpec{KeyAlgorithm::kEd25519, 0}}) {
    TestCa ca("CA", spec);
    CW_EXPECT_OK(Verify({ca.Sign(public_key_, spec_), ca.certificate()}));
  }
}

TEST_F(ChainTest, SignsARequest) {
  CsrSpec request;
  request.names = spec_.names;
  CW_ASSERT_OK_AND_ASSIGN(std::string csr, CreateCsrPem(request, key_));
  CW_EXPECT_OK(Verify(intermediate_.ChainFor(intermediate_.SignCsr(csr))));
}

TEST_F(ChainTest, OneKeyServesManyThreads) {
  std::vector<std::thread> threads;
  std::vector<Certificate> chain = Issue();
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < 25; ++j) {
        CW_EXPECT_OK(Verify(chain));
        CW_EXPECT_OK(CreateCsrPem({}, key_));
        EXPECT_EQ(chain[0].public_key, key_.public_key());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace certwright::pki
