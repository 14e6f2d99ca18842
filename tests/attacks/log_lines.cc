#include "tests/attacks/log_lines.h"

#include <fstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "boost/json.hpp"

namespace certwright::attacks {
namespace {

bool IsOurs(const std::string& line) {
  boost::system::error_code error;
  const boost::json::value value = boost::json::parse(line, error);
  if (error || !value.is_object()) return false;
  const boost::json::object& object = value.as_object();
  for (const char* name : {"time", "level", "message"}) {
    const boost::json::value* field = object.if_contains(name);
    if (field == nullptr || !field->is_string()) return false;
  }
  return object.at("message").as_string() != kForgedMessage;
}

}  // namespace

std::string ForgedLine() {
  return absl::StrCat(
      "\n{\"time\":\"2026-01-02T03:04:05.678901Z\",\"level\":\"info\",\"message\":\"",
      kForgedMessage, "\"}\n");
}

LogLines ReadLog(const std::string& path) {
  LogLines lines;
  std::ifstream file(path, std::ios::binary);
  for (std::string line; std::getline(file, line); ++lines.count) {
    if (!IsOurs(line)) lines.foreign.push_back(std::move(line));
  }
  return lines;
}

}  // namespace certwright::attacks
