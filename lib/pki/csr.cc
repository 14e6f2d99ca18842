#include "lib/pki/csr.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "lib/base/status_macros.h"
#include "lib/pki/decode_cache.h"
#include "lib/pki/extensions.h"
#include "lib/pki/general_name.h"
#include "lib/pki/openssl.h"
#include "lib/pki/pem.h"
#include "lib/pki/spki.h"
#include "lib/pki/usages.h"

namespace certwright::pki {
namespace {

constexpr size_t kMaxCsrBytes = 64 * 1024;
constexpr absl::string_view kWhat = "certificate request";
constexpr absl::string_view kCsrLabel = "CERTIFICATE REQUEST";
// RFC 5280 §4.2.1.10.
constexpr absl::string_view kConstraintsWithoutCa =
    "name constraints are only for a CA's certificate, and none is asked for";

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

absl::StatusOr<NameConstraints> ConstraintsOf(const CsrSpec& spec) {
  if (spec.name_constraints.empty()) return NameConstraints();
  if (!spec.is_ca) return absl::InvalidArgumentError(kConstraintsWithoutCa);
  return NormalizeNameConstraints(spec.name_constraints);
}

}  // namespace

absl::StatusOr<std::string> SubjectDerOf(const CsrSpec& spec) {
  if (spec.literal_subject.empty()) return EncodeSubject(spec.subject);
  if (!(spec.subject == Subject())) {
    return absl::InvalidArgumentError(
        "a request has either a subject or a literal subject, not both");
  }
  return EncodeLiteralSubject(spec.literal_subject);
}

namespace {

OpensslPtr<X509_NAME> ToName(absl::string_view der) {
  const auto* position = reinterpret_cast<const unsigned char*>(der.data());
  return OpensslPtr<X509_NAME>(
      d2i_X509_NAME(nullptr, &position, static_cast<long>(der.size())));
}

// The octets that `name` was read from.
std::string NameDer(const X509_NAME* name) {
  const unsigned char* der = nullptr;
  size_t length = 0;
  if (X509_NAME_get0_der(name, &der, &length) != 1) return "";
  return std::string(reinterpret_cast<const char*>(der), length);
}

OpensslPtr<STACK_OF(X509_EXTENSION)> RequestedExtensions(X509_REQ* request) {
  return OpensslPtr<STACK_OF(X509_EXTENSION)>(X509_REQ_get_extensions(request));
}

// How many lists of extensions there are: a second one could ask for names that nobody sees.
int ExtensionLists(X509_REQ* request) {
  int count = 0;
  for (int nid : {NID_ext_req, NID_ms_ext_req}) {
    for (int at = -1; (at = X509_REQ_get_attr_by_NID(request, nid, at)) >= 0;) {
      // An empty one is as malformed as one of two.
      const int values = X509_ATTRIBUTE_count(X509_REQ_get_attr(request, at));
      count += values == 0 ? 2 : values;
    }
  }
  return count;
}

std::vector<std::string> OtherExtensions(const STACK_OF(X509_EXTENSION) * extensions) {
  constexpr std::array kRead = {NID_subject_alt_name, NID_key_usage,
                                NID_ext_key_usage,    NID_basic_constraints,
                                NID_name_constraints, NID_subject_key_identifier};
  std::vector<std::string> others;
  for (int i = 0; i < sk_X509_EXTENSION_num(extensions); ++i) {
    const ASN1_OBJECT* type = X509_EXTENSION_get_object(sk_X509_EXTENSION_value(extensions, i));
    if (std::ranges::count(kRead, OBJ_obj2nid(type)) == 0) others.push_back(Dotted(type));
  }
  return others;
}

struct Requested {
  ExtensionValues values;
  std::vector<std::string> others;
};

absl::StatusOr<Requested> DecodeRequestedExtensions(X509_REQ* request) {
  int lists = ExtensionLists(request);
  if (lists == 0) return Requested();
  OpensslPtr<STACK_OF(X509_EXTENSION)> extensions = RequestedExtensions(request);
  if (lists > 1 || extensions == nullptr) {
    return OpensslError(absl::StatusCode::kInvalidArgument,
                        "the extension request is malformed or there more than once");
  }
  Requested requested{{}, OtherExtensions(extensions.get())};
  ExtensionValues& values = requested.values;
  CW_ASSIGN_OR_RETURN(values, DecodeExtensions(extensions.get()));
  if (!values.other_name_kinds.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("a subject alternative name is of a kind that is not supported: ",
                     values.other_name_kinds.front()));
  }
  CW_ASSIGN_OR_RETURN(values.names, NormalizeNames(values.names));
  if (values.name_constraints.empty()) return requested;
  if (!values.is_ca) return absl::InvalidArgumentError(kConstraintsWithoutCa);
  CW_ASSIGN_OR_RETURN(values.name_constraints,
                      NormalizeNameConstraints(values.name_constraints));
  return requested;
}

absl::StatusOr<Csr> DecodeCsr(std::string der) {
  const auto* begin = reinterpret_cast<const unsigned char*>(der.data());
  const unsigned char* position = begin;
  OpensslPtr<X509_REQ> request =
      DecodeRequestWithoutKey(&position, static_cast<long>(der.size()));
  if (request == nullptr || position != begin + der.size()) {
    return OpensslError(absl::StatusCode::kInvalidArgument, "malformed DER");
  }
  OpensslPtr<EVP_PKEY> key = DecodePublicKey(X509_REQ_get_X509_PUBKEY(request.get()));
  if (key == nullptr) {
    return OpensslError(absl::StatusCode::kInvalidArgument, "its public key cannot be read");
  }
  CW_ASSIGN_OR_RETURN(PublicKey public_key, PublicKey::FromOpenssl(key.get()));
  if (X509_REQ_verify(request.get(), key.get()) != 1) {
    return OpensslError(absl::StatusCode::kInvalidArgument,
                        "its signature does not fit its public key");
  }
  std::string subject_der = NameDer(X509_REQ_get_subject_name(request.get()));
  CW_ASSIGN_OR_RETURN(Subject subject, DecodeSubject(subject_der));
  CW_ASSIGN_OR_RETURN(Requested requested, DecodeRequestedExtensions(request.get()));
  ExtensionValues& values = requested.values;
  return Csr{.der = std::move(der),
             .subject = std::move(subject),
             .names = std::move(values.names),
             .usages = UsageWords(values.usages),
             .is_ca = values.is_ca,
             .public_key = std::move(public_key),
             .subject_der = std::move(subject_der),
             .name_constraints = std::move(values.name_constraints),
             .other_extensions = std::move(requested.others)};
}

}  // namespace

absl::StatusOr<std::string> CreateCsrPem(const CsrSpec& spec, const PrivateKey& key) {
  OpensslErrorScope scope;
  ExtensionValues values;
  CW_RETURN_IF_ERROR(CheckNames(spec.names));
  values.names = spec.names;
  values.is_ca = spec.is_ca;
  CW_ASSIGN_OR_RETURN(values.name_constraints, ConstraintsOf(spec));
  CW_ASSIGN_OR_RETURN(const EVP_MD* digest,
                      SignatureDigestOf(spec.signature_algorithm, key.spec()));
  CW_ASSIGN_OR_RETURN(values.usages, ParseUsages(spec.usages));
  CW_ASSIGN_OR_RETURN(std::string subject_der, SubjectDerOf(spec));
  OpensslPtr<X509_NAME> subject = ToName(subject_der);
  bool subject_is_empty = X509_NAME_entry_count(subject.get()) == 0;
  CW_ASSIGN_OR_RETURN(OpensslPtr<STACK_OF(X509_EXTENSION)> extensions,
                      EncodeExtensions(values, subject_is_empty));
  OpensslPtr<X509_REQ> request(X509_REQ_new());
  bool any = sk_X509_EXTENSION_num(extensions.get()) > 0;
  if (request == nullptr || X509_REQ_set_version(request.get(), X509_REQ_VERSION_1) != 1 ||
      X509_REQ_set_subject_name(request.get(), subject.get()) != 1 ||
      !SetPublicKey(request.get(), key.get()) ||
      (any && X509_REQ_add_extensions(request.get(), extensions.get()) != 1) ||
      X509_REQ_sign(request.get(), key.get(), digest) <= 0) {
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

absl::StatusOr<Csr> ParseCsrDer(std::string der) {
  OpensslErrorScope scope;
  if (der.size() > kMaxCsrBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(kWhat, " is longer than ", kMaxCsrBytes, " bytes"));
  }
  absl::StatusOr<Csr> csr = DecodeCsr(std::move(der));
  if (!csr.ok()) return base::Annotate(csr.status(), kWhat);
  return csr;
}

absl::StatusOr<Csr> ParseCsrPem(absl::string_view pem) {
  OpensslErrorScope scope;
  absl::StatusOr<std::vector<PemBlock>> blocks =
      ParsePem(pem, {.max_bytes = kMaxCsrBytes, .max_blocks = 1});
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
