// FakeWorld: the three real services with our own CA and nameserver, which do what a test asks
// of them, also what real ones do only on bad days; and with proxies between all of them, if
// wanted. For what real peers do, see harness::World.
//
//   CW_ASSERT_OK_AND_ASSIGN(const auto world, FakeWorld::Start({}));
//   CW_ASSERT_OK(world->CreateClusterIssuer(world->MakeClusterIssuer({"example.test"})));
//   world->ca().Inject(Endpoint::kNewOrder, RefuseWith(503, "serverInternal").Times(2));
//   CW_ASSERT_OK(world->CreateCertificate(world->MakeCertificate("www",
//   {"www.example.test"}))); CW_ASSERT_OK(world->WaitUntilReady({"www"}, absl::Seconds(30)));
#pragma once

#include <array>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tests/fakes/ca_server.h"
#include "tests/fakes/dns_server.h"
#include "tests/fakes/fault_proxy.h"
#include "tests/harness/suite.h"
#include "tests/harness/suite_client.h"

namespace certwright::fakes {

struct FakeWorldOptions {
  // Where the CA looks for proofs is filled in, unless it assumes that all is valid.
  CaServerOptions ca = {};
  DnsServerOptions dns = {};
  // Have a proxy between every two services, and one before the CA.
  bool proxies = false;
  // See harness::SuiteOptions.
  std::string folder = {};
  std::string binaries = {};
  std::string certificates = {};
  std::string client = {};
  std::array<std::string, 3> server_config = {};
  std::string acme_config = {};
  std::vector<std::string> dns_allowed_ranges = harness::SuiteOptions().dns_allowed_ranges;
  std::vector<std::string> acme_allowed_ranges = harness::SuiteOptions().acme_allowed_ranges;
  std::array<std::string, 3> extra_config = {};
};

class FakeWorld : public harness::SuiteClient {
 public:
  static absl::StatusOr<std::unique_ptr<FakeWorld>> Start(FakeWorldOptions options);

  CaServer& ca() { return *ca_; }
  DnsServer& dns() { return *dns_; }
  harness::Suite& suite() { return *suite_; }
  // Only with proxies.
  FaultProxy& ca_proxy() { return *ca_proxy_; }
  FaultProxy& proxy(harness::Service from, harness::Service to) {
    return *proxies_.at({from, to});
  }

  // A ClusterIssuer for this world's CA: DNS-01 for `dns_zones`, HTTP-01 for all else.
  issuer::v1::ClusterIssuer MakeClusterIssuer(const std::vector<std::string>& dns_zones = {},
                                              const std::string& name = "fake") const;
  // Stores the TSIG secret and that issuer, and waits until it is Ready.
  absl::Status CreateClusterIssuer(const issuer::v1::ClusterIssuer& issuer);
  // A Certificate of that ClusterIssuer in namespace "default".
  static issuer::v1::Certificate MakeCertificate(const std::string& name,
                                                 const std::vector<std::string>& dns_names,
                                                 const std::string& issuer = "fake") {
    return SuiteClient::MakeCertificate(name, dns_names, issuer);
  }

  // OK if the Secret's chain leads to the CA's root, fits its key and has exactly these names.
  absl::Status VerifySecret(const std::string& secret,
                            const std::vector<std::string>& dns_names);

 private:
  FakeWorld() = default;
  absl::Status StartSuite(const FakeWorldOptions& options);

  // The services go before those that they are connected to.
  std::unique_ptr<DnsServer> dns_;
  std::unique_ptr<CaServer> ca_;
  std::unique_ptr<FaultProxy> ca_proxy_;
  std::map<std::pair<harness::Service, harness::Service>, std::unique_ptr<FaultProxy>> proxies_;
  std::unique_ptr<harness::Suite> suite_;
};

}  // namespace certwright::fakes
