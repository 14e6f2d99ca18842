// FakeHttpClient: an HttpClient for tests that answers from a script, and
// remembers what it was asked. No time passes in Send(); a context that has
// ended fails as with a real client.
//
//   FakeHttpClient http;
//   http.On("GET", "https://ca.test/dir").Reply(200,
//   "{}").Fail(absl::UnavailableError("x"));
//
// The answers of one method and URL are used in turn, and the last one again
// and again. What no On() covers fails as UNAVAILABLE. Threading: safe from any
// thread.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "lib/base/mutex.h"
#include "lib/http/http_client.h"

namespace certwright::http {

class FakeHttpClient final : public HttpClient {
 public:
  using Handler = std::function<absl::StatusOr<HttpResponse>(const HttpRequest&)>;

  // The script of one method and URL; every call adds one answer.
  class Script {
   public:
    Script(FakeHttpClient& client, std::string key) : client_(client), key_(std::move(key)) {}

    Script& Call(Handler handler) {
      base::MutexLock lock(client_.mutex_);
      client_.handlers_[key_].push_back(std::move(handler));
      return *this;
    }
    Script& Reply(int status, std::string body, std::vector<Header> headers = {}) {
      return Call([status, body = std::move(body), headers = std::move(headers)](
                      const HttpRequest& request) -> absl::StatusOr<HttpResponse> {
        HttpResponse response;
        response.status = status;
        response.headers = headers;
        response.body = body;
        response.url = request.url;
        return response;
      });
    }
    Script& Fail(absl::Status status) {
      return Call([status = std::move(status)](
                      const HttpRequest&) -> absl::StatusOr<HttpResponse> { return status; });
    }

   private:
    FakeHttpClient& client_;
    std::string key_;
  };

  Script On(absl::string_view method, absl::string_view url) {
    return Script(*this, absl::StrCat(method, " ", url));
  }

  // Answers whatever no On() covers.
  void OnAnyOther(Handler handler) {
    base::MutexLock lock(mutex_);
    fallback_ = std::move(handler);
  }

  // What was sent so far, in order.
  std::vector<HttpRequest> requests() const {
    base::MutexLock lock(mutex_);
    return requests_;
  }

  runtime::Awaitable<absl::StatusOr<HttpResponse>> Send(runtime::Context context,
                                                        HttpRequest request) override {
    absl::Status status = context.Check();
    if (!status.ok()) co_return status;
    Handler handler = Take(request);
    absl::StatusOr<HttpResponse> response = handler(request);
    co_return response;
  }

 private:
  Handler Take(const HttpRequest& request) {
    base::MutexLock lock(mutex_);
    requests_.push_back(request);
    auto script = handlers_.find(absl::StrCat(request.method, " ", request.url));
    if (script != handlers_.end() && !script->second.empty()) {
      Handler handler = script->second.front();
      if (script->second.size() > 1) script->second.pop_front();
      return handler;
    }
    if (fallback_) return fallback_;
    return [](const HttpRequest& unexpected) -> absl::StatusOr<HttpResponse> {
      return absl::UnavailableError(
          absl::StrCat("no answer is scripted for ", unexpected.method, " ", unexpected.url));
    };
  }

  mutable base::Mutex mutex_;
  std::map<std::string, std::deque<Handler>> handlers_ CW_GUARDED_BY(mutex_);
  Handler fallback_ CW_GUARDED_BY(mutex_);
  std::vector<HttpRequest> requests_ CW_GUARDED_BY(mutex_);
};

}  // namespace certwright::http
