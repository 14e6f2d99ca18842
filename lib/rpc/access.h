// Who may call what: callers, the roles that a configuration grants them, and a table with one
// rule for every method.
//
// A method is told by the type of its request, which no two methods share, so that a handler
// cannot ask for the rule of another one.
//
// Threading: immutable after Make(); safe from any thread.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"
#include "grpcpp/server_context.h"
#include "lib/rpc/caller_certificates.h"

namespace certwright::rpc {

// The three services, as callers of each other.
enum class ServiceRole { kIssuer, kOrder, kSolver };
// What operators are granted.
enum class Role { kViewer, kRequester, kApprover, kSecretReader, kAdmin };

// "issuer", "secret-reader"
absl::string_view NameOf(ServiceRole role);
absl::string_view NameOf(Role role);

// All namespaces, and what belongs to none.
inline constexpr char kAllNamespaces[] = "*";
// What an empty namespace of an object means.
inline constexpr char kDefaultNamespace[] = "default";

// Where a request says which namespace it is about.
enum class Scope {
  // In `namespace`, or in `metadata.namespace` of the object it carries.
  kNamespace,
  // In `namespace`; if that is empty, it is about all of them.
  kOneOrAllNamespaces,
  // In `namespace`, but nowhere if its `issuer_ref` names a ClusterIssuer.
  kIssuerRef,
  // Nowhere: what it is about belongs to no namespace.
  kCluster,
};

enum class Effect { kReads, kReadsSecrets, kChanges };

// Who may call a method: these services, and who has one of these roles where the request is
// about.
struct Rule {
  std::set<ServiceRole> services = {};
  std::set<Role> roles = {};
  Scope scope = Scope::kNamespace;
  Effect effect = Effect::kReads;
};

// By full name: "certwright.issuer.v1.SecretService.GetSecret".
using PermissionTable = std::map<std::string, Rule, std::less<>>;

struct Grant {
  std::string identity;
  Role role = Role::kViewer;
  // kAllNamespaces is one of them, or all are named.
  std::set<std::string> namespaces;
};

struct BearerToken {
  std::string name;
  // SHA-256, 32 octets.
  std::string digest;
};

struct AccessPolicy {
  // Without TLS nobody is known, and everyone may do everything.
  bool enforced = false;
  std::map<ServiceRole, std::set<std::string>> services;
  std::vector<Grant> grants;
  std::vector<BearerToken> tokens;
  // Null: a certificate counts as long as its connection lasts.
  std::shared_ptr<const CallerCertificates> certificates = nullptr;
};

struct Caller {
  // URI and DNS names of the client's certificate, and "token:<name>" of its bearer token.
  std::vector<std::string> identities;
  // Whether the client has proven an identity, by mutual TLS or a token.
  bool authenticated = false;
  // Which services it is. One that is a service is nothing else.
  std::set<ServiceRole> services;
  // "ipv4:192.0.2.1:40000"
  std::string peer;
  // Why the client's certificate does not count, which makes the caller an unknown one.
  std::string refusal = {};

  // For messages and logs: the identities, or why there is none.
  std::string Description() const;
};

// What a request is about, as far as it says so; for logs.
struct Target {
  std::string resource_namespace;
  std::string name;
};
Target TargetOf(const google::protobuf::Message& request);

class Permissions {
 public:
  // INVALID_ARGUMENT if a rule is for no method, if a request has no field that the rule's
  // scope needs, or if two methods have the same request.
  static absl::StatusOr<std::unique_ptr<Permissions>> Make(AccessPolicy policy,
                                                           const PermissionTable& table);

  // FAILED_PRECONDITION unless every method of these services (by full name) has a rule.
  absl::Status CheckCovers(const std::vector<std::string>& services) const;

  bool enforced() const { return policy_.enforced; }
  // Whether a client may come without a certificate.
  bool has_tokens() const { return !policy_.tokens.empty(); }

  Caller Identify(const grpc::ServerContextBase& context) const;
  // "token:<name>" for the value of an `authorization` header with a known token; else empty.
  std::string TokenIdentity(absl::string_view authorization) const;
  // UNAUTHENTICATED unless the caller has proven an identity.
  absl::Status CheckKnown(const Caller& caller, absl::string_view method) const;
  // What can be said of a call before its request is known, which `prototype` is of the type
  // of: Check() would refuse every request of this caller with the same error.
  absl::Status CheckMethod(const Caller& caller,
                           const google::protobuf::Message& prototype) const;
  // UNAUTHENTICATED or PERMISSION_DENIED, saying who calls, what is missing and how to grant
  // it; a method without a rule is refused.
  absl::Status Check(const Caller& caller, const google::protobuf::Message& request) const;

  struct Method {
    std::string name;
    Rule rule;
  };
  // Null if there is no rule.
  const Method* Find(const google::protobuf::Message& request) const;

 private:
  explicit Permissions(AccessPolicy policy);
  absl::Status AddRule(const std::string& name, const Rule& rule);
  // The namespaces in which the caller has a role that the rule asks for.
  std::set<std::string> GrantedTo(const Caller& caller, const Rule& rule) const;
  absl::Status CheckOperator(const Caller& caller, const Method& method,
                             const google::protobuf::Message& request) const;

  const AccessPolicy policy_;
  std::map<const google::protobuf::Descriptor*, Method> methods_;
  std::multimap<std::string, Grant> grants_;
};

// Identities that `context` proves by TLS alone.
Caller IdentifyByCertificate(const grpc::ServerContextBase& context);

}  // namespace certwright::rpc
