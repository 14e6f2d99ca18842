// Reads memory after it was freed, on purpose: that is what must not show anything.
#include <malloc.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>

#include "gtest/gtest.h"

namespace certwright::base {
namespace {

#ifndef CERTWRIGHT_SANITIZED

// The allocator writes its own links into the first two words of what is freed.
constexpr std::size_t kLinks = 16;

// How many of `size` bytes at `address` have this value. Through an integer, so that the
// compiler does not know that the memory was freed.
std::size_t Count(uintptr_t address, std::size_t size, char value) {
  std::size_t count = 0;
  const volatile char* bytes = reinterpret_cast<const volatile char*>(address);
  for (std::size_t i = kLinks; i < size; ++i) count += bytes[i] == value ? 1 : 0;
  return count;
}

TEST(WipingFreeTest, FreedMemoryHoldsNothing) {
  for (const std::size_t size : {64, 1000, 20'000}) {
    char* memory = static_cast<char*>(malloc(size));
    // Keeps the freed one from being joined with what follows it.
    const std::unique_ptr<char[]> next(new char[size]);
    std::memset(memory, 'x', size);
    const auto address = reinterpret_cast<uintptr_t>(memory);
    ASSERT_GT(Count(address, size, 'x'), 0u);
    free(memory);
    EXPECT_EQ(Count(address, size, 'x'), 0u) << size;
  }
}

TEST(WipingFreeTest, SoDoTheOldPlacesOfAGrowingString) {
  std::string text(100, 'y');
  const auto address = reinterpret_cast<uintptr_t>(text.data());
  text.reserve(1000);
  EXPECT_EQ(Count(address, 100, 'y'), 0u);
  EXPECT_EQ(text, std::string(100, 'y'));
}

TEST(WipingFreeTest, ReallocKeepsTheContentAndWipesTheOldPlace) {
  char* memory = static_cast<char*>(malloc(100));
  const std::unique_ptr<char[]> next(new char[100]);
  std::memset(memory, 'z', 100);
  const auto old = reinterpret_cast<uintptr_t>(memory);
  memory = static_cast<char*>(realloc(memory, 5000));
  ASSERT_NE(reinterpret_cast<uintptr_t>(memory), old);
  EXPECT_EQ(std::string(memory, 100), std::string(100, 'z'));
  EXPECT_EQ(Count(old, 100, 'z'), 0u);
  memory = static_cast<char*>(realloc(memory, 50));
  EXPECT_EQ(std::string(memory, 50), std::string(50, 'z'));
  EXPECT_EQ(realloc(memory, 0), nullptr);
  memory = static_cast<char*>(realloc(nullptr, 10));
  ASSERT_NE(memory, nullptr);
  free(memory);
}

#endif

TEST(WipingFreeTest, FreeingNothingIsFine) { free(nullptr); }

}  // namespace
}  // namespace certwright::base
