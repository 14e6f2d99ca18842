#include "lib/service/peers.h"

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "lib/base/status_macros.h"
#include "lib/rpc/channel.h"

namespace certwright::service {
namespace {

constexpr char kAddressRule[] = "must be \"host:port\", for example \"127.0.0.1:7001\"";

bool IsHostPort(const std::string& address) {
  const std::size_t colon = address.rfind(':');
  int port = -1;
  return colon != std::string::npos && colon > 0 &&
         absl::SimpleAtoi(address.substr(colon + 1), &port) && port >= 0 && port <= 65535;
}

void ValidateTls(const config::v1::Tls& tls, const std::string& field,
                 std::vector<std::string>& problems) {
  const auto require = [&](const std::string& value, const char* name) {
    if (value.empty()) problems.push_back(absl::StrCat(field, ".tls.", name, ": is required"));
  };
  require(tls.certificate_file(), "certificateFile");
  require(tls.private_key_file(), "privateKeyFile");
  require(tls.ca_file(), "caFile");
}

}  // namespace

absl::StatusOr<std::shared_ptr<grpc::Channel>> MakePeerChannel(const config::v1::Peer& peer) {
  rpc::ChannelOptions options;
  options.address = peer.address();
  options.tls = ToTlsFiles(peer.has_tls(), peer.tls());
  options.server_name = peer.server_name();
  return rpc::MakeChannel(options);
}

std::optional<rpc::TlsFiles> ToTlsFiles(bool present, const config::v1::Tls& tls) {
  if (!present) return std::nullopt;
  return rpc::TlsFiles{tls.certificate_file(), tls.private_key_file(), tls.ca_file(),
                       tls.crl_file(), tls.denied_fingerprints_file()};
}

bool IsLoopbackAddress(const std::string& address) {
  const std::string host = address.substr(0, address.rfind(':'));
  // Digits and dots only: "127.example.com" is a name, which may lead anywhere.
  return host == "localhost" || host == "[::1]" ||
         (absl::StartsWith(host, "127.") &&
          host.find_first_not_of("0123456789.") == std::string::npos);
}

std::vector<std::string> ValidateServer(const config::v1::Server& server) {
  std::vector<std::string> problems;
  if (server.listen().empty()) {
    problems.push_back("server.listen: is required");
  } else if (!IsHostPort(server.listen())) {
    problems.push_back(absl::StrCat("server.listen: ", kAddressRule));
  } else if (!server.has_tls() && !server.insecure_plaintext() &&
             !IsLoopbackAddress(server.listen())) {
    problems.push_back(
        "server.listen: is not a loopback address, so server.tls is required (or "
        "server.insecurePlaintext, where the network itself keeps strangers out)");
  }
  for (const auto& [value, name] : {std::pair(server.health_listen(), "healthListen"),
                                    std::pair(server.metrics_listen(), "metricsListen")}) {
    if (!value.empty() && !IsHostPort(value)) {
      problems.push_back(absl::StrCat("server.", name, ": ", kAddressRule));
    }
  }
  if (server.has_tls()) ValidateTls(server.tls(), "server", problems);
  return problems;
}

std::vector<std::string> ValidatePeer(const config::v1::Peer& peer, const std::string& field) {
  std::vector<std::string> problems;
  if (peer.address().empty()) {
    problems.push_back(absl::StrCat(field, ".address: is required"));
  } else if (!peer.has_tls() && !peer.insecure_plaintext() &&
             !IsLoopbackAddress(peer.address())) {
    problems.push_back(absl::StrCat(field, ".address: is not a loopback address, so ", field,
                                    ".tls is required (or ", field,
                                    ".insecurePlaintext, where the network itself keeps "
                                    "strangers out)"));
  }
  if (peer.has_tls()) ValidateTls(peer.tls(), field, problems);
  for (const auto& [value, name] :
       {std::pair(peer.tls().crl_file(), "crlFile"),
        std::pair(peer.tls().denied_fingerprints_file(), "deniedFingerprintsFile")}) {
    if (!value.empty()) {
      problems.push_back(absl::StrCat(field, ".tls.", name, ": is for server.tls only"));
    }
  }
  return problems;
}

}  // namespace certwright::service
