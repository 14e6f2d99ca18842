// What an audit log is told of a call.
#pragma once

#include <string>

#include "absl/status/status.h"

namespace certwright::rpc {

// Strings from the network are as they came, and of any length.
struct AuditRecord {
  // Full name: "certwright.issuer.v1.SecretService.GetSecret".
  std::string method;
  std::string caller;
  // "ipv4:192.0.2.1:40000"
  std::string peer;
  // Of the object that the call is about, as far as the request names it.
  std::string resource_namespace;
  std::string name;
  absl::StatusCode code = absl::StatusCode::kOk;
};

// Told of every call that changes something, reads secret values or is refused.
// Threading: from any thread; must not block.
class AuditSink {
 public:
  virtual ~AuditSink() = default;
  virtual void Record(const AuditRecord& record) = 0;
};

}  // namespace certwright::rpc
