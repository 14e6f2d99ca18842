// SendWindow: which queries to one server are in flight, and whether another may follow now.
//
// A burst of more datagrams than fit a socket's buffer, at either end, is lost and comes back
// as timeouts of seconds. So at most `size` recent queries are on their way at once; one that
// is older than `lifetime` is in nobody's buffer any more and does not count, so that a
// silent server slows its clients little.
//
// Threading: none; AresChannel uses it on its strand.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <utility>

namespace certwright::dns {

class SendWindow {
 public:
  using Duration = std::chrono::steady_clock::duration;
  using Time = std::chrono::steady_clock::time_point;

  SendWindow(std::size_t size, Duration lifetime) : size_(size), lifetime_(lifetime) {}

  // Whether no query is in flight, recent or not.
  bool empty() const { return in_flight_.empty(); }
  std::size_t in_flight() const { return in_flight_.size(); }

  // False, and nothing happens, if `id` is in flight. Times never go back.
  bool Insert(uint16_t id, Time now) {
    if (!in_flight_.emplace(id, Entry{now, true}).second) return false;
    by_age_.emplace_back(now, id);
    ++recent_;
    return true;
  }

  void Erase(uint16_t id) {
    auto it = in_flight_.find(id);
    if (it == in_flight_.end()) return;
    if (it->second.recent) --recent_;
    in_flight_.erase(it);
  }

  bool full(Time now) {
    while (!by_age_.empty() && by_age_.front().first + lifetime_ <= now) {
      // An id may be in use again since; then its time is another.
      auto it = in_flight_.find(by_age_.front().second);
      if (it != in_flight_.end() && it->second.sent == by_age_.front().first &&
          it->second.recent) {
        it->second.recent = false;
        --recent_;
      }
      by_age_.pop_front();
    }
    return recent_ >= size_;
  }

  // When a full window has room at the latest, whatever is answered.
  Time opens_at() const { return by_age_.empty() ? Time() : by_age_.front().first + lifetime_; }

 private:
  struct Entry {
    Time sent;
    bool recent;
  };

  const std::size_t size_;
  const Duration lifetime_;
  std::size_t recent_ = 0;
  std::map<uint16_t, Entry> in_flight_;
  std::deque<std::pair<Time, uint16_t>> by_age_;
};

}  // namespace certwright::dns
