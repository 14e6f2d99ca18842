#include "lib/service/events.h"

#include <algorithm>
#include <array>
#include <limits>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"

namespace certwright::service {
namespace {

constexpr std::size_t kMaxMessage = 1024;
constexpr std::size_t kMaxListed = 1000;
constexpr absl::Duration kNewFor = absl::Minutes(1);
constexpr absl::string_view kEllipsis = "…";
constexpr char kSeparator = '\n';

// None of the three holds a line break.
std::string ObjectKey(absl::string_view kind, absl::string_view object_namespace,
                      absl::string_view name) {
  return absl::StrCat(kind, "\n", object_namespace, "\n", name);
}

// Kind, namespace, name.
std::array<absl::string_view, 3> SplitKey(absl::string_view key) {
  const std::size_t first = key.find(kSeparator);
  const std::size_t second = key.find(kSeparator, first + 1);
  return {key.substr(0, first), key.substr(first + 1, second - first - 1),
          key.substr(second + 1)};
}

void Shorten(std::string& text) {
  if (text.size() <= kMaxMessage) return;
  std::size_t end = kMaxMessage - kEllipsis.size();
  // Not within a character of UTF-8.
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  text.resize(end);
  absl::StrAppend(&text, kEllipsis);
}

}  // namespace

void EventRecorder::Record(absl::string_view kind, const meta::v1::ObjectMeta& object,
                           EventNews news) {
  Shorten(news.message);
  const absl::Time now = clock_.Now();
  base::MutexLock lock(mutex_);
  const auto known =
      objects_.try_emplace(ObjectKey(kind, object.namespace_(), object.name())).first;
  std::vector<Entries::iterator>& mine = known->second;
  const auto same = std::find_if(mine.begin(), mine.end(), [&](Entries::iterator entry) {
    return entry->uid == object.uid() && entry->news == news;
  });
  if (same != mine.end()) {
    Entry& entry = **same;
    if (entry.count < std::numeric_limits<int32_t>::max()) ++entry.count;
    entry.last_time = now;
    entry.number = ++last_number_;
    entries_.splice(entries_.end(), entries_, *same);
    std::rotate(same, same + 1, mine.end());
    return;
  }
  entries_.push_back(
      Entry{&known->first, object.uid(), std::move(news), 1, ++last_number_, now, now});
  mine.push_back(std::prev(entries_.end()));
  if (mine.size() > options_.max_events_per_object) DropOldestOf(known->first);
  if (entries_.size() > options_.max_events) DropOldestOf(*entries_.front().object);
}

void EventRecorder::DropOldestOf(const std::string& object) {
  const auto it = objects_.find(object);
  entries_.erase(it->second.front());
  it->second.erase(it->second.begin());
  if (it->second.empty()) objects_.erase(it);
}

bool EventRecorder::IsNew(const meta::v1::ObjectMeta& object) const {
  return FromProto(object.create_time()) >= clock_.Now() - kNewFor;
}

meta::v1::Event EventRecorder::ToProto(const Entry& entry) {
  const auto [kind, object_namespace, name] = SplitKey(*entry.object);
  meta::v1::Event event;
  meta::v1::ObjectReference& object = *event.mutable_object();
  object.set_kind(std::string(kind));
  object.set_namespace_(std::string(object_namespace));
  object.set_name(std::string(name));
  object.set_uid(entry.uid);
  event.set_type(entry.news.severity);
  event.set_reason(entry.news.reason);
  event.set_message(entry.news.message);
  event.set_count(entry.count);
  *event.mutable_first_time() = service::ToProto(entry.first_time);
  *event.mutable_last_time() = service::ToProto(entry.last_time);
  return event;
}

std::vector<meta::v1::Event> EventRecorder::List(absl::string_view kind,
                                                 absl::string_view object_namespace,
                                                 const std::vector<std::string>& names) const {
  const std::set<absl::string_view> wanted(names.begin(), names.end());
  // Newest first.
  std::vector<const Entry*> found;
  std::vector<meta::v1::Event> events;
  base::MutexLock lock(mutex_);
  if (!kind.empty() && !object_namespace.empty() && !wanted.empty()) {
    for (const absl::string_view name : wanted) {
      const auto it = objects_.find(ObjectKey(kind, object_namespace, name));
      if (it == objects_.end()) continue;
      for (const Entries::iterator entry : it->second) found.push_back(&*entry);
    }
    std::sort(found.begin(), found.end(),
              [](const Entry* a, const Entry* b) { return a->number > b->number; });
    if (found.size() > kMaxListed) found.resize(kMaxListed);
  } else {
    for (auto it = entries_.rbegin(); it != entries_.rend() && found.size() < kMaxListed;
         ++it) {
      const auto [its_kind, its_namespace, its_name] = SplitKey(*it->object);
      if ((kind.empty() || kind == its_kind) &&
          (object_namespace.empty() || object_namespace == its_namespace) &&
          (wanted.empty() || wanted.contains(its_name))) {
        found.push_back(&*it);
      }
    }
  }
  events.reserve(found.size());
  for (auto it = found.rbegin(); it != found.rend(); ++it) events.push_back(ToProto(**it));
  return events;
}

const meta::v1::Condition* ChangedCondition(const Conditions* before, const Conditions& now,
                                            absl::string_view type) {
  const meta::v1::Condition* current = FindCondition(now, type);
  if (current == nullptr || before == nullptr) return current;
  const meta::v1::Condition* earlier = FindCondition(*before, type);
  const bool same = earlier != nullptr && earlier->status() == current->status() &&
                    earlier->reason() == current->reason();
  return same ? nullptr : current;
}

}  // namespace certwright::service
