// SuiteClient: the calls that a user of the three services makes, blocking.
//
// Threading: one thread at a time.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "certwright/issuer/v1/certificate.grpc.pb.h"
#include "certwright/issuer/v1/issuer.grpc.pb.h"
#include "certwright/issuer/v1/secret.grpc.pb.h"
#include "certwright/order/v1/order.grpc.pb.h"
#include "certwright/solver/v1/challenge.grpc.pb.h"
#include "tests/harness/suite.h"

namespace certwright::harness {

class SuiteClient {
 public:
  // A Secret for the ClusterIssuers; OK also if there is one of that name.
  absl::Status CreateClusterSecret(const std::string& name,
                                   const std::map<std::string, std::string>& data);
  // Waits until it is Ready.
  absl::Status CreateClusterIssuer(const issuer::v1::ClusterIssuer& issuer);
  // Waits on a Watch until it is Ready, also through restarts of the issuer service.
  absl::Status WaitForClusterIssuer(const std::string& name, absl::Duration timeout);

  // A Certificate of that ClusterIssuer in namespace "default", for the Secret NAME-tls.
  static issuer::v1::Certificate MakeCertificate(const std::string& name,
                                                 const std::vector<std::string>& dns_names,
                                                 const std::string& issuer);
  absl::Status CreateCertificate(const issuer::v1::Certificate& certificate);

  // Waits on a Watch until each of them is Ready. The error says why those that are not are
  // not.
  absl::Status WaitUntilReady(const std::vector<std::string>& names, absl::Duration timeout);

  absl::StatusOr<issuer::v1::Certificate> GetCertificate(const std::string& name);
  absl::StatusOr<issuer::v1::Secret> GetSecret(const std::string& name);
  absl::StatusOr<std::vector<order::v1::Order>> TryListOrders();
  absl::StatusOr<std::vector<solver::v1::Challenge>> TryListChallenges();
  // Tries again when the service is killed under the call; fails the test when nobody else has
  // started it again within a minute.
  std::vector<order::v1::Order> ListOrders();
  std::vector<solver::v1::Challenge> ListChallenges();

  issuer::v1::CertificateService::Stub& certificates() { return *certificates_; }
  issuer::v1::IssuerService::Stub& issuers() { return *issuers_; }
  issuer::v1::SecretService::Stub& secrets() { return *secrets_; }
  order::v1::OrderService::Stub& orders() { return *orders_; }
  solver::v1::ChallengeService::Stub& challenges() { return *challenges_; }

 protected:
  SuiteClient() = default;
  // Before any call.
  void Connect(const Suite& suite);

 private:
  std::unique_ptr<issuer::v1::CertificateService::Stub> certificates_;
  std::unique_ptr<issuer::v1::IssuerService::Stub> issuers_;
  std::unique_ptr<issuer::v1::SecretService::Stub> secrets_;
  std::unique_ptr<order::v1::OrderService::Stub> orders_;
  std::unique_ptr<solver::v1::ChallengeService::Stub> challenges_;
};

// OK if the Secret's chain leads to the root, fits its key and has exactly these names.
absl::Status VerifySecret(const issuer::v1::Secret& secret,
                          const std::vector<std::string>& dns_names,
                          const std::string& root_pem);

// For a blocking call: a context with a deadline of 10 s.
std::unique_ptr<grpc::ClientContext> MakeContext(absl::Duration timeout = absl::Seconds(10));

// OK, or code and message of `status`.
absl::Status FromGrpc(const grpc::Status& status);

// "Ready=False IssuerNotReady: …" of a resource's conditions, for messages.
std::string DescribeConditions(
    const google::protobuf::RepeatedPtrField<meta::v1::Condition>& conditions);

}  // namespace certwright::harness
