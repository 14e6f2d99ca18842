#include "lib/rpc/read_turns.h"

namespace certwright::rpc {

runtime::Awaitable<ReadTurns::Turn> ReadTurns::Take(const Caller& caller) {
  const bool stands_in_line = caller.services.empty() && !caller.identities.empty();
  return StandInLine(stands_in_line ? caller.identities.front() : "");
}

runtime::Awaitable<ReadTurns::Turn> ReadTurns::StandInLine(std::string who) {
  if (who.empty()) co_return Turn();
  auto wait = [this, &who](absl::AnyInvocable<void(bool)> done) {
    base::MutexLock lock(mutex_);
    Line& line = lines_[who];
    line.waiting.push_back(std::move(done));
    if (line.reading == kAtOnce) return;
    ++line.reading;
    line.waiting.front()(true);
    line.waiting.pop_front();
  };
  co_await runtime::AwaitCallback<bool>(std::move(wait));
  co_return Turn(shared_from_this(), std::move(who));
}

void ReadTurns::Pass(const std::string& who) {
  base::MutexLock lock(mutex_);
  const auto line = lines_.find(who);
  if (line->second.waiting.empty()) {
    if (--line->second.reading == 0) lines_.erase(line);
    return;
  }
  line->second.waiting.front()(true);
  line->second.waiting.pop_front();
}

}  // namespace certwright::rpc
