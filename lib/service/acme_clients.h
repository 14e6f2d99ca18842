// AcmeClients: one client per CA, shared by the issuers that have the same directory and trust,
// so that they share its nonces, too. A client lives for as long as somebody uses it.
//
// Threading: safe from any thread. What the environment refers to must outlive the clients.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <tuple>

#include "certwright/issuer/v1/issuer.pb.h"
#include "lib/acme/client.h"
#include "lib/base/mutex.h"
#include "lib/service/environment.h"

namespace certwright::service {

class AcmeClients {
 public:
  explicit AcmeClients(Environment environment) : environment_(environment) {}

  std::shared_ptr<acme::AcmeClient> For(const issuer::v1::AcmeIssuer& spec);

 private:
  // Directory, CA bundle, whether TLS is not verified.
  using Key = std::tuple<std::string, std::string, bool>;

  const Environment environment_;
  base::Mutex mutex_;
  std::map<Key, std::weak_ptr<acme::AcmeClient>> clients_ CW_GUARDED_BY(mutex_);
};

}  // namespace certwright::service
