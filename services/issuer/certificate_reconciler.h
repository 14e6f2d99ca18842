// CertificateReconciler: keeps a valid key pair in the Secret of each Certificate.
//
// Key, request and status are committed together before anything is asked of anyone, and the
// new key pair together with the status that announces it: a kill in between loses nothing and
// repeats nothing.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lib/controller/controller.h"
#include "lib/service/environment.h"
#include "services/issuer/certificate_decision.h"
#include "services/issuer/certificate_requests.h"
#include "services/issuer/fresh_keys.h"
#include "services/issuer/kinds.h"
#include "services/issuer/known_key_pairs.h"
#include "services/issuer/new_keys.h"
#include "services/issuer/private_cas.h"
#include "services/issuer/secret_users.h"

namespace certwright::issuer_service {

// Keys are "<namespace>/<name>".
class CertificateReconciler final : public controller::Reconciler {
 public:
  // All must outlive this.
  CertificateReconciler(service::Environment environment, Stores& stores,
                        const CertificateRequests& requests, const SecretUsers& secret_users,
                        const PrivateCas& private_cas,
                        FallbackRules fallback_rules = FallbackRules(),
                        PaceRules pace_rules = PaceRules());

  runtime::Awaitable<absl::StatusOr<controller::Result>> Reconcile(runtime::Context context,
                                                                   std::string key) override;

 private:
  // Everything read at the start of a pass.
  struct World {
    issuer::v1::Certificate certificate;
    std::optional<issuer::v1::Secret> secret;
    std::shared_ptr<const KeyPairFacts> key_pair;
    std::optional<issuer::v1::Secret> next_key;
    // The one that the status names, unless it is being deleted.
    std::optional<issuer::v1::CertificateRequest> request;
    // What the issuer that is in use signs with, if that is a CA of its own, and how the Secret
    // fits it.
    PrivateCas::Shared ca;
    CaFit ca_fit = CaFit::kFits;
    // Whether the present key pair does until there is another.
    bool present_serves = false;
    // Read only where the Secret does not serve.
    std::optional<issuer::v1::Secret> kept;
    std::optional<KeyPairFacts> kept_pair;
  };
  using Status = issuer::v1::CertificateStatus;

  runtime::Awaitable<absl::StatusOr<World>> Read(runtime::Context context,
                                                 issuer::v1::Certificate certificate);
  // Looks at what is kept, if the Secret does not serve.
  runtime::Awaitable<absl::StatusOr<CertificateDecision>> Decide(runtime::Context context,
                                                                 World& world);
  runtime::Awaitable<absl::StatusOr<controller::Result>> Act(runtime::Context context,
                                                             World world,
                                                             CertificateDecision decision);
  // Brings the encoding of the key and the outputs of `secret` in line with the spec. What
  // keeps them from it is the answer, as a clause, for it keeps nothing else from being up to
  // date.
  runtime::Awaitable<absl::StatusOr<std::string>> AddOutputs(
      runtime::Context context, const issuer::v1::Certificate& certificate,
      issuer::v1::Secret& secret);
  // The same for the present Secret, which also gets what is above its certificate now;
  // `mutations` then rewrite it.
  runtime::Awaitable<absl::StatusOr<std::string>> RefreshOutputs(
      runtime::Context context, const World& world, std::vector<store::Mutation>& mutations);
  // Gives the request on its way up, if there is one.
  void Abandon(World& world) const;
  // Has the status say why.
  runtime::Awaitable<absl::Status> RefuseToBegin(runtime::Context context, World world,
                                                 std::string why);
  runtime::Awaitable<absl::Status> Begin(runtime::Context context, World world, Finding finding,
                                         IssuanceCause cause);
  // Writes the Secret with the pair that is kept.
  runtime::Awaitable<absl::Status> PutBack(runtime::Context context, World world);
  runtime::Awaitable<absl::StatusOr<std::string>> FreeRequestName(
      runtime::Context context, const issuer::v1::Certificate& certificate);
  runtime::Awaitable<absl::Status> Complete(runtime::Context context, World world);
  runtime::Awaitable<absl::Status> Fail(runtime::Context context, World world, Finding finding);
  // What makes `secret` the one that `world` has.
  absl::StatusOr<std::vector<store::Mutation>> WriteSecret(const World& world,
                                                           issuer::v1::Secret& secret) const;
  // Commits `mutations` together with the changed status.
  runtime::Awaitable<absl::StatusOr<int64_t>> Commit(runtime::Context context,
                                                     const issuer::v1::Certificate& current,
                                                     issuer::v1::Certificate& changed,
                                                     std::vector<store::Mutation> mutations);
  // What marks the request on its way as deleted; nothing if there is none.
  absl::StatusOr<std::vector<store::Mutation>> GiveUpRequest(const World& world) const;

  // Ready if the present key pair serves; else not, for that reason.
  void SetReadyFor(World& world, const Finding& finding) const;

  const service::Environment environment_;
  Stores& stores_;
  const CertificateRequests& requests_;
  const SecretUsers& secret_users_;
  const PrivateCas& private_cas_;
  const FallbackRules fallback_rules_;
  const PaceRules pace_rules_;
  telemetry::Histogram& issuance_seconds_;
  telemetry::Counter& issued_;
  telemetry::Counter& failed_;
  FreshKeys fresh_keys_;
  NewKeys new_keys_;
  KnownKeyPairs known_key_pairs_;
};

}  // namespace certwright::issuer_service
