#include "tests/harness/process.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <set>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "lib/base/status_macros.h"

namespace certwright::harness {
namespace {

constexpr absl::Duration kTermGrace = absl::Seconds(5);

[[noreturn]] void Fail(const std::string& what) {
  std::cerr << "harness: " << what << ": " << std::strerror(errno) << "\n";
  std::abort();
}

std::vector<char*> Pointers(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  pointers.reserve(texts.size() + 1);
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

std::vector<std::string> Environment(const std::map<std::string, std::string>& added) {
  std::vector<std::string> environment;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string name = std::string(*entry).substr(0, std::string(*entry).find('='));
    if (!added.contains(name)) environment.push_back(*entry);
  }
  for (const auto& [name, value] : added) environment.push_back(absl::StrCat(name, "=", value));
  return environment;
}

// Only async-signal-safe calls: this runs between fork and exec.
[[noreturn]] void RunChild(char* const* arguments, char* const* environment, int log,
                           pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(127);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  // A Ctrl-C at the terminal is for the parent, which ends its children in order.
  setpgid(0, 0);
  const int null = open("/dev/null", O_RDONLY);
  dup2(null, STDIN_FILENO);
  dup2(log, STDOUT_FILENO);
  dup2(log, STDERR_FILENO);
  execve(arguments[0], arguments, environment);
  _exit(127);
}

// The fields after the command name of /proc/PID/stat; empty once it is gone.
std::vector<std::string> StatFields(pid_t pid) {
  std::ifstream file(absl::StrCat("/proc/", pid, "/stat"));
  std::string line;
  std::getline(file, line);
  const std::size_t end = line.rfind(')');
  if (end == std::string::npos) return {};
  return absl::StrSplit(line.substr(end + 2), ' ');
}

bool CanConnect(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const bool connected =
      connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  close(fd);
  return connected;
}

bool Bindable(int port, int type, int* bound) {
  const int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
  if (fd < 0) Fail("socket");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const bool ok = bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  socklen_t size = sizeof address;
  if (ok) getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  *bound = ntohs(address.sin_port);
  close(fd);
  return ok;
}

// Removes them at exit, unless CERTWRIGHT_KEEP_FOLDERS is set: the logs are in them.
class FoldersOfThisProcess {
 public:
  static void Add(const std::string& folder) {
    if (folders().empty() && std::getenv("CERTWRIGHT_KEEP_FOLDERS") == nullptr) {
      std::atexit(Remove);
    }
    folders().push_back(folder);
  }

 private:
  static std::vector<std::string>& folders() {
    static auto& folders = *new std::vector<std::string>;
    return folders;
  }
  static void Remove() {
    for (const std::string& folder : folders()) {
      std::error_code ignored;
      std::filesystem::remove_all(folder, ignored);
    }
  }
};

}  // namespace

absl::StatusOr<std::unique_ptr<Process>> Process::Start(ProcessSpec spec) {
  std::vector<std::string> arguments = spec.arguments;
  std::vector<std::string> environment = Environment(spec.environment);
  const std::vector<char*> argument_pointers = Pointers(arguments);
  const std::vector<char*> environment_pointers = Pointers(environment);
  const int log = open(spec.log_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (log < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot write ", spec.log_file));
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid < 0) return absl::ErrnoToStatus(errno, "fork");
  if (pid == 0) RunChild(argument_pointers.data(), environment_pointers.data(), log, parent);
  close(log);
  return std::unique_ptr<Process>(new Process(std::move(spec), pid));
}

Process::~Process() {
  if (Running()) {
    Signal(SIGCONT);
    Signal(SIGTERM);
    if (!Wait(kTermGrace).ok()) Kill();
  }
}

bool Process::Reap(bool block) {
  if (exit_status_.has_value()) return true;
  int status = 0;
  const pid_t reaped = waitpid(pid_, &status, block ? 0 : WNOHANG);
  if (reaped != pid_) return false;
  exit_status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return true;
}

bool Process::Running() { return !Reap(false); }

void Process::Signal(int signal) {
  if (!exit_status_.has_value()) kill(pid_, signal);
}

void Process::Kill() {
  Signal(SIGKILL);
  Reap(true);
}

absl::StatusOr<int> Process::Wait(absl::Duration timeout) {
  if (!WaitUntil([this] { return Reap(false); }, timeout)) {
    return absl::DeadlineExceededError(
        absl::StrCat(name(), " still runs after ", absl::FormatDuration(timeout)));
  }
  return *exit_status_;
}

absl::Duration Process::CpuTime() const {
  const std::vector<std::string> fields = StatFields(pid_);
  int64_t user = 0;
  int64_t system = 0;
  if (fields.size() < 13 || !absl::SimpleAtoi(fields[11], &user) ||
      !absl::SimpleAtoi(fields[12], &system)) {
    return absl::ZeroDuration();
  }
  return absl::Seconds(static_cast<double>(user + system) /
                       static_cast<double>(sysconf(_SC_CLK_TCK)));
}

int64_t Process::PeakRssKib() const {
  std::ifstream file(absl::StrCat("/proc/", pid_, "/status"));
  std::string line;
  while (std::getline(file, line)) {
    std::istringstream words(line);
    std::string key;
    int64_t value = 0;
    if (words >> key >> value && key == "VmHWM:") return value;
  }
  return 0;
}

std::string Process::LogTail(int lines) const {
  const absl::StatusOr<std::string> text = ReadFile(spec_.log_file);
  if (!text.ok()) return "";
  std::vector<std::string> all = absl::StrSplit(*text, '\n', absl::SkipEmpty());
  const std::size_t keep = std::min(all.size(), static_cast<std::size_t>(lines));
  return absl::StrJoin(all.end() - static_cast<std::ptrdiff_t>(keep), all.end(), "\n");
}

int Process::CountLogLines(absl::string_view text) const {
  std::ifstream log(spec_.log_file);
  int count = 0;
  for (std::string line; std::getline(log, line);) {
    if (absl::StrContains(line, text)) ++count;
  }
  return count;
}

absl::StatusOr<std::string> FindProgram(const std::string& name, const std::string& package) {
  if (absl::StrContains(name, '/')) {
    if (access(name.c_str(), X_OK) == 0) return name;
    return absl::NotFoundError(absl::StrCat(name, " is not there, or is no program"));
  }
  const char* path = std::getenv("PATH");
  const std::string folders =
      absl::StrCat(path == nullptr ? "" : path, ":/usr/sbin:/usr/bin:/sbin:/bin");
  for (const absl::string_view folder : absl::StrSplit(folders, ':', absl::SkipEmpty())) {
    const std::string candidate = absl::StrCat(folder, "/", name);
    if (access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return absl::NotFoundError(
      absl::StrCat("the program ", name, " is missing: apt-get install ", package));
}

int FreePort() {
  static std::set<int> given;
  for (int tries = 0; tries < 1000; ++tries) {
    int port = 0;
    int same = 0;
    if (!Bindable(0, SOCK_STREAM, &port)) Fail("bind");
    if (Bindable(port, SOCK_DGRAM, &same) && given.insert(port).second) return port;
  }
  Fail("no free port");
}

absl::Status WaitForPort(Process& process, int port, absl::Duration timeout) {
  bool ended = false;
  const bool done = WaitUntil(
      [&] {
        ended = !process.Running();
        return ended || CanConnect(port);
      },
      timeout);
  if (ended) {
    return absl::FailedPreconditionError(
        absl::StrCat(process.name(), " has ended; its log says:\n", process.LogTail()));
  }
  if (!done) {
    return absl::DeadlineExceededError(absl::StrCat(process.name(), " does not listen on port ",
                                                    port, "; its log says:\n",
                                                    process.LogTail()));
  }
  return absl::OkStatus();
}

std::string MakeFolder(const std::string& name) {
  // Not below TEST_TMPDIR: Knot's control socket may be no longer than 107 characters.
  std::string pattern = absl::StrCat("/tmp/certwright-", name, "-XXXXXX");
  if (mkdtemp(pattern.data()) == nullptr) Fail(pattern);
  FoldersOfThisProcess::Add(pattern);
  return pattern;
}

void WriteFile(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << text;
  file.close();
  if (!file) Fail(path);
}

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::NotFoundError(absl::StrCat("cannot read ", path));
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

void Pause() { poll(nullptr, 0, 5); }

}  // namespace certwright::harness
