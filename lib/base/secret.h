// Secret: bytes that are wiped when they are no longer used, and that no stream, log or
// error message prints by accident: reading them takes an explicit call of Reveal().
//
// Ownership: move-only; Clone() says aloud that a second copy now exists.
#pragma once

#include <string>
#include <utility>

#include "absl/strings/string_view.h"

namespace certwright::base {

// Overwrites `bytes` in a way that the compiler may not leave out, then empties it.
void Wipe(std::string& bytes);

class Secret {
 public:
  Secret() = default;
  // Takes over `bytes`; the caller's string is left empty.
  explicit Secret(std::string&& bytes) : bytes_(std::move(bytes)) { Wipe(bytes); }
  ~Secret() { Wipe(bytes_); }

  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  Secret(Secret&& other) noexcept : bytes_(std::move(other.bytes_)) { Wipe(other.bytes_); }
  Secret& operator=(Secret&& other) noexcept;

  Secret Clone() const { return Secret(std::string(bytes_)); }
  bool empty() const { return bytes_.empty(); }

  // Valid while this object lives and is not assigned to.
  absl::string_view Reveal() const { return bytes_; }

 private:
  std::string bytes_;
};

}  // namespace certwright::base
