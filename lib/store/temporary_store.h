// TemporaryStore: a SQLite store in a folder of its own, which goes with it. For tests.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "lib/store/sqlite_store.h"

namespace certwright::store {

class TemporaryStore {
 public:
  TemporaryStore() {
    std::string pattern = absl::StrCat(::testing::TempDir(), "/store_XXXXXX");
    folder_ = mkdtemp(pattern.data());
    store_ = OpenSqliteStore(absl::StrCat(folder_, "/test.db"), {}).value();
  }
  ~TemporaryStore() {
    store_.reset();
    std::filesystem::remove_all(folder_);
  }
  TemporaryStore(const TemporaryStore&) = delete;
  TemporaryStore& operator=(const TemporaryStore&) = delete;

  Store& operator*() const { return *store_; }

 private:
  std::string folder_;
  std::unique_ptr<SqliteStore> store_;
};

}  // namespace certwright::store
