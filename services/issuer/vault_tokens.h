// VaultTokens: the token that requests to a Vault server carry: one that was given, or one
// that an AppRole logs in for.
//
// Of a login the token is kept in memory, and the next login is at two thirds of its lease, or
// when it was refused. Threading: safe from any thread. Concurrent callers share one login;
// one whose context ends leaves the others waiting for another's login.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/base/clock.h"
#include "lib/base/mutex.h"
#include "lib/base/secret.h"
#include "lib/http/http_client.h"
#include "lib/runtime/awaitable.h"
#include "lib/runtime/context.h"
#include "lib/runtime/event.h"
#include "lib/runtime/timers.h"
#include "services/issuer/vault_exchange.h"

namespace certwright::issuer_service {

struct VaultAppRoleLogin {
  std::string path = "approle";  // where the auth method is mounted, below auth/
  std::string role_id;
  base::Secret secret_id;
};

// Either `app_role` or a token.
struct VaultAuth {
  base::Secret token;
  std::optional<VaultAppRoleLogin> app_role;
};

// Blanks around the secrets and slashes around the path are dropped. INVALID_ARGUMENT, without
// the secret, unless there is exactly one of the two and it can be sent.
absl::StatusOr<VaultAuth> NormalizeVaultAuth(VaultAuth auth);

class VaultTokens {
 public:
  struct Token {
    base::Secret value;
    // When the login for it began.
    base::MonotonicTime obtained;
  };
  using Shared = std::shared_ptr<const Token>;

  // A failed login is not tried again for so long, while there is no token.
  static constexpr absl::Duration kLoginPause = absl::Seconds(1);
  // The same while the token before can still be used.
  static constexpr absl::Duration kRenewPause = absl::Seconds(10);

  // `auth` is normalized; the others must outlive this.
  VaultTokens(http::HttpClient& http, runtime::Timers& timers, const VaultServer& server,
              VaultAuth auth);

  // PERMISSION_DENIED if Vault refuses the AppRole; else as AskVault().
  runtime::Awaitable<absl::StatusOr<Shared>> Get(runtime::Context context);

  // The server has refused `seen`: the next Get() logs in, unless one has since. A token that
  // was given stays, as there is no other.
  void Invalidate(const Shared& seen);

  bool can_log_in() const { return app_role_.has_value(); }

 private:
  enum class Turn { kAnswer, kLogIn, kWait };
  struct Login {
    Shared token;
    absl::Duration lease;
  };
  struct AppRole {
    std::string path;
    std::string role_id;
    std::shared_ptr<const base::Secret> secret_id;
  };

  // `others_login` is set for kWait.
  Turn TakeTurn(absl::StatusOr<Shared>& answer, std::shared_ptr<runtime::Event>& others_login);
  runtime::Awaitable<absl::StatusOr<Login>> LogIn(runtime::Context context);
  static absl::StatusOr<Login> ReadLogin(boost::json::object& answer,
                                         base::MonotonicTime started);
  // Keeps what came of a login, wakes those who wait, and says what to answer.
  absl::StatusOr<Shared> Finish(absl::StatusOr<Login> login);
  bool Usable() const CW_REQUIRES(mutex_);

  http::HttpClient& http_;
  runtime::Timers& timers_;
  const VaultServer& server_;
  std::optional<AppRole> app_role_;

  base::Mutex mutex_;
  Shared token_ CW_GUARDED_BY(mutex_);
  base::MonotonicTime renew_at_ CW_GUARDED_BY(mutex_){};
  base::MonotonicTime expires_at_ CW_GUARDED_BY(mutex_){};
  // Of the last login; answered, while there is no token, until retry_at_.
  absl::Status last_error_ CW_GUARDED_BY(mutex_);
  base::MonotonicTime retry_at_ CW_GUARDED_BY(mutex_){};
  // While a login is under way: its end, whatever comes of it.
  std::shared_ptr<runtime::Event> login_ CW_GUARDED_BY(mutex_);
};

}  // namespace certwright::issuer_service
