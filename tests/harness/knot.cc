#include "tests/harness/knot.h"

#include <openssl/rand.h>
#include <sys/stat.h>

#include <cstdlib>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/substitute.h"
#include "lib/base/status_macros.h"

namespace certwright::harness {
namespace {

constexpr absl::Duration kStartTimeout = absl::Seconds(20);

// zonefile-sync -1 and a journal that holds everything keep updates quick: the zone file is
// never written.
constexpr char kServer[] = R"(server:
    rundir: "$0"
    listen: $1@$2
    pidfile: "$0/knot.pid"
database:
    storage: "$0/db"
log:
  - target: stderr
    any: warning
key:
  - id: $3
    algorithm: hmac-sha256
    secret: $4
acl:
  - id: update
    address: [127.0.0.0/8]
    key: $3
    action: [update, transfer]
)";

constexpr char kRemote[] = R"(remote:
  - id: primary
    address: 127.0.0.1@$0
    key: $1
)";

constexpr char kTemplate[] = R"(template:
  - id: default
    storage: "$0"
    file: "%s.zone"
    zonefile-sync: -1
    zonefile-load: difference-no-serial
    journal-content: all
    acl: update
zone:
)";

// A secondary looks for changes every 3 s, whatever the zone's SOA says.
constexpr char kSecondary[] = R"(    master: primary
    refresh-min-interval: 3
    refresh-max-interval: 3
)";

std::string Configuration(const KnotOptions& options, const Knot& knot) {
  std::string config = absl::Substitute(kServer, options.folder, options.address, knot.port(),
                                        knot.tsig_key_name(), knot.tsig_secret());
  if (options.primary != nullptr) {
    absl::StrAppend(&config, absl::Substitute(kRemote, options.primary->port(),
                                              options.primary->tsig_key_name()));
  }
  absl::StrAppend(&config, absl::Substitute(kTemplate, options.folder));
  for (const KnotZone& zone : options.zones) {
    absl::StrAppend(&config, "  - domain: ", zone.name, "\n");
    if (options.primary != nullptr) absl::StrAppend(&config, kSecondary);
  }
  return config;
}

}  // namespace

std::string LoopbackZone(const std::string& name) {
  return absl::Substitute(
      "$$ORIGIN $0.\n$$TTL 1\n@ SOA ns hostmaster 1 3600 600 86400 1\n@ NS ns\n"
      "ns A 127.0.0.1\n@ A 127.0.0.1\n* A 127.0.0.1\n",
      name);
}

std::string MakeTsigSecret() {
  unsigned char bytes[32];
  if (RAND_bytes(bytes, sizeof bytes) != 1) std::abort();
  return absl::Base64Escape(
      absl::string_view(reinterpret_cast<const char*>(bytes), sizeof bytes));
}

absl::StatusOr<std::unique_ptr<Knot>> Knot::Start(KnotOptions options) {
  CW_ASSIGN_OR_RETURN(const std::string program, FindProgram("knotd", "knot"));
  std::unique_ptr<Knot> knot(new Knot);
  knot->host_ = options.address;
  knot->port_ = options.port != 0 ? options.port : FreePort();
  knot->tsig_key_name_ = "certwright-key";
  knot->tsig_secret_ =
      options.primary == nullptr ? MakeTsigSecret() : options.primary->tsig_secret();
  // Without this folder Knot answers every update with SERVFAIL.
  mkdir((options.folder + "/db").c_str(), 0700);
  for (const KnotZone& zone : options.zones) {
    // A secondary gets its zones from the primary.
    if (options.primary != nullptr) continue;
    WriteFile(absl::StrCat(options.folder, "/", zone.name, ".zone"),
              zone.text.empty() ? LoopbackZone(zone.name) : zone.text);
  }
  const std::string config_file = options.folder + "/knot.conf";
  WriteFile(config_file, Configuration(options, *knot));

  ProcessSpec spec;
  spec.name = "knotd";
  spec.arguments = {program, "-c", config_file};
  spec.log_file = options.folder + "/knot.log";
  CW_ASSIGN_OR_RETURN(knot->process_, Process::Start(std::move(spec)));
  CW_RETURN_IF_ERROR(WaitForPort(*knot->process_, knot->port_, kStartTimeout));
  return knot;
}

std::string Knot::address() const { return absl::StrCat(host_, ":", port_); }

}  // namespace certwright::harness
