// Linked into a program, this makes all of its memory be wiped when it is freed, so that keys
// and tokens do not stay behind in copies that somebody else made: protobuf's strings, gRPC's
// buffers, cURL's. base::Secret and OpenSSL wipe theirs anyway.
//
// It stands in front of glibc's free() and realloc(), as its manual allows ("Replacing
// malloc"), and leaves the work to them. Not with sanitizers, which have their own.
#ifndef CERTWRIGHT_SANITIZED

#include <malloc.h>
#include <string.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdlib>

extern "C" {

void __libc_free(void* memory);  // NOLINT: glibc's own name

__attribute__((visibility("default"))) void free(void* memory) {
  if (memory == nullptr) return;
  const int saved = errno;
  explicit_bzero(memory, malloc_usable_size(memory));
  __libc_free(memory);
  errno = saved;
}

// glibc's own would free the old place without wiping it.
__attribute__((visibility("default"))) void* realloc(void* memory, std::size_t size) {
  if (memory == nullptr) return malloc(size);
  if (size == 0) {
    free(memory);
    return nullptr;
  }
  const std::size_t usable = malloc_usable_size(memory);
  // What is given up at its end is wiped with the rest, later.
  if (size <= usable && size >= usable / 2) return memory;
  void* const moved = malloc(size);
  if (moved == nullptr) return nullptr;
  memcpy(moved, memory, std::min(size, usable));
  free(memory);
  return moved;
}
}

#endif
