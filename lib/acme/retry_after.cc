#include "lib/acme/retry_after.h"

#include <algorithm>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"

namespace certwright::acme {
namespace {

// The three forms of HTTP-date (RFC 9110 §5.6.7): IMF-fixdate, RFC 850, asctime().
constexpr const char* kDateFormats[] = {
    "%a, %d %b %Y %H:%M:%S GMT",
    "%A, %d-%b-%y %H:%M:%S GMT",
    "%a %b %e %H:%M:%S %Y",
};

std::optional<absl::Time> ParseHttpDate(absl::string_view text) {
  // absl::ParseTime() also knows "infinite-future", which is no date here.
  if (text.empty() || !absl::ascii_isupper(text.front())) return std::nullopt;
  absl::Time time;
  for (const char* format : kDateFormats) {
    if (absl::ParseTime(format, text, &time, nullptr)) return time;
  }
  return std::nullopt;
}

}  // namespace

std::optional<absl::Time> ParseRetryAfter(absl::string_view value, absl::Time now) {
  value = absl::StripAsciiWhitespace(value);
  if (value.empty() || value.size() > 64) return std::nullopt;
  const absl::Time latest = now + kMaxRetryAfter;
  if (std::all_of(value.begin(), value.end(), absl::ascii_isdigit)) {
    int64_t seconds = 0;
    // More digits than fit are a very long time.
    if (!absl::SimpleAtoi(value, &seconds)) return latest;
    return std::min(now + absl::Seconds(seconds), latest);
  }
  const std::optional<absl::Time> date = ParseHttpDate(value);
  if (!date.has_value() || *date < now) return std::nullopt;
  return std::min(*date, latest);
}

}  // namespace certwright::acme
