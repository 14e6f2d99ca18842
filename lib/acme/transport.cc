#include "lib/acme/transport.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/acme/problem.h"
#include "lib/acme/url.h"
#include "lib/base/status_macros.h"

namespace certwright::acme {
namespace {

constexpr absl::Duration kFirstPause = absl::Milliseconds(50);
constexpr absl::Duration kLongestPause = absl::Seconds(1);
constexpr double kPauseJitter = 0.5;

std::string Where(RequestKind kind, const std::string& url) {
  return absl::StrCat(RequestKindName(kind), " at ", OriginOf(url).value_or("the CA"));
}

// The answer's nonce for the next request; empty if it has none that is valid.
std::string NextNonce(const http::HttpResponse& response) {
  std::string nonce = http::FindHeader(response.headers, "Replay-Nonce").value_or("");
  if (!NoncePool::IsValid(nonce)) nonce.clear();
  return nonce;
}

absl::Status AnswerIsLost(RequestKind kind, const std::string& url) {
  return http::MarkAsSent(ErrorWithClass(
      absl::StatusCode::kUnavailable,
      absl::StrCat(Where(kind, url), ": the connection ended before the CA's answer"),
      ErrorClass::kRetryBackoff));
}

// Whether it was answered that this will not be done, which another method may change.
bool IsRefusal(const absl::Status& status) {
  const int http_status = HttpStatusOf(status).value_or(0);
  if (http_status == 501) return true;
  const ErrorClass error_class = ClassOf(status);
  return http_status != 0 &&
         (error_class == ErrorClass::kPermanent || error_class == ErrorClass::kOperator);
}

}  // namespace

Transport::Transport(http::HttpClient& http, runtime::Timers& timers, base::Random& random,
                     CaOptions options)
    : http_(http),
      timers_(timers),
      random_(random),
      directory_(http, timers, std::move(options)),
      nonces_(timers.clock()) {}

runtime::Awaitable<absl::StatusOr<http::HttpResponse>> Transport::Post(runtime::Context context,
                                                                       JwsSigner& signer,
                                                                       Call call) {
  Nonce nonce;
  bool repeated = false;
  for (int attempt = 0; attempt < kMaxNonceTries;) {
    CW_CO_RETURN_IF_ERROR(co_await Pause(context, attempt));
    if (nonce.value.empty()) {
      CW_CO_ASSIGN_OR_RETURN(nonce, co_await TakeNonce(context));
    }
    const Nonce spent = std::exchange(nonce, Nonce());
    absl::StatusOr<http::HttpResponse> response =
        co_await Try(context, signer, call, spent.value);
    if (!response.ok()) {
      const bool lost = response.status().code() == absl::StatusCode::kUnavailable;
      if (!lost || !call.repeatable || std::exchange(repeated, true)) {
        co_return base::Annotate(response.status(), Where(call.kind, call.url));
      }
      continue;
    }
    const absl::Status status = CheckAnswer(*response, clock().Now());
    if (ClassOf(status) != ErrorClass::kRetryNonce) {
      if (spent.from_pool) nonces_.Accepted();
      nonces_.Put(NextNonce(*response));
      if (!status.ok()) co_return base::Annotate(status, Where(call.kind, call.url));
      co_return response;
    }
    if (response->sent_twice && !call.repeatable) {
      // Its nonce was good the first time, and what that did is not to be done again.
      nonces_.Put(NextNonce(*response));
      co_return AnswerIsLost(call.kind, call.url);
    }
    if (spent.from_pool) nonces_.Rejected();
    // Not through the pool, where another request might take it (RFC 8555 §6.5).
    nonce.value = NextNonce(*response);
    ++attempt;
  }
  nonces_.Flush();
  co_return ErrorWithClass(absl::StatusCode::kUnavailable,
                           absl::StrCat(Where(call.kind, call.url), ": the CA refused ",
                                        kMaxNonceTries, " nonces in a row"),
                           ErrorClass::kRetryBackoff);
}

runtime::Awaitable<absl::StatusOr<http::HttpResponse>> Transport::PostToEndpoint(
    runtime::Context context, JwsSigner& signer, Endpoint endpoint, MakePayload make_payload,
    Call call) {
  for (bool first = true;; first = false) {
    CW_CO_ASSIGN_OR_RETURN(const DirectoryCache::Shared directory,
                           co_await directory_.Get(context));
    call.url = (*directory).*endpoint;
    if (call.url.empty()) {
      co_return ErrorWithClass(
          absl::StatusCode::kUnimplemented,
          absl::StrCat("the CA's directory has no ", RequestKindName(call.kind)),
          ErrorClass::kPermanent);
    }
    CW_CO_ASSIGN_OR_RETURN(call.payload, make_payload(call.url));
    absl::StatusOr<http::HttpResponse> response = co_await Post(context, signer, call);
    if (response.ok() || !first) co_return response;
    const bool moved = co_await HasMoved(context, response.status(), directory, endpoint);
    if (!moved) co_return response;
  }
}

runtime::Awaitable<absl::StatusOr<http::HttpResponse>> Transport::Get(runtime::Context context,
                                                                      std::string url) {
  http::HttpRequest request;
  request.url = url;
  request.headers.push_back({"Accept", "application/json"});
  absl::StatusOr<http::HttpResponse> response =
      co_await Exchange(http_, context, options(), std::move(request));
  if (!response.ok()) co_return response.status();
  nonces_.Put(NextNonce(*response));
  CW_CO_RETURN_IF_ERROR(CheckAnswer(*response, clock().Now()));
  co_return response;
}

runtime::Awaitable<absl::StatusOr<Transport::Nonce>> Transport::TakeNonce(
    runtime::Context context) {
  Nonce nonce;
  std::optional<std::string> pooled = nonces_.Take();
  if (pooled.has_value()) {
    nonce.value = *std::move(pooled);
    nonce.from_pool = true;
    co_return nonce;
  }
  CW_CO_ASSIGN_OR_RETURN(nonce.value, co_await FetchNonce(context));
  co_return nonce;
}

runtime::Awaitable<absl::StatusOr<std::string>> Transport::FetchNonce(
    runtime::Context context) {
  for (bool first = true;; first = false) {
    CW_CO_ASSIGN_OR_RETURN(const DirectoryCache::Shared directory,
                           co_await directory_.Get(context));
    absl::StatusOr<std::string> nonce = co_await AskForNonce(context, directory, "HEAD");
    // A CA must serve both (RFC 8555 §7.2), but what stands before it may not let HEAD through.
    if (nonce.ok() ? nonce->empty() : IsRefusal(nonce.status())) {
      nonce = co_await AskForNonce(context, directory, "GET");
    }
    if (nonce.ok() && nonce->empty()) {
      co_return SenselessAnswer("newNonce gave no valid Replay-Nonce");
    }
    if (nonce.ok()) co_return nonce;
    const absl::Status status = nonce.status();
    bool moved = false;
    if (first) moved = co_await HasMoved(context, status, directory, &Directory::new_nonce);
    if (moved) continue;
    // It has nothing of the request that the nonce is for, so it cannot mean to refuse that.
    const bool refused = ClassOf(status) == ErrorClass::kPermanent;
    co_return base::Annotate(refused ? SenselessAnswer(status.message()) : status, "newNonce");
  }
}

runtime::Awaitable<absl::StatusOr<std::string>> Transport::AskForNonce(
    runtime::Context context, DirectoryCache::Shared directory, std::string method) {
  http::HttpRequest request;
  request.method = std::move(method);
  request.url = directory->new_nonce;
  request.headers.push_back({"Cache-Control", "no-cache"});
  CW_CO_ASSIGN_OR_RETURN(const http::HttpResponse response,
                         co_await Exchange(http_, context, options(), std::move(request)));
  CW_CO_RETURN_IF_ERROR(CheckAnswer(response, clock().Now()));
  co_return NextNonce(response);
}

runtime::Awaitable<absl::StatusOr<http::HttpResponse>> Transport::Try(runtime::Context context,
                                                                      JwsSigner& signer,
                                                                      Call call,
                                                                      std::string nonce) {
  SignRequest to_sign;
  to_sign.url = call.url;
  to_sign.nonce = nonce;
  to_sign.payload = std::move(call.payload);
  to_sign.kind = call.kind;
  absl::StatusOr<SignedRequest> body = co_await signer.Sign(context, std::move(to_sign));
  if (!body.ok()) {
    nonces_.Put(std::move(nonce));
    co_return base::Annotate(body.status(), "signing");
  }
  http::HttpRequest request;
  request.method = "POST";
  request.url = std::move(call.url);
  request.headers.push_back({"Content-Type", "application/jose+json"});
  request.headers.push_back({"Accept", std::move(call.accept)});
  request.body = std::move(body->body);
  request.max_response_bytes = call.max_response_bytes;
  request.header_suffices = call.header_suffices;
  request.fresh_connection = call.fresh_connection;
  co_return co_await Exchange(http_, context, options(), std::move(request));
}

runtime::Awaitable<absl::Status> Transport::Pause(runtime::Context context, int attempt) {
  if (attempt < kImmediateNonceTries) co_return context.Check();
  const int doublings = std::min(attempt - kImmediateNonceTries, 10);
  const absl::Duration pause = std::min(kFirstPause * (1 << doublings), kLongestPause);
  co_return co_await runtime::SleepFor(timers_, context, random_.Jitter(pause, kPauseJitter));
}

runtime::Awaitable<bool> Transport::HasMoved(runtime::Context context, absl::Status status,
                                             DirectoryCache::Shared seen, Endpoint endpoint) {
  const std::optional<int> http_status = HttpStatusOf(status);
  if (http_status != 404 && http_status != 405) co_return false;
  directory_.Invalidate(seen);
  const absl::StatusOr<DirectoryCache::Shared> newer = co_await directory_.Get(context);
  co_return newer.ok() && (**newer).*endpoint != (*seen).*endpoint;
}

}  // namespace certwright::acme
