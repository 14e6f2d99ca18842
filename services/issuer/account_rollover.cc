#include "services/issuer/account_rollover.h"

#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "lib/acme/problem.h"
#include "lib/base/status_macros.h"
#include "lib/pki/jose.h"
#include "lib/rpc/status.h"
#include "lib/service/conditions.h"
#include "lib/service/issuer_ref.h"
#include "lib/telemetry/log.h"

namespace certwright::issuer_service {
namespace {

using issuer::v1::Secret;

// What is known to the CA is written down though the caller has gone.
constexpr absl::Duration kSaveTimeout = absl::Seconds(10);
constexpr int kMaxTries = 5;
constexpr char kNotTaken[] = "the CA did not take the new account key";
// False while the account has its old key, as the CA has refused the last change.
constexpr char kRolloverCondition[] = "AccountKeyRolledOver";

// The only change of an account key in this process, if it is held.
class Claim {
 public:
  Claim(Accounts& accounts, std::string secret)
      : accounts_(accounts), secret_(std::move(secret)), held_(accounts.ClaimKey(secret_)) {}
  ~Claim() {
    if (held_) accounts_.ReleaseKey(secret_);
  }
  Claim(const Claim&) = delete;
  Claim& operator=(const Claim&) = delete;

  bool held() const { return held_; }

 private:
  Accounts& accounts_;
  const std::string secret_;
  const bool held_;
};

// A Secret whose values are wiped in the end.
struct OpenSecret {
  Secret value;

  OpenSecret() = default;
  explicit OpenSecret(Secret secret) : value(std::move(secret)) {}
  ~OpenSecret() {
    for (auto& [key, bytes] : *value.mutable_data()) base::Wipe(bytes);
  }
  OpenSecret(const OpenSecret&) = delete;
  OpenSecret& operator=(const OpenSecret&) = delete;
};

// The key of that name; nothing if there is none that can be read.
std::optional<pki::PrivateKey> KeyIn(const Secret& secret, const std::string& name) {
  const auto value = secret.data().find(name);
  if (value == secret.data().end()) return std::nullopt;
  absl::StatusOr<pki::PrivateKey> key = pki::PrivateKey::ParsePem(value->second);
  if (!key.ok()) return std::nullopt;
  return *std::move(key);
}

bool Holds(const Secret& secret, const std::string& name, const pki::PrivateKey& key) {
  const std::optional<pki::PrivateKey> held = KeyIn(secret, name);
  return held.has_value() && held->public_key() == key.public_key();
}

absl::Status UnderWay() {
  return absl::AbortedError("the account key is being changed already; try again in a moment");
}

// Whether keyChange got an answer, after which nothing of it is on its way any more. A gateway
// that did not wait for the CA's is none.
bool WasAnswered(const absl::Status& answer) {
  if (answer.ok()) return true;
  const std::optional<int> http_status = acme::HttpStatusOf(answer);
  if (http_status.has_value()) {
    return *http_status != 408 && *http_status != 502 && *http_status != 504;
  }
  // It was not even sent.
  return acme::ClassOf(answer) == acme::ErrorClass::kPermanent;
}

// Whether a CA that was asked for an account answered, but not about the account.
bool IsNoAnswer(const absl::Status& error) {
  const acme::ErrorClass error_class = acme::ClassOf(error);
  return acme::HttpStatusOf(error).has_value() &&
         (error_class == acme::ErrorClass::kPermanent ||
          error_class == acme::ErrorClass::kOperator);
}

// What is told about a keyChange that the CA answered with `answer`, and did not do.
absl::Status NotTaken(const absl::Status& answer) {
  if (answer.ok()) {
    return rpc::FailedPrecondition(
        "CA_REFUSED",
        absl::StrCat(kNotTaken, ": it said that it did, but the account has the old one"));
  }
  // Trying again will not help where the CA has no such thing.
  if (acme::HttpStatusOf(answer) == 501) {
    return rpc::FailedPrecondition("CA_REFUSED",
                                   absl::StrCat(kNotTaken, ": ", answer.message()));
  }
  return CaError(kNotTaken, answer);
}

absl::Status CheckMayRollOver(const AnyIssuer& issuer) {
  if (!issuer.spec.has_acme()) {
    return rpc::FailedPrecondition("NOT_ACME", "the issuer is not an ACME issuer");
  }
  if (issuer.spec.acme().disable_account_key_generation()) {
    return rpc::FailedPrecondition(
        "KEY_IS_GIVEN",
        "spec.acme.disableAccountKeyGeneration says that the account key is made elsewhere; "
        "unset it first, as the new key will be made here");
  }
  return absl::OkStatus();
}

}  // namespace

std::string AccountRollover::SecretNamespaceOf(const AnyIssuer& issuer) const {
  return accounts_.SecretNamespace(issuer.ref, issuer.metadata.namespace_());
}

std::string AccountRollover::SecretKeyOf(const AnyIssuer& issuer) const {
  const meta::v1::SecretKeyRef& ref = issuer.spec.acme().private_key_secret_ref();
  return absl::StrCat(SecretNamespaceOf(issuer), "/", ref.name(), "/", ref.key());
}

runtime::Awaitable<absl::StatusOr<pki::PublicKey>> AccountRollover::RollOver(
    runtime::Context context, AnyIssuer issuer) {
  CW_CO_RETURN_IF_ERROR(CheckMayRollOver(issuer));
  CW_CO_RETURN_IF_ERROR(co_await CheckUnshared(context, issuer));
  const Claim claim(accounts_, SecretKeyOf(issuer));
  if (!claim.held()) co_return UnderWay();
  CW_CO_ASSIGN_OR_RETURN(Keys keys, co_await ReadKeys(context, issuer));
  if (!IsRegisteredWith(issuer, keys.present.public_key())) {
    co_return rpc::FailedPrecondition("ISSUER_NOT_READY",
                                      "the account of this key is not registered yet");
  }
  if (IsDeactivated(issuer, keys.present.public_key())) {
    co_return rpc::FailedPrecondition("ACCOUNT_DEACTIVATED", "the account was deactivated");
  }
  const bool is_new = !keys.next.has_value();
  if (is_new) {
    CW_CO_ASSIGN_OR_RETURN(
        keys.next,
        pki::PrivateKey::Generate(AccountKeySpec(issuer.spec.acme().account_key_algorithm())));
    CW_CO_RETURN_IF_ERROR(co_await Apply(issuer, Change::kAddNext, *keys.next));
  }
  const pki::PublicKey next = keys.next->public_key();
  CW_CO_ASSIGN_OR_RETURN(
      const End end, co_await Complete(context, std::move(issuer), std::move(keys), is_new));
  if (!end.refusal.ok()) co_return end.refusal;
  co_return next;
}

runtime::Awaitable<absl::StatusOr<bool>> AccountRollover::Finish(runtime::Context context,
                                                                 AnyIssuer issuer) {
  absl::StatusOr<Keys> keys = co_await ReadKeys(context, issuer);
  // A Secret that is missing, or holds no account key, is for others to complain about.
  if (!keys.ok() || !keys->next.has_value()) co_return false;
  const Claim claim(accounts_, SecretKeyOf(issuer));
  if (!claim.held()) co_return UnderWay();
  if (IsDeactivated(issuer, keys->present.public_key())) {
    CW_CO_RETURN_IF_ERROR(co_await Apply(issuer, Change::kDropNext, *keys->next));
    co_return true;
  }
  const absl::StatusOr<End> end =
      co_await Complete(context, std::move(issuer), *std::move(keys), /*is_new=*/false);
  if (!end.ok()) co_return end.status();
  co_return true;
}

runtime::Awaitable<absl::StatusOr<AccountRollover::Keys>> AccountRollover::ReadKeys(
    runtime::Context context, const AnyIssuer& issuer) {
  const meta::v1::SecretKeyRef ref = issuer.spec.acme().private_key_secret_ref();
  absl::StatusOr<Secret> read =
      co_await stores_.secrets.Get(context, SecretNamespaceOf(issuer), ref.name());
  if (absl::IsNotFound(read.status())) {
    co_return rpc::NotFound("Secret", SecretNamespaceOf(issuer), ref.name());
  }
  if (!read.ok()) co_return read.status();
  const OpenSecret secret(*std::move(read));
  std::optional<pki::PrivateKey> present = KeyIn(secret.value, ref.key());
  if (!present.has_value()) {
    co_return rpc::FailedPrecondition(
        "ISSUER_NOT_READY",
        absl::StrCat("the Secret ", ref.name(), " holds no account key as ", ref.key()));
  }
  co_return Keys{*std::move(present), KeyIn(secret.value, NextKeyRef(ref).key())};
}

runtime::Awaitable<absl::Status> AccountRollover::CheckUnshared(runtime::Context context,
                                                                const AnyIssuer& issuer) {
  // One key may be an account at several CAs, and only one of them would be told of the new
  // one.
  const auto shares = [&](const auto& other, meta::v1::IssuerKind kind) {
    const AnyIssuer any = ToAnyIssuer(other, kind);
    return any.spec.has_acme() && any.spec.acme().server() != issuer.spec.acme().server() &&
           SecretKeyOf(any) == SecretKeyOf(issuer);
  };
  const auto refusal = [](const std::string& name) {
    return rpc::FailedPrecondition(
        "KEY_IS_SHARED",
        absl::StrCat(name,
                     " has an account at another server with the same Secret; give it "
                     "a Secret of its own in spec.acme.privateKeySecretRef first"));
  };
  store::ResourceStore<issuer::v1::Issuer>::ListOptions all;
  CW_CO_ASSIGN_OR_RETURN(const auto issuers, co_await stores_.issuers.List(context, all));
  for (const issuer::v1::Issuer& other : issuers.resources) {
    if (!shares(other, meta::v1::ISSUER_KIND_ISSUER)) continue;
    co_return refusal(
        absl::StrCat("Issuer ", other.metadata().namespace_(), "/", other.metadata().name()));
  }
  store::ResourceStore<issuer::v1::ClusterIssuer>::ListOptions all_cluster;
  CW_CO_ASSIGN_OR_RETURN(const auto cluster,
                         co_await stores_.cluster_issuers.List(context, all_cluster));
  for (const issuer::v1::ClusterIssuer& other : cluster.resources) {
    if (!shares(other, meta::v1::ISSUER_KIND_CLUSTER_ISSUER)) continue;
    co_return refusal(absl::StrCat("ClusterIssuer ", other.metadata().name()));
  }
  co_return absl::OkStatus();
}

runtime::Awaitable<absl::StatusOr<AccountRollover::Holder>> AccountRollover::HolderOf(
    runtime::Context context, const AnyIssuer& issuer, pki::PrivateKey key) {
  const auto client = accounts_.ClientFor(issuer.spec.acme());
  acme::NewAccountRequest look_up;
  look_up.only_return_existing = true;
  const absl::StatusOr<acme::Account> account =
      co_await client->NewAccount(context, std::move(key), std::move(look_up));
  if (acme::ClassOf(account.status()) == acme::ErrorClass::kReregister) {
    co_return Holder::kNobody;
  }
  if (!account.ok()) co_return account.status();
  // An issuer that was made anew does not know its account yet.
  const std::string& uri = issuer.status.acme().uri();
  co_return uri.empty() || account->url == uri ? Holder::kThisAccount : Holder::kAnotherAccount;
}

runtime::Awaitable<absl::StatusOr<AccountRollover::Holder>> AccountRollover::HolderOfNext(
    runtime::Context context, const AnyIssuer& issuer, const Keys& keys) {
  absl::StatusOr<Holder> holder = co_await HolderOf(context, issuer, *keys.next);
  if (!holder.ok() && IsNoAnswer(holder.status())) {
    // Some CAs refuse to speak of keys that they do not know. An account has but one key.
    const absl::StatusOr<Holder> present = co_await HolderOf(context, issuer, keys.present);
    if (present.ok() && *present == Holder::kThisAccount) co_return Holder::kNobody;
  }
  if (holder.ok()) co_return holder;
  co_return CaError("the CA was asked whose the new account key is", holder.status());
}

runtime::Awaitable<absl::Status> AccountRollover::ChangeKey(runtime::Context context,
                                                            const AnyIssuer& issuer,
                                                            const Keys& keys) {
  const auto client = accounts_.ClientFor(issuer.spec.acme());
  const std::string& uri = issuer.status.acme().uri();
  acme::LocalJwsSigner signer(keys.present, uri);
  co_return co_await client->KeyChange(context, signer, uri, keys.present.public_key(),
                                       *keys.next);
}

runtime::Awaitable<absl::StatusOr<AccountRollover::End>> AccountRollover::Complete(
    runtime::Context context, AnyIssuer issuer, Keys keys, bool is_new) {
  Holder holder = Holder::kNobody;
  if (!is_new) {
    CW_CO_ASSIGN_OR_RETURN(holder, co_await HolderOfNext(context, issuer, keys));
  }
  End end;
  absl::Status answer;
  const bool ask = IsRegisteredWith(issuer, keys.present.public_key());
  if (holder == Holder::kNobody && ask) {
    answer = co_await ChangeKey(context, issuer, keys);
    // Whatever was answered: the answer may have been lost, another process may have been
    // first, and some CAs say yes and do nothing.
    const absl::StatusOr<Holder> found = co_await HolderOfNext(context, issuer, keys);
    if (!found.ok()) co_return answer.ok() ? found.status() : CaError(kNotTaken, answer);
    holder = *found;
    // A request without an answer may arrive yet.
    if (holder == Holder::kNobody && !WasAnswered(answer)) {
      co_return CaError(kNotTaken, answer);
    }
  }
  if (holder == Holder::kThisAccount) {
    CW_CO_RETURN_IF_ERROR(co_await Apply(issuer, Change::kPromoteNext, *keys.next));
    telemetry::LogInfo("account key changed",
                       {{"issuer", issuer.metadata.name()},
                        {"account", issuer.status.acme().uri()},
                        {"thumbprint", pki::JwkThumbprint(keys.next->public_key())}});
    co_return end;
  }
  if (holder == Holder::kAnotherAccount) {
    end.refusal = rpc::FailedPrecondition("CA_REFUSED",
                                          "another account has the new key already; try again");
  } else if (ask) {
    end.refusal = NotTaken(answer);
  }
  CW_CO_RETURN_IF_ERROR(co_await Apply(issuer, Change::kDropNext, *keys.next,
                                       std::string(end.refusal.message())));
  co_return end;
}

runtime::Awaitable<absl::Status> AccountRollover::Apply(AnyIssuer issuer, Change change,
                                                        pki::PrivateKey next,
                                                        std::string why_dropped) {
  const auto context = runtime::Context::WithTimeout(environment_.clock(), kSaveTimeout);
  const std::string resource_namespace = issuer.metadata.namespace_();
  absl::Status applied;
  for (int tries = 0; tries < kMaxTries; ++tries) {
    applied = co_await TryApply(context, issuer, change, next, why_dropped);
    if (!absl::IsAborted(applied)) break;
    CW_CO_ASSIGN_OR_RETURN(
        issuer, co_await accounts_.FindIssuer(context, issuer.ref, resource_namespace));
  }
  accounts_.Forget(service::IssuerKey(issuer.ref, resource_namespace));
  co_return applied;
}

absl::Status AccountRollover::ApplyTo(Secret& secret, const meta::v1::SecretKeyRef& ref,
                                      Change change, const pki::PrivateKey& next) {
  const std::string next_name = NextKeyRef(ref).key();
  auto& data = *secret.mutable_data();
  const bool waits = Holds(secret, next_name, next);
  if (change == Change::kAddNext) {
    if (KeyIn(secret, next_name).has_value()) return UnderWay();
    data[next_name] = std::string(next.ToPem().Reveal());
    return absl::OkStatus();
  }
  if (change == Change::kPromoteNext && !waits && !Holds(secret, ref.key(), next)) {
    return absl::FailedPreconditionError(
        absl::StrCat("the Secret ", ref.name(),
                     " was changed while the CA took the new account key, which is lost: "
                     "delete the Secret to register another"));
  }
  if (!waits) return absl::OkStatus();
  if (change == Change::kPromoteNext) data[ref.key()].swap(data[next_name]);
  base::Wipe(data[next_name]);
  data.erase(next_name);
  return absl::OkStatus();
}

issuer::v1::IssuerStatus AccountRollover::ApplyTo(const AnyIssuer& issuer, Change change,
                                                  const pki::PrivateKey& next,
                                                  const std::string& why_dropped) const {
  issuer::v1::IssuerStatus status = issuer.status;
  if (change == Change::kPromoteNext) {
    if (!status.acme().uri().empty()) {
      status.mutable_acme()->set_account_key_thumbprint(pki::JwkThumbprint(next.public_key()));
    }
    service::RemoveCondition(*status.mutable_conditions(), kRolloverCondition);
  }
  if (change == Change::kDropNext && !why_dropped.empty()) {
    service::SetCondition(*status.mutable_conditions(),
                          {kRolloverCondition, false, "Refused",
                           absl::StrCat("The account keeps its key: ", why_dropped)},
                          issuer.metadata.generation(), environment_.clock().Now());
  }
  return status;
}

runtime::Awaitable<absl::Status> AccountRollover::TryApply(runtime::Context context,
                                                           const AnyIssuer& issuer,
                                                           Change change,
                                                           const pki::PrivateKey& next,
                                                           const std::string& why_dropped) {
  const meta::v1::SecretKeyRef ref = issuer.spec.acme().private_key_secret_ref();
  CW_CO_ASSIGN_OR_RETURN(Secret read, co_await stores_.secrets.Get(
                                          context, SecretNamespaceOf(issuer), ref.name()));
  const OpenSecret current(std::move(read));
  OpenSecret changed(current.value);
  CW_CO_RETURN_IF_ERROR(ApplyTo(changed.value, ref, change, next));
  std::vector<store::Mutation> mutations;
  CW_CO_ASSIGN_OR_RETURN(std::optional<store::Mutation> put_secret,
                         stores_.secrets.UpdateMutation(current.value, changed.value));
  if (put_secret.has_value()) mutations.push_back(*std::move(put_secret));
  CW_CO_ASSIGN_OR_RETURN(
      std::optional<store::Mutation> put_status,
      accounts_.StatusMutation(issuer, ApplyTo(issuer, change, next, why_dropped)));
  if (put_status.has_value()) mutations.push_back(*std::move(put_status));
  if (mutations.empty()) co_return absl::OkStatus();
  const auto committed = co_await stores_.secrets.store().Commit(context, std::move(mutations));
  co_return committed.status();
}

}  // namespace certwright::issuer_service
