#include "services/issuer/vault_tokens.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "boost/json/serialize.hpp"
#include "boost/json/string.hpp"
#include "boost/json/value.hpp"
#include "lib/base/status_macros.h"
#include "openssl/crypto.h"

namespace certwright::issuer_service {
namespace {

constexpr std::size_t kMaxSecretBytes = 8 << 10;

// 1 to kMaxSecretBytes characters that a header or a JSON string holds as they are.
bool IsSendable(absl::string_view text) {
  return !text.empty() && text.size() <= kMaxSecretBytes &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return absl::ascii_isgraph(static_cast<unsigned char>(c)); });
}

base::Secret Stripped(const base::Secret& secret) {
  return base::Secret(std::string(absl::StripAsciiWhitespace(secret.Reveal())));
}

// Takes the token out of the answer, whose copy is wiped.
base::Secret TakeToken(boost::json::object& auth) {
  boost::json::value* value = auth.if_contains("client_token");
  boost::json::string* text = value == nullptr ? nullptr : value->if_string();
  if (text == nullptr) return base::Secret();
  base::Secret token(std::string(text->data(), text->size()));
  OPENSSL_cleanse(text->data(), text->size());
  return token;
}

}  // namespace

absl::StatusOr<VaultAuth> NormalizeVaultAuth(VaultAuth auth) {
  VaultAuth normalized;
  if (!auth.app_role.has_value()) {
    normalized.token = Stripped(auth.token);
    if (!IsSendable(normalized.token.Reveal())) {
      return absl::InvalidArgumentError(
          "Vault's token is empty or holds blanks or bytes that "
          "no token has");
    }
    return normalized;
  }
  if (!auth.token.empty()) {
    return absl::InvalidArgumentError("Vault takes a token or an AppRole, not both");
  }
  VaultAppRoleLogin& role = normalized.app_role.emplace();
  CW_ASSIGN_OR_RETURN(role.path,
                      NormalizeVaultPath(auth.app_role->path, "the AppRole's mount path"));
  role.role_id = std::string(absl::StripAsciiWhitespace(auth.app_role->role_id));
  role.secret_id = Stripped(auth.app_role->secret_id);
  if (!IsSendable(role.role_id)) {
    return absl::InvalidArgumentError("the AppRole's role identifier is empty or malformed");
  }
  if (!IsSendable(role.secret_id.Reveal())) {
    return absl::InvalidArgumentError("the AppRole's secret is empty or malformed");
  }
  return normalized;
}

VaultTokens::VaultTokens(http::HttpClient& http, runtime::Timers& timers,
                         const VaultServer& server, VaultAuth auth)
    : http_(http), timers_(timers), server_(server) {
  if (auth.app_role.has_value()) {
    app_role_.emplace();
    app_role_->path = std::move(auth.app_role->path);
    app_role_->role_id = std::move(auth.app_role->role_id);
    app_role_->secret_id =
        std::make_shared<const base::Secret>(std::move(auth.app_role->secret_id));
    return;
  }
  auto token = std::make_shared<Token>();
  token->value = std::move(auth.token);
  token_ = std::move(token);
  renew_at_ = expires_at_ = base::MonotonicTime{absl::InfiniteDuration()};
}

runtime::Awaitable<absl::StatusOr<VaultTokens::Shared>> VaultTokens::Get(
    runtime::Context context) {
  while (true) {
    CW_CO_RETURN_IF_ERROR(context.Check());
    absl::StatusOr<Shared> answer = absl::UnknownError("no turn was taken");
    std::shared_ptr<runtime::Event> others_login;
    const Turn turn = TakeTurn(answer, others_login);
    if (turn == Turn::kAnswer) co_return answer;
    if (turn == Turn::kLogIn) {
      absl::StatusOr<Login> login = co_await LogIn(context);
      co_return Finish(std::move(login));
    }
    CW_CO_RETURN_IF_ERROR(co_await others_login->Wait(timers_, context));
  }
}

void VaultTokens::Invalidate(const Shared& seen) {
  base::MutexLock lock(mutex_);
  if (app_role_.has_value() && token_ == seen) token_ = nullptr;
}

bool VaultTokens::Usable() const {
  return token_ != nullptr && timers_.clock().MonotonicNow() < expires_at_;
}

VaultTokens::Turn VaultTokens::TakeTurn(absl::StatusOr<Shared>& answer,
                                        std::shared_ptr<runtime::Event>& others_login) {
  base::MutexLock lock(mutex_);
  const base::MonotonicTime now = timers_.clock().MonotonicNow();
  if (Usable() && (now < renew_at_ || login_ != nullptr)) {
    answer = token_;
    return Turn::kAnswer;
  }
  if (login_ != nullptr) {
    others_login = login_;
    return Turn::kWait;
  }
  if (!Usable() && !last_error_.ok() && now < retry_at_) {
    answer = last_error_;
    return Turn::kAnswer;
  }
  login_ = std::make_shared<runtime::Event>();
  return Turn::kLogIn;
}

runtime::Awaitable<absl::StatusOr<VaultTokens::Login>> VaultTokens::LogIn(
    runtime::Context context) {
  const base::MonotonicTime started = timers_.clock().MonotonicNow();
  boost::json::object credentials;
  credentials["role_id"] = app_role_->role_id;
  const absl::string_view secret_id = app_role_->secret_id->Reveal();
  boost::json::string& sent_secret = credentials["secret_id"].emplace_string();
  sent_secret.assign(secret_id.data(), secret_id.size());
  VaultCall call;
  call.path = absl::StrCat("auth/", app_role_->path, "/login");
  call.body = boost::json::serialize(credentials);
  call.body_secret = app_role_->secret_id;
  OPENSSL_cleanse(sent_secret.data(), sent_secret.size());
  absl::StatusOr<boost::json::object> answer =
      co_await AskVault(http_, context, server_, std::move(call));
  // Vault says 400 for a role or a secret that it does not know: here that is no verdict on
  // what is to be signed.
  if (answer.status().code() == absl::StatusCode::kInvalidArgument) {
    co_return absl::PermissionDeniedError(
        absl::StrCat("AppRole login: ", answer.status().message()));
  }
  if (!answer.ok()) co_return base::Annotate(answer.status(), "AppRole login");
  absl::StatusOr<Login> login = ReadLogin(*answer, started);
  co_return login;
}

absl::StatusOr<VaultTokens::Login> VaultTokens::ReadLogin(boost::json::object& answer,
                                                          base::MonotonicTime started) {
  boost::json::value* member = answer.if_contains("auth");
  boost::json::object* auth = member == nullptr ? nullptr : member->if_object();
  auto token = std::make_shared<Token>();
  token->obtained = started;
  if (auth != nullptr) token->value = TakeToken(*auth);
  if (!IsSendable(token->value.Reveal())) {
    return absl::FailedPreconditionError(
        "AppRole login: Vault's answer holds no token; check the mount path, and that the role "
        "asks for nothing else");
  }
  const boost::json::value* lease = auth->if_contains("lease_duration");
  const int64_t* seconds = lease == nullptr ? nullptr : lease->if_int64();
  Login login;
  login.token = std::move(token);
  // A token without lease is good until it is refused.
  login.lease =
      seconds == nullptr || *seconds <= 0 ? absl::InfiniteDuration() : absl::Seconds(*seconds);
  return login;
}

absl::StatusOr<VaultTokens::Shared> VaultTokens::Finish(absl::StatusOr<Login> login) {
  std::shared_ptr<runtime::Event> ended;
  absl::StatusOr<Shared> answer = absl::UnknownError("no login was tried");
  {
    base::MutexLock lock(mutex_);
    ended = std::move(login_);
    const base::MonotonicTime now = timers_.clock().MonotonicNow();
    const bool caller_left = login.status().code() == absl::StatusCode::kCancelled ||
                             login.status().code() == absl::StatusCode::kDeadlineExceeded;
    if (login.ok()) {
      token_ = login->token;
      renew_at_ = token_->obtained + login->lease * 2 / 3;
      expires_at_ = token_->obtained + login->lease;
      last_error_ = absl::OkStatus();
      answer = token_;
    } else {
      answer = login.status();
    }
    if (!login.ok() && !caller_left) {
      last_error_ = login.status();
      retry_at_ = now + kLoginPause;
      renew_at_ = now + kRenewPause;
      if (Usable()) answer = token_;
    }
  }
  ended->Set();
  return answer;
}

}  // namespace certwright::issuer_service
