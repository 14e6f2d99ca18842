// certwright-bootstrap: what an operator needs before the services can run with mutual TLS.
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include "CLI/App.hpp"
#include "CLI/Config.hpp"
#include "CLI/Formatter.hpp"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "cli/certificates.h"
#include "cli/token.h"
#include "lib/base/clock.h"

namespace certwright::cli {
namespace {

constexpr char kExamples[] =
    "Examples:\n"
    "  certwright-bootstrap certificates --out pki --client ann.example.com\n"
    "  certwright-bootstrap certificates --out pki --name issuer=issuer.example.com,192.0.2.1\n"
    "  certwright-bootstrap certificates --out pki --renew\n"
    "  certwright-bootstrap token ci\n";

struct Flags {
  std::string folder;
  std::vector<std::string> names;
  std::vector<std::string> clients;
  int days = 365;
  bool renew = false;
  std::string token_name;
};

int Fail(const absl::Status& status) {
  std::cerr << "certwright-bootstrap: " << status.message() << "\n";
  return 1;
}

int RunCertificates(const Flags& flags) {
  CertificatesRequest request;
  request.folder = flags.folder;
  for (const std::string& name : flags.names) {
    const std::pair<std::string, std::string> parts =
        absl::StrSplit(name, absl::MaxSplits('=', 1));
    for (const auto host : absl::StrSplit(parts.second, ',', absl::SkipEmpty())) {
      request.hosts[parts.first].emplace_back(host);
    }
  }
  request.clients = flags.clients;
  request.lifetime = absl::Hours(24) * flags.days;
  request.renew = flags.renew;
  request.now = base::Clock::Real().Now();
  const absl::StatusOr<std::vector<std::string>> files = MakeCertificates(request);
  if (!files.ok()) return Fail(files.status());
  for (const std::string& file : *files) std::cout << file << "\n";
  return 0;
}

int RunToken(const Flags& flags) {
  const absl::StatusOr<base::Secret> token = MakeToken();
  if (!token.ok()) return Fail(token.status());
  const absl::StatusOr<std::string> snippet = TokenConfiguration(flags.token_name, *token);
  if (!snippet.ok()) return Fail(snippet.status());
  std::cout
      << "# The token, which is shown only now: " << token->Reveal() << "\n"
      << "# Callers send it as \"authorization: Bearer TOKEN\". Into the configuration of\n"
      << "# each service that it is for, with the roles that it is to have:\n"
      << *snippet;
  return 0;
}

int Main(int argc, char** argv) {
  Flags flags;
  CLI::App app("Makes certificates and tokens for Certwright's services and their callers.",
               "certwright-bootstrap");
  app.require_subcommand(1);
  app.footer(kExamples);
  CLI::App* certificates = app.add_subcommand(
      "certificates",
      "Make a private CA, the certificates of the three services, and those of operators");
  certificates
      ->add_option("--out", flags.folder,
                   "Folder for ca, issuer, order, solver and CLIENT, each .crt and .key")
      ->required();
  certificates->add_option("--name", flags.names,
                           "SERVICE=HOST[,HOST...]: further names or addresses of a service; "
                           "its own name and those of loopback it always has");
  certificates->add_option("--client", flags.clients,
                           "DNS name of an operator, as access.grants is to name it");
  certificates->add_option("--days", flags.days, "How long certificates are valid")
      ->check(CLI::Range(1, 3650))
      ->capture_default_str();
  certificates->add_flag(
      "--renew", flags.renew,
      "Keep the CA in --out and make every certificate in it anew; add those "
      "that are asked for");
  CLI::App* token = app.add_subcommand(
      "token", "Make a bearer token, and show it once with what the configuration needs");
  token->add_option("NAME", flags.token_name, "A DNS label; access.grants names it token:NAME")
      ->required();
  CLI11_PARSE(app, argc, argv);
  return certificates->parsed() ? RunCertificates(flags) : RunToken(flags);
}

}  // namespace
}  // namespace certwright::cli

int main(int argc, char** argv) { return certwright::cli::Main(argc, argv); }
