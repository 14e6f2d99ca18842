// Who calls the services under attack: a private CA, certificates and a token, made by
// certwright-bootstrap.
#pragma once

#include <string>

#include "lib/rpc/tls.h"
#include "tests/attacks/connection.h"
#include "tests/attacks/hpack.h"
#include "tests/harness/suite.h"

namespace certwright::attacks {

// May do everything.
inline constexpr char kAdmin[] = "admin.test";
// A requester in the namespace "team-a"; so is the token.
inline constexpr char kRequester[] = "requester.test";
// Has a certificate and no role.
inline constexpr char kNobody[] = "nobody.test";

class Identities {
 public:
  // In a new folder.
  static Identities Make();

  const std::string& folder() const { return folder_; }
  // As harness::SuiteOptions wants it.
  std::string certificates() const { return folder_ + "/pki"; }
  TlsContext TlsOf(const std::string& name) const {
    return TlsWithCertificate(harness::FilesOf(certificates(), name));
  }
  // The header that shows the token.
  Header Authorization() const { return {"authorization", "Bearer " + token_}; }
  // The "access" section of a service's configuration. With tokens clients need no certificate.
  std::string AccessConfig(bool with_tokens) const;

 private:
  std::string folder_;
  std::string token_;
  std::string token_digest_;
};

}  // namespace certwright::attacks
