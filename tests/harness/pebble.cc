#include "tests/harness/pebble.h"

#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "boost/json/array.hpp"
#include "boost/json/object.hpp"
#include "boost/json/parse.hpp"
#include "boost/json/serialize.hpp"
#include "lib/base/status_macros.h"
#include "lib/pki/test_ca.h"
#include "tests/harness/fetch.h"

namespace certwright::harness {
namespace {

constexpr absl::Duration kStartTimeout = absl::Seconds(20);

std::string Config(const PebbleOptions& options, int port, int management_port) {
  boost::json::object pebble;
  pebble["listenAddress"] = absl::StrCat("127.0.0.1:", port);
  pebble["managementListenAddress"] = absl::StrCat("127.0.0.1:", management_port);
  pebble["certificate"] = options.folder + "/pebble.crt";
  pebble["privateKey"] = options.folder + "/pebble.key";
  pebble["httpPort"] = options.http_port;
  pebble["tlsPort"] = FreePort();
  pebble["certificateValidityPeriod"] = 7776000;
  boost::json::array blocked(options.blocked_domains.begin(), options.blocked_domains.end());
  pebble["domainBlocklist"] = std::move(blocked);
  if (options.retry_after > absl::ZeroDuration()) {
    const int64_t seconds = absl::ToInt64Seconds(options.retry_after);
    pebble["retryAfter"] = {{"authz", seconds}, {"order", seconds}};
  }
  boost::json::object profiles;
  for (const auto& [name, validity] : options.profiles) {
    profiles[name] = {{"description", name},
                      {"validityPeriod", absl::ToInt64Seconds(validity)}};
  }
  if (!profiles.empty()) pebble["profiles"] = std::move(profiles);
  if (!options.external_accounts.empty()) {
    pebble["externalAccountBindingRequired"] = true;
    boost::json::object& keys = pebble["externalAccountMACKeys"].emplace_object();
    for (const auto& [id, key] : options.external_accounts) keys[id] = key;
  }
  boost::json::object root;
  root["pebble"] = std::move(pebble);
  return boost::json::serialize(root);
}

std::map<std::string, std::string> Environment(const PebbleOptions& options) {
  std::map<std::string, std::string> environment;
  environment["PEBBLE_VA_NOSLEEP"] = "1";
  environment["PEBBLE_CHAIN_LENGTH"] = absl::StrCat(options.intermediates);
  environment["PEBBLE_ALTERNATE_ROOTS"] = absl::StrCat(options.alternate_roots);
  if (options.always_valid) environment["PEBBLE_VA_ALWAYS_VALID"] = "1";
  if (options.processors > 0) environment["GOMAXPROCS"] = absl::StrCat(options.processors);
  if (options.nonce_reject_percent >= 0) {
    environment["PEBBLE_WFE_NONCEREJECT"] = absl::StrCat(options.nonce_reject_percent);
  }
  if (options.authorization_reuse_percent >= 0) {
    environment["PEBBLE_AUTHZREUSE"] = absl::StrCat(options.authorization_reuse_percent);
  }
  return environment;
}

absl::StatusOr<std::string> FindPebble(const PebbleOptions& options) {
  const char* named = std::getenv("PEBBLE_PROGRAM");
  const bool use_named =
      options.program == PebbleOptions().program && named != nullptr && *named != '\0';
  auto program = FindProgram(use_named ? named : options.program, "pebble");
  if (absl::IsNotFound(program.status()) && options.program == kNewestPebble) {
    return absl::NotFoundError(
        "the newest Pebble is missing: ./test bazel puts it into .tools/bin");
  }
  return program;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Pebble>> Pebble::Start(PebbleOptions options) {
  CW_ASSIGN_OR_RETURN(const std::string program, FindPebble(options));
  std::unique_ptr<Pebble> pebble(new Pebble);
  pebble->port_ = options.port != 0 ? options.port : FreePort();
  pebble->management_port_ = FreePort();

  const pki::TestCa ca("Pebble TLS");
  pki::SubjectAltNames names;
  names.dns_names = {"localhost"};
  names.ip_addresses = {"127.0.0.1"};
  const pki::TestIdentity identity = ca.Issue(names);
  WriteFile(options.folder + "/pebble.crt", identity.chain_pem);
  WriteFile(options.folder + "/pebble.key", identity.key_pem);
  const std::string config_file = options.folder + "/pebble.json";
  WriteFile(config_file, Config(options, pebble->port_, pebble->management_port_));
  pebble->tls_ca_pem_ = ca.root().Pem();

  ProcessSpec spec;
  spec.name = "pebble";
  spec.arguments = {program, "-config", config_file, "-strict"};
  if (!options.dns_server.empty()) {
    spec.arguments.insert(spec.arguments.end(), {"-dnsserver", options.dns_server});
  }
  spec.environment = Environment(options);
  spec.log_file = options.folder + "/pebble.log";
  CW_ASSIGN_OR_RETURN(pebble->process_, Process::Start(std::move(spec)));
  CW_RETURN_IF_ERROR(WaitForPort(*pebble->process_, pebble->port_, kStartTimeout));
  CW_RETURN_IF_ERROR(WaitForPort(*pebble->process_, pebble->management_port_, kStartTimeout));
  return pebble;
}

std::string Pebble::directory_url() const {
  return absl::StrCat("https://localhost:", port_, "/dir");
}

absl::StatusOr<std::string> Pebble::FetchRootPem(int number) const {
  return Manage(absl::StrCat("/roots/", number));
}

absl::Status Pebble::SuggestRenewal(const std::string& certificate_pem, absl::Time start,
                                    absl::Time end) const {
  const auto format = [](absl::Time time) {
    return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", time, absl::UTCTimeZone());
  };
  boost::json::object answer;
  answer["suggestedWindow"] = {{"start", format(start)}, {"end", format(end)}};
  answer["explanationURL"] = "https://ca.test/why";
  boost::json::object body;
  body["certificate"] = certificate_pem;
  body["ariResponse"] = boost::json::serialize(answer);
  return Manage("/set-renewal-info/", boost::json::serialize(body)).status();
}

absl::StatusOr<std::string> Pebble::FetchCertificateStatus(const std::string& serial) const {
  CW_ASSIGN_OR_RETURN(const std::string body,
                      Manage(absl::StrCat("/cert-status-by-serial/", serial)));
  boost::system::error_code error;
  const boost::json::value answer = boost::json::parse(body, error);
  const boost::json::value* status =
      answer.is_object() ? answer.as_object().if_contains("Status") : nullptr;
  if (status == nullptr || !status->is_string()) {
    return absl::InternalError("pebble does not say the status of the certificate");
  }
  return std::string(status->as_string());
}

absl::StatusOr<std::string> Pebble::Manage(const std::string& path, std::string body) const {
  return Fetch(absl::StrCat("https://localhost:", management_port_, path), tls_ca_pem_,
               std::move(body));
}

}  // namespace certwright::harness
