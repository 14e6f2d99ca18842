// What must never be in a log, however a caller tries to write there.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace certwright::attacks {

// The message of ForgedLine(). Nothing of ours logs it as a message.
inline constexpr char kForgedMessage[] = "forged";
// A line break, and a whole line as our log would write it.
std::string ForgedLine();

struct LogLines {
  std::size_t count = 0;
  // Those that are no JSON object with "time", "level" and "message", or that have the forged
  // message.
  std::vector<std::string> foreign;
};
// Of a log or an audit log; none if there is no such file.
LogLines ReadLog(const std::string& path);

}  // namespace certwright::attacks
