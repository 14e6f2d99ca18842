#include "lib/acme/directory.h"

#include <algorithm>
#include <optional>

#include "lib/acme/problem.h"
#include "lib/acme/url.h"
#include "lib/base/status_macros.h"
#include "lib/telemetry/log.h"

namespace certwright::acme {
namespace {

constexpr int kMaxRedirects = 3;
constexpr std::size_t kMaxBytes = 64 << 10;
constexpr absl::Duration kFirstRetry = absl::Seconds(1);
constexpr absl::Duration kLongestRetry = absl::Seconds(10);
// How long a Retry-After of the directory is obeyed; a CA that is well again is missed no
// longer.
constexpr absl::Duration kLongestRetryAfter = absl::Hours(1);

}  // namespace

DirectoryCache::DirectoryCache(http::HttpClient& http, runtime::Timers& timers,
                               CaOptions options)
    : http_(http), timers_(timers), options_(std::move(options)) {}

runtime::Awaitable<absl::StatusOr<DirectoryCache::Shared>> DirectoryCache::Get(
    runtime::Context context) {
  while (true) {
    CW_CO_RETURN_IF_ERROR(context.Check());
    absl::StatusOr<Shared> answer = absl::UnknownError("no turn was taken");
    std::shared_ptr<runtime::Event> others_fetch;
    switch (TakeTurn(answer, others_fetch)) {
      case Turn::kAnswer:
        co_return answer;
      case Turn::kFetch:
        answer = co_await Fetch(context);
        co_return Finish(std::move(answer));
      case Turn::kWait:
        break;
    }
    CW_CO_RETURN_IF_ERROR(co_await others_fetch->Wait(timers_, context));
  }
}

void DirectoryCache::Invalidate(const Shared& seen) {
  base::MutexLock lock(mutex_);
  if (directory_ == seen) refresh_at_ = timers_.clock().MonotonicNow();
}

bool DirectoryCache::Usable() const {
  return directory_ != nullptr && timers_.clock().MonotonicNow() - fetched_ <= kStaleFor;
}

DirectoryCache::Turn DirectoryCache::TakeTurn(absl::StatusOr<Shared>& answer,
                                              std::shared_ptr<runtime::Event>& others_fetch) {
  base::MutexLock lock(mutex_);
  if (timers_.clock().MonotonicNow() < refresh_at_) {
    if (Usable()) {
      answer = directory_;
      return Turn::kAnswer;
    }
    if (!last_error_.ok()) {
      answer = last_error_;
      return Turn::kAnswer;
    }
  }
  if (fetch_ != nullptr) {
    others_fetch = fetch_;
    return Turn::kWait;
  }
  fetch_ = std::make_shared<runtime::Event>();
  return Turn::kFetch;
}

runtime::Awaitable<absl::StatusOr<DirectoryCache::Shared>> DirectoryCache::Fetch(
    runtime::Context context) {
  http::HttpRequest request;
  request.url = options_.directory_url;
  request.headers.push_back({"Accept", "application/json"});
  request.max_redirects = kMaxRedirects;
  request.max_response_bytes = kMaxBytes;
  absl::StatusOr<http::HttpResponse> response =
      co_await Exchange(http_, context, options_, std::move(request));
  if (!response.ok()) co_return base::Annotate(response.status(), "directory");
  const absl::Status answer = CheckAnswer(*response, timers_.clock().Now());
  if (!answer.ok()) co_return base::Annotate(answer, "directory");
  absl::StatusOr<Directory> directory = ParseDirectory(response->body, options_.allow_http);
  if (!directory.ok()) co_return SenselessAnswer(directory.status().message());
  co_return std::make_shared<const Directory>(*std::move(directory));
}

absl::StatusOr<DirectoryCache::Shared> DirectoryCache::Finish(absl::StatusOr<Shared> fetched) {
  std::shared_ptr<runtime::Event> fetch;
  {
    base::MutexLock lock(mutex_);
    fetch = std::move(fetch_);
    if (fetched.ok()) WarnOfUnusable(**fetched);
    const base::MonotonicTime now = timers_.clock().MonotonicNow();
    const bool caller_left = fetched.status().code() == absl::StatusCode::kCancelled ||
                             fetched.status().code() == absl::StatusCode::kDeadlineExceeded;
    if (fetched.ok()) {
      directory_ = *fetched;
      fetched_ = now;
      refresh_at_ = now + kFreshFor;
      last_error_ = absl::OkStatus();
      failures_ = 0;
    } else if (!caller_left) {
      last_error_ = fetched.status();
      absl::Duration wait =
          std::min(kFirstRetry * (1 << std::min(failures_++, 8)), kLongestRetry);
      const std::optional<absl::Time> retry_at = RetryAtOf(fetched.status());
      if (retry_at.has_value()) {
        wait = std::max(wait, std::min(*retry_at - timers_.clock().Now(), kLongestRetryAfter));
      }
      refresh_at_ = now + wait;
      if (Usable()) fetched = directory_;
    }
  }
  fetch->Set();
  return fetched;
}

void DirectoryCache::WarnOfUnusable(const Directory& fetched) const {
  if (directory_ != nullptr && directory_->unusable == fetched.unusable) return;
  for (const std::string& member : fetched.unusable) {
    telemetry::LogWarning(
        "a member of the CA's directory is not used, as it is no absolute https URL",
        {{"directory", options_.directory_url}, {"member", member}});
  }
}

}  // namespace certwright::acme
