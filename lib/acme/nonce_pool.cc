#include "lib/acme/nonce_pool.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"

namespace certwright::acme {
namespace {

constexpr std::size_t kMaxNonceBytes = 512;
constexpr int kRejectionsThatFlush = 2;

}  // namespace

bool NoncePool::IsValid(absl::string_view nonce) {
  return !nonce.empty() && nonce.size() <= kMaxNonceBytes &&
         std::all_of(nonce.begin(), nonce.end(), [](char c) {
           return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_';
         });
}

void NoncePool::Put(std::string nonce) {
  if (!IsValid(nonce)) return;
  base::MutexLock lock(mutex_);
  if (entries_.size() == capacity_) entries_.pop_front();
  entries_.push_back(Entry{std::move(nonce), clock_.MonotonicNow()});
}

std::optional<std::string> NoncePool::Take() {
  base::MutexLock lock(mutex_);
  if (entries_.empty()) return std::nullopt;
  Entry newest = std::move(entries_.back());
  entries_.pop_back();
  if (clock_.MonotonicNow() - newest.added > kMaxAge) {
    // The others are older still.
    entries_.clear();
    return std::nullopt;
  }
  return std::move(newest.nonce);
}

void NoncePool::Accepted() {
  base::MutexLock lock(mutex_);
  rejections_ = 0;
}

void NoncePool::Rejected() {
  base::MutexLock lock(mutex_);
  if (++rejections_ < kRejectionsThatFlush) return;
  rejections_ = 0;
  entries_.clear();
}

void NoncePool::Flush() {
  base::MutexLock lock(mutex_);
  rejections_ = 0;
  entries_.clear();
}

std::size_t NoncePool::size() const {
  base::MutexLock lock(mutex_);
  return entries_.size();
}

}  // namespace certwright::acme
