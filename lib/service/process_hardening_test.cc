#include "lib/service/process_hardening.h"

#include <fcntl.h>
#include <linux/keyctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <functional>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace certwright::service {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr uid_t kNobody = 65534;

class ProcessHardeningTest : public testing::Test {
 protected:
  void SetUp() override {
#ifdef CERTWRIGHT_SANITIZED
    GTEST_SKIP() << "NOT TESTED: a sanitizer needs what the filter denies, so there is none";
#endif
  }
};

// Runs `body` in a child that is hardened, and returns its exit status: hardening cannot be
// taken back.
int InHardenedChild(const std::function<int()>& body) {
  const pid_t child = fork();
  if (child == 0) {
    const Hardening hardening = HardenProcess();
    _exit(hardening.failed.empty() ? body() : 99);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// The errno of a call that must fail.
template <typename Result>
int ErrorOf(Result result) {
  return result == -1 ? errno : 0;
}

int RunProgram() {
  char program[] = "/bin/true";
  char* arguments[] = {program, nullptr};
  return ErrorOf(execv(program, arguments));
}

TEST_F(ProcessHardeningTest, SaysWhatItHasDone) {
  EXPECT_EQ(InHardenedChild([] { return 0; }), 0);
  // The same in a thread of this process would stay; the report is read in a child, too.
  EXPECT_EQ(InHardenedChild([] {
              const Hardening again = HardenProcess();
              return testing::Value(again.failed, IsEmpty()) &&
                             testing::Value(again.done, Contains(HasSubstr("seccomp: ")))
                         ? 0
                         : 1;
            }),
            0);
}

TEST_F(ProcessHardeningTest, AProgramCanBeRunBeforeButNotAfter) {
  const pid_t child = fork();
  if (child == 0) _exit(RunProgram());
  int status = 0;
  waitpid(child, &status, 0);
  ASSERT_EQ(status, 0);
  EXPECT_EQ(InHardenedChild(RunProgram), EPERM);
}

TEST_F(ProcessHardeningTest, NoThreadStartedLaterCanRunAProgram) {
  EXPECT_EQ(InHardenedChild([] {
              int error = 0;
              std::thread([&error] { error = RunProgram(); }).join();
              return error;
            }),
            EPERM);
}

TEST_F(ProcessHardeningTest, WhatOnlyAnAttackerNeedsIsDenied) {
  EXPECT_EQ(
      InHardenedChild([] { return ErrorOf(ptrace(PTRACE_TRACEME, 0, nullptr, nullptr)); }),
      EPERM);
  // Arguments that do no harm where the call is not denied.
  EXPECT_EQ(
      InHardenedChild([] { return ErrorOf(mount(nullptr, nullptr, nullptr, 0, nullptr)); }),
      EPERM);
  EXPECT_EQ(InHardenedChild(
                [] { return ErrorOf(syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, 0, 0, 0, 0)); }),
            EPERM);
  EXPECT_EQ(InHardenedChild([] { return ErrorOf(syscall(SYS_bpf, 0, nullptr, 0)); }), EPERM);
  EXPECT_EQ(InHardenedChild([] { return ErrorOf(unshare(0)); }), EPERM);
  EXPECT_EQ(InHardenedChild([] {
              char byte = 0;
              iovec part{&byte, 1};
              return ErrorOf(process_vm_readv(getpid(), &part, 1, &part, 1, 0));
            }),
            EPERM);
}

TEST_F(ProcessHardeningTest, IsNotDumpableAndLeavesNoCore) {
  EXPECT_EQ(InHardenedChild([] { return prctl(PR_GET_DUMPABLE); }), 0);
  EXPECT_EQ(InHardenedChild([] { return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0); }), 1);
  EXPECT_EQ(InHardenedChild([] {
              rlimit limit{1, 1};
              getrlimit(RLIMIT_CORE, &limit);
              return static_cast<int>(limit.rlim_cur + limit.rlim_max);
            }),
            0);
}

TEST_F(ProcessHardeningTest, MayOpenAsManyFilesAsTheHardLimitAllows) {
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit low = before;
  low.rlim_cur = 64;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
  EXPECT_EQ(InHardenedChild([] {
              rlimit limit{};
              getrlimit(RLIMIT_NOFILE, &limit);
              return limit.rlim_cur == limit.rlim_max ? 0 : 1;
            }),
            0);
  setrlimit(RLIMIT_NOFILE, &before);
}

TEST_F(ProcessHardeningTest, FilesAreForItsOwnUser) {
  const std::string path = absl::StrCat(testing::TempDir(), "/hardened_", getpid());
  EXPECT_EQ(InHardenedChild([&] {
              const int file = open(path.c_str(), O_WRONLY | O_CREAT, 0666);
              return file < 0 ? errno : 0;
            }),
            0);
  struct stat file {};
  ASSERT_EQ(stat(path.c_str(), &file), 0);
  EXPECT_EQ(file.st_mode & 0777, 0600u);
  unlink(path.c_str());
}

// As another process of the same user, who is not root.
int OpenMemoryOf(pid_t process) {
  const int file = open(absl::StrCat("/proc/", process, "/mem").c_str(), O_RDONLY);
  return file < 0 ? errno : 0;
}

// What a process of user "nobody" gets when it opens the memory of another one of that user.
int OpenMemoryOfChild(bool hardened) {
  int ready[2];
  if (pipe(ready) != 0) return -1;
  const pid_t victim = fork();
  if (victim == 0) {
    if (setuid(kNobody) != 0) _exit(1);
    // setuid() has made it not dumpable; a program that was started as this user is.
    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    if (hardened) HardenProcess();
    if (write(ready[1], "r", 1) != 1) _exit(1);
    pause();
    _exit(0);
  }
  char byte = 0;
  if (read(ready[0], &byte, 1) != 1) return -1;
  const pid_t reader = fork();
  if (reader == 0) {
    if (setuid(kNobody) != 0) _exit(254);
    _exit(OpenMemoryOf(victim));
  }
  int status = 0;
  waitpid(reader, &status, 0);
  kill(victim, SIGKILL);
  waitpid(victim, nullptr, 0);
  return WEXITSTATUS(status);
}

TEST_F(ProcessHardeningTest, ItsMemoryCannotBeReadByTheSameUser) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can become another user";
  if (OpenMemoryOfChild(false) != 0) {
    GTEST_SKIP() << "here nobody can read another process's memory anyway (Yama)";
  }
  EXPECT_EQ(OpenMemoryOfChild(true), EACCES);
}

}  // namespace
}  // namespace certwright::service
