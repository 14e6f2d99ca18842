#include "tests/harness/world.h"

#include <sys/stat.h>

#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "lib/base/status_macros.h"
#include "lib/dns/resolver.h"
#include "lib/runtime/run_sync.h"
#include "lib/runtime/thread_pool.h"

namespace certwright::harness {
namespace {

constexpr char kIssuerName[] = "pebble";
constexpr char kTsigSecretName[] = "knot-tsig";

std::string SubFolder(const std::string& folder, const std::string& name) {
  std::string path = absl::StrCat(folder, "/", name);
  mkdir(path.c_str(), 0700);
  return path;
}

}  // namespace

absl::StatusOr<std::unique_ptr<World>> World::Start(WorldOptions options) {
  std::unique_ptr<World> world(new World);
  world->folder_ = options.folder.empty() ? MakeFolder("world") : options.folder;

  KnotOptions knot;
  knot.folder = SubFolder(world->folder_, "knot");
  knot.zones = options.zones;
  if (knot.zones.empty()) knot.zones = {{"example.test", ""}};
  CW_ASSIGN_OR_RETURN(world->knot_, Knot::Start(std::move(knot)));
  const std::string resolver =
      options.resolver.empty() ? world->knot_->address() : options.resolver;

  SuiteOptions suite;
  suite.folder = SubFolder(world->folder_, "suite");
  suite.binaries = options.binaries;
  suite.dns_server = resolver;
  suite.authoritative_port =
      options.authoritative_port != 0 ? options.authoritative_port : world->knot_->port();
  suite.acme_config = options.acme_config;
  suite.certificates = options.certificates;
  suite.client = options.client;
  for (int i = 0; i < 3; ++i) {
    suite.extra_config[i] = options.extra_config[i];
    suite.store_folders[i] = options.store_folders[i];
  }
  if (options.order_workers > 0) {
    absl::StrAppend(&suite.extra_config[static_cast<std::size_t>(Service::kOrder)],
                    "workers: ", options.order_workers, "\n");
  }
  CW_ASSIGN_OR_RETURN(world->suite_, Suite::Start(std::move(suite)));

  PebbleOptions pebble;
  pebble.folder = SubFolder(world->folder_, "pebble");
  pebble.program = options.pebble_program;
  pebble.processors = options.pebble_processors;
  pebble.profiles = options.profiles;
  pebble.alternate_roots = options.alternate_roots;
  pebble.http_port = world->suite_->http01_port();
  pebble.dns_server = resolver;
  pebble.external_accounts = options.external_accounts;
  pebble.nonce_reject_percent = options.nonce_reject_percent;
  pebble.authorization_reuse_percent = options.authorization_reuse_percent;
  CW_ASSIGN_OR_RETURN(world->pebble_, Pebble::Start(std::move(pebble)));
  world->Connect(*world->suite_);
  return world;
}

issuer::v1::ClusterIssuer World::MakeClusterIssuer(
    const std::vector<std::string>& dns_names,
    const std::vector<std::string>& dns_zones) const {
  issuer::v1::ClusterIssuer issuer;
  issuer.mutable_metadata()->set_name(kIssuerName);
  issuer::v1::AcmeIssuer& acme = *issuer.mutable_spec()->mutable_acme();
  acme.set_server(pebble_->directory_url());
  acme.set_email("operator@example.test");
  acme.set_ca_bundle(pebble_->tls_ca_pem());
  issuer::v1::AcmeSolver& http = *acme.add_solvers();
  http.set_name("http");
  http.mutable_http01()->set_self_check_port(suite_->http01_port());
  issuer::v1::AcmeSolver& dns = *acme.add_solvers();
  dns.set_name("dns");
  dns.mutable_selector()->mutable_dns_names()->Assign(dns_names.begin(), dns_names.end());
  dns.mutable_selector()->mutable_dns_zones()->Assign(dns_zones.begin(), dns_zones.end());
  issuer::v1::Rfc2136& rfc2136 = *dns.mutable_dns01()->mutable_rfc2136();
  rfc2136.add_nameservers(knot_->address());
  rfc2136.set_tsig_key_name(knot_->tsig_key_name());
  rfc2136.mutable_tsig_secret_secret_ref()->set_name(kTsigSecretName);
  return issuer;
}

absl::Status World::CreateClusterIssuer(const issuer::v1::ClusterIssuer& issuer) {
  CW_RETURN_IF_ERROR(
      CreateClusterSecret(kTsigSecretName, {{"tsig-secret", knot_->tsig_secret()}}));
  return SuiteClient::CreateClusterIssuer(issuer);
}

issuer::v1::Certificate World::MakeCertificate(const std::string& name,
                                               const std::vector<std::string>& dns_names) {
  return SuiteClient::MakeCertificate(name, dns_names, kIssuerName);
}

std::vector<std::string> World::TxtValues(const std::string& dns_name) {
  runtime::ThreadPool pool(1);
  const auto timers = runtime::MakeAsioTimers(pool.executor(), base::Clock::Real());
  dns::AresDnsResolver resolver(pool.executor(), *timers);
  dns::Query query;
  query.name = absl::StrCat("_acme-challenge.", dns_name);
  query.type = dns::RecordType::kTxt;
  query.servers = {knot_->address()};
  query.recursion_desired = false;
  const auto context = runtime::Context::WithTimeout(base::Clock::Real(), absl::Seconds(5));
  const auto answer = runtime::RunSyncOn(pool.executor(), resolver.Resolve(context, query));
  if (!answer.ok()) return {answer.status().ToString()};
  std::vector<std::string> values;
  for (const dns::Record& record : answer->message.answers) {
    const auto* text = std::get_if<dns::TextData>(&record.data);
    if (text != nullptr) values.push_back(text->text);
  }
  return values;
}

absl::Status World::VerifySecret(const issuer::v1::Secret& secret,
                                 const std::vector<std::string>& dns_names) {
  CW_ASSIGN_OR_RETURN(const std::string root_pem, pebble_->FetchRootPem());
  return harness::VerifySecret(secret, dns_names, root_pem);
}

}  // namespace certwright::harness
