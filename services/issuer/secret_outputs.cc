#include "services/issuer/secret_outputs.h"

#include <algorithm>
#include <array>
#include <map>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "lib/base/status_macros.h"
#include "lib/pki/certificate.h"
#include "lib/pki/digest.h"
#include "lib/pki/key.h"
#include "lib/pki/keystore.h"
#include "lib/rpc/status.h"
#include "services/issuer/certificate_validation.h"

namespace certwright::issuer_service {
namespace {

using issuer::v1::CertificateSpec;
using issuer::v1::Secret;

constexpr std::array kOutputKeys = {kDerKey, kCombinedPemKey,  kPkcs12Key, kPkcs12TruststoreKey,
                                    kJksKey, kJksTruststoreKey};
constexpr absl::string_view kLabelPrefix = "label:";
constexpr absl::string_view kAnnotationPrefix = "annotation:";

absl::string_view Value(const Secret& secret, const char* key) {
  const auto it = secret.data().find(key);
  return it == secret.data().end() ? absl::string_view() : absl::string_view(it->second);
}

bool AsksFor(const CertificateSpec& spec, issuer::v1::OutputFormat format) {
  return std::ranges::count(spec.additional_output_formats(), format) > 0;
}

bool HasPkcs12(const CertificateSpec& spec) { return spec.keystores().pkcs12().create(); }
bool HasJks(const CertificateSpec& spec) { return spec.keystores().jks().create(); }

bool AsksForOutputs(const CertificateSpec& spec) {
  return spec.additional_output_formats_size() > 0 || HasPkcs12(spec) || HasJks(spec) ||
         spec.secret_template().labels_size() > 0 ||
         spec.secret_template().annotations_size() > 0;
}

// What makes a key of a template's map known again: "label:a" and so on, in order.
std::vector<std::string> TemplateKeys(const issuer::v1::SecretTemplate& wanted) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : wanted.labels()) {
    keys.push_back(absl::StrCat(kLabelPrefix, key));
  }
  for (const auto& [key, value] : wanted.annotations()) {
    keys.push_back(absl::StrCat(kAnnotationPrefix, key));
  }
  std::ranges::sort(keys);
  return keys;
}

// Text that no other list of parts gives.
void Append(std::string& text, absl::string_view part) {
  absl::StrAppend(&text, part.size(), ":", part, ";");
}

// Over what was asked for and over all that is there because of it. The digest says nothing
// about a password: only its Secret's version is in it.
std::string Digest(const CertificateSpec& spec, const KeystorePasswords& passwords,
                   const Secret& secret) {
  std::string text;
  const absl::Cleanup wipe = [&text] { base::Wipe(text); };
  Append(text, HasPkcs12(spec) ? absl::StrCat("pkcs12 ", spec.keystores().pkcs12().profile(),
                                              " ", passwords.pkcs12.version)
                               : "");
  Append(text, HasJks(spec) ? absl::StrCat("jks ", spec.keystores().jks().alias(), " ",
                                           passwords.jks.version)
                            : "");
  // Nothing is noted of the usual encoding, so that digests from before there was a choice
  // hold.
  if (KeyEncodingOf(spec) == pki::KeyEncoding::kPkcs1) Append(text, "pkcs1");
  Append(text, Value(secret, kCertificateKey));
  Append(text, Value(secret, kCaKey));
  for (const char* key : kOutputKeys) Append(text, Value(secret, key));
  return absl::BytesToHexString(pki::Sha256(text));
}

bool HasTemplate(const issuer::v1::SecretTemplate& wanted, const meta::v1::ObjectMeta& now) {
  const auto has_all = [](const auto& wanted_map, const auto& map) {
    return std::ranges::all_of(wanted_map, [&](const auto& entry) {
      const auto it = map.find(entry.first);
      return it != map.end() && it->second == entry.second;
    });
  };
  const auto& annotations = now.annotations();
  const auto keys = annotations.find(kTemplateKeysAnnotation);
  const std::string written = keys == annotations.end() ? "" : keys->second;
  return written == absl::StrJoin(TemplateKeys(wanted), ",") &&
         has_all(wanted.labels(), now.labels()) && has_all(wanted.annotations(), annotations);
}

// Takes away what an earlier template put there, and puts the present one's there.
void WriteTemplate(const issuer::v1::SecretTemplate& wanted, meta::v1::ObjectMeta& metadata) {
  auto& annotations = *metadata.mutable_annotations();
  auto& labels = *metadata.mutable_labels();
  const std::string written = annotations[kTemplateKeysAnnotation];
  annotations.erase(kTemplateKeysAnnotation);
  for (absl::string_view key : absl::StrSplit(written, ',', absl::SkipEmpty())) {
    if (absl::ConsumePrefix(&key, kLabelPrefix)) {
      labels.erase(std::string(key));
    } else if (absl::ConsumePrefix(&key, kAnnotationPrefix)) {
      annotations.erase(std::string(key));
    }
  }
  for (const auto& [key, value] : wanted.labels()) labels[key] = value;
  for (const auto& [key, value] : wanted.annotations()) annotations[key] = value;
  const std::vector<std::string> keys = TemplateKeys(wanted);
  if (!keys.empty()) annotations[kTemplateKeysAnnotation] = absl::StrJoin(keys, ",");
}

// Values to be, wiped when they are not used.
class Outputs {
 public:
  Outputs() = default;
  Outputs(const Outputs&) = delete;
  Outputs& operator=(const Outputs&) = delete;
  ~Outputs() {
    for (auto& [key, value] : values_) base::Wipe(value);
  }
  void Add(const char* key, std::string value) { values_[key] = std::move(value); }
  void Add(const char* key, const base::Secret& value) {
    values_[key] = std::string(value.Reveal());
  }
  void MoveTo(Secret& secret) {
    auto& data = *secret.mutable_data();
    for (const char* key : kOutputKeys) {
      const auto old = data.find(key);
      if (old == data.end()) continue;
      base::Wipe(old->second);
      data.erase(old);
    }
    for (auto& [key, value] : values_) data[key] = std::move(value);
  }

 private:
  std::map<std::string, std::string> values_;
};

struct KeyPair {
  pki::PrivateKey key;
  std::vector<pki::Certificate> chain;
  // What is to be trusted; may be empty.
  std::vector<pki::Certificate> ca;
};

absl::StatusOr<KeyPair> ReadPair(const Secret& secret) {
  CW_ASSIGN_OR_RETURN(pki::PrivateKey key,
                      pki::PrivateKey::ParsePem(Value(secret, kPrivateKeyKey)));
  CW_ASSIGN_OR_RETURN(std::vector<pki::Certificate> chain,
                      pki::ParseChainPem(Value(secret, kCertificateKey)));
  KeyPair pair{std::move(key), std::move(chain), {}};
  if (!Value(secret, kCaKey).empty()) {
    CW_ASSIGN_OR_RETURN(pair.ca, pki::ParseChainPem(Value(secret, kCaKey)));
  }
  return pair;
}

absl::Status AddPkcs12(const CertificateSpec& spec, const KeyPair& pair,
                       const base::Secret& password, Outputs& outputs) {
  const bool legacy = spec.keystores().pkcs12().profile() == issuer::v1::PKCS12_PROFILE_LEGACY;
  const pki::Pkcs12Profile profile =
      legacy ? pki::Pkcs12Profile::kLegacy : pki::Pkcs12Profile::kModern;
  CW_ASSIGN_OR_RETURN(const base::Secret store,
                      pki::MakePkcs12(pair.key, pair.chain, "certificate", password, profile));
  outputs.Add(kPkcs12Key, store);
  if (pair.ca.empty()) return absl::OkStatus();
  CW_ASSIGN_OR_RETURN(std::string trusted,
                      pki::MakePkcs12Truststore(pair.ca, password, profile));
  outputs.Add(kPkcs12TruststoreKey, std::move(trusted));
  return absl::OkStatus();
}

absl::Status AddJks(const CertificateSpec& spec, const KeyPair& pair,
                    const base::Secret& password, Outputs& outputs) {
  CW_ASSIGN_OR_RETURN(
      const base::Secret store,
      pki::MakeJks(pair.key, pair.chain, spec.keystores().jks().alias(), password));
  outputs.Add(kJksKey, store);
  if (pair.ca.empty()) return absl::OkStatus();
  CW_ASSIGN_OR_RETURN(std::string trusted, pki::MakeJksTruststore(pair.ca, password));
  outputs.Add(kJksTruststoreKey, std::move(trusted));
  return absl::OkStatus();
}

absl::Status MakeOutputs(const CertificateSpec& spec, const KeystorePasswords& passwords,
                         const Secret& secret, Outputs& outputs) {
  if (AsksFor(spec, issuer::v1::OUTPUT_FORMAT_COMBINED_PEM)) {
    const absl::string_view key = Value(secret, kPrivateKeyKey);
    outputs.Add(kCombinedPemKey, absl::StrCat(key, absl::EndsWith(key, "\n") ? "" : "\n",
                                              Value(secret, kCertificateKey)));
  }
  const bool der = AsksFor(spec, issuer::v1::OUTPUT_FORMAT_DER);
  if (!der && !HasPkcs12(spec) && !HasJks(spec)) return absl::OkStatus();
  CW_ASSIGN_OR_RETURN(const KeyPair pair, ReadPair(secret));
  if (der) {
    outputs.Add(kDerKey, pair.key.ToDer(KeyEncodingOf(spec)));
  }
  if (HasPkcs12(spec)) {
    CW_RETURN_IF_ERROR(AddPkcs12(spec, pair, passwords.pkcs12.value, outputs));
  }
  if (HasJks(spec)) CW_RETURN_IF_ERROR(AddJks(spec, pair, passwords.jks.value, outputs));
  return absl::OkStatus();
}

runtime::Awaitable<absl::StatusOr<KeystorePassword>> ReadPassword(
    runtime::Context context, Stores& stores, std::string resource_namespace,
    meta::v1::SecretKeyRef ref) {
  absl::StatusOr<Secret> secret =
      co_await stores.secrets.Get(context, resource_namespace, ref.name());
  if (absl::IsNotFound(secret.status())) {
    co_return rpc::NotFound("Secret", resource_namespace, ref.name());
  }
  if (!secret.ok()) co_return secret.status();
  KeystorePassword password;
  password.version =
      absl::StrCat(secret->metadata().uid(), "/", secret->metadata().resource_version());
  const auto value = secret->mutable_data()->find(ref.key());
  const bool found = value != secret->mutable_data()->end();
  if (found) password.value = base::Secret(std::move(value->second));
  for (auto& [key, other] : *secret->mutable_data()) base::Wipe(other);
  if (found) co_return std::move(password);
  co_return absl::NotFoundError(absl::StrCat("Secret ", resource_namespace, "/", ref.name(),
                                             " has no value ", ref.key()));
}

}  // namespace

bool HasKeyEncoding(const CertificateSpec& spec, const Secret& secret) {
  const absl::string_view key = Value(secret, kPrivateKeyKey);
  // Ed25519 has no other form.
  if (key.empty() || KeySpecOf(spec).algorithm == pki::KeyAlgorithm::kEd25519) return true;
  const bool is_pkcs8 = absl::StrContains(key, "-----BEGIN PRIVATE KEY-----");
  return is_pkcs8 == (KeyEncodingOf(spec) == pki::KeyEncoding::kPkcs8);
}

absl::Status PutKeyEncoding(const CertificateSpec& spec, Secret& secret) {
  if (HasKeyEncoding(spec, secret)) return absl::OkStatus();
  CW_ASSIGN_OR_RETURN(const pki::PrivateKey key,
                      pki::PrivateKey::ParsePem(Value(secret, kPrivateKeyKey)));
  const base::Secret pem = key.ToPem(KeyEncodingOf(spec));
  std::string& value = (*secret.mutable_data())[kPrivateKeyKey];
  base::Wipe(value);
  value = std::string(pem.Reveal());
  return absl::OkStatus();
}

bool ConcernsOutputs(const CertificateSpec& spec, const Secret& secret) {
  return AsksForOutputs(spec) ||
         secret.metadata().annotations().contains(kOutputsDigestAnnotation);
}

runtime::Awaitable<absl::StatusOr<KeystorePasswords>> ReadKeystorePasswords(
    runtime::Context context, Stores& stores, const issuer::v1::Certificate& certificate) {
  const issuer::v1::Keystores& keystores = certificate.spec().keystores();
  const std::string& resource_namespace = certificate.metadata().namespace_();
  KeystorePasswords passwords;
  if (keystores.pkcs12().create() && keystores.pkcs12().has_password_secret_ref()) {
    CW_CO_ASSIGN_OR_RETURN(passwords.pkcs12,
                           co_await ReadPassword(context, stores, resource_namespace,
                                                 keystores.pkcs12().password_secret_ref()));
  }
  if (keystores.jks().create()) {
    CW_CO_ASSIGN_OR_RETURN(passwords.jks,
                           co_await ReadPassword(context, stores, resource_namespace,
                                                 keystores.jks().password_secret_ref()));
  }
  co_return std::move(passwords);
}

absl::Status WriteOutputs(const CertificateSpec& spec, const KeystorePasswords& passwords,
                          Secret& secret) {
  if (!ConcernsOutputs(spec, secret)) return absl::OkStatus();
  Outputs outputs;
  CW_RETURN_IF_ERROR(MakeOutputs(spec, passwords, secret, outputs));
  outputs.MoveTo(secret);
  WriteTemplate(spec.secret_template(), *secret.mutable_metadata());
  auto& annotations = *secret.mutable_metadata()->mutable_annotations();
  annotations.erase(kOutputsDigestAnnotation);
  if (AsksForOutputs(spec)) {
    annotations[kOutputsDigestAnnotation] = Digest(spec, passwords, secret);
  }
  return absl::OkStatus();
}

bool OutputsAreCurrent(const CertificateSpec& spec, const KeystorePasswords& passwords,
                       const Secret& secret) {
  const auto& annotations = secret.metadata().annotations();
  const auto digest = annotations.find(kOutputsDigestAnnotation);
  if (!AsksForOutputs(spec)) return digest == annotations.end();
  const auto asked = [&](absl::string_view key) {
    if (key == kDerKey) return AsksFor(spec, issuer::v1::OUTPUT_FORMAT_DER);
    if (key == kCombinedPemKey) return AsksFor(spec, issuer::v1::OUTPUT_FORMAT_COMBINED_PEM);
    if (key == kPkcs12Key) return HasPkcs12(spec);
    if (key == kJksKey) return HasJks(spec);
    const bool trusted = !Value(secret, kCaKey).empty();
    return trusted && (key == kPkcs12TruststoreKey ? HasPkcs12(spec) : HasJks(spec));
  };
  for (const char* key : kOutputKeys) {
    if (secret.data().contains(key) != asked(key)) return false;
  }
  return digest != annotations.end() &&
         HasTemplate(spec.secret_template(), secret.metadata()) &&
         digest->second == Digest(spec, passwords, secret);
}

}  // namespace certwright::issuer_service
