#include "lib/pki/certificate.h"

#include <openssl/asn1.h>

#include <algorithm>
#include <ctime>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/civil_time.h"
#include "lib/base/status_macros.h"
#include "lib/pki/decode_cache.h"
#include "lib/pki/extensions.h"
#include "lib/pki/openssl.h"
#include "lib/pki/pem.h"
#include "lib/pki/usages.h"

namespace certwright::pki {
namespace {

constexpr size_t kMaxChainPemBytes = 256 * 1024;
constexpr size_t kMaxChainLength = 20;
constexpr absl::string_view kCertificateLabel = "CERTIFICATE";
constexpr absl::string_view kTrustedLabel = "TRUSTED CERTIFICATE";
// The first octet of a sequence.
constexpr absl::string_view kDerSequence = "\x30";
constexpr absl::Duration kClockTolerance = absl::Hours(1);

bool IsCertificateLabel(absl::string_view label) {
  return label == kCertificateLabel || label == "X509 CERTIFICATE" ||
         label == "X.509 CERTIFICATE" || label == kTrustedLabel;
}

// Takes the sequence at the start off `der`; empty if there is none.
std::string TakeSequence(absl::string_view& der) {
  const auto* begin = reinterpret_cast<const unsigned char*>(der.data());
  const unsigned char* content = begin;
  long length = 0;
  int tag = 0;
  int tag_class = 0;
  const int form =
      ASN1_get_object(&content, &length, &tag, &tag_class, static_cast<long>(der.size()));
  if (form != V_ASN1_CONSTRUCTED || tag != V_ASN1_SEQUENCE) return "";
  const std::string sequence(der.substr(0, content - begin + length));
  der.remove_prefix(sequence.size());
  return sequence;
}

absl::StatusOr<std::vector<std::string>> CertificatesInDer(absl::string_view der) {
  std::vector<std::string> certificates;
  while (!der.empty()) {
    if (certificates.size() == kMaxChainLength) {
      return absl::InvalidArgumentError(
          absl::StrCat("DER has more than ", kMaxChainLength, " certificates"));
    }
    certificates.push_back(TakeSequence(der));
    if (certificates.back().empty()) {
      return absl::InvalidArgumentError("what begins as DER goes on as something else");
    }
  }
  return certificates;
}

absl::StatusOr<std::vector<std::string>> CertificatesInPem(absl::string_view pem) {
  CW_ASSIGN_OR_RETURN(
      std::vector<PemBlock> blocks,
      ParsePem(pem, {.max_bytes = kMaxChainPemBytes, .max_blocks = kMaxChainLength}));
  if (blocks.empty()) return absl::InvalidArgumentError("the text holds no PEM block");
  // Labels before contents: what holds a key must not be looked at any further.
  for (size_t i = 0; i < blocks.size(); ++i) {
    if (IsCertificateLabel(blocks[i].label)) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("PEM block ", i + 1, " is not a CERTIFICATE; the whole is refused"));
  }
  std::vector<std::string> certificates;
  for (PemBlock& block : blocks) {
    absl::string_view der = block.der;
    // OpenSSL's own notes follow the certificate.
    certificates.push_back(block.label == kTrustedLabel ? TakeSequence(der)
                                                        : std::move(block.der));
  }
  return certificates;
}

// nullptr unless all of `der` is one certificate.
OpensslPtr<X509> ToX509(absl::string_view der) {
  const auto* begin = reinterpret_cast<const unsigned char*>(der.data());
  const unsigned char* position = begin;
  OpensslPtr<X509> certificate(d2i_X509(nullptr, &position, static_cast<long>(der.size())));
  if (position != begin + der.size()) certificate.reset();
  return certificate;
}

absl::StatusOr<absl::Time> ToTime(const ASN1_TIME* time) {
  std::tm fields = {};
  if (ASN1_TIME_to_tm(time, &fields) != 1) {
    return OpensslError(absl::StatusCode::kInvalidArgument, "its validity is malformed");
  }
  // The year 0 has no google.protobuf.Timestamp.
  if (fields.tm_year + 1900 < 1) {
    return absl::InvalidArgumentError("its validity is of another era");
  }
  return absl::FromCivil(
      absl::CivilSecond(fields.tm_year + 1900, fields.tm_mon + 1, fields.tm_mday,
                        fields.tm_hour, fields.tm_min, fields.tm_sec),
      absl::UTCTimeZone());
}

// RFC 4514: most specific part first, UTF-8 as it is.
std::string OneLine(const X509_NAME* name) {
  OpensslPtr<BIO> bio(BIO_new(BIO_s_mem()));
  if (bio == nullptr || X509_NAME_print_ex(bio.get(), name, /*indent=*/0,
                                           XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) < 0) {
    return "";
  }
  char* data = nullptr;
  long length = BIO_get_mem_data(bio.get(), &data);
  return length > 0 ? std::string(data, static_cast<size_t>(length)) : "";
}

// The last of several, which is the most specific; empty if there is none.
std::string CommonName(const X509_NAME* name) {
  int last = -1;
  for (int at = -1; (at = X509_NAME_get_index_by_NID(name, NID_commonName, at)) >= 0;)
    last = at;
  if (last < 0) return "";
  unsigned char* utf8 = nullptr;
  int length =
      ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, last)));
  if (length < 0) return "";
  std::string text(reinterpret_cast<char*>(utf8), static_cast<size_t>(length));
  OPENSSL_free(utf8);
  return text;
}

std::string ContentOctets(const ASN1_INTEGER* number) {
  unsigned char* der = nullptr;
  int length = i2d_ASN1_INTEGER(number, &der);
  if (length <= 0) return "";
  const unsigned char* content = der;
  long content_length = 0;
  int tag = 0;
  int tag_class = 0;
  ASN1_get_object(&content, &content_length, &tag, &tag_class, length);
  std::string octets(reinterpret_cast<const char*>(content),
                     static_cast<size_t>(content_length));
  OPENSSL_free(der);
  return octets;
}

absl::StatusOr<std::string> AuthorityKeyId(const X509* certificate) {
  constexpr int kNotFound = -1;
  int critical = kNotFound;
  OpensslPtr<AUTHORITY_KEYID> id(static_cast<AUTHORITY_KEYID*>(
      X509_get_ext_d2i(certificate, NID_authority_key_identifier, &critical, nullptr)));
  if (id == nullptr && critical != kNotFound) {
    return OpensslError(absl::StatusCode::kInvalidArgument,
                        "its authority key identifier is malformed or there more than once");
  }
  if (id == nullptr || id->keyid == nullptr) return "";
  return std::string(reinterpret_cast<const char*>(ASN1_STRING_get0_data(id->keyid)),
                     static_cast<size_t>(ASN1_STRING_length(id->keyid)));
}

absl::StatusOr<Certificate> DecodeCertificate(std::string der) {
  OpensslPtr<X509> x509 = ToX509(der);
  if (x509 == nullptr) {
    return OpensslError(absl::StatusCode::kInvalidArgument,
                        "is no DER of one X.509 certificate");
  }
  EVP_PKEY* key = X509_get0_pubkey(x509.get());
  if (key == nullptr) {
    return OpensslError(absl::StatusCode::kInvalidArgument, "its public key cannot be read");
  }
  CW_ASSIGN_OR_RETURN(PublicKey public_key, PublicKey::FromOpenssl(key));
  CW_ASSIGN_OR_RETURN(absl::Time not_before, ToTime(X509_get0_notBefore(x509.get())));
  CW_ASSIGN_OR_RETURN(absl::Time not_after, ToTime(X509_get0_notAfter(x509.get())));
  CW_ASSIGN_OR_RETURN(std::string authority_key_id, AuthorityKeyId(x509.get()));
  CW_ASSIGN_OR_RETURN(ExtensionValues values,
                      DecodeExtensions(X509_get0_extensions(x509.get())));
  const X509_NAME* subject = X509_get_subject_name(x509.get());
  const X509_NAME* issuer = X509_get_issuer_name(x509.get());
  std::string serial = ContentOctets(X509_get0_serialNumber(x509.get()));
  std::string serial_hex = absl::BytesToHexString(serial);
  return Certificate{.der = std::move(der),
                     .subject_common_name = CommonName(subject),
                     .issuer_common_name = CommonName(issuer),
                     .subject = OneLine(subject),
                     .issuer = OneLine(issuer),
                     .names = std::move(values.names),
                     .other_name_kinds = std::move(values.other_name_kinds),
                     .usages = UsageWords(values.usages),
                     .not_before = not_before,
                     .not_after = not_after,
                     .serial_der = std::move(serial),
                     .serial_hex = std::move(serial_hex),
                     .authority_key_id = std::move(authority_key_id),
                     .is_ca = values.is_ca,
                     .public_key = std::move(public_key),
                     .x509 = std::shared_ptr<X509>(x509.release(), X509_free),
                     .name_constraints = std::move(values.name_constraints)};
}

absl::Status Failed(absl::string_view what) {
  return absl::FailedPreconditionError(absl::StrCat("issued certificate chain: ", what));
}

absl::Status NotNow(absl::string_view what) {
  return absl::OutOfRangeError(
      absl::StrCat("issued certificate chain: ", what, "; check this machine's clock"));
}

absl::Status CheckLeaf(const Certificate& leaf, const ChainExpectation& expected) {
  if (expected.public_key != nullptr && !(leaf.public_key == *expected.public_key)) {
    return Failed(absl::StrCat("the first certificate is for another key (",
                               leaf.public_key.Description(), ") than the one requested"));
  }
  std::string difference = NameSetDifference(expected.names, leaf.names);
  if (!leaf.other_name_kinds.empty()) {
    absl::StrAppend(&difference, difference.empty() ? "" : "; ", "unexpected ",
                    leaf.other_name_kinds.front());
  }
  if (!difference.empty()) {
    return Failed(
        absl::StrCat("the first certificate has other names than requested: ", difference));
  }
  return absl::OkStatus();
}

absl::Status CheckTime(const Certificate& leaf, absl::Time now) {
  if (leaf.not_after <= now) {
    return NotNow(absl::StrCat("the first certificate expired at ",
                               absl::FormatTime(leaf.not_after, absl::UTCTimeZone())));
  }
  if (leaf.not_before > now + kClockTolerance) {
    return NotNow(absl::StrCat("the first certificate is valid only from ",
                               absl::FormatTime(leaf.not_before, absl::UTCTimeZone())));
  }
  return absl::OkStatus();
}

bool IsCa(const Certificate& certificate) { return X509_check_ca(certificate.x509.get()) != 0; }

// OK if `issuer` has signed `subject`.
absl::Status CheckIssued(const Certificate& issuer, const Certificate& subject) {
  const int result = X509_check_issued(issuer.x509.get(), subject.x509.get());
  if (result != X509_V_OK) {
    return absl::FailedPreconditionError(X509_verify_cert_error_string(result));
  }
  if (X509_verify(subject.x509.get(), X509_get0_pubkey(issuer.x509.get())) != 1) {
    return OpensslError(absl::StatusCode::kFailedPrecondition, "the signature is another's");
  }
  return absl::OkStatus();
}

// OK if the certificate at `issuer` (counted from 0) signed the one before it.
absl::Status CheckLink(const std::vector<Certificate>& chain, size_t issuer) {
  if (chain[issuer].der == chain[issuer - 1].der) {
    return Failed(absl::StrCat("certificate ", issuer + 1, " repeats the one before it"));
  }
  // What a reader counts: the subject is certificate number `issuer`, from 1.
  const absl::Status issued = CheckIssued(chain[issuer], chain[issuer - 1]);
  if (!issued.ok()) {
    return Failed(absl::StrCat("certificate ", issuer, " is not signed by certificate ",
                               issuer + 1, ": ", issued.message()));
  }
  if (!IsCa(chain[issuer])) {
    return Failed(absl::StrCat("certificate ", issuer + 1, " is not a CA's"));
  }
  return absl::OkStatus();
}

absl::Status NoChain(absl::string_view why) {
  return absl::FailedPreconditionError(absl::StrCat("certificate chain: ", why));
}

// Where the certificate for `key` is. The first one counts whatever follows: a CA's certificate
// may be there twice, signed by several.
absl::StatusOr<size_t> FindLeaf(const std::vector<Certificate>& certificates,
                                const PublicKey& key) {
  std::vector<size_t> found;
  for (size_t i = 0; i < certificates.size(); ++i) {
    const bool is_double =
        !found.empty() && certificates[found.front()].der == certificates[i].der;
    if (certificates[i].public_key == key && !is_double) found.push_back(i);
  }
  if (found.empty() && certificates.size() == 1) {
    return NoChain(absl::StrCat("its certificate is for another key (",
                                certificates.front().public_key.Description(), ")"));
  }
  if (found.empty()) {
    return NoChain(
        absl::StrCat("none of its ", certificates.size(), " certificates is for the key"));
  }
  if (found.size() > 1 && found.front() != 0) {
    return NoChain(absl::StrCat("certificates ", found[0] + 1, " and ", found[1] + 1,
                                " are both for the key"));
  }
  return found.front();
}

OpensslPtr<X509_STORE> MakeStore(const std::vector<Certificate>& roots, absl::Time now) {
  OpensslPtr<X509_STORE> store(X509_STORE_new());
  if (store == nullptr) return nullptr;
  for (const Certificate& root : roots) {
    if (X509_STORE_add_cert(store.get(), root.x509.get()) != 1) return nullptr;
  }
  // An intermediate that is given as a root is one.
  X509_STORE_set_flags(store.get(), X509_V_FLAG_PARTIAL_CHAIN);
  X509_VERIFY_PARAM_set_time(X509_STORE_get0_param(store.get()), absl::ToTimeT(now));
  return store;
}

}  // namespace

std::string Certificate::Pem() const { return EncodePem(kCertificateLabel, der); }

namespace {

DecodeCache<Certificate>& KnownCertificates() {
  static DecodeCache<Certificate>& cache = *new DecodeCache<Certificate>(256);
  return cache;
}

}  // namespace

absl::StatusOr<std::vector<Certificate>> ParseChainPem(absl::string_view text) {
  constexpr absl::string_view kWhat = "certificate chain";
  OpensslErrorScope scope;
  const bool is_der =
      absl::StartsWith(text, kDerSequence) && !absl::StrContains(text, "-----BEGIN ");
  if (text.size() > kMaxChainPemBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(kWhat, " is longer than ", kMaxChainPemBytes, " bytes"));
  }
  absl::StatusOr<std::vector<std::string>> ders =
      is_der ? CertificatesInDer(text) : CertificatesInPem(text);
  if (!ders.ok()) return base::Annotate(ders.status(), kWhat);
  std::vector<Certificate> chain;
  chain.reserve(ders->size());
  for (std::string& der : *ders) {
    absl::StatusOr<Certificate> certificate =
        KnownCertificates().Get(std::move(der), DecodeCertificate);
    if (!certificate.ok()) {
      return base::Annotate(certificate.status(),
                            absl::StrCat(kWhat, ": certificate ", chain.size() + 1));
    }
    chain.push_back(*std::move(certificate));
  }
  return chain;
}

absl::StatusOr<std::vector<Certificate>> ChainFromLeaf(std::vector<Certificate> certificates,
                                                       const PublicKey& leaf_key) {
  OpensslErrorScope scope;
  CW_ASSIGN_OR_RETURN(const size_t leaf, FindLeaf(certificates, leaf_key));
  const auto take = [&certificates](size_t index) {
    Certificate taken = certificates[index];
    std::erase_if(certificates,
                  [&](const Certificate& other) { return other.der == taken.der; });
    return taken;
  };
  std::vector<Certificate> chain;
  chain.push_back(take(leaf));
  while (!IsSelfSigned(chain.back())) {
    const auto issuer =
        std::find_if(certificates.begin(), certificates.end(), [&](const Certificate& other) {
          return IsCa(other) && CheckIssued(other, chain.back()).ok();
        });
    if (issuer == certificates.end()) break;
    chain.push_back(take(issuer - certificates.begin()));
  }
  if (chain.size() == 1 && !certificates.empty() && !IsSelfSigned(chain.front())) {
    return NoChain(absl::StrCat("the certificate for the key is signed by none of the ",
                                certificates.size(), " others"));
  }
  return chain;
}

std::string ToPem(const std::vector<Certificate>& chain) {
  std::string pem;
  for (const Certificate& certificate : chain) pem += certificate.Pem();
  return pem;
}

absl::Status VerifyIssuedChain(const std::vector<Certificate>& chain,
                               const ChainExpectation& expected) {
  OpensslErrorScope scope;
  if (chain.empty()) return Failed("it is empty");
  CW_RETURN_IF_ERROR(CheckLeaf(chain.front(), expected));
  for (size_t i = 1; i < chain.size(); ++i) CW_RETURN_IF_ERROR(CheckLink(chain, i));
  return CheckTime(chain.front(), expected.now);
}

absl::Status VerifyAgainstRoots(const std::vector<Certificate>& chain,
                                const std::vector<Certificate>& roots, absl::Time now) {
  OpensslErrorScope scope;
  if (chain.empty()) return Failed("it is empty");
  OpensslPtr<X509_STORE> store = MakeStore(roots, now);
  // Owns the stack only; the certificates stay the chain's.
  std::unique_ptr<STACK_OF(X509), void (*)(STACK_OF(X509)*)> intermediates(
      sk_X509_new_null(), [](STACK_OF(X509) * stack) { sk_X509_free(stack); });
  bool ready = store != nullptr && intermediates != nullptr;
  for (size_t i = 1; ready && i < chain.size(); ++i) {
    ready = sk_X509_push(intermediates.get(), chain[i].x509.get()) > 0;
  }
  OpensslPtr<X509_STORE_CTX> context(X509_STORE_CTX_new());
  if (!ready || context == nullptr ||
      X509_STORE_CTX_init(context.get(), store.get(), chain.front().x509.get(),
                          intermediates.get()) != 1) {
    return OpensslError(absl::StatusCode::kInternal, "cannot set up a path validation");
  }
  if (X509_verify_cert(context.get()) == 1) return absl::OkStatus();
  int depth = X509_STORE_CTX_get_error_depth(context.get());
  return Failed(
      absl::StrCat("it does not lead to a trusted root: at depth ", depth, ": ",
                   X509_verify_cert_error_string(X509_STORE_CTX_get_error(context.get()))));
}

bool IsSignedBy(const Certificate& certificate, const Certificate& ca) {
  OpensslErrorScope scope;
  return X509_check_issued(ca.x509.get(), certificate.x509.get()) == X509_V_OK &&
         X509_check_ca(ca.x509.get()) != 0 &&
         X509_verify(certificate.x509.get(), X509_get0_pubkey(ca.x509.get())) == 1;
}

bool IsSelfSigned(const Certificate& certificate) {
  return X509_self_signed(certificate.x509.get(), /*verify_signature=*/0) == 1;
}

const Certificate& TopmostCertificate(const std::vector<Certificate>& chain) {
  return chain.back();
}

}  // namespace certwright::pki
