#include "lib/pki/test_ca.h"

#include <openssl/rand.h>

#include <cstdio>
#include <cstdlib>
#include <utility>

#include "lib/pki/extensions.h"
#include "lib/pki/openssl.h"
#include "lib/pki/pem.h"
#include "lib/pki/usages.h"

namespace certwright::pki {
namespace {

void Require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "TestCa: %s\n", what);
  std::abort();
}

template <typename T>
T Require(absl::StatusOr<T> value, const char* what) {
  if (!value.ok()) std::fprintf(stderr, "TestCa: %s\n", value.status().ToString().c_str());
  Require(value.ok(), what);
  return *std::move(value);
}

int Octets(absl::string_view text) { return static_cast<int>(text.size()); }
const unsigned char* Data(absl::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

OpensslPtr<X509_NAME> MakeName(absl::string_view common_name) {
  OpensslPtr<X509_NAME> name(X509_NAME_new());
  if (!common_name.empty()) {
    Require(X509_NAME_add_entry_by_NID(name.get(), NID_commonName, MBSTRING_UTF8,
                                       Data(common_name), Octets(common_name), -1, 0) == 1,
            "bad common name");
  }
  return name;
}

void SetSerial(X509* x509, std::string serial) {
  if (serial.empty()) {
    serial.resize(16);
    Require(RAND_bytes(reinterpret_cast<unsigned char*>(serial.data()), Octets(serial)) == 1,
            "no randomness");
    serial[0] = static_cast<char>((serial[0] & 0x3f) | 0x40);
  }
  OpensslPtr<BIGNUM> number(BN_bin2bn(Data(serial), Octets(serial), nullptr));
  Require(BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(x509)) != nullptr, "serial");
}

void SetTime(ASN1_TIME* field, absl::Time time) {
  Require(ASN1_TIME_adj(field, absl::ToTimeT(time), 0, 0) != nullptr, "time");
}

// RFC 5280 §4.2.1.2, method 1, by OpenSSL's configuration language.
void AddKeyIdentifiers(X509* x509, X509* issuer) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, x509, nullptr, nullptr, 0);
  OpensslPtr<X509_EXTENSION> subject_id(
      X509V3_EXT_conf_nid(nullptr, &context, NID_subject_key_identifier, "hash"));
  Require(X509_add_ext(x509, subject_id.get(), -1) == 1, "subject key identifier");
  OpensslPtr<X509_EXTENSION> authority_id(
      X509V3_EXT_conf_nid(nullptr, &context, NID_authority_key_identifier, "keyid:always"));
  Require(authority_id != nullptr && X509_add_ext(x509, authority_id.get(), -1) == 1,
          "authority key identifier");
}

void AddExtensions(X509* x509, const TestCertificateSpec& spec) {
  ExtensionValues values;
  values.names = spec.names;
  values.usages = Require(
      ParseUsages(spec.is_ca ? std::vector<std::string>{"cert sign", "crl sign"} : spec.usages),
      "usages");
  values.is_ca = spec.is_ca;
  OpensslPtr<STACK_OF(X509_EXTENSION)> extensions =
      Require(EncodeExtensions(values, spec.common_name.empty()), "extensions");
  for (int i = 0; i < sk_X509_EXTENSION_num(extensions.get()); ++i) {
    Require(X509_add_ext(x509, sk_X509_EXTENSION_value(extensions.get(), i), -1) == 1, "add");
  }
}

OpensslPtr<X509> ToX509(const Certificate& certificate) {
  const unsigned char* position = Data(certificate.der);
  return OpensslPtr<X509>(d2i_X509(nullptr, &position, Octets(certificate.der)));
}

// Signed by `issuer_key`; self-signed if `issuer` is nullptr.
Certificate MakeCertificate(const PublicKey& key, const TestCertificateSpec& spec,
                            const Certificate* issuer, const PrivateKey& issuer_key) {
  OpensslErrorScope scope;
  OpensslPtr<X509> x509(X509_new());
  OpensslPtr<X509> parent = issuer == nullptr ? nullptr : ToX509(*issuer);
  X509* signer = parent == nullptr ? x509.get() : parent.get();
  Require(X509_set_version(x509.get(), X509_VERSION_3) == 1, "version");
  SetSerial(x509.get(), spec.serial);
  SetTime(X509_getm_notBefore(x509.get()), spec.not_before);
  SetTime(X509_getm_notAfter(x509.get()), spec.not_after);
  Require(X509_set_subject_name(x509.get(), MakeName(spec.common_name).get()) == 1 &&
              X509_set_issuer_name(x509.get(), X509_get_subject_name(signer)) == 1 &&
              X509_set_pubkey(x509.get(), key.get()) == 1,
          "names and key");
  AddExtensions(x509.get(), spec);
  AddKeyIdentifiers(x509.get(), signer);
  Require(X509_sign(x509.get(), issuer_key.get(), SignatureDigest(issuer_key.spec())) > 0,
          "sign");
  unsigned char* der = nullptr;
  int length = i2d_X509(x509.get(), &der);
  Require(length > 0, "encode");
  std::string bytes(reinterpret_cast<char*>(der), static_cast<size_t>(length));
  OPENSSL_free(der);
  return Require(ParseChainPem(EncodePem("CERTIFICATE", bytes)), "parse").front();
}

TestCertificateSpec CaSpec(absl::string_view common_name) {
  TestCertificateSpec spec;
  spec.common_name = std::string(common_name);
  spec.is_ca = true;
  return spec;
}

}  // namespace

absl::Time TestNotBefore() {
  return absl::FromCivil(absl::CivilDay(2020, 1, 1), absl::UTCTimeZone());
}

absl::Time TestNotAfter() {
  return absl::FromCivil(absl::CivilDay(2049, 12, 31), absl::UTCTimeZone());
}

TestCa::TestCa(absl::string_view common_name, KeySpec key)
    : key_(Require(PrivateKey::Generate(key), "key")) {
  chain_.push_back(MakeCertificate(key_.public_key(), CaSpec(common_name), nullptr, key_));
}

TestCa::TestCa(PrivateKey key, std::vector<Certificate> chain)
    : key_(std::move(key)), chain_(std::move(chain)) {}

TestCa TestCa::MakeIntermediate(absl::string_view common_name) const {
  PrivateKey key = Require(PrivateKey::Generate(key_.spec()), "key");
  std::vector<Certificate> chain = {Sign(key.public_key(), CaSpec(common_name))};
  chain.insert(chain.end(), chain_.begin(), chain_.end());
  return TestCa(std::move(key), std::move(chain));
}

Certificate TestCa::Sign(const PublicKey& key, const TestCertificateSpec& spec) const {
  return MakeCertificate(key, spec, &certificate(), key_);
}

Certificate TestCa::SignCsr(absl::string_view csr_pem, TestCertificateSpec spec) const {
  Csr csr = Require(ParseCsrPem(csr_pem), "request");
  spec.names = csr.names;
  return Sign(csr.public_key, spec);
}

std::vector<Certificate> TestCa::ChainFor(const Certificate& leaf) const {
  std::vector<Certificate> chain = {leaf};
  chain.insert(chain.end(), chain_.begin(), chain_.end() - 1);
  return chain;
}

TestIdentity TestCa::Issue(const SubjectAltNames& names, absl::Time not_after) const {
  PrivateKey key = Require(PrivateKey::Generate({}), "key");
  TestCertificateSpec spec;
  spec.names = names;
  spec.not_after = not_after;
  return {ToPem(ChainFor(Sign(key.public_key(), spec))), std::string(key.ToPem().Reveal())};
}

}  // namespace certwright::pki
