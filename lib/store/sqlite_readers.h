// SqliteReaders: the connections that reads run on, one per thread that reads right now.
//
// Threading: safe from any thread; a lease is for one thread.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/base/mutex.h"
#include "lib/store/sqlite_connection.h"

namespace certwright::store {

class SqliteReaders {
 public:
  // Returns its connection when destroyed.
  class Lease {
   public:
    Lease(SqliteReaders* readers, std::unique_ptr<SqliteConnection> connection)
        : readers_(readers), connection_(std::move(connection)) {}
    Lease(Lease&& other) = default;
    Lease& operator=(Lease&& other) = delete;
    ~Lease() {
      if (connection_ != nullptr) readers_->Return(std::move(connection_));
    }
    SqliteConnection& operator*() const { return *connection_; }

   private:
    SqliteReaders* readers_;
    std::unique_ptr<SqliteConnection> connection_;
  };

  // Must outlive the leases.
  explicit SqliteReaders(std::string path) : path_(std::move(path)) {}

  // Never waits: opens a connection if all are in use.
  absl::StatusOr<Lease> Take();

 private:
  void Return(std::unique_ptr<SqliteConnection> connection);

  const std::string path_;
  base::Mutex mutex_;
  std::vector<std::unique_ptr<SqliteConnection>> idle_ CW_GUARDED_BY(mutex_);
};

}  // namespace certwright::store
