#include "services/issuer/sealing.h"

#include <cerrno>
#include <fstream>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "lib/base/clock.h"
#include "lib/base/new_file.h"
#include "lib/base/status_macros.h"
#include "lib/runtime/run_sync.h"
#include "lib/store/resealing.h"
#include "lib/store/sealing_key.h"
#include "lib/store/sealing_migration.h"
#include "lib/telemetry/log.h"
#include "services/issuer/kinds.h"

namespace certwright::issuer_service {
namespace {

// Of reading, or sealing, all Secrets once, at a start.
constexpr absl::Duration kTimeout = absl::Minutes(5);
// Twice what a note has, so that none is taken for one that is longer.
constexpr std::size_t kMaxMarkBytes = 256;

runtime::Context Bounded() {
  return runtime::Context::WithTimeout(base::Clock::Real(), kTimeout);
}

absl::StatusOr<store::SealingSurvey> Survey(store::Store& store,
                                            const store::SealingCodec* codec) {
  return runtime::RunSync(store::SurveySealing(Bounded(), store, kSecretsPrefix, codec));
}

// The mark file's content; nothing if there is none. One that cannot be read counts as a mark.
std::optional<std::string> ReadMark(const std::string& file) {
  std::ifstream stream(file, std::ios::binary);
  if (!stream && errno == ENOENT) return std::nullopt;
  std::string content(kMaxMarkBytes, '\0');
  stream.read(content.data(), static_cast<std::streamsize>(content.size()));
  content.resize(static_cast<std::size_t>(stream.gcount()));
  return content;
}

// From here on nothing that is not sealed has a place in the store.
absl::Status WriteMark(const std::string& file, const store::SealingCodec& codec) {
  const std::optional<std::string> found = ReadMark(file);
  if (found == codec.Note()) return absl::OkStatus();
  if (found.has_value() && !codec.NotedKey(*found).has_value()) {
    telemetry::LogWarning(
        "the file that shows that the store is sealed was not written with any of the "
        "key files; it is written again",
        {{"file", file}});
  }
  return base::ReplaceFile(file, codec.Note());
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
  CW_ASSIGN_OR_RETURN(const store::SealingSurvey survey, Survey(store, nullptr));
  if (survey.has_note || !survey.records_by_key.empty()) {
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
  return runtime::RunSync(store::NoteSealed(Bounded(), store, codec));
}

// Refuses what is not sealed, or seals it if that is what the operator has asked for.
absl::Status MigrateUnsealed(const config::v1::IssuerConfig& config,
                             const store::SealingSurvey& survey,
                             const store::SealingCodec& codec, store::Store& store) {
  if (survey.unsealed == 0) return absl::OkStatus();
  const std::string path = config.store().sqlite().path();
  const std::string mark = SealedMarkFile(config);
  const bool marked = ReadMark(mark).has_value();
  if (survey.has_note || marked) {
    return absl::FailedPreconditionError(absl::StrCat(
        path, ": ", survey.unsealed, " Secrets are not sealed, although ",
        marked ? mark : "a note in the store",
        " shows that all were: something else has written to the store. Restore a backup. "
        "(Where "
        "the store itself was replaced by one of a version that did not seal, remove ",
        mark, " first.)"));
  }
  CW_ASSIGN_OR_RETURN(
      store::SealingMigration migration,
      runtime::RunSync(store::SealingMigration::Plan(Bounded(), store, kSecretsPrefix, codec)));
  if (config.sealing().migrate_unsealed() != migration.digest()) {
    return absl::FailedPreconditionError(absl::StrCat(
        path, ": ", survey.unsealed, " Secrets are not sealed",
        config.sealing().migrate_unsealed().empty()
            ? ""
            : ", and are not those that sealing.migrateUnsealed names",
        ". If this is the store of a version that did not seal, and nobody else could write to "
        "it, let them be sealed with sealing.migrateUnsealed: \"",
        migration.digest(), "\" in the configuration; otherwise restore a backup"));
  }
  CW_RETURN_IF_ERROR(runtime::RunSync(migration.Run(Bounded())));
  telemetry::LogInfo("the Secrets are sealed; take sealing.migrateUnsealed out again",
                     {{"sealed", survey.unsealed}});
  return absl::OkStatus();
}

}  // namespace

std::string DefaultKeyFile(const config::v1::IssuerConfig& config) {
  return absl::StrCat(config.store().sqlite().path(), ".key");
}

std::string SealedMarkFile(const config::v1::IssuerConfig& config) {
  return absl::StrCat(config.store().sqlite().path(), ".sealed");
}

std::vector<std::string> ValidateSealing(const config::v1::Sealing& config) {
  std::set<std::string> seen;
  for (const std::string& file : config.key_files()) {
    if (file.empty()) return {"sealing.keyFiles: a name is empty"};
    if (!seen.insert(file).second) {
      return {absl::StrCat("sealing.keyFiles: ", file, " is there twice")};
    }
  }
  const std::string& digest = config.migrate_unsealed();
  const bool is_digest =
      digest.size() == 64 && digest.find_first_not_of("0123456789abcdef") == std::string::npos;
  if (!digest.empty() && !is_digest) {
    return {
        "sealing.migrateUnsealed: must be the digest, 64 lower-case hexadecimal digits, that "
        "the "
        "service names when it refuses to start on a store that is not sealed"};
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
  CW_ASSIGN_OR_RETURN(const store::SealingSurvey survey, Survey(store, codec.get()));
  CW_RETURN_IF_ERROR(CheckAllOpen(survey, *codec, files));
  CW_RETURN_IF_ERROR(MigrateUnsealed(config, survey, *codec, store));
  CW_RETURN_IF_ERROR(WriteMark(SealedMarkFile(config), *codec));
  return codec;
}

}  // namespace certwright::issuer_service
