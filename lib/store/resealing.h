// Resealing: brings everything below a prefix of a store under the first sealing key of a
// SealingCodec, in the background, after which the other key files can go.
//
// It seals one record at a time, each by compare-and-swap and waiting for its commit, so it
// takes at most one place in a group commit. Whoever changes a record meanwhile seals it with
// the first key anyway. A kill loses nothing: at the next start the rest is done. When all is
// sealed it scrubs the store, since old values under another key, or under none, would
// otherwise stay in its change log and free space; then it commits a note, the record
// kSealingNote (SealingCodec::Note()), and until another key comes first there is nothing to do
// at a start. The note saves reading all records, and nothing else is believed for it: without
// one, or with one that another has written, all are looked at, and none is opened that is not
// sealed.
#pragma once

#include <cstdint>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/runtime/timers.h"
#include "lib/store/sealing_codec.h"
#include "lib/store/store.h"

namespace certwright::store {

inline constexpr char kSealingNote[] = "sealing/key";

// What there is to be sealed again.
struct SealingSurvey {
  // Of the key that has written the note; nothing if there is none that a known key has.
  std::optional<std::string> noted_key_id;
  // Whether there is a note at all. Versions before have written one without proof.
  bool has_note = false;
  int64_t unsealed = 0;
  std::map<std::string, int64_t> records_by_key;  // key id to records

  int64_t Others(const std::string& key_id) const;
};

// Reads every record below `prefix`; none if the note says that the first key of `codec` has
// sealed them all. `codec` may be null: no key is known. It must outlive the call.
runtime::Awaitable<absl::StatusOr<SealingSurvey>> SurveySealing(runtime::Context context,
                                                                Store& store,
                                                                std::string prefix,
                                                                const SealingCodec* codec);

// Commits the note of a store in which all is sealed. `codec` must outlive the call.
runtime::Awaitable<absl::Status> NoteSealed(runtime::Context context, Store& store,
                                            const SealingCodec& codec);

class Resealing {
 public:
  // How many records are left to be sealed with the first key. Called from any thread.
  using Progress = std::function<void(int64_t left)>;

  // What is given must outlive this.
  Resealing(Store& store, std::string prefix, const SealingCodec& codec,
            runtime::Executor executor, runtime::Timers& timers, Progress progress);
  // Stops.
  ~Resealing();
  Resealing(const Resealing&) = delete;
  Resealing& operator=(const Resealing&) = delete;

  // Once. Storage that fails is tried again, with a back-off, until Stop().
  void Start();
  // Ends the work after the record it is at, and waits for that.
  void Stop();

  // The work itself, once: OK when all is sealed with the first key. DATA_LOSS if some record
  // does not open; the others have been sealed then.
  runtime::Awaitable<absl::Status> Run(runtime::Context context);

 private:
  struct Pass;
  runtime::Awaitable<absl::Status> RunUntilDone();
  runtime::Awaitable<absl::Status> SealPage(runtime::Context context, const ListResult& page,
                                            Pass& pass);
  runtime::Awaitable<absl::Status> SealAgain(runtime::Context context, const Record& record);

  Store& store_;
  const std::string prefix_;
  const SealingCodec& codec_;
  const runtime::Executor executor_;
  runtime::Timers& timers_;
  const Progress progress_;
  const std::shared_ptr<runtime::Cancellation> cancellation_;
  std::future<void> finished_;
};

}  // namespace certwright::store
