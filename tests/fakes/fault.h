// Fault: what a test wants to go wrong with the answers of a fake CA, and the queues, one an
// endpoint, that hold such wishes until a request comes.
//
// Threading: FaultQueues from any thread.
#pragma once

#include <array>
#include <deque>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "lib/base/mutex.h"
#include "lib/http/http_client.h"
#include "tests/fakes/endpoint.h"
#include "tests/fakes/https_server.h"

namespace certwright::fakes {

struct Fault {
  static constexpr int kForever = -1;

  // How many requests it hits.
  int times = 1;
  // Whether the CA does what it is asked for before things go wrong.
  bool takes_effect = true;
  // What of the answer is other than it would be.
  std::optional<int> status = {};
  std::optional<std::string> body = {};
  std::vector<http::Header> set_headers = {};
  std::vector<std::string> remove_headers = {};
  Delivery delivery = {};

  Fault Times(int count) const;
};

// The CA refuses, with a problem document of ACME's type `type` ("rateLimited").
Fault RefuseWith(int status, const std::string& type, std::vector<http::Header> headers = {});
// An answer that is no problem document, as proxies give it; nothing takes effect.
Fault AnswerWith(int status, std::string body, std::string content_type = "text/html");
// The right answer with another body.
Fault ReplaceBody(std::string body);
Fault SetHeader(std::string name, std::string value);
Fault RemoveHeader(std::string name);
Fault Delay(absl::Duration duration);
// The body ends after `octets`, though more were announced.
Fault CutAfter(std::size_t octets);
Fault Drip(int octets_per_second);
// The connection is reset before, or after, the request took effect.
Fault ResetBefore();
Fault ResetAfter();

// Faults by chance, for long runs.
struct RandomFaults {
  // Of requests that are hit.
  double percent = 0;
  uint64_t seed = 1;
};

class FaultQueues {
 public:
  void Push(Endpoint endpoint, Fault fault);
  void Clear();
  void SetRandom(RandomFaults faults);
  // What is to happen to the next request.
  std::optional<Fault> Take(Endpoint endpoint);

 private:
  base::Mutex mutex_;
  std::array<std::deque<Fault>, kEndpoints.size()> queues_ CW_GUARDED_BY(mutex_);
  RandomFaults random_ CW_GUARDED_BY(mutex_);
  std::mt19937_64 generator_ CW_GUARDED_BY(mutex_);
};

// `reply` with what `fault` changes of it.
Reply Spoil(Reply reply, const Fault& fault);

}  // namespace certwright::fakes
