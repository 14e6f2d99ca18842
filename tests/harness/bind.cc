#include "tests/harness/bind.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/substitute.h"
#include "lib/base/status_macros.h"

namespace certwright::harness {
namespace {

constexpr absl::Duration kStartTimeout = absl::Seconds(20);

constexpr char kConfig[] = R"(options {
  directory "$0";
  managed-keys-directory "$0";
  session-keyfile "$0/session.key";
  pid-file "$0/named.pid";
  listen-on port $1 { 127.0.0.1; };
  listen-on-v6 { none; };
  recursion no;
  dnssec-validation no;
};
controls { };
key "$2" { algorithm hmac-sha256; secret "$3"; };
)";

constexpr char kZone[] = R"(zone "$0" {
  type primary;
  file "$1/$0.zone";
  allow-update { key "$2"; };
};
)";

}  // namespace

absl::StatusOr<std::unique_ptr<Bind>> Bind::Start(BindOptions options) {
  CW_ASSIGN_OR_RETURN(const std::string program, FindProgram("named", "bind9"));
  std::unique_ptr<Bind> bind(new Bind);
  bind->port_ = FreePort();
  bind->tsig_secret_ = MakeTsigSecret();
  std::string config = absl::Substitute(kConfig, options.folder, bind->port_,
                                        bind->tsig_key_name_, bind->tsig_secret_);
  for (const KnotZone& zone : options.zones) {
    absl::StrAppend(&config,
                    absl::Substitute(kZone, zone.name, options.folder, bind->tsig_key_name_));
    WriteFile(absl::StrCat(options.folder, "/", zone.name, ".zone"),
              zone.text.empty() ? LoopbackZone(zone.name) : zone.text);
  }
  const std::string config_file = options.folder + "/named.conf";
  WriteFile(config_file, config);

  ProcessSpec spec;
  spec.name = "named";
  spec.arguments = {program, "-c", config_file, "-g"};
  spec.log_file = options.folder + "/named.log";
  CW_ASSIGN_OR_RETURN(bind->process_, Process::Start(std::move(spec)));
  CW_RETURN_IF_ERROR(WaitForPort(*bind->process_, bind->port_, kStartTimeout));
  return bind;
}

std::string Bind::address() const { return absl::StrCat("127.0.0.1:", port_); }

}  // namespace certwright::harness
