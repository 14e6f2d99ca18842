// Runs the program itself, and judges what it makes with openssl.
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/pki/run_command.h"

namespace certwright::cli {
namespace {

using pki::CommandResult;
using pki::RunCommand;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

std::string Read(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

class BootstrapTest : public testing::Test {
 protected:
  BootstrapTest() {
    std::string pattern = testing::TempDir() + "/bootstrap_XXXXXX";
    folder_ = absl::StrCat(mkdtemp(pattern.data()), "/pki");
  }
  ~BootstrapTest() override {
    std::filesystem::remove_all(std::filesystem::path(folder_).parent_path());
  }

  static CommandResult Run(const std::string& arguments) {
    return RunCommand("cli/certwright-bootstrap " + arguments);
  }
  CommandResult Make(const std::string& arguments = "") {
    return Run(absl::StrCat("certificates --out ", folder_, " ", arguments));
  }
  std::string File(const std::string& name) const { return folder_ + "/" + name; }
  CommandResult OpenSsl(const std::string& arguments) const {
    return RunCommand(absl::StrCat("cd ", folder_, " && openssl ", arguments));
  }
  std::string NamesOf(const std::string& name) const {
    return OpenSsl(absl::StrCat("x509 -noout -ext subjectAltName -in ", name, ".crt")).output;
  }

  std::string folder_;
};

TEST_F(BootstrapTest, MakesAPrivateCaAndCertificatesThatItVerifies) {
  const CommandResult made =
      Make("--name issuer=issuer.example.com,192.0.2.7 --client ann.test");
  ASSERT_EQ(made.exit_status, 0) << made.output;
  for (const char* name : {"issuer", "order", "solver"}) {
    for (const char* purpose : {"sslserver", "sslclient"}) {
      const CommandResult verified = OpenSsl(absl::StrCat(
          "verify -x509_strict -purpose ", purpose, " -CAfile ca.crt ", name, ".crt"));
      EXPECT_EQ(verified.exit_status, 0) << verified.output;
    }
    EXPECT_THAT(NamesOf(name),
                AllOf(HasSubstr(absl::StrCat("DNS:", name)), HasSubstr("DNS:localhost"),
                      HasSubstr("IP Address:127.0.0.1")));
  }
  EXPECT_THAT(NamesOf("issuer"),
              AllOf(HasSubstr("DNS:issuer.example.com"), HasSubstr("IP Address:192.0.2.7")));
  EXPECT_EQ(
      OpenSsl("verify -x509_strict -purpose sslclient -CAfile ca.crt ann.test.crt").exit_status,
      0);
  EXPECT_NE(OpenSsl("verify -purpose sslserver -CAfile ca.crt ann.test.crt").exit_status, 0);
  EXPECT_THAT(NamesOf("ann.test"), Not(HasSubstr("localhost")));
  EXPECT_THAT(OpenSsl("x509 -noout -text -in ca.crt").output,
              AllOf(HasSubstr("prime256v1"), HasSubstr("CA:TRUE")));
}

TEST_F(BootstrapTest, KeysFitAndOnlyTheirOwnerMayReadAnyFile) {
  ASSERT_EQ(Make("--client ann.test").exit_status, 0);
  for (const char* name : {"ca", "issuer", "order", "solver", "ann.test"}) {
    EXPECT_EQ(OpenSsl(absl::StrCat("x509 -noout -pubkey -in ", name, ".crt")).output,
              OpenSsl(absl::StrCat("pkey -pubout -in ", name, ".key")).output);
  }
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
    struct stat status {};
    ASSERT_EQ(stat(entry.path().c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600u) << entry.path();
    ++files;
  }
  EXPECT_EQ(files, 10);
}

TEST_F(BootstrapTest, OverwritesNothing) {
  ASSERT_EQ(Make().exit_status, 0);
  const std::string ca = Read(File("ca.key"));
  const CommandResult again = Make();
  EXPECT_EQ(again.exit_status, 1);
  EXPECT_THAT(again.output, AllOf(HasSubstr("exists"), HasSubstr("--renew")));
  EXPECT_EQ(Read(File("ca.key")), ca);
  std::filesystem::remove(File("ca.crt"));
  std::filesystem::remove(File("ca.key"));
  EXPECT_EQ(Make().exit_status, 1);
}

TEST_F(BootstrapTest, RenewKeepsTheCaAndTheNames) {
  ASSERT_EQ(
      Make("--name order=order.example.com --name solver=a.test --client ann.test").exit_status,
      0);
  const std::string ca = Read(File("ca.crt"));
  const std::string order = Read(File("order.crt"));
  const std::string key = Read(File("order.key"));
  const CommandResult renewed = Make("--renew --client bob.test --name solver=b.test");
  ASSERT_EQ(renewed.exit_status, 0) << renewed.output;
  EXPECT_EQ(Read(File("ca.crt")), ca);
  EXPECT_NE(Read(File("order.crt")), order);
  EXPECT_NE(Read(File("order.key")), key);
  EXPECT_THAT(NamesOf("order"), HasSubstr("DNS:order.example.com"));
  EXPECT_THAT(NamesOf("solver"), AllOf(HasSubstr("DNS:b.test"), Not(HasSubstr("DNS:a.test"))));
  for (const char* name : {"order", "ann.test", "bob.test"}) {
    EXPECT_EQ(OpenSsl(absl::StrCat("verify -CAfile ca.crt ", name, ".crt")).exit_status, 0);
  }
}

TEST_F(BootstrapTest, RenewWithoutACaSaysSo) {
  const CommandResult result = Make("--renew");
  EXPECT_EQ(result.exit_status, 1);
  std::filesystem::create_directory(folder_);
  EXPECT_THAT(Make("--renew").output, HasSubstr("ca.crt"));
}

TEST_F(BootstrapTest, RefusesNamesThatWouldBeAnothersOrNone) {
  for (const char* arguments : {"--client issuer", "--client localhost", "--client ca",
                                "--client ../x", "--client '*.a'", "--name order=issuer",
                                "--name web=a.test", "--name issuer=a..b", "--days 0"}) {
    EXPECT_NE(Make(arguments).exit_status, 0) << arguments;
    EXPECT_FALSE(std::filesystem::exists(File("ca.crt"))) << arguments;
  }
}

TEST_F(BootstrapTest, ATokenIsShownOnceWithItsHash) {
  const CommandResult result = Run("token ci");
  ASSERT_EQ(result.exit_status, 0) << result.output;
  const std::string before = "shown only now: ";
  const std::string token =
      result.output.substr(result.output.find(before) + before.size(), 43);
  const std::string digest =
      RunCommand(absl::StrCat("printf %s '", token, "' | sha256sum | cut -c1-64")).output;
  EXPECT_THAT(result.output, HasSubstr("sha256: \"" + digest.substr(0, 64) + "\""));
  EXPECT_THAT(result.output, HasSubstr("identity: \"token:ci\""));
  EXPECT_NE(Run("token ci").output, result.output);
  EXPECT_NE(Run("token Not_A_Label").exit_status, 0);
}

TEST_F(BootstrapTest, HelpShowsExamples) {
  const CommandResult help = Run("--help");
  EXPECT_EQ(help.exit_status, 0);
  EXPECT_THAT(help.output, AllOf(HasSubstr("certificates --out pki"), HasSubstr("token ci")));
  EXPECT_NE(Run("").exit_status, 0);
}

}  // namespace
}  // namespace certwright::cli
