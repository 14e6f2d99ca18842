// What fuzz targets share. A target is a file of its own, built by cc_fuzz_target():
//
//   CW_FUZZ_TARGET(input) {  // an absl::string_view of arbitrary bytes
//     const absl::StatusOr<Thing> thing = ParseThing(input);
//     if (thing.ok()) CW_FUZZ_CHECK(ParseThing(thing->ToString()) == thing);
//   }
//
// It is called many times in one process, so it must leave nothing behind.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "absl/strings/string_view.h"

// Ends the process, naming the condition, unless it holds: to libFuzzer that is a finding.
#define CW_FUZZ_CHECK(condition)                                                               \
  do {                                                                                         \
    if (!(condition)) {                                                                        \
      std::fprintf(stderr, "%s:%d: this does not hold: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                            \
    }                                                                                          \
  } while (false)

#define CW_FUZZ_TARGET(input)                                                    \
  static void FuzzOneInput(absl::string_view input);                             \
  extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) { \
    FuzzOneInput(absl::string_view(reinterpret_cast<const char*>(data), size));  \
    return 0;                                                                    \
  }                                                                              \
  static void FuzzOneInput(absl::string_view input)
