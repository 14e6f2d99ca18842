#include "services/issuer/issuable.h"

#include <utility>

#include "lib/pki/subject.h"
#include "services/issuer/certificate_validation.h"

namespace certwright::issuer_service {

AskedOfAcme AskedBy(const pki::Csr& csr) {
  return {csr.names, csr.subject.common_name, csr.is_ca};
}

AskedOfAcme AskedBy(const issuer::v1::CertificateSpec& spec) {
  pki::CsrSpec csr = CsrSpecOf(spec);
  AskedOfAcme asked{std::move(csr.names), std::move(csr.subject.common_name), csr.is_ca};
  if (spec.literal_subject().empty()) return asked;
  const auto der = pki::EncodeLiteralSubject(spec.literal_subject());
  if (!der.ok()) return asked;
  absl::StatusOr<pki::Subject> subject = pki::DecodeSubject(*der);
  if (subject.ok()) asked.common_name = std::move(subject->common_name);
  return asked;
}

runtime::Awaitable<absl::StatusOr<rpc::Violations>> WhyNobodyIssues(
    runtime::Context context, Accounts& accounts, std::vector<meta::v1::IssuerRef> issuers,
    std::string resource_namespace, AskedOfAcme asked) {
  rpc::Violations first;
  for (const meta::v1::IssuerRef& ref : issuers) {
    const absl::StatusOr<AnyIssuer> issuer =
        co_await accounts.FindIssuer(context, ref, resource_namespace);
    if (absl::IsNotFound(issuer.status())) co_return rpc::Violations();
    if (!issuer.ok()) co_return issuer.status();
    if (!issuer->spec.has_acme()) co_return rpc::Violations();
    rpc::Violations violations;
    CheckAcmeSigns(asked, issuer->spec.acme(), violations);
    if (violations.empty()) co_return rpc::Violations();
    if (first.empty()) first = std::move(violations);
  }
  co_return first;
}

}  // namespace certwright::issuer_service
