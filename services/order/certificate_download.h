// Fetching an issued certificate, choosing among the chains that the CA offers, and checking
// that it is the one that was asked for (RFC 8555 §7.4.2, §11.4).
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "lib/pki/csr.h"
#include "lib/pki/names.h"
#include "lib/runtime/awaitable.h"
#include "lib/runtime/context.h"
#include "services/order/certificate_authority.h"

namespace certwright::order {

struct CertificateToDownload {
  std::string url;
  pki::PublicKey public_key;
  pki::SubjectAltNames names;
  // Common name of the topmost certificate; empty takes the CA's default, for which no other
  // chain is downloaded.
  std::string preferred_chain;
  absl::Time now;
};

struct DownloadedCertificate {
  std::string pem;  // leaf first
  // False if the CA does not offer the preferred chain: then it is the default one.
  bool preferred_found = true;
};

// Errors are the CA's, or acme::ErrorClass::kPermanent for a certificate that is not the one
// asked for. A broken alternate is passed over. `authority` must outlive the call.
runtime::Awaitable<absl::StatusOr<DownloadedCertificate>> DownloadVerified(
    runtime::Context context, CertificateAuthority& authority, CertificateToDownload wanted);

}  // namespace certwright::order
