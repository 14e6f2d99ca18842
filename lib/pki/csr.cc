#include "lib/pki/csr.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "lib/base/status_macros.h"
#include "lib/pki/decode_cache.h"
#include "lib/pki/extensions.h"
#include "lib/pki/openssl.h"
#include "lib/pki/pem.h"
#include "lib/pki/usages.h"

namespace certwright::pki {
namespace {

constexpr size_t kMaxCsrPemBytes = 64 * 1024;
// RFC 5280 appendix A.1 bounds most parts, and OpenSSL enforces that; these it leaves open.
constexpr size_t kMaxSubjectPartLength = 128;
constexpr absl::string_view kCsrLabel = "CERTIFICATE REQUEST";

struct RepeatablePart {
  int nid;
  std::vector<std::string> Subject::*values;
  absl::string_view what;
};

constexpr RepeatablePart kRepeatableParts[] = {
    {NID_countryName, &Subject::countries, "country"},
    {NID_organizationName, &Subject::organizations, "organization"},
    {NID_organizationalUnitName, &Subject::organizational_units, "organizational unit"},
    {NID_localityName, &Subject::localities, "locality"},
    {NID_stateOrProvinceName, &Subject::provinces, "province"},
    {NID_streetAddress, &Subject::street_addresses, "street address"},
    {NID_postalCode, &Subject::postal_codes, "postal code"},
};

struct SinglePart {
  int nid;
  std::string Subject::*value;
  absl::string_view what;
};

constexpr SinglePart kSingleParts[] = {
    {NID_commonName, &Subject::common_name, "common name"},
    {NID_serialNumber, &Subject::serial_number, "serial number"},
};

absl::Status AddPart(X509_NAME* name, int nid, const std::string& value,
                     absl::string_view what) {
  if (value.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("subject has an empty ", what));
  }
  const auto* bytes = reinterpret_cast<const unsigned char*>(value.data());
  if (value.size() > 4 * kMaxSubjectPartLength ||
      X509_NAME_add_entry_by_NID(name, nid, MBSTRING_UTF8, bytes,
                                 static_cast<int>(value.size()),
                                 /*loc=*/-1, /*set=*/0) != 1) {
    return OpensslError(absl::StatusCode::kInvalidArgument,
                        absl::StrCat("subject's ", what,
                                     " is too long, not UTF-8, or has "
                                     "characters that are not allowed there"));
  }
  return absl::OkStatus();
}

absl::StatusOr<OpensslPtr<X509_NAME>> EncodeSubject(const Subject& subject) {
  OpensslPtr<X509_NAME> name(X509_NAME_new());
  if (name == nullptr) return OpensslError(absl::StatusCode::kInternal, "out of memory");
  for (const RepeatablePart& part : kRepeatableParts) {
    for (const std::string& value : subject.*part.values) {
      CW_RETURN_IF_ERROR(AddPart(name.get(), part.nid, value, part.what));
    }
  }
  for (const SinglePart& part : kSingleParts) {
    const std::string& value = subject.*part.value;
    if (!value.empty()) CW_RETURN_IF_ERROR(AddPart(name.get(), part.nid, value, part.what));
  }
  return name;
}

absl::StatusOr<std::string> Utf8(const ASN1_STRING* text) {
  unsigned char* utf8 = nullptr;
  int length = ASN1_STRING_to_UTF8(&utf8, text);
  if (length < 0) {
    return OpensslError(absl::StatusCode::kInvalidArgument, "subject holds malformed text");
  }
  std::string value(reinterpret_cast<char*>(utf8), static_cast<size_t>(length));
  OPENSSL_free(utf8);
  return value;
}

// Parts that Subject has no member for are left out; the DER still holds them.
absl::StatusOr<Subject> DecodeSubject(const X509_NAME* name) {
  Subject subject;
  for (int i = 0; i < X509_NAME_entry_count(name); ++i) {
    const X509_NAME_ENTRY* entry = X509_NAME_get_entry(name, i);
    const int nid = OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry));
    for (const RepeatablePart& part : kRepeatableParts) {
      if (part.nid != nid) continue;
      CW_ASSIGN_OR_RETURN(std::string value, Utf8(X509_NAME_ENTRY_get_data(entry)));
      (subject.*part.values).push_back(std::move(value));
    }
    for (const SinglePart& part : kSingleParts) {
      if (part.nid != nid) continue;
      if (!(subject.*part.value).empty()) {
        return absl::InvalidArgumentError(
            absl::StrCat("subject has more than one ", part.what));
      }
      CW_ASSIGN_OR_RETURN(subject.*part.value, Utf8(X509_NAME_ENTRY_get_data(entry)));
    }
  }
  return subject;
}

// What X509_REQ_set_pubkey() does, but for ECDSA without the generic encoder and decoder,
// which take five times as long as the signature.
bool SetPublicKey(X509_REQ* request, EVP_PKEY* key) {
  if (EVP_PKEY_get_base_id(key) != EVP_PKEY_EC) return X509_REQ_set_pubkey(request, key) == 1;
  char group[64] = {};
  if (EVP_PKEY_get_group_name(key, group, sizeof group, nullptr) != 1) return false;
  unsigned char* point = nullptr;
  size_t length = EVP_PKEY_get1_encoded_public_key(key, &point);
  // RFC 5480 §2.1.1: the algorithm's parameter is the curve's name.
  ASN1_OBJECT* curve = OBJ_txt2obj(group, /*no_name=*/0);
  if (length > 0 && curve != nullptr &&
      X509_PUBKEY_set0_param(X509_REQ_get_X509_PUBKEY(request),
                             OBJ_nid2obj(NID_X9_62_id_ecPublicKey), V_ASN1_OBJECT, curve, point,
                             static_cast<int>(length)) == 1) {
    return true;
  }
  ASN1_OBJECT_free(curve);
  OPENSSL_free(point);
  return false;
}

absl::StatusOr<std::string> Encode(X509_REQ* request) {
  unsigned char* der = nullptr;
  int length = i2d_X509_REQ(request, &der);
  if (length <= 0) {
    return OpensslError(absl::StatusCode::kInternal, "cannot encode a certificate request");
  }
  std::string bytes(reinterpret_cast<char*>(der), static_cast<size_t>(length));
  OPENSSL_free(der);
  return bytes;
}

// Names must come in their one spelling, so that what is asked for is what is compared later.
absl::Status CheckNames(const SubjectAltNames& names) {
  CW_ASSIGN_OR_RETURN(SubjectAltNames normal, NormalizeNames(names));
  std::string difference = NameSetDifference(names, normal);
  if (difference.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("names are not in their normal spelling: ", difference));
}

OpensslPtr<STACK_OF(X509_EXTENSION)> RequestedExtensions(X509_REQ* request) {
  return OpensslPtr<STACK_OF(X509_EXTENSION)>(X509_REQ_get_extensions(request));
}

// How many attributes ask for extensions: a second one could ask for names that nobody sees.
int ExtensionAttributes(const X509_REQ* request) {
  int count = 0;
  for (int nid : {NID_ext_req, NID_ms_ext_req}) {
    for (int at = -1; (at = X509_REQ_get_attr_by_NID(request, nid, at)) >= 0;) ++count;
  }
  return count;
}

absl::StatusOr<ExtensionValues> DecodeRequestedExtensions(X509_REQ* request) {
  int attributes = ExtensionAttributes(request);
  if (attributes == 0) return ExtensionValues();
  OpensslPtr<STACK_OF(X509_EXTENSION)> extensions = RequestedExtensions(request);
  if (attributes > 1 || extensions == nullptr) {
    return OpensslError(absl::StatusCode::kInvalidArgument,
                        "the extension request is malformed or there more than once");
  }
  CW_ASSIGN_OR_RETURN(ExtensionValues values, DecodeExtensions(extensions.get()));
  if (!values.other_name_kinds.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("a subject alternative name is of a kind that is not supported: ",
                     values.other_name_kinds.front()));
  }
  CW_ASSIGN_OR_RETURN(values.names, NormalizeNames(values.names));
  return values;
}

absl::StatusOr<Csr> DecodeCsr(std::string der) {
  const auto* begin = reinterpret_cast<const unsigned char*>(der.data());
  const unsigned char* position = begin;
  OpensslPtr<X509_REQ> request(d2i_X509_REQ(nullptr, &position, static_cast<long>(der.size())));
  if (request == nullptr || position != begin + der.size()) {
    return OpensslError(absl::StatusCode::kInvalidArgument, "malformed DER");
  }
  EVP_PKEY* key = X509_REQ_get0_pubkey(request.get());
  if (key == nullptr) {
    return OpensslError(absl::StatusCode::kInvalidArgument, "its public key cannot be read");
  }
  CW_ASSIGN_OR_RETURN(PublicKey public_key, PublicKey::FromOpenssl(key));
  if (X509_REQ_verify(request.get(), key) != 1) {
    return OpensslError(absl::StatusCode::kInvalidArgument,
                        "its signature does not fit its public key");
  }
  CW_ASSIGN_OR_RETURN(Subject subject, DecodeSubject(X509_REQ_get_subject_name(request.get())));
  CW_ASSIGN_OR_RETURN(ExtensionValues values, DecodeRequestedExtensions(request.get()));
  return Csr{.der = std::move(der),
             .subject = std::move(subject),
             .names = std::move(values.names),
             .usages = UsageWords(values.usages),
             .is_ca = values.is_ca,
             .public_key = std::move(public_key)};
}

}  // namespace

absl::Status CheckSubject(const Subject& subject) {
  OpensslErrorScope scope;
  return EncodeSubject(subject).status();
}

absl::StatusOr<std::string> CreateCsrPem(const CsrSpec& spec, const PrivateKey& key) {
  OpensslErrorScope scope;
  ExtensionValues values;
  CW_RETURN_IF_ERROR(CheckNames(spec.names));
  values.names = spec.names;
  values.is_ca = spec.is_ca;
  CW_ASSIGN_OR_RETURN(values.usages, ParseUsages(spec.usages));
  CW_ASSIGN_OR_RETURN(OpensslPtr<X509_NAME> subject, EncodeSubject(spec.subject));
  bool subject_is_empty = X509_NAME_entry_count(subject.get()) == 0;
  CW_ASSIGN_OR_RETURN(OpensslPtr<STACK_OF(X509_EXTENSION)> extensions,
                      EncodeExtensions(values, subject_is_empty));
  OpensslPtr<X509_REQ> request(X509_REQ_new());
  bool any = sk_X509_EXTENSION_num(extensions.get()) > 0;
  if (request == nullptr || X509_REQ_set_version(request.get(), X509_REQ_VERSION_1) != 1 ||
      X509_REQ_set_subject_name(request.get(), subject.get()) != 1 ||
      !SetPublicKey(request.get(), key.get()) ||
      (any && X509_REQ_add_extensions(request.get(), extensions.get()) != 1) ||
      X509_REQ_sign(request.get(), key.get(), SignatureDigest(key.spec())) <= 0) {
    return OpensslError(absl::StatusCode::kInternal, "cannot make a certificate request");
  }
  CW_ASSIGN_OR_RETURN(std::string der, Encode(request.get()));
  return EncodePem(kCsrLabel, der);
}

namespace {

DecodeCache<Csr>& KnownRequests() {
  static DecodeCache<Csr>& cache = *new DecodeCache<Csr>(256);
  return cache;
}

}  // namespace

absl::StatusOr<Csr> ParseCsrPem(absl::string_view pem) {
  constexpr absl::string_view kWhat = "certificate request";
  OpensslErrorScope scope;
  absl::StatusOr<std::vector<PemBlock>> blocks =
      ParsePem(pem, {.max_bytes = kMaxCsrPemBytes, .max_blocks = 1});
  if (!blocks.ok()) return base::Annotate(blocks.status(), kWhat);
  // Old tools write the second label (RFC 7468 §7).
  if (blocks->empty() || (blocks->front().label != kCsrLabel &&
                          blocks->front().label != absl::StrCat("NEW ", kCsrLabel))) {
    return absl::InvalidArgumentError(
        absl::StrCat(kWhat, ": the text holds no PEM block \"", kCsrLabel, "\""));
  }
  absl::StatusOr<Csr> csr = KnownRequests().Get(std::move(blocks->front().der), DecodeCsr);
  if (!csr.ok()) return base::Annotate(csr.status(), kWhat);
  return csr;
}

}  // namespace certwright::pki
