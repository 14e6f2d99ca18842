#include "lib/store/resealing.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/base/status_macros.h"
#include "lib/store/sealed_record.h"
#include "lib/telemetry/log.h"

namespace certwright::store {
namespace {

// Records, that is memory, per read of the store.
constexpr int64_t kPage = 100;
// For one step; a scrub rewrites the whole file.
constexpr absl::Duration kStepTimeout = absl::Minutes(10);
constexpr absl::Duration kFirstBackoff = absl::Seconds(1);
constexpr absl::Duration kLongestBackoff = absl::Minutes(5);
// Progress is logged after so many records.
constexpr int64_t kLogEvery = 1000;

bool IsSealedWith(absl::string_view key_id, absl::string_view stored) {
  if (!IsSealed(stored)) return false;
  const auto record = ParseSealedRecord(stored);
  return record.ok() && record->key_id == key_id;
}

}  // namespace

int64_t SealingSurvey::Others(const std::string& key_id) const {
  int64_t others = unsealed;
  for (const auto& [id, records] : records_by_key) {
    if (id != key_id) others += records;
  }
  return others;
}

runtime::Awaitable<absl::StatusOr<SealingSurvey>> SurveySealing(runtime::Context context,
                                                                Store& store,
                                                                std::string prefix,
                                                                const SealingCodec* codec) {
  SealingSurvey survey;
  const absl::StatusOr<Record> note = co_await store.Get(context, kSealingNote);
  if (note.ok()) {
    survey.has_note = true;
    if (codec != nullptr) survey.noted_key_id = codec->NotedKey(note->value);
    const bool all_sealed =
        survey.noted_key_id.has_value() && *survey.noted_key_id == codec->current_key_id();
    if (all_sealed) co_return survey;
  } else if (!absl::IsNotFound(note.status())) {
    co_return note.status();
  }
  ListRequest request;
  request.prefix = std::move(prefix);
  request.limit = kPage;
  while (true) {
    CW_CO_ASSIGN_OR_RETURN(const ListResult page, co_await store.List(context, request));
    for (const Record& record : page.records) {
      request.start_after = record.key;
      if (!IsSealed(record.value)) {
        ++survey.unsealed;
        continue;
      }
      const auto sealed = ParseSealedRecord(record.value);
      if (sealed.ok()) ++survey.records_by_key[std::string(sealed->key_id)];
    }
    request.at_revision = page.revision;
    if (!page.more) co_return survey;
  }
}

runtime::Awaitable<absl::Status> NoteSealed(runtime::Context context, Store& store,
                                            const SealingCodec& codec) {
  const auto noted = co_await store.Put(context, kSealingNote, codec.Note());
  co_return noted.status();
}

struct Resealing::Pass {
  int64_t sealed = 0;
  int64_t left = 0;
  int64_t failed = 0;
};

Resealing::Resealing(Store& store, std::string prefix, const SealingCodec& codec,
                     runtime::Executor executor, runtime::Timers& timers, Progress progress)
    : store_(store),
      prefix_(std::move(prefix)),
      codec_(codec),
      executor_(std::move(executor)),
      timers_(timers),
      progress_(std::move(progress)),
      cancellation_(std::make_shared<runtime::Cancellation>()) {}

Resealing::~Resealing() { Stop(); }

void Resealing::Start() {
  auto finished = std::make_shared<std::promise<void>>();
  finished_ = finished->get_future();
  runtime::SpawnThen<
      absl::Status>(executor_, RunUntilDone(), [finished](const absl::Status& status) {
    if (!status.ok() && !absl::IsCancelled(status)) {
      telemetry::LogError("some Secrets cannot be sealed again", {{"error", status.message()}});
    }
    finished->set_value();
  });
}

void Resealing::Stop() {
  cancellation_->Cancel();
  if (finished_.valid()) finished_.get();
}

runtime::Awaitable<absl::Status> Resealing::RunUntilDone() {
  absl::Duration backoff = kFirstBackoff;
  while (true) {
    const runtime::Context forever(
        timers_.clock(), base::MonotonicTime{absl::InfiniteDuration()}, cancellation_);
    const absl::Status status = co_await Run(forever);
    const bool storage = absl::IsUnavailable(status) || absl::IsResourceExhausted(status) ||
                         absl::IsDeadlineExceeded(status);
    if (!storage) co_return status;
    telemetry::LogWarning("sealing again waits for the store", {{"error", status.message()}});
    CW_CO_RETURN_IF_ERROR(co_await runtime::SleepFor(timers_, forever, backoff));
    backoff = std::min(2 * backoff, kLongestBackoff);
  }
}

runtime::Awaitable<absl::Status> Resealing::Run(runtime::Context context) {
  const std::string& key_id = codec_.current_key_id();
  const runtime::Context survey_context = context.Within(kStepTimeout);
  CW_CO_ASSIGN_OR_RETURN(const SealingSurvey survey,
                         co_await SurveySealing(survey_context, store_, prefix_, &codec_));
  Pass pass;
  pass.left = survey.Others(key_id);
  progress_(pass.left);
  if (survey.noted_key_id == key_id) co_return absl::OkStatus();
  if (pass.left > 0) {
    telemetry::LogInfo("sealing again with the first key",
                       {{"key", SealingKeyName(key_id)}, {"left", pass.left}});
  }
  ListRequest request;
  request.prefix = prefix_;
  request.limit = kPage;
  while (true) {
    CW_CO_ASSIGN_OR_RETURN(const ListResult page,
                           co_await store_.List(context.Within(kStepTimeout), request));
    CW_CO_RETURN_IF_ERROR(co_await SealPage(context, page, pass));
    if (!page.more) break;
    request.start_after = page.records.back().key;
  }
  if (pass.failed > 0) {
    co_return absl::DataLossError(
        absl::StrCat(pass.failed,
                     " records do not open and stay as they are; keep all key "
                     "files until they are deleted or restored"));
  }
  CW_CO_RETURN_IF_ERROR(co_await store_.Scrub(context.Within(kStepTimeout)));
  CW_CO_RETURN_IF_ERROR(co_await NoteSealed(context.Within(kStepTimeout), store_, codec_));
  progress_(0);
  telemetry::LogInfo("all is sealed with the first key; other key files can be taken out",
                     {{"key", SealingKeyName(key_id)}, {"sealed_again", pass.sealed}});
  co_return absl::OkStatus();
}

runtime::Awaitable<absl::Status> Resealing::SealPage(runtime::Context context,
                                                     const ListResult& page, Pass& pass) {
  for (const Record& record : page.records) {
    if (IsSealedWith(codec_.current_key_id(), record.value)) continue;
    CW_CO_RETURN_IF_ERROR(context.Check());
    const absl::Status status = co_await SealAgain(context.Within(kStepTimeout), record);
    if (absl::IsDataLoss(status) || absl::IsFailedPrecondition(status) ||
        absl::IsInvalidArgument(status)) {
      ++pass.failed;
      telemetry::LogError("a record cannot be sealed again",
                          {{"record", record.key}, {"error", status.message()}});
      continue;
    }
    CW_CO_RETURN_IF_ERROR(status);
    ++pass.sealed;
    progress_(std::max(--pass.left, pass.failed));
    if (pass.sealed % kLogEvery == 0) {
      telemetry::LogInfo("sealing again", {{"sealed_again", pass.sealed}, {"left", pass.left}});
    }
  }
  co_return absl::OkStatus();
}

runtime::Awaitable<absl::Status> Resealing::SealAgain(runtime::Context context,
                                                      const Record& record) {
  CW_CO_ASSIGN_OR_RETURN(const base::Secret value, codec_.Open(record.key, record.value));
  CW_CO_ASSIGN_OR_RETURN(std::string sealed, codec_.Seal(record.key, value.Reveal()));
  const auto written =
      co_await store_.Put(context, record.key, std::move(sealed), record.mod_revision);
  // Whoever changed it has sealed it.
  if (absl::IsAborted(written.status())) co_return absl::OkStatus();
  co_return written.status();
}

}  // namespace certwright::store
