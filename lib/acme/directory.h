// DirectoryCache: a CA's directory (RFC 8555 §7.1.1), fetched once for all who
// need it.
//
// Threading: safe from any thread. Concurrent callers share one fetch; one
// whose context ends leaves the others waiting for another's fetch.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/acme/exchange.h"
#include "lib/acme/objects.h"
#include "lib/base/mutex.h"
#include "lib/http/http_client.h"
#include "lib/runtime/awaitable.h"
#include "lib/runtime/context.h"
#include "lib/runtime/event.h"
#include "lib/runtime/timers.h"

namespace certwright::acme {

class DirectoryCache {
 public:
  using Shared = std::shared_ptr<const Directory>;
  static constexpr absl::Duration kFreshFor = absl::Hours(12);
  static constexpr absl::Duration kStaleFor = absl::Hours(24);

  // `http` and `timers` must outlive this.
  DirectoryCache(http::HttpClient& http, runtime::Timers& timers, CaOptions options);

  // A directory at most kFreshFor old; while it cannot be fetched, one at most
  // kStaleFor old.
  runtime::Awaitable<absl::StatusOr<Shared>> Get(runtime::Context context);

  // A URL of `seen` answered 404 or 405: the next Get() fetches anew, unless
  // one has since.
  void Invalidate(const Shared& seen);

  const CaOptions& options() const { return options_; }

 private:
  // What Get() is to do next.
  enum class Turn { kAnswer, kFetch, kWait };
  // `others_fetch` is set for kWait.
  Turn TakeTurn(absl::StatusOr<Shared>& answer, std::shared_ptr<runtime::Event>& others_fetch);
  runtime::Awaitable<absl::StatusOr<Shared>> Fetch(runtime::Context context);
  // Keeps what was fetched, wakes those who wait, and says what to answer.
  absl::StatusOr<Shared> Finish(absl::StatusOr<Shared> fetched);
  // Once, and again if it is about others.
  void WarnOfUnusable(const Directory& fetched) const CW_REQUIRES(mutex_);
  bool Usable() const CW_REQUIRES(mutex_);

  http::HttpClient& http_;
  runtime::Timers& timers_;
  const CaOptions options_;

  base::Mutex mutex_;
  Shared directory_ CW_GUARDED_BY(mutex_);
  base::MonotonicTime fetched_ CW_GUARDED_BY(mutex_){};
  base::MonotonicTime refresh_at_ CW_GUARDED_BY(mutex_){};
  // Of the last fetch; answered, while there is nothing better, until refresh_at_.
  absl::Status last_error_ CW_GUARDED_BY(mutex_);
  int failures_ CW_GUARDED_BY(mutex_) = 0;
  // While a fetch is under way: its end, whatever comes of it.
  std::shared_ptr<runtime::Event> fetch_ CW_GUARDED_BY(mutex_);
};

}  // namespace certwright::acme
