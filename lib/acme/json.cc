#include "lib/acme/json.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "boost/json/array.hpp"
#include "boost/json/parse.hpp"
#include "boost/json/serialize.hpp"
#include "boost/json/value.hpp"

namespace certwright::acme {
namespace {

constexpr std::size_t kMaxDepth = 16;

boost::json::string_view ToJsonView(absl::string_view text) {
  return boost::json::string_view(text.data(), text.size());
}

const boost::json::value* Member(const boost::json::object& object, absl::string_view name) {
  return object.if_contains(ToJsonView(name));
}

}  // namespace

absl::StatusOr<boost::json::object> ParseJsonObject(absl::string_view body,
                                                    absl::string_view what,
                                                    std::size_t max_bytes) {
  if (body.size() > max_bytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        what, " has ", body.size(), " bytes; at most ", max_bytes, " are allowed"));
  }
  boost::json::parse_options options;
  options.max_depth = kMaxDepth;
  boost::json::error_code error;
  boost::json::value value = boost::json::parse(ToJsonView(body), error, {}, options);
  if (error) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, " is not valid JSON: ", error.message()));
  }
  if (!value.is_object()) {
    return absl::InvalidArgumentError(absl::StrCat(what, " is not a JSON object"));
  }
  return std::move(value.get_object());
}

std::string StringMember(const boost::json::object& object, absl::string_view name) {
  const boost::json::value* value = Member(object, name);
  const boost::json::string* text = value == nullptr ? nullptr : value->if_string();
  return text == nullptr ? "" : std::string(text->data(), text->size());
}

std::optional<int64_t> IntMember(const boost::json::object& object, absl::string_view name) {
  const boost::json::value* value = Member(object, name);
  const int64_t* number = value == nullptr ? nullptr : value->if_int64();
  return number == nullptr ? std::nullopt : std::optional<int64_t>(*number);
}

bool BoolMember(const boost::json::object& object, absl::string_view name) {
  const boost::json::value* value = Member(object, name);
  const bool* flag = value == nullptr ? nullptr : value->if_bool();
  return flag != nullptr && *flag;
}

const boost::json::object* ObjectMember(const boost::json::object& object,
                                        absl::string_view name) {
  const boost::json::value* value = Member(object, name);
  return value == nullptr ? nullptr : value->if_object();
}

const boost::json::array* ArrayMember(const boost::json::object& object,
                                      absl::string_view name) {
  const boost::json::value* value = Member(object, name);
  return value == nullptr ? nullptr : value->if_array();
}

std::optional<absl::Time> TimeMember(const boost::json::object& object,
                                     absl::string_view name) {
  const std::string text = StringMember(object, name);
  absl::Time time;
  if (text.empty() || !absl::ParseTime(absl::RFC3339_full, text, &time, nullptr)) {
    return std::nullopt;
  }
  // RFC 3339 has years of four digits, and absl::ParseTime() any. The year 0, and infinity,
  // have no google.protobuf.Timestamp.
  const absl::CivilYear year = absl::ToCivilYear(time, absl::UTCTimeZone());
  if (year < absl::CivilYear(1) || year > absl::CivilYear(9999)) return std::nullopt;
  return time;
}

std::vector<std::string> StringsMember(const boost::json::object& object,
                                       absl::string_view name, std::size_t max) {
  std::vector<std::string> strings;
  const boost::json::array* array = ArrayMember(object, name);
  if (array == nullptr) return strings;
  for (const boost::json::value& value : *array) {
    if (strings.size() == max) break;
    const boost::json::string* text = value.if_string();
    if (text != nullptr) strings.emplace_back(text->data(), text->size());
  }
  return strings;
}

std::string JsonQuote(absl::string_view text) {
  return boost::json::serialize(boost::json::string(ToJsonView(text)));
}

}  // namespace certwright::acme
