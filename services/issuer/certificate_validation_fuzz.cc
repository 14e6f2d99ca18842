// Certificates, CertificateRequests and Secrets as users hand them in.
#include <utility>

#include "google/protobuf/util/message_differencer.h"
#include "lib/base/fuzz.h"
#include "lib/base/fuzz_message.h"
#include "lib/pki/csr.h"
#include "lib/pki/key.h"
#include "services/issuer/certificate_validation.h"

namespace certwright::issuer_service {
namespace {

using ::google::protobuf::util::MessageDifferencer;

const pki::PrivateKey& Key() {
  static const pki::PrivateKey& key =
      *new pki::PrivateKey(*pki::PrivateKey::Generate({pki::KeyAlgorithm::kEd25519, 0}));
  return key;
}

// What was accepted can be asked of a CA.
void CheckAccepted(const issuer::v1::Certificate& certificate) {
  const issuer::v1::CertificateSpec& spec = certificate.spec();
  pki::CsrSpec wanted = CsrSpecOf(spec);
  // It fits the key that the spec asks for, which is not this one.
  wanted.signature_algorithm.clear();
  const absl::StatusOr<std::string> pem = pki::CreateCsrPem(wanted, Key());
  CW_FUZZ_CHECK(pem.ok());
  const absl::StatusOr<pki::Csr> csr = pki::ParseCsrPem(*pem);
  CW_FUZZ_CHECK(csr.ok() && AsksForSubjectOf(spec, *csr));
  CW_FUZZ_CHECK(!wanted.literal_subject.empty() || csr->subject == wanted.subject);
  CW_FUZZ_CHECK(csr->names == *pki::NormalizeNames(wanted.names));
  CW_FUZZ_CHECK(!csr->names.empty() || !csr->subject.common_name.empty());
}

void CheckAccepted(const issuer::v1::CertificateRequest& request) {
  CW_FUZZ_CHECK(pki::ParseCsrPem(request.spec().request()).ok());
}

void CheckAccepted(const issuer::v1::Secret& secret) {
  CW_FUZZ_CHECK(!secret.type().empty() && secret.ByteSizeLong() <= 2 << 20);
}

template <typename T>
void Check(absl::string_view text, void (*validate)(T&, rpc::Violations&)) {
  T message;
  if (!base::ReadFuzzMessage(text, message)) return;
  rpc::Violations violations;
  validate(message, violations);
  CW_FUZZ_CHECK(violations.empty() == violations.ToStatus().ok());
  if (!violations.empty()) return;
  CheckAccepted(message);
  T again = message;
  validate(again, violations);
  CW_FUZZ_CHECK(violations.empty() && MessageDifferencer::Equals(again, message));
}

}  // namespace
}  // namespace certwright::issuer_service

CW_FUZZ_TARGET(input) {
  using namespace certwright::issuer_service;
  Check<certwright::issuer::v1::Certificate>(input, ValidateCertificate);
  Check<certwright::issuer::v1::CertificateRequest>(input, ValidateCertificateRequest);
  Check<certwright::issuer::v1::Secret>(input, ValidateSecret);
}
