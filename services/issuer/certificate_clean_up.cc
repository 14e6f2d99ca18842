#include "services/issuer/certificate_clean_up.h"

#include <algorithm>
#include <string>
#include <vector>

#include "lib/base/status_macros.h"
#include "lib/service/conditions.h"
#include "services/issuer/next_key.h"

namespace certwright::issuer_service {

using issuer::v1::Certificate;

runtime::Awaitable<absl::Status> Prune(runtime::Context context, Stores& stores,
                                       const CertificateRequests& all,
                                       const Certificate& certificate) {
  std::vector<CertificateRequests::Shared> requests = all.Of(
      store::QueueKey(certificate.metadata().namespace_(), certificate.metadata().name()));
  std::erase_if(requests,
                [](const auto& request) { return request->metadata().has_delete_time(); });
  const std::size_t keep =
      static_cast<std::size_t>(certificate.spec().revision_history_limit());
  if (requests.size() <= keep) co_return absl::OkStatus();
  std::sort(requests.begin(), requests.end(), [](const auto& a, const auto& b) {
    return service::FromProto(a->metadata().create_time()) <
           service::FromProto(b->metadata().create_time());
  });
  requests.resize(requests.size() - keep);
  for (const CertificateRequests::Shared& request : requests) {
    const auto marked = co_await stores.requests.MarkDeleted(
        context, request->metadata().namespace_(), request->metadata().name());
    if (!absl::IsNotFound(marked.status())) CW_CO_RETURN_IF_ERROR(marked);
  }
  co_return absl::OkStatus();
}

runtime::Awaitable<absl::Status> CleanUpAfter(runtime::Context context, Stores& stores,
                                              const CertificateRequests& all,
                                              FreshKeys& fresh_keys,
                                              store::ResourceName certificate) {
  const auto& [resource_namespace, name] = certificate;
  const auto requests = all.Of(store::QueueKey(resource_namespace, name));
  for (const CertificateRequests::Shared& request : requests) {
    const auto marked = co_await stores.requests.MarkDeleted(context, resource_namespace,
                                                             request->metadata().name());
    if (!absl::IsNotFound(marked.status())) CW_CO_RETURN_IF_ERROR(marked);
  }
  const absl::Status forgotten =
      co_await stores.kept_key_pairs.Delete(context, resource_namespace, name);
  if (!absl::IsNotFound(forgotten)) CW_CO_RETURN_IF_ERROR(forgotten);
  const std::string next_key = NextKeySecretName(name);
  const auto secret = co_await stores.secrets.Get(context, resource_namespace, next_key);
  if (absl::IsNotFound(secret.status())) co_return absl::OkStatus();
  CW_CO_RETURN_IF_ERROR(secret);
  if (!IsNextKey(*secret)) co_return absl::OkStatus();
  fresh_keys.Take(secret->metadata());
  // One that a user has put there since is not what was read.
  const std::string version = secret->metadata().resource_version();
  co_return co_await stores.secrets.Delete(context, resource_namespace, next_key, version);
}

}  // namespace certwright::issuer_service
