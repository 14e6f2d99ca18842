// FakeCa: a CA for tests: scripted answers to signed requests, with a nonce rule as strict as a
// CA's, under a clock of its own.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "boost/asio/io_context.hpp"
#include "boost/json/object.hpp"
#include "lib/acme/exchange.h"
#include "lib/base/fake_clock.h"
#include "lib/base/random.h"
#include "lib/http/fake_http_client.h"
#include "lib/pki/key.h"
#include "lib/runtime/fake_timers.h"
#include "lib/runtime/run_sync.h"

namespace certwright::acme {

inline constexpr char kCaUrl[] = "https://ca.test";

// A signed request, opened.
struct SentJws {
  boost::json::object header;
  std::string payload;
  boost::json::object PayloadObject() const;
};

// Asking for a request that was not sent throws, which fails the test that does, and no other.
class SentRequests : public std::vector<SentJws> {
 public:
  const SentJws& operator[](std::size_t i) const { return at(i); }
  const SentJws& front() const { return at(0); }
  const SentJws& back() const { return at(size() - 1); }
};

using FakeAnswer = std::function<absl::StatusOr<http::HttpResponse>(const SentJws&)>;

// An answer with this status and body. One without a Replay-Nonce header gets a fresh nonce.
FakeAnswer Reply(int status, std::string body, std::vector<http::Header> headers = {});
// A problem document of this type, of ACME's own unless it holds a colon.
FakeAnswer Refuse(int status, const std::string& type, std::vector<http::Header> headers = {});
// The connection breaks before an answer.
FakeAnswer Lose();

class FakeCa {
 public:
  // Serves the directory and newNonce.
  FakeCa();

  // Answers signed requests to this path in turn, the last for ever. A request whose nonce
  // was not handed out or is spent gets badNonce, as does one whose `url` is another.
  void OnPost(const std::string& path, std::vector<FakeAnswer> answers);

  // Requests of this method and path so far.
  int Count(const std::string& method, const std::string& path) const;
  const SentRequests& sent() const { return sent_; }
  std::string FreshNonce();

  CaOptions Options() const;
  runtime::Context context() const {
    return runtime::Context::WithTimeout(clock, absl::Minutes(5));
  }

  // Runs `task` to its end; time passes whenever nothing else can happen. Throws, as above, if
  // it does not end.
  template <typename T>
  T Run(runtime::Awaitable<T> task) {
    boost::asio::io_context loop;
    std::optional<T> result;
    runtime::SpawnThen<T>(loop.get_executor(), std::move(task),
                          [&result](T value) { result = std::move(value); });
    for (int turn = 0; turn < 100000 && !result.has_value(); ++turn) {
      loop.restart();
      loop.poll();
      if (!result.has_value()) clock.Advance(absl::Milliseconds(10));
    }
    return std::move(result).value();
  }

  base::FakeClock clock;
  runtime::FakeTimers timers{clock};
  base::FixedRandom random;
  http::FakeHttpClient http;
  // Refuse this many requests with badNonce before anything else is looked at.
  int bad_nonces = 0;

 private:
  absl::StatusOr<http::HttpResponse> Handle(const http::HttpRequest& request,
                                            std::vector<FakeAnswer>& answers);

  int last_nonce_ = 0;
  std::set<std::string> valid_nonces_;
  SentRequests sent_;
};

// A P-256 key, the same in every run.
pki::PrivateKey TestKey();

}  // namespace certwright::acme
