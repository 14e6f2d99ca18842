// AccountRollover: gives the account of an ACME issuer another key (RFC 8555 §7.3.5).
//
// The new key is committed to the Secret of the account key, beside the present one, before the
// CA is asked to take it. Once the CA has it, it takes the place of the present one, in one
// commit with the issuer's status. After a kill in between, the Secret holds two keys, and only
// the CA knows which of them the account has: Finish() asks it. Nothing is signed meanwhile
// (Accounts::Find).
//
// Two rollovers at once break nothing: within a process the second is refused; between
// processes both try to give the account the same new key, and whoever the CA refuses finds
// that the account has it.
#pragma once

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "certwright/issuer/v1/secret.pb.h"
#include "lib/pki/key.h"
#include "lib/runtime/awaitable.h"
#include "lib/runtime/context.h"
#include "lib/service/environment.h"
#include "services/issuer/accounts.h"
#include "services/issuer/kinds.h"

namespace certwright::issuer_service {

class AccountRollover {
 public:
  // References must outlive this.
  AccountRollover(service::Environment environment, Stores& stores, Accounts& accounts)
      : environment_(environment), stores_(stores), accounts_(accounts) {}

  // Returns the account's new key once it has it. FAILED_PRECONDITION if it may not have one,
  // or the CA refuses; ABORTED while another rollover of it is under way. Where the CA's answer
  // leaves the account with its old key, the new one is dropped, and the issuer goes on and has
  // the condition AccountKeyRolledOver that says why. Where there is no answer, the new key is
  // kept, to be tried again by Finish() or the next RollOver().
  runtime::Awaitable<absl::StatusOr<pki::PublicKey>> RollOver(runtime::Context context,
                                                              AnyIssuer issuer);

  // Finishes what a rollover has left, one way or the other; true if there was anything.
  // ABORTED while one is under way. Other errors leave it as it is.
  runtime::Awaitable<absl::StatusOr<bool>> Finish(runtime::Context context, AnyIssuer issuer);

 private:
  struct Keys {
    pki::PrivateKey present;
    std::optional<pki::PrivateKey> next;
  };
  // Whose a key is, at the CA.
  enum class Holder { kThisAccount, kAnotherAccount, kNobody };
  enum class Change { kAddNext, kPromoteNext, kDropNext };
  // How a rollover has ended. Then the Secret holds one key.
  struct End {
    // Why the account keeps its key; OK if it has the new one, or none is known of.
    absl::Status refusal;
  };

  runtime::Awaitable<absl::StatusOr<Keys>> ReadKeys(runtime::Context context,
                                                    const AnyIssuer& issuer);
  runtime::Awaitable<absl::Status> CheckUnshared(runtime::Context context,
                                                 const AnyIssuer& issuer);
  runtime::Awaitable<absl::StatusOr<Holder>> HolderOf(runtime::Context context,
                                                      const AnyIssuer& issuer,
                                                      pki::PrivateKey key);
  // Whose keys.next is.
  runtime::Awaitable<absl::StatusOr<Holder>> HolderOfNext(runtime::Context context,
                                                          const AnyIssuer& issuer,
                                                          const Keys& keys);
  // The CA's answer to keyChange.
  runtime::Awaitable<absl::Status> ChangeKey(runtime::Context context, const AnyIssuer& issuer,
                                             const Keys& keys);
  // `is_new`: the CA cannot know keys.next yet. Errors leave keys.next where it is.
  runtime::Awaitable<absl::StatusOr<End>> Complete(runtime::Context context, AnyIssuer issuer,
                                                   Keys keys, bool is_new);
  // Changes the Secret, and the issuer's status with it, so that `next` is where it should be.
  // Not cut off by the end of a caller's context.
  runtime::Awaitable<absl::Status> Apply(AnyIssuer issuer, Change change, pki::PrivateKey next,
                                         std::string why_dropped = "");
  runtime::Awaitable<absl::Status> TryApply(runtime::Context context, const AnyIssuer& issuer,
                                            Change change, const pki::PrivateKey& next,
                                            const std::string& why_dropped);

  // The same in `secret` alone, and in the status alone.
  static absl::Status ApplyTo(issuer::v1::Secret& secret, const meta::v1::SecretKeyRef& ref,
                              Change change, const pki::PrivateKey& next);
  issuer::v1::IssuerStatus ApplyTo(const AnyIssuer& issuer, Change change,
                                   const pki::PrivateKey& next,
                                   const std::string& why_dropped) const;

  std::string SecretNamespaceOf(const AnyIssuer& issuer) const;
  // "<namespace>/<name>/<key>" of the account key.
  std::string SecretKeyOf(const AnyIssuer& issuer) const;

  const service::Environment environment_;
  Stores& stores_;
  Accounts& accounts_;
};

}  // namespace certwright::issuer_service
