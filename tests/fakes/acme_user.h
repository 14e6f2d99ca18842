// AcmeUser: the product's ACME client with an account at some CA, for tests that drive it
// against several; blocking. And requests that no good client sends.
//
// Threading: one thread at a time.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "boost/json/object.hpp"
#include "lib/acme/client.h"
#include "lib/http/http_client.h"
#include "lib/pki/csr.h"
#include "lib/pki/key.h"
#include "lib/runtime/run_sync.h"
#include "lib/runtime/thread_pool.h"
#include "lib/runtime/timers.h"

namespace certwright::fakes {

struct Issued {
  pki::PrivateKey key;
  acme::CertificateChain chain;
  acme::Order order;
};

class AcmeUser {
 public:
  // `tls_ca_pem` is what to trust for TLS. Has no account yet.
  AcmeUser(std::string directory_url, std::string tls_ca_pem);
  ~AcmeUser();
  AcmeUser(const AcmeUser&) = delete;
  AcmeUser& operator=(const AcmeUser&) = delete;

  template <typename T>
  T Run(runtime::Awaitable<T> task) {
    return runtime::RunSyncOn(pool_.executor(), std::move(task));
  }
  static runtime::Context NewContext(absl::Duration timeout = absl::Seconds(30));

  acme::AcmeClient& client() { return *client_; }
  const pki::PrivateKey& key() const { return key_; }
  const acme::Account& account() const { return account_; }
  acme::LocalJwsSigner& signer() { return *signer_; }

  absl::Status Register(acme::NewAccountRequest request = {});
  absl::StatusOr<acme::Account> LookUp(const pki::PrivateKey& key);

  absl::StatusOr<acme::Order> NewOrder(const std::vector<std::string>& names,
                                       const std::string& profile = "",
                                       const std::string& replaces = "");
  absl::StatusOr<acme::Order> GetOrder(const std::string& url);
  // Accepts a challenge of this type for every authorization that is pending, and waits until
  // the order has left that state.
  absl::StatusOr<acme::Order> Authorize(const acme::Order& order,
                                        const std::string& type = "dns-01");
  // For a request with these names; waits while the order is processing.
  absl::StatusOr<acme::Order> Finalize(const acme::Order& order, const pki::PrivateKey& key,
                                       const std::vector<std::string>& names);
  absl::StatusOr<acme::CertificateChain> Download(const acme::Order& order);
  // All of it.
  absl::StatusOr<Issued> Issue(const std::vector<std::string>& names,
                               const std::string& profile = "");
  // OK if the chain fits the key and the names and leads to the root.
  static absl::Status Verify(const Issued& issued, const std::vector<std::string>& names,
                             const std::string& root_pem);

  std::string FreshNonce();
  // Any HTTP request, as it is.
  absl::StatusOr<http::HttpResponse> Send(http::HttpRequest request);
  // A POST of `body` to `url`.
  absl::StatusOr<http::HttpResponse> Post(const std::string& url, std::string body);
  // A JWS by the account for `signed_url`.
  std::string Sign(const std::string& signed_url, std::string nonce, std::string payload);

 private:
  absl::StatusOr<acme::Order> AwaitOrder(const std::string& url, acme::OrderStatus leave);

  runtime::ThreadPool pool_{2};
  const std::unique_ptr<runtime::Timers> timers_;
  acme::CaOptions options_;
  std::unique_ptr<http::HttpClient> http_;
  std::unique_ptr<acme::AcmeClient> client_;
  const pki::PrivateKey key_;
  acme::Account account_;
  std::unique_ptr<acme::LocalJwsSigner> signer_;
};

// The ACME type of a problem document, without its prefix; empty for what is none.
std::string ProblemType(const http::HttpResponse& response);

absl::StatusOr<std::string> MakeCsrDer(const std::vector<std::string>& names,
                                       const pki::PrivateKey& key);

}  // namespace certwright::fakes
