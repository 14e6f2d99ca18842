#include "lib/pki/certificate_builder.h"

#include <openssl/rand.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/civil_time.h"
#include "lib/base/status_macros.h"
#include "lib/pki/extensions.h"
#include "lib/pki/general_name.h"
#include "lib/pki/openssl.h"
#include "lib/pki/pem.h"
#include "lib/pki/spki.h"
#include "lib/pki/usages.h"

namespace certwright::pki {
namespace {

// RFC 5280 §4.1.2.5: the end of a certificate that never expires.
absl::Time LastTime() {
  return absl::FromCivil(absl::CivilSecond(9999, 12, 31, 23, 59, 59), absl::UTCTimeZone());
}

absl::Status Failed(absl::string_view what) {
  return OpensslError(absl::StatusCode::kInternal,
                      absl::StrCat("cannot make a certificate: ", what));
}

const unsigned char* Data(absl::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

absl::Status SetSerial(X509* x509, absl::string_view serial) {
  OpensslPtr<BIGNUM> number(BN_bin2bn(Data(serial), static_cast<int>(serial.size()), nullptr));
  if (number == nullptr ||
      BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(x509)) == nullptr) {
    return Failed("its serial number");
  }
  return absl::OkStatus();
}

absl::Status SetValidity(X509* x509, const CertificateTemplate& values) {
  if (values.not_after <= values.not_before || values.not_after > LastTime()) {
    return absl::InvalidArgumentError(
        "a certificate must end after its beginning and before the year 10000");
  }
  // X509_time_adj_ex() chooses UTCTime up to 2049 and GeneralizedTime after.
  time_t start = absl::ToTimeT(values.not_before);
  time_t end = absl::ToTimeT(values.not_after);
  if (X509_time_adj_ex(X509_getm_notBefore(x509), 0, 0, &start) == nullptr ||
      X509_time_adj_ex(X509_getm_notAfter(x509), 0, 0, &end) == nullptr) {
    return Failed("its validity");
  }
  return absl::OkStatus();
}

absl::Status SetSubject(X509* x509, absl::string_view der) {
  if (der.empty()) return absl::OkStatus();
  const unsigned char* position = Data(der);
  OpensslPtr<X509_NAME> name(d2i_X509_NAME(nullptr, &position, static_cast<long>(der.size())));
  if (name == nullptr || position != Data(der) + der.size()) {
    return OpensslError(absl::StatusCode::kInvalidArgument,
                        "the subject of a certificate is no DER of a name");
  }
  if (X509_set_subject_name(x509, name.get()) != 1) return Failed("its subject");
  return absl::OkStatus();
}

absl::Status Add(X509* x509, int nid, void* value, bool critical) {
  if (value == nullptr ||
      X509_add1_ext_i2d(x509, nid, value, critical ? 1 : 0, X509V3_ADD_APPEND) != 1) {
    return Failed(absl::StrCat("extension ", OBJ_nid2sn(nid)));
  }
  return absl::OkStatus();
}

absl::Status CheckUrl(absl::string_view url, absl::string_view what) {
  absl::StatusOr<std::string> normal = NormalizeUri(url);
  if (!normal.ok()) return base::Annotate(normal.status(), absl::StrCat("URL of ", what));
  for (absl::string_view scheme : {"http://", "https://", "ldap://", "ldaps://"}) {
    if (absl::StartsWith(*normal, scheme)) return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("URL of ", what, ": not of http, https, ldap or ldaps"));
}

absl::Status AddCrlDistributionPoints(X509* x509, const std::vector<std::string>& urls) {
  if (urls.empty()) return absl::OkStatus();
  OpensslPtr<CRL_DIST_POINTS> points(CRL_DIST_POINTS_new());
  for (const std::string& url : urls) {
    CW_RETURN_IF_ERROR(CheckUrl(url, "a CRL distribution point"));
    OpensslPtr<DIST_POINT> point(DIST_POINT_new());
    if (points == nullptr || point == nullptr) return Failed("out of memory");
    point->distpoint = DIST_POINT_NAME_new();
    if (point->distpoint == nullptr) return Failed("out of memory");
    point->distpoint->type = 0;  // fullName
    point->distpoint->name.fullname = GENERAL_NAMES_new();
    if (!Push(point->distpoint->name.fullname, MakeGeneralName(GEN_URI, url)) ||
        sk_DIST_POINT_push(points.get(), point.get()) <= 0) {
      return Failed("a CRL distribution point");
    }
    point.release();
  }
  return Add(x509, NID_crl_distribution_points, points.get(), /*critical=*/false);
}

absl::Status PushAccess(AUTHORITY_INFO_ACCESS* accesses, int method, absl::string_view url,
                        absl::string_view what) {
  CW_RETURN_IF_ERROR(CheckUrl(url, what));
  OpensslPtr<ACCESS_DESCRIPTION> access(ACCESS_DESCRIPTION_new());
  OpensslPtr<GENERAL_NAME> location = MakeGeneralName(GEN_URI, url);
  if (accesses == nullptr || access == nullptr || location == nullptr) return Failed(what);
  ASN1_OBJECT_free(access->method);
  access->method = OBJ_nid2obj(method);
  GENERAL_NAME_free(access->location);
  access->location = location.release();
  if (sk_ACCESS_DESCRIPTION_push(accesses, access.get()) <= 0) return Failed(what);
  access.release();
  return absl::OkStatus();
}

absl::Status AddAuthorityInfo(X509* x509, const CertificateTemplate& values) {
  if (values.ocsp_servers.empty() && values.issuing_certificate_urls.empty()) {
    return absl::OkStatus();
  }
  OpensslPtr<AUTHORITY_INFO_ACCESS> accesses(AUTHORITY_INFO_ACCESS_new());
  for (const std::string& url : values.ocsp_servers) {
    CW_RETURN_IF_ERROR(PushAccess(accesses.get(), NID_ad_OCSP, url, "an OCSP server"));
  }
  for (const std::string& url : values.issuing_certificate_urls) {
    CW_RETURN_IF_ERROR(
        PushAccess(accesses.get(), NID_ad_ca_issuers, url, "an issuing certificate"));
  }
  return Add(x509, NID_info_access, accesses.get(), /*critical=*/false);
}

// RFC 5280 §4.2.1.2, method 1; the issuer's identifier is whatever its certificate says.
absl::Status AddKeyIdentifiers(X509* x509, X509* issuer) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int length = 0;
  OpensslPtr<ASN1_OCTET_STRING> subject_id(ASN1_OCTET_STRING_new());
  if (subject_id == nullptr || X509_pubkey_digest(x509, EVP_sha1(), digest, &length) != 1 ||
      ASN1_OCTET_STRING_set(subject_id.get(), digest, static_cast<int>(length)) != 1) {
    return Failed("its key identifier");
  }
  CW_RETURN_IF_ERROR(Add(x509, NID_subject_key_identifier, subject_id.get(), false));
  const ASN1_OCTET_STRING* issuer_id =
      issuer == nullptr ? subject_id.get() : X509_get0_subject_key_id(issuer);
  if (issuer_id == nullptr) return absl::OkStatus();
  OpensslPtr<AUTHORITY_KEYID> authority_id(AUTHORITY_KEYID_new());
  if (authority_id == nullptr) return Failed("out of memory");
  authority_id->keyid = ASN1_OCTET_STRING_dup(issuer_id);
  if (authority_id->keyid == nullptr) return Failed("out of memory");
  return Add(x509, NID_authority_key_identifier, authority_id.get(), false);
}

// The extensions that a request could ask for.
absl::Status AddRequestedExtensions(X509* x509, const CertificateTemplate& values) {
  ExtensionValues wanted;
  wanted.names = values.names;
  wanted.is_ca = values.is_ca;
  CW_ASSIGN_OR_RETURN(wanted.usages, ParseUsages(values.usages));
  if (values.is_ca) wanted.usages.key_usage |= kCertSignBit;
  if (!values.name_constraints.empty()) {
    if (!values.is_ca) {
      return absl::InvalidArgumentError("name constraints are only for a CA's certificate");
    }
    CW_ASSIGN_OR_RETURN(wanted.name_constraints,
                        NormalizeNameConstraints(values.name_constraints));
  }
  bool no_subject = X509_NAME_entry_count(X509_get_subject_name(x509)) == 0;
  CW_ASSIGN_OR_RETURN(OpensslPtr<STACK_OF(X509_EXTENSION)> extensions,
                      EncodeExtensions(wanted, no_subject));
  for (int i = 0; i < sk_X509_EXTENSION_num(extensions.get()); ++i) {
    if (X509_add_ext(x509, sk_X509_EXTENSION_value(extensions.get(), i), -1) != 1) {
      return Failed("an extension");
    }
  }
  if (values.is_ca) return absl::OkStatus();
  OpensslPtr<BASIC_CONSTRAINTS> no_ca(BASIC_CONSTRAINTS_new());
  return Add(x509, NID_basic_constraints, no_ca.get(), /*critical=*/true);
}

absl::StatusOr<std::string> Encode(X509* x509) {
  unsigned char* der = nullptr;
  int length = i2d_X509(x509, &der);
  if (length <= 0) return Failed("its encoding");
  std::string bytes(reinterpret_cast<char*>(der), static_cast<size_t>(length));
  OPENSSL_free(der);
  return bytes;
}

}  // namespace

absl::StatusOr<std::string> BuildCertificateDer(const CertificateTemplate& values,
                                                absl::string_view serial,
                                                const Certificate* issuer,
                                                const PrivateKey& issuer_key) {
  OpensslErrorScope scope;
  OpensslPtr<X509> x509(X509_new());
  X509* issuer_x509 = issuer == nullptr ? nullptr : issuer->x509.get();
  if (x509 == nullptr || X509_set_version(x509.get(), X509_VERSION_3) != 1) {
    return Failed("out of memory");
  }
  if (values.public_key.get() == nullptr) {
    return absl::InvalidArgumentError("the template of a certificate has no public key");
  }
  CW_RETURN_IF_ERROR(SetSerial(x509.get(), serial));
  CW_RETURN_IF_ERROR(SetValidity(x509.get(), values));
  CW_RETURN_IF_ERROR(SetSubject(x509.get(), values.subject_der));
  X509* named = issuer_x509 == nullptr ? x509.get() : issuer_x509;
  if (X509_set_issuer_name(x509.get(), X509_get_subject_name(named)) != 1 ||
      !SetPublicKey(x509.get(), values.public_key.get())) {
    return Failed("its issuer or its key");
  }
  CW_RETURN_IF_ERROR(AddRequestedExtensions(x509.get(), values));
  CW_RETURN_IF_ERROR(AddKeyIdentifiers(x509.get(), issuer_x509));
  CW_RETURN_IF_ERROR(AddCrlDistributionPoints(x509.get(), values.crl_distribution_points));
  CW_RETURN_IF_ERROR(AddAuthorityInfo(x509.get(), values));
  if (X509_sign(x509.get(), issuer_key.get(), SignatureDigest(issuer_key.spec())) <= 0) {
    return Failed("its signature");
  }
  return Encode(x509.get());
}

absl::StatusOr<Certificate> BuildCertificate(const CertificateTemplate& values,
                                             absl::string_view serial,
                                             const Certificate* issuer,
                                             const PrivateKey& issuer_key) {
  CW_ASSIGN_OR_RETURN(const std::string der,
                      BuildCertificateDer(values, serial, issuer, issuer_key));
  CW_ASSIGN_OR_RETURN(std::vector<Certificate> chain,
                      ParseChainPem(EncodePem("CERTIFICATE", der)));
  return std::move(chain.front());
}

absl::StatusOr<std::string> RandomSerial() {
  OpensslErrorScope scope;
  std::string serial(16, '\0');
  while (serial == std::string(16, '\0')) {
    if (RAND_bytes(reinterpret_cast<unsigned char*>(serial.data()), 16) != 1) {
      return Failed("no randomness for its serial number");
    }
  }
  return serial;
}

}  // namespace certwright::pki
