#include "lib/base/random.h"

#include <array>
#include <cstdint>

#include "absl/random/random.h"
#include "absl/strings/str_format.h"

namespace certwright::base {
namespace {

class RealRandom final : public Random {
 public:
  double Uniform() override {
    thread_local absl::BitGen generator;
    return absl::Uniform<double>(generator, 0, 1);
  }
};

}  // namespace

std::string Random::Uuid() {
  std::array<uint32_t, 4> words;
  for (uint32_t& word : words) word = static_cast<uint32_t>(Uniform() * 4294967296.0);
  const uint32_t version = (words[1] & 0xffff0fffu) | 0x4000u;
  const uint32_t variant = (words[2] & 0x3fffffffu) | 0x80000000u;
  return absl::StrFormat("%08x-%04x-%04x-%04x-%04x%08x", words[0], version >> 16,
                         version & 0xffffu, variant >> 16, variant & 0xffffu, words[3]);
}

Random& Random::Real() {
  static RealRandom& random = *new RealRandom;
  return random;
}

}  // namespace certwright::base
