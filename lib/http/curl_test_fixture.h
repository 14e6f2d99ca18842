// CurlClientTest: a CurlHttpClient on a thread pool, whose deadlines follow a FakeClock.
#pragma once

#include <future>
#include <memory>
#include <string>
#include <utility>

#include "gtest/gtest.h"
#include "lib/base/fake_clock.h"
#include "lib/base/status_matchers.h"
#include "lib/http/curl_http_client.h"
#include "lib/runtime/fake_timers.h"
#include "lib/runtime/run_sync.h"
#include "lib/runtime/thread_pool.h"

namespace certwright::http {

class CurlClientTest : public testing::Test {
 protected:
  using Result = absl::StatusOr<HttpResponse>;

  CurlClientTest() { MakeClient({}); }
  ~CurlClientTest() override {
    pool_.Stop();
    client_.reset();
  }

  void MakeClient(CurlHttpClientOptions options) {
    client_ = MakeCurlHttpClient(pool_.executor(), timers_, std::move(options));
  }

  static HttpRequest Get(std::string url) {
    HttpRequest request;
    request.url = std::move(url);
    return request;
  }
  static HttpRequest Post(std::string url, std::string body) {
    HttpRequest request = Get(std::move(url));
    request.method = "POST";
    request.body = std::move(body);
    return request;
  }

  runtime::Context NewContext() const {
    return runtime::Context(clock_, clock_.MonotonicNow() + absl::Seconds(30), cancellation_);
  }
  std::future<Result> Start(HttpRequest request) {
    auto promise = std::make_shared<std::promise<Result>>();
    runtime::SpawnThen<Result>(
        pool_.executor(), client_->Send(NewContext(), std::move(request)),
        [promise](Result result) { promise->set_value(std::move(result)); });
    return promise->get_future();
  }
  Result Send(HttpRequest request) { return Start(std::move(request)).get(); }

  base::FakeClock clock_;
  runtime::FakeTimers timers_{clock_};
  runtime::ThreadPool pool_{2};
  std::shared_ptr<runtime::Cancellation> cancellation_ =
      std::make_shared<runtime::Cancellation>();
  std::unique_ptr<HttpClient> client_;
};

}  // namespace certwright::http
