// Which of its issuers a Certificate asks, and when it turns to the next one.
//
// An issuer that was out of reach, or refused, is passed over for a while, which status
// remembers. The next issuance after that asks the first one again; nothing is issued anew
// only because the first issuer is back.
#pragma once

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "certwright/issuer/v1/certificate.pb.h"
#include "certwright/issuer/v1/certificate_request.pb.h"
#include "certwright/meta/v1/meta.pb.h"

namespace certwright::issuer_service {

struct FallbackRules {
  // How long an issuer may be out of reach.
  absl::Duration after = absl::Minutes(2);
  // How long it may ask us to wait.
  absl::Duration longest_wait = absl::Minutes(15);
  // How long it is passed over then.
  absl::Duration hold = absl::Minutes(10);
  // How long it is passed over after it has refused the names.
  absl::Duration refusal_hold = absl::Hours(24);
};

// spec.issuer_ref, then spec.fallback_issuer_refs.
std::vector<meta::v1::IssuerRef> IssuersOf(const issuer::v1::CertificateSpec& spec);

bool SameIssuer(const meta::v1::IssuerRef& a, const meta::v1::IssuerRef& b);

// Whether `ref` is one of IssuersOf(spec).
bool HasIssuer(const issuer::v1::CertificateSpec& spec, const meta::v1::IssuerRef& ref);

// The first issuer that is not passed over at `now`; if all are, the one whose time ends first.
meta::v1::IssuerRef ChooseIssuer(const issuer::v1::Certificate& certificate, absl::Time now);

// Who signed the present certificate: spec.issuer_ref for what was issued before anyone noted
// it.
meta::v1::IssuerRef IssuerInUse(const issuer::v1::Certificate& certificate);

// When another issuer than `asked` may be asked: InfinitePast() at once, InfiniteFuture()
// never.
absl::Time AnotherIssuerAt(const issuer::v1::Certificate& certificate,
                           const meta::v1::IssuerRef& asked, absl::Time now);

// Reasons of a request's condition Ready that say that its issuer cannot be used now. While
// one of them holds, the condition IssuerAvailable is False.
bool IsOutOfReach(const std::string& reason);

struct IssuerTrouble {
  // From when on the issuer of the request is to be passed over, as far as can be told now.
  absl::Time from = absl::InfiniteFuture();
  absl::Time until;
  std::string reason;
};

// What the request has found out about its issuer. A proof of ours that failed is no fault of
// the issuer, and a request that was denied is no business of others.
IssuerTrouble TroubleOf(const issuer::v1::CertificateRequest& request,
                        const FallbackRules& rules, absl::Time now);

// Notes that an issuer is passed over, and forgets what is over.
void AddOutage(const meta::v1::IssuerRef& ref, const IssuerTrouble& trouble, absl::Time now,
               issuer::v1::CertificateStatus& status);

}  // namespace certwright::issuer_service
