#include "tests/fakes/fake_world.h"

#include "absl/strings/str_cat.h"
#include "lib/base/status_macros.h"
#include "tests/harness/process.h"

namespace certwright::fakes {
namespace {

constexpr char kTsigSecretName[] = "fake-tsig";

}  // namespace

absl::StatusOr<std::unique_ptr<FakeWorld>> FakeWorld::Start(FakeWorldOptions options) {
  std::unique_ptr<FakeWorld> world(new FakeWorld);
  world->dns_ = std::make_unique<DnsServer>(options.dns);
  CW_RETURN_IF_ERROR(world->StartSuite(options));
  options.ca.validation.http_address = absl::StrCat("127.0.0.1:", world->suite_->http01_port());
  options.ca.validation.resolver = world->dns_->address();
  CW_ASSIGN_OR_RETURN(world->ca_, CaServer::Start(std::move(options.ca)));
  if (options.proxies) world->ca_proxy_ = std::make_unique<FaultProxy>(world->ca_->port());
  world->Connect(*world->suite_);
  return world;
}

absl::Status FakeWorld::StartSuite(const FakeWorldOptions& options) {
  harness::SuiteOptions suite;
  suite.folder = options.folder.empty() ? harness::MakeFolder("fake-world") : options.folder;
  suite.binaries = options.binaries;
  suite.dns_server = dns_->address();
  suite.authoritative_port = dns_->port();
  suite.acme_config = options.acme_config;
  suite.certificates = options.certificates;
  suite.client = options.client;
  suite.dns_allowed_ranges = options.dns_allowed_ranges;
  suite.acme_allowed_ranges = options.acme_allowed_ranges;
  for (int i = 0; i < 3; ++i) {
    suite.server_config[i] = options.server_config[i];
    suite.extra_config[i] = options.extra_config[i];
  }
  if (options.proxies) {
    suite.peer_port = [this](harness::Service from, harness::Service to, int port) {
      auto& proxy = proxies_[{from, to}];
      if (proxy == nullptr) proxy = std::make_unique<FaultProxy>(port);
      return proxy->port();
    };
  }
  CW_ASSIGN_OR_RETURN(suite_, harness::Suite::Start(std::move(suite)));
  return absl::OkStatus();
}

issuer::v1::ClusterIssuer FakeWorld::MakeClusterIssuer(
    const std::vector<std::string>& dns_zones, const std::string& name) const {
  issuer::v1::ClusterIssuer issuer;
  issuer.mutable_metadata()->set_name(name);
  issuer::v1::AcmeIssuer& acme = *issuer.mutable_spec()->mutable_acme();
  acme.set_server(ca_->directory_url(ca_proxy_ == nullptr ? 0 : ca_proxy_->port()));
  acme.set_email("operator@example.test");
  acme.set_ca_bundle(ca_->tls_ca_pem());
  issuer::v1::AcmeSolver& http = *acme.add_solvers();
  http.set_name("http");
  http.mutable_http01()->set_self_check_port(suite_->http01_port());
  if (dns_zones.empty()) return issuer;
  issuer::v1::AcmeSolver& dns = *acme.add_solvers();
  dns.set_name("dns");
  dns.mutable_selector()->mutable_dns_zones()->Assign(dns_zones.begin(), dns_zones.end());
  issuer::v1::Rfc2136& rfc2136 = *dns.mutable_dns01()->mutable_rfc2136();
  rfc2136.add_nameservers(dns_->address());
  rfc2136.set_tsig_key_name(dns_->tsig_key_name());
  rfc2136.mutable_tsig_secret_secret_ref()->set_name(kTsigSecretName);
  return issuer;
}

absl::Status FakeWorld::CreateClusterIssuer(const issuer::v1::ClusterIssuer& issuer) {
  CW_RETURN_IF_ERROR(
      CreateClusterSecret(kTsigSecretName, {{"tsig-secret", dns_->tsig_secret()}}));
  return SuiteClient::CreateClusterIssuer(issuer);
}

absl::Status FakeWorld::VerifySecret(const std::string& secret,
                                     const std::vector<std::string>& dns_names) {
  CW_ASSIGN_OR_RETURN(const issuer::v1::Secret stored, GetSecret(secret));
  return harness::VerifySecret(stored, dns_names, ca_->root_pem());
}

}  // namespace certwright::fakes
