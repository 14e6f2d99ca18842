#include "lib/http/curl_http_client.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/base/status_macros.h"
#include "lib/http/curl_loop.h"
#include "lib/http/curl_transfer.h"

namespace certwright::http {
namespace {

bool IsRedirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

CurlLoopOptions ToLoopOptions(CurlHttpClientOptions options) {
  CurlLoopOptions loop;
  loop.transfer.user_agent = std::move(options.user_agent);
  loop.transfer.idle_seconds = absl::ToInt64Seconds(options.idle_timeout);
  loop.transfer.allow_address = std::move(options.allow_address);
  loop.transfer.address_advice = std::move(options.address_advice);
  loop.transfer.proxy = std::move(options.proxy);
  loop.max_connections_per_host = options.max_connections_per_host;
  return loop;
}

// The next request of a chain of redirects. Another origin gets neither the caller's
// credentials nor the caller's choice of where to connect to.
absl::StatusOr<HttpRequest> FollowRedirect(const CurlTransfer& transfer) {
  HttpRequest next = transfer.request();
  next.url = transfer.redirect_url();
  absl::StatusOr<Origin> origin = ParseOrigin(next.url);
  if (!origin.ok()) {
    return absl::FailedPreconditionError(
        transfer.Describe("the answer redirects to what is no http or https URL"));
  }
  if (*origin == transfer.origin()) return next;
  next.connect_to.clear();
  std::erase_if(next.headers, [](const Header& header) {
    return absl::EqualsIgnoreCase(header.name, "Authorization") ||
           absl::EqualsIgnoreCase(header.name, "Cookie") ||
           absl::EqualsIgnoreCase(header.name, "Host");
  });
  return next;
}

class CurlHttpClient final : public HttpClient {
 public:
  CurlHttpClient(runtime::Executor executor, runtime::Timers& timers,
                 CurlHttpClientOptions options)
      : loop_(std::make_shared<CurlLoop>(std::move(executor), timers,
                                         ToLoopOptions(std::move(options)))) {}
  ~CurlHttpClient() override { loop_->Shutdown(); }

  runtime::Awaitable<absl::StatusOr<HttpResponse>> Send(runtime::Context context,
                                                        HttpRequest request) override {
    // Kept here, because the client may be destroyed while this waits.
    const std::shared_ptr<CurlLoop> loop = loop_;
    int redirects_left = request.method == "GET" ? request.max_redirects : 0;
    bool repeated = false;
    while (true) {
      if (const absl::Status open = context.Check(); !open.ok()) {
        co_return repeated ? MarkAsSent(open) : open;
      }
      CW_CO_ASSIGN_OR_RETURN(std::shared_ptr<CurlTransfer> transfer,
                             CurlTransfer::Create(std::move(request)));
      auto start = [&](CurlLoop::Done done) {
        loop->Start(context, transfer, std::move(done));
      };
      const absl::Status status =
          co_await runtime::AwaitCallback<absl::Status>(std::move(start));
      // libcurl itself repeats this for HTTP/1.1, but not for HTTP/2.
      if (transfer->reused_connection_ended() && !std::exchange(repeated, true)) {
        request = transfer->TakeRequest();
        continue;
      }
      if (!status.ok()) co_return repeated ? MarkAsSent(status) : status;
      if (redirects_left-- <= 0 || !IsRedirect(transfer->response().status) ||
          transfer->redirect_url().empty()) {
        if (repeated) transfer->response().sent_twice = true;
        co_return std::move(transfer->response());
      }
      CW_CO_ASSIGN_OR_RETURN(request, FollowRedirect(*transfer));
    }
  }

 private:
  const std::shared_ptr<CurlLoop> loop_;
};

}  // namespace

std::unique_ptr<HttpClient> MakeCurlHttpClient(runtime::Executor executor,
                                               runtime::Timers& timers,
                                               CurlHttpClientOptions options) {
  return std::make_unique<CurlHttpClient>(std::move(executor), timers, std::move(options));
}

}  // namespace certwright::http
