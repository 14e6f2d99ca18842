// SqliteConnection: one connection to a SQLite database, with its prepared statements.
//
// Errors become statuses that name the file: RESOURCE_EXHAUSTED when it cannot grow,
// DATA_LOSS when it is damaged, UNAVAILABLE for other trouble with storage, INTERNAL for
// what would be a bug. Threading: one thread at a time.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace certwright::store {

class SqliteConnection;

// One run of a prepared statement, which is reset when this is destroyed. Bound text must
// stay valid until then.
class SqliteQuery {
 public:
  SqliteQuery(SqliteConnection& connection, sqlite3_stmt* statement)
      : connection_(connection), statement_(statement) {}
  ~SqliteQuery();
  SqliteQuery(const SqliteQuery&) = delete;
  SqliteQuery& operator=(const SqliteQuery&) = delete;

  // Bind the next parameter.
  SqliteQuery& Bind(int64_t value);
  SqliteQuery& Bind(absl::string_view bytes);
  SqliteQuery& BindNull();

  // True if there is a row to read.
  absl::StatusOr<bool> Step();
  // For statements without rows.
  absl::Status Run();

  int64_t Int(int column) const { return sqlite3_column_int64(statement_, column); }
  std::string Bytes(int column) const { return std::string(View(column)); }
  // Valid until the next Step().
  absl::string_view View(int column) const;
  bool IsNull(int column) const {
    return sqlite3_column_type(statement_, column) == SQLITE_NULL;
  }

 private:
  SqliteConnection& connection_;
  sqlite3_stmt* const statement_;  // null if it could not be prepared
  int next_parameter_ = 1;
  int bind_error_ = SQLITE_OK;
};

class SqliteConnection {
 public:
  // `path` must exist.
  static absl::StatusOr<std::unique_ptr<SqliteConnection>> Open(const std::string& path);
  ~SqliteConnection();
  SqliteConnection(const SqliteConnection&) = delete;
  SqliteConnection& operator=(const SqliteConnection&) = delete;

  // Statements without parameters and rows.
  absl::Status Execute(const std::string& sql);
  // The single value of a statement without parameters.
  absl::StatusOr<std::string> ReadText(const std::string& sql);
  absl::StatusOr<int64_t> ReadInt(const std::string& sql);

  // `sql` is a string constant: the prepared statement is kept under its address.
  SqliteQuery Query(const char* sql);

  // Ends a transaction, if one is open, without its changes.
  void Rollback();

  // What the last call that failed with `code` did wrong.
  absl::Status Error(int code) const;
  const std::string& path() const { return path_; }

 private:
  SqliteConnection(std::string path, sqlite3* database)
      : path_(std::move(path)), database_(database) {}

  const std::string path_;
  sqlite3* const database_;
  std::map<const char*, sqlite3_stmt*> statements_;
};

}  // namespace certwright::store
