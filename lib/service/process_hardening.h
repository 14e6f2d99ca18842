// What a service's process gives up at its start, because it never needs it and whoever takes
// it over would: so keys in its memory are not read or written to a disk, and no other program
// is run.
//
// - no core dumps, and not dumpable (prctl(2)): others of the same user cannot attach a
// debugger
//   or read /proc/PID/mem;
// - no new privileges: nothing gains any by running a set-user-ID program;
// - umask 077: files that it makes are for its own user only;
// - the soft limit of file descriptors is raised to the hard one, so that clients cannot use
//   them up;
// - a seccomp filter: running programs, tracing and reading other processes, mounts, kernel
//   modules, BPF, kernel keys and the like fail with EPERM.
//
// Of the last, what the kernel or a container's own profile does not allow is left out and said
// so in the report, rather than keeping the service from starting.
#pragma once

#include <string>
#include <vector>

namespace certwright::service {

struct Hardening {
  // "not dumpable", "seccomp: 45 system calls denied", …
  std::vector<std::string> done;
  // What could not be done, and why.
  std::vector<std::string> failed;
};

// To be called before other threads exist: the filter is for this thread and those that it
// starts.
Hardening HardenProcess();

}  // namespace certwright::service
