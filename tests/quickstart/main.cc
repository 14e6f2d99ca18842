// The quickstart: a CA, a nameserver and the three services on this machine, and two
// certificates issued before your eyes.
#include <signal.h>
#include <sys/stat.h>

#include <cstdio>
#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

#include "CLI/App.hpp"
#include "CLI/Config.hpp"
#include "CLI/Formatter.hpp"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "lib/base/status_macros.h"
#include "lib/service/conditions.h"
#include "tests/harness/world.h"
#include "tests/quickstart/live_view.h"

namespace certwright::quickstart {
namespace {

constexpr absl::Duration kTimeout = absl::Seconds(120);

struct Flags {
  bool once = false;
  std::string out;
  std::string binaries = ".";
};

struct Wanted {
  std::string name;
  std::vector<std::string> dns_names;
  const char* how;
};

const std::vector<Wanted>& WantedCertificates() {
  static const auto& wanted = *new std::vector<Wanted>{
      {"www", {"www.example.test"}, "HTTP-01"},
      {"wildcard", {"*.example.test", "example.test"}, "DNS-01"},
  };
  return wanted;
}

absl::Status WriteSecret(const std::string& folder, const issuer::v1::Secret& secret,
                         const std::string& root_pem) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error)
    return absl::InternalError(absl::StrCat("cannot make ", folder, ": ", error.message()));
  // The key is never readable for others, not even for a moment.
  const mode_t mask = umask(0077);
  harness::WriteFile(folder + "/tls.key", secret.data().at("tls.key"));
  umask(mask);
  harness::WriteFile(folder + "/tls.crt", secret.data().at("tls.crt"));
  harness::WriteFile(folder + "/ca.crt", root_pem);
  return absl::OkStatus();
}

// Checks one issued certificate, writes it where --out says, and tells how long it took.
absl::Status Report(harness::World& world, const Wanted& wanted, const Flags& flags,
                    const std::string& root_pem) {
  CW_ASSIGN_OR_RETURN(const issuer::v1::Certificate certificate,
                      world.GetCertificate(wanted.name));
  CW_ASSIGN_OR_RETURN(const issuer::v1::Secret secret,
                      world.GetSecret(certificate.spec().secret_name()));
  CW_RETURN_IF_ERROR(world.VerifySecret(secret, wanted.dns_names));
  const auto* ready = service::FindCondition(certificate.status().conditions(), "Ready");
  const absl::Duration took = service::FromProto(ready->last_transition_time()) -
                              service::FromProto(certificate.metadata().create_time());
  std::printf("%-10s %-32s by %-8s %5.0f ms, chain verified against the CA's root\n",
              wanted.name.c_str(), absl::StrJoin(wanted.dns_names, ", ").c_str(), wanted.how,
              absl::ToDoubleMilliseconds(took));
  if (flags.out.empty()) return absl::OkStatus();
  return WriteSecret(absl::StrCat(flags.out, "/", wanted.name), secret, root_pem);
}

void PrintHints(harness::World& world, const Flags& flags) {
  const std::string issuer = world.suite().address(harness::Service::kIssuer);
  const std::string order = world.suite().address(harness::Service::kOrder);
  const std::string solver = world.suite().address(harness::Service::kSolver);
  if (!flags.out.empty()) {
    std::printf("\nCheck them yourself:\n");
    for (const Wanted& wanted : WantedCertificates()) {
      const std::string folder = absl::StrCat(flags.out, "/", wanted.name);
      std::printf("  openssl verify -CAfile %s/ca.crt -untrusted %s/tls.crt %s/tls.crt\n",
                  folder.c_str(), folder.c_str(), folder.c_str());
    }
  }
  std::printf("\nLook around with grpcurl%s:\n",
              flags.once ? " (leave --once out, and the services stay up)" : "");
  std::printf("  grpcurl -plaintext %s list\n", issuer.c_str());
  std::printf(
      "  grpcurl -plaintext -d '{\"name\": \"www\"}' %s "
      "certwright.issuer.v1.CertificateService/GetCertificate\n",
      issuer.c_str());
  std::printf("  grpcurl -plaintext %s certwright.order.v1.OrderService/ListOrders\n",
              order.c_str());
  std::printf("  grpcurl -plaintext %s certwright.solver.v1.ChallengeService/ListChallenges\n",
              solver.c_str());
  if (!flags.once) std::printf("Logs and stores: %s\n", world.folder().c_str());
  std::fflush(stdout);
}

absl::Status Issue(harness::World& world, const Flags& flags) {
  const auto issuer = world.MakeClusterIssuer({"example.test", "*.example.test"}, {});
  CW_RETURN_IF_ERROR(world.CreateClusterIssuer(issuer));
  std::vector<std::string> names;
  {
    LiveView view(world);
    for (const Wanted& wanted : WantedCertificates()) {
      names.push_back(wanted.name);
      CW_RETURN_IF_ERROR(world.CreateCertificate(
          harness::World::MakeCertificate(wanted.name, wanted.dns_names)));
    }
    CW_RETURN_IF_ERROR(world.WaitUntilReady(names, kTimeout));
  }
  std::printf("\n");
  CW_ASSIGN_OR_RETURN(const std::string root_pem, world.pebble().FetchRootPem());
  for (const Wanted& wanted : WantedCertificates()) {
    CW_RETURN_IF_ERROR(base::Annotate(Report(world, wanted, flags, root_pem), wanted.name));
  }
  PrintHints(world, flags);
  return absl::OkStatus();
}

absl::Status Run(const Flags& flags) {
  std::printf("Starting Knot DNS, Pebble (an ACME CA for tests) and the three services …\n");
  std::fflush(stdout);
  harness::WorldOptions options;
  options.binaries = flags.binaries;
  options.folder = harness::MakeFolder("quickstart");
  {
    CW_ASSIGN_OR_RETURN(const auto world, harness::World::Start(std::move(options)));
    CW_RETURN_IF_ERROR(Issue(*world, flags));
    if (!flags.once) {
      std::printf("\nRunning until Ctrl-C.\n");
      std::fflush(stdout);
      sigset_t signals;
      sigemptyset(&signals);
      sigaddset(&signals, SIGINT);
      sigaddset(&signals, SIGTERM);
      int signal = 0;
      sigwait(&signals, &signal);
      std::printf("\nStopping …\n");
    }
  }
  return absl::OkStatus();
}

int Main(int argc, char** argv) {
  Flags flags;
  CLI::App app("Issues two certificates from a CA of its own, to show how Certwright works.",
               "quickstart");
  app.add_flag("--once", flags.once, "End after the certificates are issued");
  app.add_option("--out", flags.out, "Leave DIR/<certificate>/{tls.crt,tls.key,ca.crt}");
  app.add_option("--binaries", flags.binaries, "Folder that holds services/… (bazel-bin)");
  app.footer("Example:\n  ./quickstart --once --out /tmp/certificates");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  if (!flags.once) pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  const absl::Status status = Run(flags);
  if (status.ok()) return 0;
  std::cerr << "quickstart: " << status.message()
            << "\nTo keep the logs for a look, set CERTWRIGHT_KEEP_FOLDERS=1.\n";
  return 1;
}

}  // namespace
}  // namespace certwright::quickstart

int main(int argc, char** argv) { return certwright::quickstart::Main(argc, argv); }
