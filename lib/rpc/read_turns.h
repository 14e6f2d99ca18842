// ReadTurns: the order in which one caller's lists are read. Each list, and each part of what a
// watch begins with, is up to a page (1 MiB): were all that a caller asks for at once read at
// once, everybody else's calls and the service's own work would wait behind it. So a caller has
// two such reads at a time, and the others stand in line.
//
// Services, whose work is bounded already, and callers that nobody has identified, who without
// TLS may do everything, do not.
//
// Threading: safe from any thread.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "lib/base/mutex.h"
#include "lib/rpc/access.h"
#include "lib/runtime/awaitable.h"

namespace certwright::rpc {

class ReadTurns : public std::enable_shared_from_this<ReadTurns> {
 public:
  // Ends when it is destroyed, and goes to the next in line.
  class Turn {
   public:
    Turn() = default;
    Turn(std::shared_ptr<ReadTurns> turns, std::string who)
        : turns_(std::move(turns)), who_(std::move(who)) {}
    Turn(Turn&&) noexcept = default;
    Turn& operator=(Turn&&) = delete;
    ~Turn() {
      if (turns_ != nullptr) turns_->Pass(who_);
    }

   private:
    std::shared_ptr<ReadTurns> turns_;
    std::string who_;
  };

  // Returns when it is the caller's turn.
  runtime::Awaitable<Turn> Take(const Caller& caller);

 private:
  static constexpr int kAtOnce = 2;

  struct Line {
    int reading = 0;
    std::deque<absl::AnyInvocable<void(bool)>> waiting;
  };

  runtime::Awaitable<Turn> StandInLine(std::string who);
  void Pass(const std::string& who);

  base::Mutex mutex_;
  std::map<std::string, Line> lines_ CW_GUARDED_BY(mutex_);
};

}  // namespace certwright::rpc
