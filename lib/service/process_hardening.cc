#include "lib/service/process_hardening.h"

#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "absl/strings/str_cat.h"

namespace certwright::service {
namespace {

#ifdef CERTWRIGHT_SANITIZED
// Sanitizers trace the process at its end and run a program for the names of functions.
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

// By name: those that this architecture, or this libseccomp, does not know are passed over.
constexpr const char* kDenied[] = {
    // Other programs.
    "execve", "execveat", "uselib",
    // Other processes.
    "ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "pidfd_getfd", "kcmp",
    // The kernel: modules, another kernel, its log, its tracing and its programs.
    "init_module", "finit_module", "delete_module", "create_module", "query_module",
    "kexec_load", "kexec_file_load", "reboot", "syslog", "bpf", "perf_event_open",
    "lookup_dcookie", "userfaultfd", "iopl", "ioperm", "modify_ldt", "vm86", "vm86old",
    // Keys of the kernel.
    "keyctl", "add_key", "request_key",
    // File systems.
    "mount", "umount", "umount2", "move_mount", "open_tree", "fsopen", "fsmount", "fsconfig",
    "fspick", "mount_setattr", "pivot_root", "chroot", "swapon", "swapoff", "quotactl",
    "quotactl_fd", "nfsservctl", "acct", "open_by_handle_at", "name_to_handle_at",
    // Other namespaces and users.
    "unshare", "setns", "setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid",
    "setgroups", "setfsuid", "setfsgid", "capset",
    // The machine's clock and name.
    "settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "stime", "sethostname",
    "setdomainname", "personality", "vhangup",
    // A second way to make system calls.
    "io_uring_setup", "io_uring_enter", "io_uring_register"};

struct ReleaseFilter {
  void operator()(void* filter) const { seccomp_release(filter); }
};

void Note(Hardening& hardening, bool done, const char* what) {
  if (done) {
    hardening.done.push_back(what);
  } else {
    hardening.failed.push_back(absl::StrCat(what, ": ", std::strerror(errno)));
  }
}

bool ForbidCoreDumps() {
  const rlimit none{0, 0};
  return setrlimit(RLIMIT_CORE, &none) == 0;
}

// select(2) is the reason for a soft limit of 1024; nothing here uses it.
bool AllowFileDescriptors() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return false;
  limit.rlim_cur = limit.rlim_max;
  return setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

void DenySystemCalls(Hardening& hardening) {
  const std::unique_ptr<void, ReleaseFilter> filter(seccomp_init(SCMP_ACT_ALLOW));
  int denied = 0;
  int error = filter == nullptr ? -ENOMEM : 0;
  for (const char* name : kDenied) {
    const int call = seccomp_syscall_resolve_name(name);
    if (error != 0 || call == __NR_SCMP_ERROR) continue;
    const int added = seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(EPERM), call, 0);
    // Not a system call of this architecture.
    if (added == -EDOM) continue;
    error = added;
    ++denied;
  }
  if (error == 0) error = seccomp_load(filter.get());
  if (error == 0) {
    hardening.done.push_back(absl::StrCat("seccomp: ", denied, " system calls denied"));
  } else {
    hardening.failed.push_back(absl::StrCat("seccomp: ", std::strerror(-error)));
  }
}

}  // namespace

Hardening HardenProcess() {
  Hardening hardening;
  umask(077);
  hardening.done.push_back("umask 077");
  Note(hardening, ForbidCoreDumps(), "no core dumps");
  Note(hardening, AllowFileDescriptors(), "as many file descriptors as are allowed");
  Note(hardening, kSanitized || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0, "not dumpable");
  Note(hardening, prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no new privileges");
  if (!kSanitized) DenySystemCalls(hardening);
  return hardening;
}

}  // namespace certwright::service
