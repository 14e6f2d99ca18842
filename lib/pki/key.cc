#include "lib/pki/key.h"

#include <openssl/core_names.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/base/status_macros.h"
#include "lib/pki/openssl.h"
#include "lib/pki/pem.h"
#include "lib/pki/spki.h"

namespace certwright::pki {
namespace {

constexpr size_t kMaxKeyPemBytes = 16 * 1024;
// A key and what tools write beside it: parameters, a whole chain.
constexpr size_t kMaxBlocksBesideKey = 32;
constexpr int kMinRsaBits = 2048;
constexpr int kMaxRsaBits = 8192;

std::shared_ptr<EVP_PKEY> Share(OpensslPtr<EVP_PKEY> key) {
  return std::shared_ptr<EVP_PKEY>(key.release(), EVP_PKEY_free);
}

int CurveNid(int size) {
  switch (size) {
    case 256:
      return NID_X9_62_prime256v1;
    case 384:
      return NID_secp384r1;
    case 521:
      return NID_secp521r1;
  }
  return NID_undef;
}

absl::Status CheckCurve(EVP_PKEY* key) {
  char group[64] = {};
  int is_explicit = 0;
  if (EVP_PKEY_get_group_name(key, group, sizeof group, nullptr) != 1 ||
      OBJ_sn2nid(group) == NID_undef || OBJ_sn2nid(group) != CurveNid(EVP_PKEY_get_bits(key))) {
    return absl::InvalidArgumentError("ECDSA key is not on the curve P-256, P-384 or P-521");
  }
  // Parameters that merely equal a named curve's: RFC 5480 §2.1.1 forbids them.
  if (EVP_PKEY_get_int_param(key, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS,
                             &is_explicit) == 1 &&
      is_explicit != 0) {
    return absl::InvalidArgumentError("ECDSA key does not name its curve");
  }
  return absl::OkStatus();
}

absl::Status CheckKind(EVP_PKEY* key) {
  switch (EVP_PKEY_get_base_id(key)) {
    case EVP_PKEY_RSA: {
      int bits = EVP_PKEY_get_bits(key);
      if (bits >= kMinRsaBits && bits <= kMaxRsaBits) return absl::OkStatus();
      return absl::InvalidArgumentError(absl::StrCat(
          "RSA key has ", bits, " bits; allowed are ", kMinRsaBits, " to ", kMaxRsaBits));
    }
    case EVP_PKEY_EC:
      return CheckCurve(key);
    case EVP_PKEY_ED25519:
      return absl::OkStatus();
  }
  return absl::InvalidArgumentError("key is of another kind than RSA, ECDSA and Ed25519");
}

// A trial signature: far cheaper than the primality tests of EVP_PKEY_check(), and what a key
// that does not match its certificate fails at too.
bool HalvesMatch(EVP_PKEY* key) {
  const EVP_MD* digest = EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519 ? nullptr : EVP_sha256();
  const unsigned char message[] = {'t', 'r', 'i', 'a', 'l'};
  size_t length = EVP_PKEY_get_size(key);
  std::vector<unsigned char> signature(length);
  OpensslPtr<EVP_MD_CTX> signer(EVP_MD_CTX_new());
  OpensslPtr<EVP_MD_CTX> verifier(EVP_MD_CTX_new());
  return signer != nullptr && verifier != nullptr &&
         EVP_DigestSignInit(signer.get(), nullptr, digest, nullptr, key) == 1 &&
         EVP_DigestSign(signer.get(), signature.data(), &length, message, sizeof message) ==
             1 &&
         EVP_DigestVerifyInit(verifier.get(), nullptr, digest, nullptr, key) == 1 &&
         EVP_DigestVerify(verifier.get(), signature.data(), length, message, sizeof message) ==
             1;
}

// The one block that holds a private key of whatever kind.
absl::StatusOr<const PemBlock*> FindKeyBlock(const std::vector<PemBlock>& blocks) {
  const PemBlock* found = nullptr;
  for (const PemBlock& block : blocks) {
    if (!absl::EndsWith(block.label, "PRIVATE KEY")) continue;
    if (found != nullptr) {
      return absl::InvalidArgumentError(
          "private key: the text holds more than one; leave the one that is meant");
    }
    found = &block;
  }
  if (found != nullptr) return found;
  return absl::InvalidArgumentError(blocks.empty()
                                        ? "private key: the text holds no PEM block"
                                        : "private key: no PEM block of the text holds one");
}

// nullptr if `block` is not, to its last octet, a key of the kind that its label promises.
OpensslPtr<EVP_PKEY> DecodeBlock(const PemBlock& block) {
  const auto* begin = reinterpret_cast<const unsigned char*>(block.der.data());
  const unsigned char* position = begin;
  const long length = static_cast<long>(block.der.size());
  OpensslPtr<EVP_PKEY> key;
  if (block.label == "PRIVATE KEY") {
    OpensslPtr<PKCS8_PRIV_KEY_INFO> info(d2i_PKCS8_PRIV_KEY_INFO(nullptr, &position, length));
    if (info != nullptr) key.reset(EVP_PKCS82PKEY(info.get()));
  } else if (block.label == "RSA PRIVATE KEY") {
    key.reset(d2i_PrivateKey(EVP_PKEY_RSA, nullptr, &position, length));
  } else if (block.label == "EC PRIVATE KEY") {
    key.reset(d2i_PrivateKey(EVP_PKEY_EC, nullptr, &position, length));
  }
  if (position != begin + length) key.reset();
  return key;
}

// Keys made of a template take half the time.
OpensslPtr<EVP_PKEY> GenerateEcdsa(int size) {
  EVP_PKEY* parameters = CurveTemplate(CurveNid(size));
  EVP_PKEY* key = nullptr;
  OpensslPtr<EVP_PKEY_CTX> context(
      parameters == nullptr ? nullptr : EVP_PKEY_CTX_new(parameters, nullptr));
  if (context != nullptr && EVP_PKEY_keygen_init(context.get()) == 1) {
    EVP_PKEY_keygen(context.get(), &key);
  }
  return OpensslPtr<EVP_PKEY>(key);
}

absl::Status CheckSpec(KeySpec spec) {
  switch (spec.algorithm) {
    case KeyAlgorithm::kRsa:
      if (spec.size >= kMinRsaBits && spec.size <= kMaxRsaBits) return absl::OkStatus();
      return absl::InvalidArgumentError(absl::StrCat(
          "RSA key size ", spec.size, " is not from ", kMinRsaBits, " to ", kMaxRsaBits));
    case KeyAlgorithm::kEcdsa:
      if (CurveNid(spec.size) != NID_undef) return absl::OkStatus();
      return absl::InvalidArgumentError(
          absl::StrCat("ECDSA key size ", spec.size, " is not 256, 384 or 521"));
    case KeyAlgorithm::kEd25519:
      if (spec.size == 0) return absl::OkStatus();
      return absl::InvalidArgumentError("an Ed25519 key has no size to choose; leave it 0");
  }
  return absl::InvalidArgumentError("unknown key algorithm");
}

}  // namespace

const evp_md_st* SignatureDigest(KeySpec spec) {
  if (spec.algorithm == KeyAlgorithm::kEd25519) return nullptr;
  if (spec.algorithm == KeyAlgorithm::kRsa || spec.size == 256) return EVP_sha256();
  return spec.size == 384 ? EVP_sha384() : EVP_sha512();
}

absl::StatusOr<const evp_md_st*> SignatureDigestOf(absl::string_view algorithm, KeySpec spec) {
  struct Algorithm {
    absl::string_view word;
    KeyAlgorithm key;
    const EVP_MD* digest;
  };
  const Algorithm algorithms[] = {
      {"SHA256WithRSA", KeyAlgorithm::kRsa, EVP_sha256()},
      {"SHA384WithRSA", KeyAlgorithm::kRsa, EVP_sha384()},
      {"SHA512WithRSA", KeyAlgorithm::kRsa, EVP_sha512()},
      {"ECDSAWithSHA256", KeyAlgorithm::kEcdsa, EVP_sha256()},
      {"ECDSAWithSHA384", KeyAlgorithm::kEcdsa, EVP_sha384()},
      {"ECDSAWithSHA512", KeyAlgorithm::kEcdsa, EVP_sha512()},
      {"PureEd25519", KeyAlgorithm::kEd25519, nullptr},
  };
  if (algorithm.empty()) return SignatureDigest(spec);
  for (const Algorithm& known : algorithms) {
    if (known.word != algorithm) continue;
    if (known.key == spec.algorithm) return known.digest;
    return absl::InvalidArgumentError(
        absl::StrCat("signature algorithm ", algorithm, " is for keys of another kind"));
  }
  return absl::InvalidArgumentError(
      "unknown signature algorithm; known are SHA256WithRSA, SHA384WithRSA, SHA512WithRSA, "
      "ECDSAWithSHA256, ECDSAWithSHA384, ECDSAWithSHA512 and PureEd25519");
}

absl::StatusOr<PublicKey> PublicKey::FromOpenssl(evp_pkey_st* key) {
  CW_RETURN_IF_ERROR(CheckKind(key));
  EVP_PKEY_up_ref(key);
  return PublicKey(Share(OpensslPtr<EVP_PKEY>(key)));
}

KeySpec PublicKey::spec() const {
  switch (EVP_PKEY_get_base_id(get())) {
    case EVP_PKEY_RSA:
      return {KeyAlgorithm::kRsa, EVP_PKEY_get_bits(get())};
    case EVP_PKEY_ED25519:
      return {KeyAlgorithm::kEd25519, 0};
  }
  return {KeyAlgorithm::kEcdsa, EVP_PKEY_get_bits(get())};
}

std::string PublicKey::Spki() const {
  OpensslErrorScope scope;
  unsigned char* der = nullptr;
  int length = i2d_PUBKEY(get(), &der);
  if (length <= 0) return "";
  std::string spki(reinterpret_cast<char*>(der), length);
  OPENSSL_free(der);
  return spki;
}

std::string PublicKey::Description() const {
  switch (spec().algorithm) {
    case KeyAlgorithm::kRsa:
      return absl::StrCat("RSA ", spec().size);
    case KeyAlgorithm::kEcdsa:
      return absl::StrCat("ECDSA P-", spec().size);
    case KeyAlgorithm::kEd25519:
      break;
  }
  return "Ed25519";
}

bool operator==(const PublicKey& a, const PublicKey& b) {
  OpensslErrorScope scope;
  return a.get() == b.get() || EVP_PKEY_eq(a.get(), b.get()) == 1;
}

absl::StatusOr<PrivateKey> PrivateKey::Generate(KeySpec spec) {
  OpensslErrorScope scope;
  CW_RETURN_IF_ERROR(CheckSpec(spec));
  OpensslPtr<EVP_PKEY> key;
  switch (spec.algorithm) {
    case KeyAlgorithm::kRsa:
      key.reset(EVP_RSA_gen(static_cast<unsigned>(spec.size)));
      break;
    case KeyAlgorithm::kEcdsa:
      key = GenerateEcdsa(spec.size);
      break;
    case KeyAlgorithm::kEd25519:
      key.reset(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
      break;
  }
  if (key == nullptr) {
    return OpensslError(absl::StatusCode::kInternal, "cannot generate a private key");
  }
  return PrivateKey(Share(std::move(key)));
}

absl::StatusOr<PrivateKey> PrivateKey::ParsePem(absl::string_view pem) {
  OpensslErrorScope scope;
  CW_ASSIGN_OR_RETURN(
      std::vector<PemBlock> blocks,
      pki::ParsePem(pem, {.max_bytes = kMaxKeyPemBytes, .max_blocks = kMaxBlocksBesideKey}));
  absl::Cleanup wipe = [&] {
    for (PemBlock& block : blocks) base::Wipe(block.der);
  };
  CW_ASSIGN_OR_RETURN(const PemBlock* block, FindKeyBlock(blocks));
  OpensslPtr<EVP_PKEY> key = DecodeBlock(*block);
  if (key == nullptr) {
    return OpensslError(absl::StatusCode::kInvalidArgument,
                        "private key: the PEM block is no unencrypted PKCS#8, PKCS#1 or SEC1 "
                        "private key");
  }
  CW_RETURN_IF_ERROR(CheckKind(key.get()));
  if (!HalvesMatch(key.get())) {
    return OpensslError(absl::StatusCode::kInvalidArgument,
                        "private key: its private and public parts do not belong together");
  }
  return PrivateKey(Share(std::move(key)));
}

base::Secret PrivateKey::ToPem(KeyEncoding encoding) const {
  OpensslErrorScope scope;
  // The "secure" memory BIO wipes its buffers.
  OpensslPtr<BIO> bio(BIO_new(BIO_s_secmem()));
  if (bio == nullptr) return base::Secret();
  bool traditional =
      encoding == KeyEncoding::kPkcs1 && spec().algorithm != KeyAlgorithm::kEd25519;
  int written = traditional ? PEM_write_bio_PrivateKey_traditional(bio.get(), get(), nullptr,
                                                                   nullptr, 0, nullptr, nullptr)
                            : PEM_write_bio_PrivateKey(bio.get(), get(), nullptr, nullptr, 0,
                                                       nullptr, nullptr);
  char* data = nullptr;
  long length = BIO_get_mem_data(bio.get(), &data);
  if (written != 1 || length <= 0) return base::Secret();
  return base::Secret(std::string(data, static_cast<size_t>(length)));
}

base::Secret PrivateKey::ToDer(KeyEncoding encoding) const {
  const base::Secret pem = ToPem(encoding);
  absl::StatusOr<std::vector<PemBlock>> blocks =
      pki::ParsePem(pem.Reveal(), {.max_bytes = kMaxKeyPemBytes, .max_blocks = 1});
  if (!blocks.ok() || blocks->empty()) return base::Secret();
  return base::Secret(std::move(blocks->front().der));
}

}  // namespace certwright::pki
