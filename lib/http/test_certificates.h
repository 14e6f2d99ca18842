// Certificates for tests: a P-256 authority and server certificates signed by it, made anew
// in each process.
#pragma once

#include <string>
#include <vector>

#include "openssl/types.h"

namespace certwright::http {

struct TestCertificate {
  std::string certificate_pem;
  std::string key_pem;
};

class TestAuthority {
 public:
  TestAuthority();
  ~TestAuthority();
  TestAuthority(const TestAuthority&) = delete;
  TestAuthority& operator=(const TestAuthority&) = delete;

  const std::string& certificate_pem() const { return certificate_pem_; }

  // `alternative_names` as OpenSSL writes them: "DNS:localhost,IP:127.0.0.1". Valid from a day
  // ago, for `days` from then on.
  TestCertificate Issue(const std::string& alternative_names, int days = 30) const;

 private:
  EVP_PKEY* key_;
  X509* certificate_;
  std::string certificate_pem_;
};

}  // namespace certwright::http
