#include "services/issuer/sealing.h"

#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "lib/base/clock.h"
#include "lib/base/status_macros.h"
#include "lib/runtime/run_sync.h"
#include "lib/store/resealing.h"
#include "lib/store/sealing_key.h"
#include "lib/telemetry/log.h"
#include "services/issuer/kinds.h"

namespace certwright::issuer_service {
namespace {

// Of reading all Secrets once, at a start.
constexpr absl::Duration kTimeout = absl::Minutes(5);

runtime::Context Bounded() {
  return runtime::Context::WithTimeout(base::Clock::Real(), kTimeout);
}

// `key_id` empty: of no key.
absl::StatusOr<store::SealingSurvey> Survey(store::Store& store, const std::string& key_id) {
  return runtime::RunSync(store::SurveySealing(Bounded(), store, kSecretsPrefix, key_id));
}

absl::StatusOr<std::vector<store::SealingKey>> ReadKeys(const std::vector<std::string>& files) {
  std::vector<store::SealingKey> keys;
  std::set<std::string> ids;
  for (const std::string& file : files) {
    CW_ASSIGN_OR_RETURN(store::SealingKey key, store::ReadSealingKey(file));
    if (!ids.insert(key.id()).second) {
      return absl::InvalidArgumentError(
          absl::StrCat(file, ": another of sealing.keyFiles holds the same key; name it once"));
    }
    keys.push_back(std::move(key));
  }
  return keys;
}

absl::Status MakeDefaultKey(const std::string& file, store::Store& store) {
  CW_ASSIGN_OR_RETURN(const store::SealingSurvey survey, Survey(store, ""));
  if (survey.noted_key_id.has_value() || !survey.records_by_key.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        file,
        ": the key file is missing, and the Secrets in the store are sealed with it; put "
        "it back from where you keep its copy. Without it they cannot be read, by anyone"));
  }
  CW_RETURN_IF_ERROR(store::MakeSealingKey(file));
  telemetry::LogWarning(
      "a key file was made; keep a copy of it away from the store and its backups, which are "
      "worth nothing without it",
      {{"file", file}});
  return absl::OkStatus();
}

absl::Status CheckAllOpen(const store::SealingSurvey& survey, const store::SealingCodec& codec,
                          const std::vector<std::string>& files) {
  for (const auto& [id, records] : survey.records_by_key) {
    if (codec.HasKey(id)) continue;
    return absl::FailedPreconditionError(absl::StrCat(
        records, " Secrets are sealed with ", store::SealingKeyName(id), ", which is not in ",
        absl::StrJoin(files, ", "),
        "; add the file that holds it to sealing.keyFiles. A key file can go only when the log "
        "says that all is sealed with another one"));
  }
  return absl::OkStatus();
}

// Nothing has been written yet, so there is nothing to seal again either.
absl::Status NoteIfNew(const store::SealingCodec& codec, store::Store& store) {
  CW_ASSIGN_OR_RETURN(const int64_t revision,
                      runtime::RunSync(store.CurrentRevision(Bounded())));
  if (revision != 0) return absl::OkStatus();
  return runtime::RunSync(store::NoteSealed(Bounded(), store, codec.current_key_id()));
}

}  // namespace

std::string DefaultKeyFile(const config::v1::IssuerConfig& config) {
  return absl::StrCat(config.store().sqlite().path(), ".key");
}

std::vector<std::string> ValidateSealing(const config::v1::Sealing& config) {
  std::set<std::string> seen;
  for (const std::string& file : config.key_files()) {
    if (file.empty()) return {"sealing.keyFiles: a name is empty"};
    if (!seen.insert(file).second) {
      return {absl::StrCat("sealing.keyFiles: ", file, " is there twice")};
    }
  }
  return {};
}

absl::StatusOr<std::unique_ptr<store::SealingCodec>> OpenSealing(
    const config::v1::IssuerConfig& config, store::Store& store) {
  const auto& given = config.sealing().key_files();
  std::vector<std::string> files(given.begin(), given.end());
  if (files.empty()) files.push_back(DefaultKeyFile(config));
  auto keys = ReadKeys(files);
  if (absl::IsNotFound(keys.status()) && given.empty()) {
    CW_RETURN_IF_ERROR(MakeDefaultKey(files.front(), store));
    keys = ReadKeys(files);
  }
  CW_RETURN_IF_ERROR(keys.status());
  auto codec = std::make_unique<store::SealingCodec>(*std::move(keys));
  CW_RETURN_IF_ERROR(NoteIfNew(*codec, store));
  CW_ASSIGN_OR_RETURN(const store::SealingSurvey survey,
                      Survey(store, codec->current_key_id()));
  CW_RETURN_IF_ERROR(CheckAllOpen(survey, *codec, files));
  // A store without a note is of a version that did not seal, or was left half-way from it.
  codec->AllowUnsealed(!survey.noted_key_id.has_value());
  return codec;
}

}  // namespace certwright::issuer_service
