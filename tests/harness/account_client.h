// AccountClient: the calls about the ACME account of one ClusterIssuer, blocking.
//
// Threading: one thread at a time.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "certwright/issuer/v1/account.grpc.pb.h"
#include "tests/harness/suite.h"
#include "tests/harness/suite_client.h"

namespace certwright::harness {

class AccountClient {
 public:
  // The account key's Secret is "<issuer>-account-key". `client` must outlive this.
  AccountClient(const Suite& suite, SuiteClient& client, std::string issuer);

  absl::StatusOr<issuer::v1::Account> Get();
  absl::StatusOr<issuer::v1::Account> RollOver(absl::Duration timeout = absl::Seconds(10));
  absl::Status Deactivate();
  // The values of the account key's Secret.
  absl::StatusOr<std::map<std::string, std::string>> Keys();
  // The issuer's, as DescribeConditions() shows them, or why it cannot be read.
  std::string IssuerConditions();

 private:
  meta::v1::IssuerRef Ref() const;

  SuiteClient& client_;
  const std::string issuer_;
  const std::unique_ptr<issuer::v1::AccountService::Stub> accounts_;
};

}  // namespace certwright::harness
