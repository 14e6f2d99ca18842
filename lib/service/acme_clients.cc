#include "lib/service/acme_clients.h"

#include <utility>

namespace certwright::service {

std::shared_ptr<acme::AcmeClient> AcmeClients::For(const issuer::v1::AcmeIssuer& spec) {
  base::MutexLock lock(mutex_);
  // A CA bundle may be large, and changes often where somebody wants it to.
  std::erase_if(clients_, [](const auto& entry) { return entry.second.expired(); });
  std::weak_ptr<acme::AcmeClient>& kept =
      clients_[{spec.server(), spec.ca_bundle(), spec.skip_tls_verify()}];
  std::shared_ptr<acme::AcmeClient> client = kept.lock();
  if (client == nullptr) {
    acme::CaOptions options;
    options.directory_url = spec.server();
    options.trust.ca_bundle_pem = spec.ca_bundle();
    options.trust.skip_verify = spec.skip_tls_verify();
    options.request_timeout = environment_.acme_request_timeout;
    client = std::make_shared<acme::AcmeClient>(environment_.http, environment_.timers,
                                                environment_.random, std::move(options));
    kept = client;
  }
  return client;
}

}  // namespace certwright::service
