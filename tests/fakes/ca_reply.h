// How a fake CA's answers are made.
#pragma once

#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "boost/json/array.hpp"
#include "boost/json/object.hpp"
#include "tests/fakes/behaviour.h"
#include "tests/fakes/ca_objects.h"
#include "tests/fakes/https_server.h"

namespace certwright::fakes {

Reply JsonReply(int status, const boost::json::object& object);
// A problem document (RFC 8555 §6.7) of one of ACME's types.
Reply ProblemReply(int status, absl::string_view type, absl::string_view detail);
Reply ProblemReply(const Refusal& refusal);
boost::json::object ProblemObject(int status, absl::string_view type, absl::string_view detail);

void AddHeader(Reply& reply, std::string name, std::string value);

boost::json::object ToJson(const Identifier& identifier);
// RFC 3339.
std::string ToText(absl::Time time);
// nullopt for what is no list of strings.
std::optional<std::vector<std::string>> StringsAt(const boost::json::object& object,
                                                  absl::string_view name);

// "17" as an Id; 0 for what is none.
Id ParseId(absl::string_view text);

}  // namespace certwright::fakes
