// Reading JSON that a CA wrote: capped, and tolerant of members of the wrong kind, which count
// as absent.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "boost/json/object.hpp"

namespace certwright::acme {

// INVALID_ARGUMENT naming `what` unless `body` is one JSON object of at most `max_bytes` and
// 16 levels.
absl::StatusOr<boost::json::object> ParseJsonObject(absl::string_view body,
                                                    absl::string_view what,
                                                    std::size_t max_bytes = 1 << 20);

std::string StringMember(const boost::json::object& object, absl::string_view name);
std::optional<int64_t> IntMember(const boost::json::object& object, absl::string_view name);
bool BoolMember(const boost::json::object& object, absl::string_view name);
const boost::json::object* ObjectMember(const boost::json::object& object,
                                        absl::string_view name);
const boost::json::array* ArrayMember(const boost::json::object& object,
                                      absl::string_view name);
// RFC 3339, of the years 1 to 9999.
std::optional<absl::Time> TimeMember(const boost::json::object& object, absl::string_view name);
// The strings of an array, at most `max` of them.
std::vector<std::string> StringsMember(const boost::json::object& object,
                                       absl::string_view name, std::size_t max);

// `text` as a JSON string with its quotes.
std::string JsonQuote(absl::string_view text);

}  // namespace certwright::acme
