#include "lib/store/sqlite_connection.h"

#include <cstring>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "lib/base/status_macros.h"

namespace certwright::store {

SqliteQuery::~SqliteQuery() {
  if (statement_ == nullptr) return;
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
}

SqliteQuery& SqliteQuery::Bind(int64_t value) {
  if (statement_ == nullptr) return *this;
  const int code = sqlite3_bind_int64(statement_, next_parameter_++, value);
  if (code != SQLITE_OK) bind_error_ = code;
  return *this;
}

SqliteQuery& SqliteQuery::Bind(absl::string_view bytes) {
  if (statement_ == nullptr) return *this;
  // A null pointer would bind NULL, which is not the empty value.
  const char* data = bytes.empty() ? "" : bytes.data();
  const int code =
      sqlite3_bind_blob64(statement_, next_parameter_++, data, bytes.size(), SQLITE_STATIC);
  if (code != SQLITE_OK) bind_error_ = code;
  return *this;
}

SqliteQuery& SqliteQuery::BindNull() {
  if (statement_ == nullptr) return *this;
  const int code = sqlite3_bind_null(statement_, next_parameter_++);
  if (code != SQLITE_OK) bind_error_ = code;
  return *this;
}

absl::StatusOr<bool> SqliteQuery::Step() {
  if (statement_ == nullptr) return connection_.Error(SQLITE_ERROR);
  if (bind_error_ != SQLITE_OK) return connection_.Error(bind_error_);
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return connection_.Error(code);
}

absl::Status SqliteQuery::Run() { return Step().status(); }

absl::string_view SqliteQuery::View(int column) const {
  const void* data = sqlite3_column_blob(statement_, column);
  const int size = sqlite3_column_bytes(statement_, column);
  if (data == nullptr || size <= 0) return {};
  return {static_cast<const char*>(data), static_cast<std::size_t>(size)};
}

absl::StatusOr<std::unique_ptr<SqliteConnection>> SqliteConnection::Open(
    const std::string& path) {
  sqlite3* database = nullptr;
  const int code = sqlite3_open_v2(
      path.c_str(), &database,
      SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE, nullptr);
  if (database == nullptr) return absl::ResourceExhaustedError("no memory for SQLite");
  std::unique_ptr<SqliteConnection> connection(new SqliteConnection(path, database));
  if (code != SQLITE_OK) return connection->Error(code);
  sqlite3_extended_result_codes(database, 1);
  // Only while the write-ahead log is being recovered does anyone wait for a lock.
  sqlite3_busy_timeout(database, 5000);
  return connection;
}

SqliteConnection::~SqliteConnection() {
  for (const auto& [sql, statement] : statements_) sqlite3_finalize(statement);
  sqlite3_close_v2(database_);
}

absl::Status SqliteConnection::Execute(const std::string& sql) {
  const int code = sqlite3_exec(database_, sql.c_str(), nullptr, nullptr, nullptr);
  return code == SQLITE_OK ? absl::OkStatus() : Error(code);
}

absl::StatusOr<std::string> SqliteConnection::ReadText(const std::string& sql) {
  sqlite3_stmt* statement = nullptr;
  const int code = sqlite3_prepare_v2(database_, sql.c_str(), -1, &statement, nullptr);
  if (code != SQLITE_OK) return Error(code);
  absl::StatusOr<std::string> text;
  {
    SqliteQuery query(*this, statement);
    const absl::StatusOr<bool> row = query.Step();
    if (!row.ok()) {
      text = row.status();
    } else {
      text = *row ? query.Bytes(0) : std::string();
    }
  }
  sqlite3_finalize(statement);
  return text;
}

absl::StatusOr<int64_t> SqliteConnection::ReadInt(const std::string& sql) {
  CW_ASSIGN_OR_RETURN(const std::string text, ReadText(sql));
  int64_t value = 0;
  if (!absl::SimpleAtoi(text, &value)) {
    return absl::InternalError(absl::StrCat(path_, ": SQLite gave no number for ", sql));
  }
  return value;
}

SqliteQuery SqliteConnection::Query(const char* sql) {
  auto [it, inserted] = statements_.try_emplace(sql, nullptr);
  if (it->second == nullptr) {
    sqlite3_prepare_v3(database_, sql, -1, SQLITE_PREPARE_PERSISTENT, &it->second, nullptr);
  }
  return SqliteQuery(*this, it->second);
}

void SqliteConnection::Rollback() {
  // SQLite has rolled back by itself after some errors.
  if (sqlite3_get_autocommit(database_) != 0) return;
  sqlite3_exec(database_, "ROLLBACK", nullptr, nullptr, nullptr);
}

absl::Status SqliteConnection::Error(int code) const {
  // A statement that could not be prepared has left its own code here.
  if (code == SQLITE_ERROR) code = sqlite3_extended_errcode(database_);
  const int system = sqlite3_system_errno(database_);
  const bool of_system = system != 0 && (code & 0xff) != SQLITE_CORRUPT;
  const std::string detail =
      absl::StrCat(sqlite3_errmsg(database_), " (SQLite code ", code,
                   of_system ? absl::StrCat(", ", std::strerror(system)) : "", ")");
  switch (code & 0xff) {
    case SQLITE_FULL:
      return absl::ResourceExhaustedError(
          absl::StrCat(path_,
                       ": the disk or the permitted size is full; make room, and the store "
                       "works again: ",
                       detail));
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return absl::DataLossError(absl::StrCat(path_, ": the file is damaged: ", detail));
    case SQLITE_READONLY:
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PERM:
    case SQLITE_PROTOCOL:
      return absl::UnavailableError(absl::StrCat(
          path_,
          ": the file cannot be read or written; check the disk, its mount and the "
          "file's permissions: ",
          detail));
    default:
      return absl::InternalError(absl::StrCat(path_, ": ", detail));
  }
}

}  // namespace certwright::store
