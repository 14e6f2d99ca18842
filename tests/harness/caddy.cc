#include "tests/harness/caddy.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/substitute.h"
#include "lib/base/status_macros.h"
#include "lib/pki/test_ca.h"
#include "tests/harness/fetch.h"

namespace certwright::harness {
namespace {

constexpr absl::Duration kStartTimeout = absl::Seconds(60);

// No port but the one: neither the one for administration, nor 80 for redirects, nor QUIC.
constexpr char kConfig[] = R"({
  "admin": {"disabled": true, "config": {"persist": false}},
  "storage": {"module": "file_system", "root": "$0/storage"},
  "apps": {
    "pki": {"certificate_authorities": {"local": {
      "install_trust": false,
      "root": {"certificate": "$0/root.crt", "private_key": "$0/root.key"}
    }}},
    "tls": {"automation": {"policies": [
      {"subjects": ["localhost"], "issuers": [{"module": "internal"}]}
    ]}},
    "http": {"servers": {"acme": {
      "listen": ["127.0.0.1:$1"],
      "protocols": ["h1", "h2"],
      "automatic_https": {"disable_redirects": true},
      "tls_connection_policies": [{}],
      "routes": [{
        "match": [{"host": ["localhost"]}],
        "handle": [{"handler": "acme_server", "ca": "local"}]
      }]
    }}}
  }
})";

}  // namespace

absl::StatusOr<std::unique_ptr<Caddy>> Caddy::Start(const std::string& folder) {
  CW_ASSIGN_OR_RETURN(const std::string program, FindProgram("caddy", "caddy"));
  std::unique_ptr<Caddy> caddy(new Caddy);
  caddy->port_ = FreePort();

  const pki::TestCa root("Caddy Root");
  caddy->root_pem_ = root.certificate().Pem();
  WriteFile(folder + "/root.crt", caddy->root_pem_);
  WriteFile(folder + "/root.key", std::string(root.key().ToPem().Reveal()));
  const std::string config_file = folder + "/caddy.json";
  WriteFile(config_file, absl::Substitute(kConfig, folder, caddy->port_));

  ProcessSpec spec;
  spec.name = "caddy";
  spec.arguments = {program, "run", "--config", config_file};
  // Where it keeps its ACME accounts and orders; and Go's own resolver, which asks what
  // /etc/resolv.conf names and nothing else.
  spec.environment = {{"XDG_DATA_HOME", folder + "/data"},
                      {"XDG_CONFIG_HOME", folder + "/config"},
                      {"GODEBUG", "netdns=go"}};
  spec.log_file = folder + "/caddy.log";
  CW_ASSIGN_OR_RETURN(caddy->process_, Process::Start(std::move(spec)));
  CW_RETURN_IF_ERROR(
      WaitForAnswer(*caddy->process_, caddy->directory_url(), caddy->root_pem_, kStartTimeout));
  return caddy;
}

std::string Caddy::directory_url() const {
  return absl::StrCat("https://localhost:", port_, "/acme/local/directory");
}

}  // namespace certwright::harness
