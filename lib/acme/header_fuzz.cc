// The headers and URLs that a CA sends.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "lib/acme/link_header.h"
#include "lib/acme/retry_after.h"
#include "lib/acme/url.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  using namespace certwright::acme;  // NOLINT: a fuzz target is one function
  const std::string text(reinterpret_cast<const char*>(data), size);
  const absl::Time now = absl::FromUnixSeconds(1767323045);
  const std::optional<absl::Time> retry_at = ParseRetryAfter(text, now);
  if (retry_at.has_value() && (*retry_at < now || *retry_at > now + kMaxRetryAfter)) {
    std::abort();
  }
  for (const std::string& url : LinksByRel({text, text}, "alternate")) {
    if (url.empty() || url.size() > 2048) std::abort();
  }
  const std::optional<std::string> origin = OriginOf(text);
  // An origin is the origin of itself.
  if (origin.has_value() && OriginOf(*origin) != origin) std::abort();
  return 0;
}
