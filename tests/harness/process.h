// Process: a child program of a test, a benchmark or the quickstart.
//
// A child dies with its parent, also when that is killed, and at destruction: SIGTERM first,
// SIGKILL when it has not ended after 5 s. Threading: one thread at a time per object, and
// the thread that starts a child must outlive it (the kernel ties its death to that thread).
#pragma once

#include <sys/types.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace certwright::harness {

struct ProcessSpec {
  // For messages.
  std::string name;
  // The first is the program's path: see FindProgram().
  std::vector<std::string> arguments;
  // Added to this process's environment.
  std::map<std::string, std::string> environment;
  // Standard output and error are appended here.
  std::string log_file;
};

class Process {
 public:
  static absl::StatusOr<std::unique_ptr<Process>> Start(ProcessSpec spec);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  const std::string& name() const { return spec_.name; }
  const std::string& log_file() const { return spec_.log_file; }
  pid_t pid() const { return pid_; }

  // Whether it has not ended.
  bool Running();
  void Signal(int signal);
  // SIGKILL, and waits for the end.
  void Kill();
  // The exit status, 128 + N for signal N. DEADLINE_EXCEEDED if it still runs after `timeout`.
  absl::StatusOr<int> Wait(absl::Duration timeout);

  // User and system time so far; also of a child that has ended.
  absl::Duration CpuTime() const;
  // Highest resident memory so far, in KiB.
  int64_t PeakRssKib() const;
  // The last `lines` lines of its log, for error messages.
  std::string LogTail(int lines = 15) const;
  // How many lines of its log hold `text`.
  int CountLogLines(absl::string_view text) const;

 private:
  Process(ProcessSpec spec, pid_t pid) : spec_(std::move(spec)), pid_(pid) {}
  bool Reap(bool block);

  const ProcessSpec spec_;
  const pid_t pid_;
  std::optional<int> exit_status_;
};

// The program's path; NOT_FOUND says which Debian package has it.
absl::StatusOr<std::string> FindProgram(const std::string& name, const std::string& package);

// A port that was free for both TCP and UDP on 127.0.0.1 a moment ago, and that this process
// has not been given before.
int FreePort();

// OK once something accepts TCP connections on 127.0.0.1:`port`; FAILED_PRECONDITION with the
// end of its log if `process` ends before, DEADLINE_EXCEEDED after `timeout`.
absl::Status WaitForPort(Process& process, int port, absl::Duration timeout);

// Calls `done` until it is true, with pauses of some milliseconds; false after `timeout`.
template <typename Condition>
bool WaitUntil(Condition done, absl::Duration timeout);

// A new folder below /tmp, removed when this process exits (unless CERTWRIGHT_KEEP_FOLDERS is
// set in the environment).
std::string MakeFolder(const std::string& name);

// Writes a whole file; ends the process if it cannot.
void WriteFile(const std::string& path, const std::string& text);
absl::StatusOr<std::string> ReadFile(const std::string& path);

// One pause of WaitUntil(): other processes tell of their progress by no event we could wait
// for.
void Pause();

template <typename Condition>
bool WaitUntil(Condition done, absl::Duration timeout) {
  const absl::Time end = absl::Now() + timeout;
  while (!done()) {
    if (absl::Now() >= end) return false;
    Pause();
  }
  return true;
}

}  // namespace certwright::harness
