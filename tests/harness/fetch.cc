#include "tests/harness/fetch.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/base/clock.h"
#include "lib/base/status_macros.h"
#include "lib/http/curl_http_client.h"
#include "lib/runtime/run_sync.h"
#include "lib/runtime/thread_pool.h"

namespace certwright::harness {

absl::StatusOr<std::string> Fetch(const std::string& url, const std::string& ca_pem,
                                  std::string body) {
  runtime::ThreadPool pool(1);
  auto timers = runtime::MakeAsioTimers(pool.executor(), base::Clock::Real());
  auto http = http::MakeCurlHttpClient(pool.executor(), *timers);
  http::HttpRequest request;
  request.url = url;
  request.trust.ca_bundle_pem = ca_pem;
  if (!body.empty()) {
    request.method = "POST";
    request.body = std::move(body);
  }
  const auto context = runtime::Context::WithTimeout(base::Clock::Real(), absl::Seconds(10));
  CW_ASSIGN_OR_RETURN(const http::HttpResponse response,
                      runtime::RunSyncOn(pool.executor(), http->Send(context, request)));
  if (response.status != 200) {
    return absl::InternalError(absl::StrCat(url, " was answered with ", response.status));
  }
  return response.body;
}

absl::Status WaitForAnswer(Process& process, const std::string& url, const std::string& ca_pem,
                           absl::Duration timeout) {
  absl::Status last;
  const bool done = WaitUntil(
      [&] {
        last = Fetch(url, ca_pem).status();
        return last.ok() || !process.Running();
      },
      timeout);
  if (last.ok()) return last;
  const std::string message =
      absl::StrCat(process.name(), done ? " has ended" : " does not answer", ": ",
                   last.message(), "; its log says:\n", process.LogTail());
  return done ? absl::FailedPreconditionError(message) : absl::DeadlineExceededError(message);
}

}  // namespace certwright::harness
