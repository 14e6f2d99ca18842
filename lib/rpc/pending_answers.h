// PendingAnswers: how many answered calls each connection has whose answers it has not taken,
// and the end of the connection that has too many.
//
// gRPC keeps a call that it cannot write the answer of, also when its stream is reset and so
// counts no more among those that there may be at once: a peer that reads nothing and goes on
// calling, or that provokes resets (CVE-2025-8671), would have all memory.
//
// Calls of callers that nobody knows are counted besides: an address that makes more than it
// may in a second loses the connection that they come by.
//
// Threading: safe from any thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "lib/base/mutex.h"
#include "lib/base/token_buckets.h"

namespace certwright::rpc {

struct PendingAnswerLimits {
  int per_connection = 200;
  // Of all connections together: beyond it the one that has most is ended.
  int total = 4000;
};

class PendingAnswers : public std::enable_shared_from_this<PendingAnswers> {
 public:
  // Ends a connection, which gRPC calls `connection`; from any thread, and without waiting.
  using Disconnect = std::function<void(const std::string& connection)>;

  // `strangers` has a bucket for each peer, of which each of their calls takes one.
  PendingAnswers(PendingAnswerLimits limits, std::shared_ptr<base::TokenBuckets> strangers,
                 Disconnect disconnect)
      : limits_(limits), strangers_(std::move(strangers)), disconnect_(std::move(disconnect)) {}

  // Counts until it is destroyed.
  class Answer {
   public:
    Answer() = default;
    Answer(std::shared_ptr<PendingAnswers> answers, std::string connection)
        : answers_(std::move(answers)), connection_(std::move(connection)) {}
    Answer(Answer&& other) noexcept = default;
    Answer& operator=(Answer&& other) noexcept {
      std::swap(answers_, other.answers_);
      std::swap(connection_, other.connection_);
      return *this;
    }
    ~Answer() {
      if (answers_ != nullptr) answers_->Remove(connection_);
    }

   private:
    std::shared_ptr<PendingAnswers> answers_;
    std::string connection_;
  };

  Answer Add(std::string connection);
  // The answer is to somebody who is not known.
  Answer AddOfStranger(std::string connection);

 private:
  void Remove(const std::string& connection);

  const PendingAnswerLimits limits_;
  const std::shared_ptr<base::TokenBuckets> strangers_;
  const Disconnect disconnect_;
  base::Mutex mutex_;
  std::map<std::string, int> pending_ CW_GUARDED_BY(mutex_);
  int total_ CW_GUARDED_BY(mutex_) = 0;
};

}  // namespace certwright::rpc
