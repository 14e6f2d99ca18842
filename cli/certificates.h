// A private CA, and the certificates of the three services and of operators.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace certwright::cli {

struct CertificatesRequest {
  // Made if there is none.
  std::string folder;
  // Host names and addresses that a service is called by, by its name.
  std::map<std::string, std::vector<std::string>> hosts;
  // DNS names of operators.
  std::vector<std::string> clients;
  // Of every certificate but the CA's.
  absl::Duration lifetime;
  // Take the CA that is there, and replace the certificates that it has made.
  bool renew = false;
  absl::Time now;
};

// Makes <folder>/ca.{crt,key} and a <name>.{crt,key} for issuer, order, solver and each client.
// With `renew` the CA stays, every certificate in the folder is made anew with a new key, and
// those that the request does not say the names of keep theirs.
//
// Returns the files that were written. INVALID_ARGUMENT for names that cannot be;
// FAILED_PRECONDITION, with nothing written, if a file exists (without `renew`) or the CA is
// missing (with it).
absl::StatusOr<std::vector<std::string>> MakeCertificates(const CertificatesRequest& request);

}  // namespace certwright::cli
