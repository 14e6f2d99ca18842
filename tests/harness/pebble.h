// Pebble: Let's Encrypt's ACME server for tests, as a child process with a TLS certificate
// made on the spot. It validates for real: over HTTP at `http_port` and through `dns_server`.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "tests/harness/process.h"

namespace certwright::harness {

inline constexpr char kNewestPebble[] = "pebble-newest";

struct PebbleOptions {
  // A folder of its own, which exists.
  std::string folder;
  // Default: what the variable PEBBLE_PROGRAM names, if it is set, else Debian's.
  // kNewestPebble is the one that ./test installs.
  std::string program = "pebble";
  // Where it looks for HTTP-01 tokens.
  int http_port = 0;
  // "address:port" of the resolver it asks.
  std::string dns_server;
  // It asks nobody, and every challenge is valid.
  bool always_valid = false;
  // It refuses orders for these names and those below them.
  std::vector<std::string> blocked_domains;
  // What it asks clients to wait between polls; 0: its default. Pebble 2.4.0 does not know it.
  absl::Duration retry_after = absl::ZeroDuration();
  // How long certificates of each profile are valid. Pebble 2.4.0 knows no profiles.
  std::map<std::string, absl::Duration> profiles;
  // CAs between the leaf and the root, and roots beside the first that vouch for it as well.
  int intermediates = 1;
  int alternate_roots = 0;
  // Percent of good nonces that it rejects, and of authorizations it uses again; negative:
  // its defaults, 5 and 50.
  int nonce_reject_percent = -1;
  int authorization_reuse_percent = -1;
  // Processors it may use; 0: all. Pebble 2.4.0 locks its store and an authorization in
  // opposite orders in two newOrders that run in parallel, and when these meet it never answers
  // again (seen once in some runs of 200 certificates at once). On one processor they do not
  // meet.
  int processors = 1;
  // MAC keys (base64url) by identifier: new accounts must be bound to one of them. Empty: none
  // need be.
  std::map<std::string, std::string> external_accounts;
  // A port to listen on, for a restart at the same address; 0: a free one.
  int port = 0;
};

class Pebble {
 public:
  // Returns once it answers.
  static absl::StatusOr<std::unique_ptr<Pebble>> Start(PebbleOptions options);

  std::string directory_url() const;
  // What clients must trust for its TLS.
  const std::string& tls_ca_pem() const { return tls_ca_pem_; }
  // The root that it issues under, or alternate root `number`, from 1. Pebble makes new ones
  // at each start.
  absl::StatusOr<std::string> FetchRootPem(int number = 0) const;
  // What its management interface answers to a GET of `path`, or to a POST if there is a body.
  absl::StatusOr<std::string> Manage(const std::string& path, std::string body = "") const;
  // Lets it suggest this window for the renewal of a certificate (RFC 9773), PEM. Only the
  // newest.
  absl::Status SuggestRenewal(const std::string& certificate_pem, absl::Time start,
                              absl::Time end) const;
  // What it says about a certificate, "Valid" or "Revoked"; `serial` in hexadecimal.
  absl::StatusOr<std::string> FetchCertificateStatus(const std::string& serial) const;
  // How many orders it has placed. Requests that it refused, as those with a nonce it rejected,
  // are none.
  int CountOrders() const { return process_->CountLogLines("Added order "); }
  Process& process() { return *process_; }
  int port() const { return port_; }

 private:
  Pebble() = default;

  std::unique_ptr<Process> process_;
  std::string tls_ca_pem_;
  int port_ = 0;
  int management_port_ = 0;
};

}  // namespace certwright::harness
