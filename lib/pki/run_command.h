// For tests: runs a shell command.
#pragma once

#include <sys/wait.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

#include "absl/strings/string_view.h"

namespace certwright::pki {

struct CommandResult {
  int exit_status;  // -1: it did not end by itself
  std::string output;
};

// Output and errors come together.
inline CommandResult RunCommand(const std::string& command) {
  CommandResult result{-1, ""};
  std::FILE* pipe = popen(("exec 2>&1 </dev/null; " + command).c_str(), "r");
  if (pipe == nullptr) return result;
  char buffer[4096];
  size_t size = 0;
  while ((size = std::fread(buffer, 1, sizeof buffer, pipe)) > 0) {
    result.output.append(buffer, size);
  }
  int status = pclose(pipe);
  if (WIFEXITED(status)) result.exit_status = WEXITSTATUS(status);
  return result;
}

// The path of a new file in the test's own folder.
inline std::string WriteTestFile(const std::string& name, absl::string_view bytes) {
  const char* folder = std::getenv("TEST_TMPDIR");
  std::string path = std::string(folder == nullptr ? "/tmp" : folder) + "/" + name;
  std::ofstream(path, std::ios::binary)
      .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  return path;
}

}  // namespace certwright::pki
