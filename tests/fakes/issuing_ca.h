// IssuingCa: the keys of a fake CA: an intermediate that signs leaves, under one root or,
// cross-signed, under several. And the chains that it hands out, right or wrong.
//
// Threading: immutable; any thread.
#pragma once

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "lib/pki/csr.h"
#include "lib/pki/test_ca.h"
#include "tests/fakes/behaviour.h"

namespace certwright::fakes {

struct IssuedLeaf {
  std::string der;
  // RFC 9773 §4.1.
  std::string cert_id;
  absl::Time not_before;
  absl::Time not_after;
};

class IssuingCa {
 public:
  explicit IssuingCa(int alternate_roots);

  IssuedLeaf Issue(const pki::Csr& csr, absl::Duration lifetime, absl::Duration backdating,
                   ChainVariant variant) const;
  // As application/pem-certificate-chain; `root` 0 is the default chain's.
  std::string Chain(const std::string& leaf_der, std::size_t root, ChainVariant variant) const;

  std::size_t roots() const { return issuers_.size(); }
  std::string RootPem(std::size_t root) const { return issuers_[root].root().Pem(); }

 private:
  // The same intermediate key, certified by each root.
  std::vector<pki::TestCa> issuers_;
  // base64url, as certificates' identifiers begin.
  std::string key_id_;
};

}  // namespace certwright::fakes
