#include "tests/harness/own_network.h"

#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "lib/base/status_macros.h"
#include "tests/harness/process.h"

namespace certwright::harness {
namespace {

absl::Status Failed(const char* what) {
  return absl::ErrnoToStatus(errno, absl::StrCat("no network of its own: ", what));
}

absl::Status BringLoopbackUp() {
  const int descriptor = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return Failed("socket");
  ifreq request{};
  std::strncpy(request.ifr_name, "lo", IFNAMSIZ - 1);
  absl::Status done;
  if (ioctl(descriptor, SIOCGIFFLAGS, &request) != 0) done = Failed("SIOCGIFFLAGS");
  request.ifr_flags |= IFF_UP;
  if (done.ok() && ioctl(descriptor, SIOCSIFFLAGS, &request) != 0)
    done = Failed("SIOCSIFFLAGS");
  close(descriptor);
  return done;
}

absl::Status ReplaceResolver(const std::string& folder) {
  const std::string file = folder + "/resolv.conf";
  WriteFile(file, "nameserver 127.0.0.1\n");
  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return Failed("mount /");
  if (mount(file.c_str(), "/etc/resolv.conf", nullptr, MS_BIND, nullptr) != 0) {
    return Failed("mount /etc/resolv.conf");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status EnterOwnNetwork(const std::string& folder) {
  const uid_t user = geteuid();
  const gid_t group = getegid();
  if (unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS) != 0) {
    return absl::PermissionDeniedError(
        absl::StrCat("no network of its own: unshare: ", std::strerror(errno)));
  }
  // A group can be mapped only by who has given up to change groups (user_namespaces(7)).
  WriteFile("/proc/self/setgroups", "deny");
  WriteFile("/proc/self/uid_map", absl::StrCat("0 ", user, " 1"));
  WriteFile("/proc/self/gid_map", absl::StrCat("0 ", group, " 1"));
  CW_RETURN_IF_ERROR(BringLoopbackUp());
  return ReplaceResolver(folder);
}

}  // namespace certwright::harness
