// CaServer: a CA of our own (RFC 8555, RFC 9773, profiles) over TLS on a loopback port, in this
// process, that does what a test asks of it, also what no CA should do.
//
// It checks what a CA checks: signatures, URLs, nonces, keys, the state of orders, requests for
// certificates; it validates over real HTTP and DNS unless told to assume validity; and it
// issues real certificates. All is in memory; the oldest orders are forgotten after a while.
//
// Its URLs begin with what the Host header of a request says, so that it may be reached
// through a proxy. Order lists of accounts are not served.
//
// Threading: all public methods from any thread.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "absl/status/statusor.h"
#include "boost/json/object.hpp"
#include "lib/base/mutex.h"
#include "lib/pki/csr.h"
#include "lib/runtime/thread_pool.h"
#include "tests/fakes/behaviour.h"
#include "tests/fakes/ca_objects.h"
#include "tests/fakes/endpoint.h"
#include "tests/fakes/fault.h"
#include "tests/fakes/https_server.h"
#include "tests/fakes/issuing_ca.h"
#include "tests/fakes/jws.h"
#include "tests/fakes/nonces.h"
#include "tests/fakes/validator.h"

namespace certwright::fakes {

// What is wrong with the CA's own TLS.
enum class TlsTrouble { kNone, kOtherName, kExpired, kUnknownCa };

struct CaServerOptions {
  // 0: a free one.
  int port = 0;
  int threads = 2;
  TlsTrouble tls = TlsTrouble::kNone;
  ValidatorOptions validation = {};
  // How long certificates of a profile are valid. The directory offers them all if there are
  // any; orders without a profile get `lifetime`.
  std::map<std::string, absl::Duration> profiles = {};
  absl::Duration lifetime = absl::Hours(24 * 90);
  int alternate_roots = 0;
  bool renewal_info = true;
  // MAC keys (octets) by identifier: new accounts must be bound to one of them. Empty: none
  // need be.
  std::map<std::string, std::string> external_accounts = {};
  // Orders, and what belongs to them, that are remembered.
  std::size_t max_orders = 200'000;
};

class CaServer {
 public:
  static absl::StatusOr<std::unique_ptr<CaServer>> Start(CaServerOptions options);
  ~CaServer();
  CaServer(const CaServer&) = delete;
  CaServer& operator=(const CaServer&) = delete;

  int port() const { return server_->port(); }
  // Through a proxy at `port`, if given.
  std::string directory_url(int port = 0) const;
  // What clients must trust for its TLS.
  const std::string& tls_ca_pem() const { return tls_ca_pem_; }
  // The root that it issues under, or alternate root `number`, from 1.
  std::string root_pem(std::size_t number = 0) const { return issuing_.RootPem(number); }

  Behaviour behaviour() const;
  void SetBehaviour(Behaviour behaviour);
  // The next requests to `endpoint` that are properly signed and not hit by faults put there
  // before are hit by this one.
  void Inject(Endpoint endpoint, Fault fault) { faults_.Push(endpoint, std::move(fault)); }
  // Where no fault is queued.
  void SetRandomFaults(RandomFaults faults) { faults_.SetRandom(faults); }
  void ClearFaults() { faults_.Clear(); }

  // As a CA that lost its database.
  void ForgetAccounts();
  // As an operator of the CA does to abusers.
  void DeactivateAccounts();
  // All authorizations that are pending or valid become "expired", "deactivated" or "revoked".
  void EndAuthorizations(const std::string& status);
  // Suggests this window for the renewal of a certificate; NOT_FOUND for one of another CA.
  absl::Status SuggestRenewal(const pki::Certificate& certificate, RenewalWindow window);
  // The reason; nullopt if it is not revoked.
  std::optional<int> RevocationReason(const pki::Certificate& certificate) const;

  int requests(Endpoint endpoint) const { return requests_[Index(endpoint)]; }
  // Orders made for exactly these names, sorted.
  int orders_for(const std::vector<std::string>& names) const;
  int orders() const;
  int accounts() const;
  // Requests to finalize that were accepted.
  int finalized() const { return finalized_; }
  // Requests that were hit by faults.
  int faults() const { return faults_.taken(); }
  int reused_nonces() const { return nonces_.reused(); }

 private:
  // A request on its way through the handlers.
  struct Call {
    const Request& http;
    // "https://host:port"
    std::string base;
    // What follows the endpoint's path, if anything: "17".
    std::string rest;
    std::string payload;
    Id account = 0;
    // Of a request by key, and for keyChange and revocation the account's.
    std::optional<pki::PublicKey> key;
    std::optional<JwsVerifier> verifier;
    std::string jwk;

    std::string Url(const std::string& path) const { return base + path; }
    // The payload as an object; null if it is none.
    std::optional<boost::json::object> Object() const;
    // POST-as-GET (RFC 8555 §6.3).
    bool ReadsOnly() const { return payload.empty(); }
  };
  enum class SignedBy { kNobody, kKey, kAccount, kEither };
  struct Route {
    const char* path;
    Endpoint endpoint;
    SignedBy signed_by;
    Reply (CaServer::*handle)(Call& call);
  };
  static const std::vector<Route>& Routes();

  explicit CaServer(CaServerOptions options);
  absl::Status Listen();

  // ca_server.cc
  Reply Handle(const Request& request);
  Reply HandleRoute(const Route& route, Call& call);
  // The refusal, if the request is not what ACME wants.
  std::optional<Reply> Authenticate(const Route& route, Call& call);
  std::optional<Reply> FindKey(const Route& route, const Jws& jws, Call& call);
  Reply Directory(Call& call);
  Reply NewNonce(Call& call);
  std::optional<Reply> CheckAlgorithm(const std::string& algorithm,
                                      const pki::PublicKey& key) const;
  bool RefusesNonceByChance();

  // ca_accounts.cc
  Reply NewAccount(Call& call);
  Reply Account(Call& call);
  Reply KeyChange(Call& call);
  std::optional<Reply> CheckExternalAccount(const Call& call,
                                            const boost::json::object& payload) const;
  Reply AccountReply(const Call& call, int status, Id id) const CW_REQUIRES(mutex_);
  Id FindAccount(const std::string& thumbprint) const CW_REQUIRES(mutex_);

  // ca_orders.cc
  Reply NewOrder(Call& call);
  Reply Order(Call& call);
  std::optional<Reply> CheckReplaces(const OrderEntry& order) CW_REQUIRES(mutex_);
  std::optional<Reply> CheckNames(const std::vector<Identifier>& identifiers) const
      CW_REQUIRES(mutex_);
  // A pending or ready one for the same; 0 if there is none.
  Id FindOrder(const OrderEntry& like) CW_REQUIRES(mutex_);
  Id StoreOrder(OrderEntry order) CW_REQUIRES(mutex_);
  std::string OrderStatus(const OrderEntry& order) CW_REQUIRES(mutex_);
  Reply OrderReply(const Call& call, int status, Id id) CW_REQUIRES(mutex_);
  void ForgetOldOrders() CW_REQUIRES(mutex_);

  // ca_authorizations.cc
  Reply Authorization(Call& call);
  Reply Challenge(Call& call);
  // For a name of an order, which may have "*.": a new one, or one that can be used again.
  Id MakeAuthorization(Id account, const Identifier& identifier) CW_REQUIRES(mutex_);
  Id FindValidAuthorization(const AuthorizationEntry& like) CW_REQUIRES(mutex_);
  void ForgetAuthorization(Id id) CW_REQUIRES(mutex_);
  void MakeChallenge(Id authorization, const std::string& type) CW_REQUIRES(mutex_);
  std::string AuthorizationStatus(AuthorizationEntry& authorization) CW_REQUIRES(mutex_);
  boost::json::object ChallengeObject(const Call& call, Id id) const CW_REQUIRES(mutex_);
  void StartValidation(Id challenge) CW_REQUIRES(mutex_);
  runtime::Awaitable<void> Validate(Id challenge, Proof proof);
  void FinishValidation(Id challenge, std::optional<Refusal> refusal) CW_REQUIRES(mutex_);

  // ca_certificates.cc
  Reply Finalize(Call& call);
  // The refusal, or the order is this call's to finalize.
  std::optional<Reply> ClaimOrder(const Call& call, Id id, const pki::Csr& csr);
  Reply StoreCertificate(const Call& call, Id order_id, IssuedLeaf leaf);
  Reply Certificate(Call& call);
  Reply RevokeCert(Call& call);
  Reply RenewalInfo(Call& call);
  bool MayRevoke(const Call& call, const CertificateEntry& entry,
                 const pki::PublicKey& certificate_key) CW_REQUIRES(mutex_);
  CertificateEntry* FindCertificate(const std::string& cert_id) CW_REQUIRES(mutex_);

  // A Retry-After header for what is not finished.
  void AddRetryAfter(Reply& reply) const CW_REQUIRES(mutex_);
  template <typename T>
  void Shuffle(std::vector<T>& values) CW_REQUIRES(mutex_) {
    if (behaviour_.shuffle) std::shuffle(values.begin(), values.end(), generator_);
  }

  const CaServerOptions options_;
  const IssuingCa issuing_;
  std::string tls_ca_pem_;
  Nonces nonces_;
  FaultQueues faults_;
  std::array<std::atomic<int>, kEndpoints.size()> requests_{};
  std::atomic<int> finalized_ = 0;

  mutable base::Mutex mutex_;
  Behaviour behaviour_ CW_GUARDED_BY(mutex_);
  std::mt19937_64 generator_ CW_GUARDED_BY(mutex_);
  Id last_id_ CW_GUARDED_BY(mutex_) = 0;
  std::unordered_map<Id, AccountEntry> accounts_ CW_GUARDED_BY(mutex_);
  std::unordered_map<std::string, Id> accounts_by_thumbprint_ CW_GUARDED_BY(mutex_);
  std::unordered_map<Id, OrderEntry> orders_ CW_GUARDED_BY(mutex_);
  std::unordered_map<Id, AuthorizationEntry> authorizations_ CW_GUARDED_BY(mutex_);
  std::unordered_map<Id, ChallengeEntry> challenges_ CW_GUARDED_BY(mutex_);
  std::unordered_map<Id, CertificateEntry> certificates_ CW_GUARDED_BY(mutex_);
  std::unordered_map<std::string, Id> certificates_by_cert_id_ CW_GUARDED_BY(mutex_);
  // By account, name and whether it is for the wildcard.
  std::map<std::tuple<Id, std::string, bool>, Id> newest_authorizations_ CW_GUARDED_BY(mutex_);
  // By names, profile and account.
  std::unordered_map<std::string, Id> newest_orders_ CW_GUARDED_BY(mutex_);
  std::unordered_map<std::string, int> orders_by_names_ CW_GUARDED_BY(mutex_);
  std::deque<Id> orders_by_age_ CW_GUARDED_BY(mutex_);

  // Declared before what runs on it; stopped first of all.
  runtime::ThreadPool pool_;
  Validator validator_;
  std::unique_ptr<HttpsServer> server_;
};

}  // namespace certwright::fakes
