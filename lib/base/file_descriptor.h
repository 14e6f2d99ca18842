// FileDescriptor: an open file of which this object is the only owner.
#pragma once

#include <unistd.h>

#include <utility>

namespace certwright::base {

class FileDescriptor {
 public:
  // Takes what open(2) and the like returned; negative is none.
  explicit FileDescriptor(int number = -1) : number_(number) {}
  ~FileDescriptor() { Close(); }
  FileDescriptor(FileDescriptor&& other) noexcept : number_(other.Release()) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    if (this != &other) {
      Close();
      number_ = other.Release();
    }
    return *this;
  }

  bool ok() const { return number_ >= 0; }
  int get() const { return number_; }
  // The caller closes it.
  int Release() { return std::exchange(number_, -1); }
  void Close() {
    if (number_ >= 0) close(std::exchange(number_, -1));
  }

 private:
  int number_;
};

}  // namespace certwright::base
