#include "lib/pki/test_ca.h"

#include <openssl/pem.h>

#include <cstdio>
#include <cstdlib>
#include <utility>

#include "lib/pki/certificate_builder.h"
#include "lib/pki/certificate_template.h"
#include "lib/pki/openssl.h"
#include "lib/pki/subject.h"

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

std::string MakeSubject(const std::string& common_name) {
  Subject subject;
  subject.common_name = common_name;
  return Require(EncodeSubject(subject), "bad common name");
}

CertificateTemplate MakeTemplate(const PublicKey& key, const TestCertificateSpec& spec) {
  CertificateTemplate values;
  values.public_key = key;
  values.subject_der = MakeSubject(spec.common_name);
  values.names = spec.names;
  values.usages = spec.is_ca ? std::vector<std::string>{"cert sign", "crl sign"} : spec.usages;
  values.is_ca = spec.is_ca;
  values.not_before = spec.not_before;
  values.not_after = spec.not_after;
  return values;
}

std::string SerialFor(const TestCertificateSpec& spec) {
  return spec.serial.empty() ? Require(RandomSerial(), "serial") : spec.serial;
}

// Signed by `issuer_key`; self-signed if `issuer` is nullptr. No question is asked: tests want
// wrong certificates too.
Certificate MakeCertificate(const PublicKey& key, const TestCertificateSpec& spec,
                            const Certificate* issuer, const PrivateKey& issuer_key) {
  return Require(BuildCertificate(MakeTemplate(key, spec), SerialFor(spec), issuer, issuer_key),
                 "certificate");
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

std::string TestCa::SignDer(const PublicKey& key, const TestCertificateSpec& spec) const {
  return Require(
      BuildCertificateDer(MakeTemplate(key, spec), SerialFor(spec), &certificate(), key_),
      "certificate");
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

std::string TestCa::RevocationList(const std::vector<Certificate>& revoked,
                                   absl::Time next_update) const {
  const OpensslPtr<X509_CRL> crl(X509_CRL_new());
  const OpensslPtr<ASN1_TIME> since(ASN1_TIME_set(nullptr, absl::ToTimeT(TestNotBefore())));
  const OpensslPtr<ASN1_TIME> until(ASN1_TIME_set(nullptr, absl::ToTimeT(next_update)));
  // Version 2 is written as 1 (RFC 5280 §5.1.2.1).
  X509_CRL_set_version(crl.get(), 1);
  X509_CRL_set_issuer_name(crl.get(), X509_get_subject_name(certificate().x509.get()));
  X509_CRL_set1_lastUpdate(crl.get(), since.get());
  X509_CRL_set1_nextUpdate(crl.get(), until.get());
  for (const Certificate& one : revoked) {
    X509_REVOKED* entry = X509_REVOKED_new();
    X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(one.x509.get()));
    X509_REVOKED_set_revocationDate(entry, since.get());
    // Takes it.
    X509_CRL_add0_revoked(crl.get(), entry);
  }
  Require(X509_CRL_sign(crl.get(), key_.get(), EVP_sha256()) > 0, "CRL");
  const OpensslPtr<BIO> text(BIO_new(BIO_s_mem()));
  Require(PEM_write_bio_X509_CRL(text.get(), crl.get()) == 1, "CRL");
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(text.get(), &bytes);
  return std::string(bytes, static_cast<std::size_t>(size));
}

}  // namespace certwright::pki
