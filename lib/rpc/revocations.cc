#include "lib/rpc/revocations.h"

#include <openssl/pem.h>

#include <algorithm>
#include <ctime>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace certwright::rpc {
namespace {

using pki::OpensslPtr;

constexpr std::size_t kFingerprintDigits = 64;

absl::Time ToTime(const ASN1_TIME* time) {
  std::tm parts{};
  // OpenSSL has parsed it with the certificate; what it cannot read is over.
  if (time == nullptr || ASN1_TIME_to_tm(time, &parts) != 1) return absl::InfinitePast();
  return absl::FromTimeT(timegm(&parts));
}

std::string SerialOf(const ASN1_INTEGER* serial) {
  const bool negative = ASN1_STRING_type(serial) == V_ASN1_NEG_INTEGER;
  return absl::StrCat(
      negative ? "-" : "+",
      absl::string_view(reinterpret_cast<const char*>(ASN1_STRING_get0_data(serial)),
                        static_cast<std::size_t>(ASN1_STRING_length(serial))));
}

OpensslPtr<BIO> Read(absl::string_view pem) {
  return OpensslPtr<BIO>(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

// Whether the last read ended because there was nothing more, rather than something broken.
bool IsAtEnd() {
  const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  ERR_clear_error();
  return at_end;
}

std::vector<OpensslPtr<X509>> ReadCertificates(absl::string_view pem) {
  std::vector<OpensslPtr<X509>> certificates;
  const OpensslPtr<BIO> bio = Read(pem);
  while (X509* next = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) {
    certificates.emplace_back(next);
  }
  ERR_clear_error();
  return certificates;
}

// Null if none has signed it.
X509* FindIssuer(const std::vector<OpensslPtr<X509>>& cas, X509_CRL* crl) {
  for (const OpensslPtr<X509>& ca : cas) {
    const bool named =
        X509_NAME_cmp(X509_get_subject_name(ca.get()), X509_CRL_get_issuer(crl)) == 0;
    EVP_PKEY* key = X509_get0_pubkey(ca.get());
    if (named && key != nullptr && X509_CRL_verify(crl, key) == 1) return ca.get();
  }
  return nullptr;
}

bool HasCriticalExtension(X509_CRL* crl) {
  for (int i = 0; i < X509_CRL_get_ext_count(crl); ++i) {
    if (X509_EXTENSION_get_critical(X509_CRL_get_ext(crl, i)) != 0) return true;
  }
  return false;
}

std::set<std::string> SerialsOf(X509_CRL* crl) {
  std::set<std::string> serials;
  STACK_OF(X509_REVOKED)* revoked = X509_CRL_get_REVOKED(crl);
  for (int i = 0; i < sk_X509_REVOKED_num(revoked); ++i) {
    serials.insert(SerialOf(X509_REVOKED_get0_serialNumber(sk_X509_REVOKED_value(revoked, i))));
  }
  return serials;
}

bool IsFingerprint(absl::string_view text) {
  return text.size() == kFingerprintDigits &&
         text.find_first_not_of("0123456789abcdef") == absl::string_view::npos;
}

}  // namespace

CertificateFacts::CertificateFacts(OpensslPtr<X509> certificate)
    : x509(std::move(certificate)),
      serial(SerialOf(X509_get0_serialNumber(x509.get()))),
      not_before(ToTime(X509_get0_notBefore(x509.get()))),
      not_after(ToTime(X509_get0_notAfter(x509.get()))) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  X509_digest(x509.get(), EVP_sha256(), digest, &size);
  fingerprint = absl::BytesToHexString({reinterpret_cast<const char*>(digest), size});
}

std::string CertificateFacts::SerialText() const {
  return absl::StrCat(serial[0] == '-' ? "-" : "",
                      absl::BytesToHexString(absl::string_view(serial).substr(1)));
}

absl::Status Revocations::AddLists(absl::string_view ca, absl::string_view crls) {
  const pki::OpensslErrorScope errors;
  const std::vector<OpensslPtr<X509>> cas = ReadCertificates(ca);
  const OpensslPtr<BIO> bio = Read(crls);
  while (const OpensslPtr<X509_CRL> crl{
      PEM_read_bio_X509_CRL(bio.get(), nullptr, nullptr, nullptr)}) {
    const std::string which = absl::StrCat("list ", lists_.size() + 1, ": ");
    X509* issuer = FindIssuer(cas, crl.get());
    if (issuer == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat(which, "it is not signed by a CA of the CA file"));
    }
    if (HasCriticalExtension(crl.get())) {
      return absl::InvalidArgumentError(absl::StrCat(
          which, "it has a critical extension, such as for a part of the certificates only"));
    }
    X509_up_ref(issuer);
    lists_.push_back({OpensslPtr<X509>(issuer), SerialsOf(crl.get())});
    if (const ASN1_TIME* next = X509_CRL_get0_nextUpdate(crl.get()); next != nullptr) {
      next_update_ = std::min(next_update_, ToTime(next));
    }
  }
  if (!IsAtEnd()) {
    return absl::InvalidArgumentError(
        absl::StrCat("list ", lists_.size() + 1, ": it is not a CRL in PEM"));
  }
  if (lists_.empty()) return absl::InvalidArgumentError("it has no CRL in PEM");
  return absl::OkStatus();
}

absl::Status Revocations::AddFingerprints(absl::string_view fingerprints) {
  int number = 0;
  for (absl::string_view line : absl::StrSplit(fingerprints, '\n')) {
    ++number;
    line = absl::StripAsciiWhitespace(line);
    if (line.empty() || line[0] == '#') continue;
    if (!IsFingerprint(line)) {
      return absl::InvalidArgumentError(
          absl::StrCat("line ", number,
                       ": must be a SHA-256 fingerprint of 64 lower-case hexadecimal digits"));
    }
    denied_.emplace(line);
  }
  return absl::OkStatus();
}

absl::Status Revocations::Check(const CertificateFacts& certificate) const {
  if (denied_.contains(certificate.fingerprint)) {
    return absl::UnauthenticatedError(absl::StrCat("the certificate with fingerprint ",
                                                   certificate.fingerprint, " is denied"));
  }
  for (const List& list : lists_) {
    // The serial number first: it costs next to nothing.
    if (list.serials.contains(certificate.serial) &&
        X509_check_issued(list.issuer.get(), certificate.x509.get()) == X509_V_OK) {
      return absl::UnauthenticatedError(absl::StrCat("the certificate with serial number ",
                                                     certificate.SerialText(), " is revoked"));
    }
  }
  return absl::OkStatus();
}

}  // namespace certwright::rpc
