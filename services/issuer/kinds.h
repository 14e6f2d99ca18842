// The kinds of resources that the issuer service owns, and the names that it gives to parts of
// them.
#pragma once

#include <string>

#include "certwright/issuer/v1/certificate.pb.h"
#include "certwright/issuer/v1/certificate_request.pb.h"
#include "certwright/issuer/v1/issuer.pb.h"
#include "certwright/issuer/v1/secret.pb.h"
#include "lib/base/clock.h"
#include "lib/base/random.h"
#include "lib/service/derived_name.h"
#include "lib/store/resource_store.h"

namespace certwright::issuer_service {

inline constexpr char kTlsSecretType[] = "kubernetes.io/tls";
inline constexpr char kCertificateKey[] = "tls.crt";
inline constexpr char kPrivateKeyKey[] = "tls.key";
inline constexpr char kCaKey[] = "ca.crt";

// On a Secret that a Certificate has written: its name.
inline constexpr char kCertificateNameAnnotation[] = "certwright.io/certificate-name";
// With this an admin hands a Secret over to the Certificate of that name.
inline constexpr char kAllowCertificateAnnotation[] = "certwright.io/allow-certificate";
inline constexpr char kCertificateRevisionAnnotation[] = "certwright.io/certificate-revision";
inline constexpr char kCertificateGenerationAnnotation[] =
    "certwright.io/certificate-generation";
inline constexpr char kIssuerNameAnnotation[] = "certwright.io/issuer-name";
inline constexpr char kIssuerKindAnnotation[] = "certwright.io/issuer-kind";
// On the Secret in which a Certificate's next key waits for its certificate.
inline constexpr char kNextPrivateKeyLabel[] = "certwright.io/next-private-key";
// On a Secret: RequestDigest() of what its certificate was asked for with.
inline constexpr char kRequestDigestAnnotation[] = "certwright.io/request-digest";
// On a Secret whose certificate is only there until the real one is.
inline constexpr char kTemporaryAnnotation[] = "certwright.io/temporary-certificate";

// The Secret in which the next key of the Certificate of that name waits for its certificate.
inline std::string NextKeySecretName(const std::string& certificate) {
  return service::SuffixedName(certificate, "next-key");
}

// What the keys of Secrets, and of key pairs that are kept, begin with in the store.
inline constexpr char kSecretsPrefix[] = "secrets";

// The resource stores of the service, over one Store. Private keys, account keys among them,
// tokens and credentials are in Secrets and in what is kept of them only: `secret_codec` is
// what seals them.
struct Stores {
  Stores(store::Store& store, const base::Clock& clock, base::Random& random,
         const store::ValueCodec* secret_codec = nullptr)
      : issuers(store, "issuers", clock, random),
        cluster_issuers(store, "clusterissuers", clock, random),
        certificates(store, "certificates", clock, random),
        requests(store, "certificaterequests", clock, random),
        secrets(store, "secrets", clock, random, secret_codec),
        kept_key_pairs(store, "secrets-kept", clock, random, secret_codec) {}

  store::ResourceStore<issuer::v1::Issuer> issuers;
  store::ResourceStore<issuer::v1::ClusterIssuer> cluster_issuers;
  store::ResourceStore<issuer::v1::Certificate> certificates;
  store::ResourceStore<issuer::v1::CertificateRequest> requests;
  store::ResourceStore<issuer::v1::Secret> secrets;
  // Under the names of their Certificates (kept_key_pair.h); no call leads here.
  store::ResourceStore<issuer::v1::Secret> kept_key_pairs;
};

}  // namespace certwright::issuer_service
