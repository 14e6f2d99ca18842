// CertificateRevocation: has the CA revoke the present certificate of a Certificate (RFC 8555
// §7.6), and then has it replaced.
//
// The CA is asked first; then one commit says so in the status and begins an issuance as
// RenewCertificate does. A call that was cut off in between is made good by calling again, as a
// CA takes a second revocation of a certificate for done.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "certwright/issuer/v1/certificate.pb.h"
#include "lib/pki/certificate.h"
#include "lib/runtime/awaitable.h"
#include "lib/runtime/context.h"
#include "lib/service/environment.h"
#include "services/issuer/accounts.h"
#include "services/issuer/kinds.h"

namespace certwright::issuer_service {

class CertificateRevocation {
 public:
  // References must outlive this.
  CertificateRevocation(service::Environment environment, Stores& stores, Accounts& accounts)
      : environment_(environment), stores_(stores), accounts_(accounts) {}

  // NOT_FOUND if there is no such Certificate, or its issuer is gone; FAILED_PRECONDITION if
  // there is no certificate, or another one than the Certificate was given, if its issuer is no
  // ACME issuer, or the CA refuses.
  runtime::Awaitable<absl::StatusOr<issuer::v1::RevokeCertificateResponse>> Revoke(
      runtime::Context context, issuer::v1::RevokeCertificateRequest request);

 private:
  // The certificate of the Secret, which is the one that was given, and its key if that is
  // there.
  struct Present {
    pki::Certificate certificate;
    std::optional<pki::PrivateKey> key;
  };
  runtime::Awaitable<absl::StatusOr<issuer::v1::Certificate>> Find(
      runtime::Context context, const std::string& resource_namespace, const std::string& name);
  runtime::Awaitable<absl::StatusOr<Present>> ReadPresent(
      runtime::Context context, const issuer::v1::Certificate& certificate);
  // The account of the issuer signs; the certificate's own key if that is no longer to be
  // trusted, which proves it, or if the account may not.
  runtime::Awaitable<absl::Status> AskCa(runtime::Context context,
                                         const issuer::v1::Certificate& certificate,
                                         const Present& present,
                                         issuer::v1::RevocationReason reason);
  // Until it is stored: ABORTED if the Certificate was changed meanwhile.
  runtime::Awaitable<absl::Status> TryWriteDown(runtime::Context context,
                                                issuer::v1::Certificate certificate,
                                                const Present& present,
                                                issuer::v1::RevocationReason reason);
  // Gives a request on its way up if it is for `key`; its mutations.
  runtime::Awaitable<absl::StatusOr<std::vector<store::Mutation>>> GiveUpRequestFor(
      runtime::Context context, const pki::PublicKey& key,
      issuer::v1::Certificate& certificate);

  const service::Environment environment_;
  Stores& stores_;
  Accounts& accounts_;
};

}  // namespace certwright::issuer_service
