#include "lib/rpc/caller_certificates.h"

#include <openssl/pem.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "grpc/grpc_security_constants.h"
#include "lib/base/status_macros.h"

namespace certwright::rpc {
namespace {

// As many callers at least are remembered.
constexpr std::size_t kRemembered = 64;
// A caller may send certificates that nobody needs, other ones with each connection.
constexpr std::size_t kMaxChainBytes = 32 << 10;

absl::string_view PropertyOf(const grpc::AuthContext& context, const char* name) {
  const std::vector<grpc::string_ref> values = context.FindPropertyValues(name);
  return values.empty() ? absl::string_view()
                        : absl::string_view(values.front().data(), values.front().size());
}

absl::Status CheckValidity(const CertificateFacts& certificate, absl::Time now) {
  if (now < certificate.not_before) {
    return absl::UnauthenticatedError("the client certificate is not valid yet");
  }
  if (now > certificate.not_after) {
    return absl::UnauthenticatedError(absl::StrCat(
        "the client certificate has expired at ",
        absl::FormatTime(absl::RFC3339_sec, certificate.not_after, absl::UTCTimeZone())));
  }
  return absl::OkStatus();
}

}  // namespace

CallerCertificates::CallerCertificates(Source source, const base::Clock& clock)
    : source_(std::move(source)), clock_(clock), chains_(kRemembered) {}

absl::StatusOr<std::shared_ptr<const CallerCertificates>> CallerCertificates::Follow(
    const TlsFiles& files, const base::Clock& clock) {
  CW_ASSIGN_OR_RETURN(TlsCopies copies, FollowTlsFiles(files));
  return std::make_shared<const CallerCertificates>(std::move(copies.revocations), clock);
}

absl::Status CallerCertificates::Check(const grpc::AuthContext& context) const {
  if (!context.IsPeerAuthenticated()) return absl::OkStatus();
  const absl::string_view leaf = PropertyOf(context, GRPC_X509_PEM_CERT_PROPERTY_NAME);
  const absl::string_view sent = PropertyOf(context, GRPC_X509_PEM_CERT_CHAIN_PROPERTY_NAME);
  if (leaf.size() + sent.size() > kMaxChainBytes) {
    return absl::UnauthenticatedError("the client's certificates are over 32 KiB");
  }
  CW_ASSIGN_OR_RETURN(const Chain chain, chains_.Get(absl::StrCat(leaf, sent), &Parse));
  CW_RETURN_IF_ERROR(CheckValidity(chain->front(), clock_.Now()));
  const std::shared_ptr<const Revocations> revocations = source_();
  if (revocations == nullptr) return absl::OkStatus();
  for (const CertificateFacts& certificate : *chain) {
    CW_RETURN_IF_ERROR(revocations->Check(certificate));
  }
  return absl::OkStatus();
}

absl::StatusOr<CallerCertificates::Chain> CallerCertificates::Parse(const std::string& pem) {
  const pki::OpensslErrorScope errors;
  auto chain = std::make_shared<std::vector<CertificateFacts>>();
  const pki::OpensslPtr<BIO> bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  while (X509* next = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) {
    chain->emplace_back(pki::OpensslPtr<X509>(next));
  }
  // gRPC has made the text of certificates that OpenSSL has verified.
  if (chain->empty()) return absl::UnauthenticatedError("the client certificate is missing");
  return Chain(std::move(chain));
}

}  // namespace certwright::rpc
