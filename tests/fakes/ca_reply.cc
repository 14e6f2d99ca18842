#include "tests/fakes/ca_reply.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "boost/json/serialize.hpp"

namespace certwright::fakes {

Reply JsonReply(int status, const boost::json::object& object) {
  Reply reply;
  reply.status = status;
  reply.headers.push_back({"Content-Type", "application/json"});
  reply.body = boost::json::serialize(object);
  return reply;
}

boost::json::object ProblemObject(int status, absl::string_view type,
                                  absl::string_view detail) {
  boost::json::object problem;
  problem["type"] = absl::StrCat("urn:ietf:params:acme:error:", type);
  problem["detail"] = std::string(detail);
  problem["status"] = status;
  return problem;
}

Reply ProblemReply(int status, absl::string_view type, absl::string_view detail) {
  Reply reply = JsonReply(status, ProblemObject(status, type, detail));
  reply.headers[0].value = "application/problem+json";
  return reply;
}

Reply ProblemReply(const Refusal& refusal) {
  Reply reply = ProblemReply(refusal.status, refusal.type, refusal.detail);
  if (refusal.retry_after > absl::ZeroDuration()) {
    AddHeader(reply, "Retry-After", absl::StrCat(absl::ToInt64Seconds(refusal.retry_after)));
  }
  return reply;
}

void AddHeader(Reply& reply, std::string name, std::string value) {
  reply.headers.push_back({std::move(name), std::move(value)});
}

boost::json::object ToJson(const Identifier& identifier) {
  return {{"type", identifier.type}, {"value", identifier.value}};
}

std::string ToText(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", time, absl::UTCTimeZone());
}

std::optional<std::vector<std::string>> StringsAt(const boost::json::object& object,
                                                  absl::string_view name) {
  std::vector<std::string> strings;
  const boost::json::value* value = object.if_contains({name.data(), name.size()});
  if (value == nullptr) return strings;
  if (!value->is_array()) return std::nullopt;
  for (const boost::json::value& item : value->as_array()) {
    if (!item.is_string()) return std::nullopt;
    strings.emplace_back(item.as_string());
  }
  return strings;
}

Id ParseId(absl::string_view text) {
  Id id = 0;
  return absl::SimpleAtoi(text, &id) ? id : 0;
}

}  // namespace certwright::fakes
