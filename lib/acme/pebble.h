// Pebble: the CA that Let's Encrypt made for testing clients, as a child process.
//
// It is found in PATH (package "pebble"), or named by the variable PEBBLE_PROGRAM.
#pragma once

#include <sys/types.h>

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/pki/self_signed.h"

namespace certwright::acme {

class Pebble {
 public:
  // Starts it on free ports of 127.0.0.1, with these variables beside PEBBLE_VA_ALWAYS_VALID
  // and PEBBLE_VA_NOSLEEP. It takes a moment until it answers.
  static absl::StatusOr<Pebble> Start(std::map<std::string, std::string> environment);

  Pebble(Pebble&& other) noexcept;
  Pebble(const Pebble&) = delete;
  Pebble& operator=(const Pebble&) = delete;
  Pebble& operator=(Pebble&&) = delete;
  ~Pebble();

  const std::string& directory_url() const { return directory_url_; }
  const std::string& management_url() const { return management_url_; }
  // What to trust as the issuer of its TLS certificate.
  const std::string& ca_bundle_pem() const { return ca_bundle_pem_; }
  // Whether the process has ended by itself, as when a port was taken in the meantime.
  bool HasExited();

 private:
  Pebble() = default;

  pid_t pid_ = -1;
  std::string folder_;
  std::string directory_url_;
  std::string management_url_;
  std::string ca_bundle_pem_;
};

}  // namespace certwright::acme
