// Events: what happened lately to the resources of a service, for people who want to know why
// something is as it is. They are kept in memory only: their number is bounded, and they end
// with the process.
//
// Events are derived from how resources change, where an informer tells of it
// (RecordChanges()), by one pure function per kind, EventsOf(before, now). What an informer
// shows first when a process starts has happened long ago: only of resources made within the
// last minute is it recorded, for these may have changed on their way here.
//
// Messages come from conditions and states, which hold no secrets, and are shortened to 1 KiB.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "certwright/meta/v1/meta.pb.h"
#include "lib/base/clock.h"
#include "lib/base/mutex.h"
#include "lib/service/conditions.h"

namespace certwright::service {

// Something that happened, without whom, when and how often.
struct EventNews {
  meta::v1::EventSeverity severity = meta::v1::EVENT_SEVERITY_NORMAL;
  // One CamelCase word.
  std::string reason;
  // A sentence.
  std::string message;

  friend bool operator==(const EventNews&, const EventNews&) = default;
};

struct EventRecorderOptions {
  std::size_t max_events = 10'000;
  std::size_t max_events_per_object = 50;
};

// Threading: safe from any thread; recording takes about a microsecond.
class EventRecorder {
 public:
  // `clock` must outlive this.
  explicit EventRecorder(const base::Clock& clock, EventRecorderOptions options = {})
      : clock_(clock), options_(options) {}

  // An event that equals one of the same object only makes that one's count and last_time
  // grow. Where there are too many, those that have not happened for longest are dropped.
  void Record(absl::string_view kind, const meta::v1::ObjectMeta& object, EventNews news);

  // Whether what is first seen of a resource is new.
  bool IsNew(const meta::v1::ObjectMeta& object) const;

  // Oldest (by last_time) first, and the newest 1000 if there are more. Empty arguments match
  // everything.
  std::vector<meta::v1::Event> List(absl::string_view kind, absl::string_view object_namespace,
                                    const std::vector<std::string>& names) const;

 private:
  struct Entry {
    // The key in objects_, which stays where it is.
    const std::string* object = nullptr;
    std::string uid;
    EventNews news;
    int32_t count = 0;
    // Of its last occurrence.
    uint64_t number = 0;
    absl::Time first_time;
    absl::Time last_time;
  };
  // By last occurrence.
  using Entries = std::list<Entry>;

  static meta::v1::Event ToProto(const Entry& entry);
  void DropOldestOf(const std::string& object) CW_REQUIRES(mutex_);

  const base::Clock& clock_;
  const EventRecorderOptions options_;

  mutable base::Mutex mutex_;
  uint64_t last_number_ CW_GUARDED_BY(mutex_) = 0;
  Entries entries_ CW_GUARDED_BY(mutex_);
  // Each by last occurrence too, and never empty.
  std::unordered_map<std::string, std::vector<Entries::iterator>> objects_
      CW_GUARDED_BY(mutex_);
};

// The condition of that type if its status or reason is another than before, else null.
// `before` is null if there was nothing.
const meta::v1::Condition* ChangedCondition(const Conditions* before, const Conditions& now,
                                            absl::string_view type);

// Records what an informer's handler is told of. `events_of` is an EventsOf(): it gets a null
// `before` for a resource that is seen first.
template <typename T, typename EventsOf>
void RecordChanges(EventRecorder& recorder, absl::string_view kind,
                   const std::shared_ptr<const T>& before, const std::shared_ptr<const T>& now,
                   EventsOf events_of) {
  if (now == nullptr) return;
  const bool same = before != nullptr && before->metadata().uid() == now->metadata().uid();
  if (!same && !recorder.IsNew(now->metadata())) return;
  for (EventNews& news : events_of(same ? before.get() : nullptr, *now)) {
    recorder.Record(kind, now->metadata(), std::move(news));
  }
}

}  // namespace certwright::service
