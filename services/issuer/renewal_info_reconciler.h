// RenewalInfoReconciler: asks CAs when to renew the certificates they have issued (RFC 9773).
//
// What it learns goes to status.renewal_info of the Certificate, where a random moment of the
// window is kept until the window changes; RenewalTime() decides what follows from it.
#pragma once

#include <string>

#include "certwright/issuer/v1/certificate.pb.h"
#include "lib/acme/client.h"
#include "lib/controller/controller.h"
#include "lib/service/environment.h"
#include "services/issuer/accounts.h"
#include "services/issuer/kinds.h"

namespace certwright::issuer_service {

// What the CA's answer, or its lack, makes of the advice there was. A pure function but for
// the draw of a moment.
issuer::v1::RenewalInfo AdoptRenewalInfo(const issuer::v1::RenewalInfo& before,
                                         const absl::StatusOr<acme::RenewalInfo>& answer,
                                         absl::Time now, base::Random& random);

// Keys are "<namespace>/<name>" of Certificates.
class RenewalInfoReconciler final : public controller::Reconciler {
 public:
  // All must outlive this.
  RenewalInfoReconciler(service::Environment environment, Stores& stores, Accounts& accounts)
      : environment_(environment), stores_(stores), accounts_(accounts) {}

  runtime::Awaitable<absl::StatusOr<controller::Result>> Reconcile(runtime::Context context,
                                                                   std::string key) override;

 private:
  // The CA that is to be asked; null if there is none to ask.
  runtime::Awaitable<absl::StatusOr<std::shared_ptr<acme::AcmeClient>>> FindClient(
      runtime::Context context, const issuer::v1::Certificate& certificate);
  runtime::Awaitable<absl::Status> Write(runtime::Context context, store::ResourceName name,
                                         issuer::v1::RenewalInfo advice);

  const service::Environment environment_;
  Stores& stores_;
  Accounts& accounts_;
};

}  // namespace certwright::issuer_service
