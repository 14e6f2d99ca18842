// TestCa: a certification authority for tests, with keys made on the spot.
//
// Every failure inside is a broken test and aborts the process with a message.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "lib/pki/certificate.h"
#include "lib/pki/csr.h"
#include "lib/pki/key.h"
#include "lib/pki/names.h"

namespace certwright::pki {

// 2020-01-01 and 2049-12-31: valid by a FakeClock as well as by the real one.
absl::Time TestNotBefore();
absl::Time TestNotAfter();

struct TestCertificateSpec {
  std::string common_name;
  SubjectAltNames names;
  absl::Time not_before = TestNotBefore();
  absl::Time not_after = TestNotAfter();
  // Big-endian magnitude; empty: random.
  std::string serial;
  std::vector<std::string> usages = {"digital signature", "server auth", "client auth"};
  bool is_ca = false;
};

// What a TLS server or client needs: the leaf followed by its intermediates, and the key.
struct TestIdentity {
  std::string chain_pem;
  std::string key_pem;
};

class TestCa {
 public:
  // A self-signed root.
  explicit TestCa(absl::string_view common_name = "Test Root", KeySpec key = {});

  // `chain` holds the certificate for `key` first and the root last.
  TestCa(PrivateKey key, std::vector<Certificate> chain);

  // A CA whose certificate this one signs.
  TestCa MakeIntermediate(absl::string_view common_name = "Test Intermediate") const;

  Certificate Sign(const PublicKey& key, const TestCertificateSpec& spec) const;
  // The DER of what Sign() makes.
  std::string SignDer(const PublicKey& key, const TestCertificateSpec& spec) const;
  // Sign() for the names, and the key of `csr_pem`; `spec.names` is ignored.
  Certificate SignCsr(absl::string_view csr_pem, TestCertificateSpec spec = {}) const;

  // `leaf`, then this CA and those above it but without the root: what a CA hands out.
  std::vector<Certificate> ChainFor(const Certificate& leaf) const;

  // A new P-256 key and its chain, for these names.
  TestIdentity Issue(const SubjectAltNames& names, absl::Time not_after = TestNotAfter()) const;

  // A CRL of this CA in PEM, which revokes certificates with the serial numbers of `revoked`.
  std::string RevocationList(const std::vector<Certificate>& revoked,
                             absl::Time next_update = TestNotAfter()) const;

  const Certificate& certificate() const { return chain_.front(); }
  const Certificate& root() const { return chain_.back(); }
  const PrivateKey& key() const { return key_; }

 private:
  PrivateKey key_;
  std::vector<Certificate> chain_;
};

}  // namespace certwright::pki
