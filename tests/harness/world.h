// World: a CA, a nameserver and the three services, wired together: what a certificate needs.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "tests/harness/knot.h"
#include "tests/harness/pebble.h"
#include "tests/harness/suite.h"
#include "tests/harness/suite_client.h"

namespace certwright::harness {

struct WorldOptions {
  // Made if empty.
  std::string folder;
  // See SuiteOptions.
  std::string binaries;
  std::string store_folders[3];
  // Zones that Knot serves; default: example.test, every name at 127.0.0.1.
  std::vector<KnotZone> zones;
  int nonce_reject_percent = -1;
  int authorization_reuse_percent = -1;
  std::map<std::string, std::string> external_accounts;
  std::string pebble_program = "pebble";
  // See PebbleOptions.
  int pebble_processors = 1;
  std::map<std::string, absl::Duration> profiles;
  int alternate_roots = 0;
  // Orders that the order service works on at once; 0: its default. Pebble (2.4.0 and 2.10.1)
  // may lock up for good when two newOrders meet, on a busy machine even if it has but one
  // processor, so no two are on their way at once.
  int order_workers = 1;
  // "address:port" of another resolver for Pebble and the self-checks; empty: Knot.
  std::string resolver;
  // Port at which nameservers of zones are asked; 0: Knot's.
  int authoritative_port = 0;
  // See SuiteOptions.
  std::string acme_config;
  std::string certificates;
  std::string client;
  // Appended to a service's configuration.
  std::string extra_config[3];
};

class World : public SuiteClient {
 public:
  static absl::StatusOr<std::unique_ptr<World>> Start(WorldOptions options);

  Pebble& pebble() { return *pebble_; }
  Knot& knot() { return *knot_; }
  Suite& suite() { return *suite_; }
  const std::string& folder() const { return folder_; }

  // The ClusterIssuer "pebble" of this world: HTTP-01 for what no zone in `dns_names` names,
  // DNS-01 through Knot for the names and zones in it.
  issuer::v1::ClusterIssuer MakeClusterIssuer(const std::vector<std::string>& dns_names,
                                              const std::vector<std::string>& dns_zones) const;
  // Stores the TSIG secret and that issuer, and waits until it is Ready.
  absl::Status CreateClusterIssuer(const issuer::v1::ClusterIssuer& issuer);

  // A Certificate of the ClusterIssuer "pebble" in namespace "default".
  static issuer::v1::Certificate MakeCertificate(const std::string& name,
                                                 const std::vector<std::string>& dns_names);

  // The TXT values that Knot has for the DNS-01 proof of a name, without "*.".
  std::vector<std::string> TxtValues(const std::string& dns_name);

  // OK if the Secret's chain leads to Pebble's root, fits its key and has exactly these names.
  absl::Status VerifySecret(const issuer::v1::Secret& secret,
                            const std::vector<std::string>& dns_names);

 private:
  World() = default;

  std::string folder_;
  std::unique_ptr<Knot> knot_;
  std::unique_ptr<Suite> suite_;
  std::unique_ptr<Pebble> pebble_;
};

}  // namespace certwright::harness
