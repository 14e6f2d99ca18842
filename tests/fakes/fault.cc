#include "tests/fakes/fault.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace certwright::fakes {
namespace {

void RemoveAll(std::vector<http::Header>& headers, const std::string& name) {
  std::erase_if(headers, [&name](const http::Header& header) {
    return absl::EqualsIgnoreCase(header.name, name);
  });
}

// What clients of CAs on the Internet meet, and must get over without an operator.
Fault RandomFault(std::mt19937_64& generator) {
  switch (std::uniform_int_distribution<int>(0, 8)(generator)) {
    case 0:
      return RefuseWith(500, "serverInternal");
    case 1:
      return AnswerWith(503, "busy", "text/plain");
    case 2:
      return RefuseWith(400, "badNonce");
    case 3:
      return ResetBefore();
    case 4:
      return ResetAfter();
    case 5:
      return CutAfter(10);
    case 6:
      return Delay(absl::Milliseconds(500));
    case 7:
      return AnswerWith(502, "<html>bad gateway</html>");
    default:
      return RemoveHeader("Replay-Nonce");
  }
}

}  // namespace

Fault Fault::Times(int count) const {
  Fault fault = *this;
  fault.times = count;
  return fault;
}

Fault RefuseWith(int status, const std::string& type, std::vector<http::Header> headers) {
  Fault fault =
      AnswerWith(status,
                 absl::StrCat(R"({"type":"urn:ietf:params:acme:error:)", type,
                              R"(","detail":"as the test wants it","status":)", status, "}"),
                 "application/problem+json");
  fault.set_headers.insert(fault.set_headers.end(), headers.begin(), headers.end());
  return fault;
}

Fault AnswerWith(int status, std::string body, std::string content_type) {
  Fault fault = ReplaceBody(std::move(body));
  fault.takes_effect = false;
  fault.status = status;
  fault.set_headers.push_back({"Content-Type", std::move(content_type)});
  return fault;
}

Fault ReplaceBody(std::string body) {
  Fault fault;
  fault.body = std::move(body);
  return fault;
}

Fault SetHeader(std::string name, std::string value) {
  Fault fault;
  fault.set_headers.push_back({std::move(name), std::move(value)});
  return fault;
}

Fault RemoveHeader(std::string name) {
  Fault fault;
  fault.remove_headers.push_back(std::move(name));
  return fault;
}

Fault Delay(absl::Duration duration) {
  Fault fault;
  fault.delivery.delay = duration;
  return fault;
}

Fault CutAfter(std::size_t octets) {
  Fault fault;
  fault.delivery.cut_after = octets;
  return fault;
}

Fault Drip(int octets_per_second) {
  Fault fault;
  fault.delivery.drip_per_second = octets_per_second;
  return fault;
}

Fault ResetBefore() {
  Fault fault = ResetAfter();
  fault.takes_effect = false;
  return fault;
}

Fault ResetAfter() {
  Fault fault;
  fault.delivery.reset = true;
  return fault;
}

void FaultQueues::Push(Endpoint endpoint, Fault fault) {
  base::MutexLock lock(mutex_);
  queues_[Index(endpoint)].push_back(std::move(fault));
}

void FaultQueues::Clear() {
  base::MutexLock lock(mutex_);
  for (auto& queue : queues_) queue.clear();
  random_ = RandomFaults();
}

void FaultQueues::SetRandom(RandomFaults faults) {
  base::MutexLock lock(mutex_);
  random_ = faults;
  generator_.seed(faults.seed);
}

std::optional<Fault> FaultQueues::Take(Endpoint endpoint) {
  base::MutexLock lock(mutex_);
  std::deque<Fault>& queue = queues_[Index(endpoint)];
  if (queue.empty()) {
    if (random_.percent <= 0) return std::nullopt;
    if (std::uniform_real_distribution<>(0, 100)(generator_) >= random_.percent) {
      return std::nullopt;
    }
    return RandomFault(generator_);
  }
  Fault fault = queue.front();
  if (fault.times != Fault::kForever && --queue.front().times == 0) queue.pop_front();
  return fault;
}

Reply Spoil(Reply reply, const Fault& fault) {
  if (fault.status.has_value()) reply.status = *fault.status;
  if (fault.body.has_value()) reply.body = *fault.body;
  for (const std::string& name : fault.remove_headers) RemoveAll(reply.headers, name);
  for (const http::Header& header : fault.set_headers) RemoveAll(reply.headers, header.name);
  reply.headers.insert(reply.headers.end(), fault.set_headers.begin(), fault.set_headers.end());
  reply.delivery = fault.delivery;
  return reply;
}

}  // namespace certwright::fakes
