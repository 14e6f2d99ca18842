// YAML configuration files whose schema is a protobuf message.
//
// Keys are the message's fields in lowerCamelCase (proto3 JSON names; snake_case is taken
// too), enums are written by name, durations as "90s", "15m", "1h30m". Every problem of a
// file is reported, not just the first: unknown keys, wrong types, values out of range, keys
// given twice.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/message.h"

namespace certwright::config {

// Fills `message` from YAML text of at most 1 MiB. Problems are returned in the order of the
// text, each as "line 3: server.listne: unknown key …"; empty means all is well.
std::vector<std::string> ParseYaml(absl::string_view text, google::protobuf::Message& message);

// The same for a file. INVALID_ARGUMENT lists all problems, a line each, and names the file;
// NOT_FOUND and PERMISSION_DENIED say what the operating system said.
absl::Status LoadYamlFile(const std::string& path, google::protobuf::Message& message);

}  // namespace certwright::config
