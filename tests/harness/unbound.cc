#include "tests/harness/unbound.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/substitute.h"
#include "lib/base/status_macros.h"

namespace certwright::harness {
namespace {

constexpr absl::Duration kStartTimeout = absl::Seconds(20);

constexpr char kConfig[] = R"(server:
  interface: 127.0.0.1@$1
  do-ip6: no
  chroot: ""
  username: ""
  directory: "$0"
  pidfile: "$0/unbound.pid"
  use-syslog: no
  do-not-query-localhost: no
  module-config: "iterator"
$2  local-zone: "test." nodefault
remote-control:
  control-enable: no
)";
constexpr char kForgetful[] = "  cache-max-ttl: 0\n  cache-max-negative-ttl: 0\n";

}  // namespace

absl::StatusOr<std::unique_ptr<Unbound>> Unbound::Start(UnboundOptions options) {
  CW_ASSIGN_OR_RETURN(const std::string program, FindProgram("unbound", "unbound"));
  std::unique_ptr<Unbound> unbound(new Unbound);
  unbound->port_ = FreePort();
  std::string config = absl::Substitute(kConfig, options.folder, unbound->port_,
                                        options.remembers ? "" : kForgetful);
  for (const auto& [zone, port] : options.zones) {
    absl::StrAppend(&config, "stub-zone:\n  name: \"", zone, "\"\n  stub-addr: 127.0.0.1@",
                    port, "\n");
  }
  const std::string config_file = options.folder + "/unbound.conf";
  WriteFile(config_file, config);

  ProcessSpec spec;
  spec.name = "unbound";
  spec.arguments = {program, "-d", "-c", config_file};
  spec.log_file = options.folder + "/unbound.log";
  CW_ASSIGN_OR_RETURN(unbound->process_, Process::Start(std::move(spec)));
  CW_RETURN_IF_ERROR(WaitForPort(*unbound->process_, unbound->port_, kStartTimeout));
  return unbound;
}

std::string Unbound::address() const { return absl::StrCat("127.0.0.1:", port_); }

}  // namespace certwright::harness
