#include "lib/acme/pebble.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace certwright::acme {
namespace {

namespace fs = std::filesystem;

// A port that was free a moment ago.
int FreePort() {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  const bool ok = bind(fd, generic, size) == 0 && getsockname(fd, generic, &size) == 0;
  close(fd);
  return ok ? ntohs(address.sin_port) : 0;
}

absl::StatusOr<std::string> FindProgram() {
  const char* named = std::getenv("PEBBLE_PROGRAM");
  if (named != nullptr && *named != '\0') return std::string(named);
  const char* path = std::getenv("PATH");
  for (absl::string_view folder : absl::StrSplit(path == nullptr ? "" : path, ':')) {
    std::string candidate = absl::StrCat(folder, "/pebble");
    if (access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return absl::NotFoundError(
      "the program \"pebble\" is not in PATH; install it with: apt-get install pebble");
}

void WriteFile(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

std::string ConfigJson(const std::string& folder, int port, int management_port) {
  // What an older Pebble does not know, it ignores.
  return absl::StrCat(R"({"pebble": {"listenAddress": "127.0.0.1:)", port,
                      R"(", "managementListenAddress": "127.0.0.1:)", management_port,
                      R"(", "certificate": ")", folder, R"(/cert.pem", "privateKey": ")",
                      folder,
                      R"(/key.pem", "httpPort": 5002, "tlsPort": 5001,
      "domainBlocklist": ["blocked.test"], "certificateValidityPeriod": 7776000,
      "externalAccountBindingRequired": false, "retryAfter": {"authz": 1, "order": 1},
      "profiles": {"standard": {"description": "90 days", "validityPeriod": 7776000},
                   "brief": {"description": "6 days", "validityPeriod": 518400}}}})");
}

std::vector<char*> Pointers(std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (std::string& text : strings) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

// Runs `arguments` with its output in `log`; it dies with this process.
pid_t Spawn(std::vector<std::string> arguments, std::vector<std::string> environment,
            const std::string& log) {
  const std::vector<char*> argv = Pointers(arguments);
  const std::vector<char*> envp = Pointers(environment);
  const pid_t pid = fork();
  if (pid != 0) return pid;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const int fd = open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  dup2(fd, STDOUT_FILENO);
  dup2(fd, STDERR_FILENO);
  execve(argv[0], argv.data(), envp.data());
  _exit(127);
}

}  // namespace

absl::StatusOr<Pebble> Pebble::Start(std::map<std::string, std::string> environment) {
  absl::StatusOr<std::string> program = FindProgram();
  if (!program.ok()) return program.status();
  std::string folder = (fs::temp_directory_path() / "certwright-pebble-XXXXXX").string();
  if (mkdtemp(folder.data()) == nullptr) {
    return absl::InternalError(absl::StrCat("cannot make a folder like ", folder));
  }
  const pki::TestCa ca("Pebble's TLS");
  pki::SubjectAltNames names;
  names.ip_addresses = {"127.0.0.1"};
  const pki::TestIdentity identity = ca.Issue(names);
  const int port = FreePort();
  const int management_port = FreePort();
  WriteFile(folder + "/cert.pem", identity.chain_pem);
  WriteFile(folder + "/key.pem", identity.key_pem);
  WriteFile(folder + "/config.json", ConfigJson(folder, port, management_port));

  environment["PEBBLE_VA_ALWAYS_VALID"] = "1";
  environment["PEBBLE_VA_NOSLEEP"] = "1";
  // Two newOrders in parallel can lock Pebble 2.4.0 up for good; on one processor they do not
  // meet.
  environment["GOMAXPROCS"] = "1";
  std::vector<std::string> variables;
  for (const auto& [name, value] : environment) {
    variables.push_back(absl::StrCat(name, "=", value));
  }
  Pebble pebble;
  pebble.folder_ = folder;
  pebble.directory_url_ = absl::StrCat("https://127.0.0.1:", port, "/dir");
  pebble.management_url_ = absl::StrCat("https://127.0.0.1:", management_port);
  pebble.ca_bundle_pem_ = ca.root().Pem();
  pebble.pid_ = Spawn({*program, "-strict", "-config", folder + "/config.json"},
                      std::move(variables), folder + "/log");
  return pebble;
}

Pebble::Pebble(Pebble&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      folder_(std::exchange(other.folder_, "")),
      directory_url_(std::move(other.directory_url_)),
      management_url_(std::move(other.management_url_)),
      ca_bundle_pem_(std::move(other.ca_bundle_pem_)) {}

Pebble::~Pebble() {
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  if (!folder_.empty()) fs::remove_all(folder_);
}

bool Pebble::HasExited() {
  if (pid_ > 0 && waitpid(pid_, nullptr, WNOHANG) == pid_) pid_ = -1;
  return pid_ <= 0;
}

}  // namespace certwright::acme
