#include "lib/rpc/access.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "grpcpp/security/auth_context.h"
#include "lib/base/status_macros.h"
#include "lib/pki/digest.h"

namespace certwright::rpc {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::DescriptorPool;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::MethodDescriptor;
using google::protobuf::ServiceDescriptor;

constexpr char kTokenPrefix[] = "token:";
constexpr char kBearer[] = "bearer ";
constexpr std::size_t kMaxTokenBytes = 1024;
// What messages and logs tell of a caller.
constexpr std::size_t kMaxIdentities = 4;
constexpr std::size_t kMaxIdentityBytes = 256;

const FieldDescriptor* StringField(const Descriptor& type, const char* name) {
  const FieldDescriptor* field = type.FindFieldByName(name);
  const bool is_string = field != nullptr && !field->is_repeated() &&
                         field->cpp_type() == FieldDescriptor::CPPTYPE_STRING;
  return is_string ? field : nullptr;
}

const FieldDescriptor* MessageField(const Descriptor& type, const char* name) {
  const FieldDescriptor* field = type.FindFieldByName(name);
  const bool is_message = field != nullptr && !field->is_repeated() &&
                          field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
  return is_message ? field : nullptr;
}

// The field of `type` that holds a resource, which is known by its metadata.
const FieldDescriptor* ResourceField(const Descriptor& type) {
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor* field = type.field(i);
    if (field->is_repeated() || field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) continue;
    const FieldDescriptor* metadata = MessageField(*field->message_type(), "metadata");
    if (metadata != nullptr && StringField(*metadata->message_type(), "namespace") != nullptr) {
      return field;
    }
  }
  return nullptr;
}

std::string StringOf(const Message& message, const char* name) {
  const FieldDescriptor* field = StringField(*message.GetDescriptor(), name);
  return field == nullptr ? "" : message.GetReflection()->GetString(message, field);
}

// The message that has `namespace` and `name`: the metadata of a resource in the request, or
// the request.
const Message& Named(const Message& request) {
  const FieldDescriptor* resource = ResourceField(*request.GetDescriptor());
  if (resource == nullptr) return request;
  const Message& object = request.GetReflection()->GetMessage(request, resource);
  const FieldDescriptor* metadata = MessageField(*object.GetDescriptor(), "metadata");
  return object.GetReflection()->GetMessage(object, metadata);
}

bool NamesClusterIssuer(const Message& request) {
  const FieldDescriptor* field = MessageField(*request.GetDescriptor(), "issuer_ref");
  if (field == nullptr) return false;
  const Message& reference = request.GetReflection()->GetMessage(request, field);
  const FieldDescriptor* kind = reference.GetDescriptor()->FindFieldByName("kind");
  const std::string name = reference.GetReflection()->GetEnum(reference, kind)->name();
  return name != "ISSUER_KIND_UNSPECIFIED" && name != "ISSUER_KIND_ISSUER";
}

bool HasFieldsFor(Scope scope, const Descriptor& request) {
  const bool has_namespace = StringField(request, "namespace") != nullptr;
  switch (scope) {
    case Scope::kNamespace:
      return has_namespace || ResourceField(request) != nullptr;
    case Scope::kOneOrAllNamespaces:
      return has_namespace;
    case Scope::kIssuerRef: {
      const FieldDescriptor* reference = MessageField(request, "issuer_ref");
      const FieldDescriptor* kind =
          reference == nullptr ? nullptr : reference->message_type()->FindFieldByName("kind");
      return has_namespace && kind != nullptr &&
             kind->cpp_type() == FieldDescriptor::CPPTYPE_ENUM;
    }
    case Scope::kCluster:
      return !has_namespace;
  }
  return false;
}

// kAllNamespaces if the request is about more than one namespace.
std::string NamespaceOf(Scope scope, const Message& request) {
  if (scope == Scope::kCluster) return kAllNamespaces;
  if (scope == Scope::kIssuerRef && NamesClusterIssuer(request)) return kAllNamespaces;
  std::string given = StringOf(Named(request), "namespace");
  if (!given.empty()) return given;
  return scope == Scope::kOneOrAllNamespaces ? kAllNamespaces : kDefaultNamespace;
}

template <typename Roles>
std::string NamesOf(const Roles& roles) {
  return absl::StrJoin(roles, " or ",
                       [](std::string* out, auto role) { absl::StrAppend(out, NameOf(role)); });
}

absl::string_view View(grpc::string_ref text) { return {text.data(), text.size()}; }

Caller Refused(const Caller& caller, const absl::Status& why) {
  Caller refused;
  refused.peer = caller.peer;
  refused.refusal = absl::StrCat(why.message(), " (", caller.Description(), ")");
  return refused;
}

}  // namespace

absl::string_view NameOf(ServiceRole role) {
  switch (role) {
    case ServiceRole::kIssuer:
      return "issuer";
    case ServiceRole::kOrder:
      return "order";
    case ServiceRole::kSolver:
      return "solver";
  }
  return "";
}

absl::string_view NameOf(Role role) {
  switch (role) {
    case Role::kViewer:
      return "viewer";
    case Role::kRequester:
      return "requester";
    case Role::kApprover:
      return "approver";
    case Role::kSecretReader:
      return "secret-reader";
    case Role::kAdmin:
      return "admin";
  }
  return "";
}

std::string Caller::Description() const {
  if (!refusal.empty()) return absl::StrCat("a caller that is not known: ", refusal);
  if (identities.empty()) {
    return authenticated ? "a caller whose certificate has neither a DNS name nor a URI"
                         : "a caller that is not known";
  }
  std::vector<std::string> shown;
  for (const std::string& identity : identities) {
    if (shown.size() < kMaxIdentities) shown.push_back(identity.substr(0, kMaxIdentityBytes));
  }
  return absl::StrJoin(shown, ",");
}

Target TargetOf(const Message& request) {
  const Message& named = Named(request);
  Target target{StringOf(named, "namespace"), StringOf(named, "name")};
  const FieldDescriptor* issuer = MessageField(*request.GetDescriptor(), "issuer_ref");
  if (target.name.empty() && issuer != nullptr) {
    target.name = StringOf(request.GetReflection()->GetMessage(request, issuer), "name");
  }
  return target;
}

Caller IdentifyByCertificate(const grpc::ServerContextBase& context) {
  Caller caller;
  const auto auth = context.auth_context();
  if (auth == nullptr || !auth->IsPeerAuthenticated()) return caller;
  caller.authenticated = true;
  for (const char* property : {"peer_uri", "peer_dns"}) {
    for (const grpc::string_ref& value : auth->FindPropertyValues(property)) {
      std::string identity(value.data(), value.size());
      // A URI that looks like a token is none.
      if (!absl::StartsWith(identity, kTokenPrefix)) {
        caller.identities.push_back(std::move(identity));
      }
    }
  }
  return caller;
}

Permissions::Permissions(AccessPolicy policy) : policy_(std::move(policy)) {
  for (const Grant& grant : policy_.grants) grants_.emplace(grant.identity, grant);
}

absl::StatusOr<std::unique_ptr<Permissions>> Permissions::Make(AccessPolicy policy,
                                                               const PermissionTable& table) {
  std::unique_ptr<Permissions> permissions(new Permissions(std::move(policy)));
  for (const auto& [name, rule] : table) {
    CW_RETURN_IF_ERROR(permissions->AddRule(name, rule));
  }
  return permissions;
}

absl::Status Permissions::AddRule(const std::string& name, const Rule& rule) {
  const MethodDescriptor* method = DescriptorPool::generated_pool()->FindMethodByName(name);
  if (method == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("there is a permission for ", name, ", which is no method"));
  }
  if (!HasFieldsFor(rule.scope, *method->input_type())) {
    return absl::InvalidArgumentError(
        absl::StrCat("the permission for ", name, " has a scope that its request does not"));
  }
  if (!methods_.emplace(method->input_type(), Method{name, rule}).second) {
    return absl::InvalidArgumentError(absl::StrCat(method->input_type()->full_name(),
                                                   " is the request of ", name,
                                                   " and of another method"));
  }
  return absl::OkStatus();
}

absl::Status Permissions::CheckCovers(const std::vector<std::string>& services) const {
  for (const std::string& name : services) {
    const ServiceDescriptor* service =
        DescriptorPool::generated_pool()->FindServiceByName(name);
    if (service == nullptr) {
      return absl::FailedPreconditionError(absl::StrCat(name, " is not a known service"));
    }
    for (int i = 0; i < service->method_count(); ++i) {
      const MethodDescriptor* method = service->method(i);
      const auto found = methods_.find(method->input_type());
      if (found == methods_.end() || found->second.name != method->full_name()) {
        return absl::FailedPreconditionError(
            absl::StrCat("there is no permission for ", method->full_name()));
      }
    }
  }
  return absl::OkStatus();
}

const Permissions::Method* Permissions::Find(const Message& request) const {
  const auto found = methods_.find(request.GetDescriptor());
  return found == methods_.end() ? nullptr : &found->second;
}

std::string Permissions::TokenIdentity(absl::string_view authorization) const {
  if (!absl::StartsWithIgnoreCase(authorization, kBearer)) return "";
  authorization.remove_prefix(sizeof kBearer - 1);
  if (authorization.size() > kMaxTokenBytes) return "";
  const std::string digest = pki::Sha256(authorization);
  std::string identity;
  // All of them, so that the time tells nothing.
  for (const BearerToken& token : policy_.tokens) {
    if (token.digest.size() == digest.size() &&
        CRYPTO_memcmp(token.digest.data(), digest.data(), digest.size()) == 0) {
      identity = absl::StrCat(kTokenPrefix, token.name);
    }
  }
  return identity;
}

Caller Permissions::Identify(const grpc::ServerContextBase& context) const {
  Caller caller = IdentifyByCertificate(context);
  caller.peer = context.peer();
  if (!policy_.enforced) return caller;
  if (policy_.certificates != nullptr) {
    const absl::Status counts = policy_.certificates->Check(*context.auth_context());
    // Not by a token either: whoever has this key may have the token too.
    if (!counts.ok()) return Refused(caller, counts);
  }
  const auto& metadata = context.client_metadata();
  const auto [first, last] = metadata.equal_range("authorization");
  for (auto header = first; header != last; ++header) {
    std::string identity = TokenIdentity(View(header->second));
    if (identity.empty()) continue;
    caller.authenticated = true;
    caller.identities.push_back(std::move(identity));
  }
  for (const auto& [service, names] : policy_.services) {
    const bool is_service =
        std::any_of(caller.identities.begin(), caller.identities.end(),
                    [&names = names](const std::string& id) { return names.contains(id); });
    if (is_service) caller.services.insert(service);
  }
  return caller;
}

absl::Status Permissions::CheckKnown(const Caller& caller, absl::string_view method) const {
  if (!policy_.enforced || caller.authenticated) return absl::OkStatus();
  if (!caller.refusal.empty()) return absl::UnauthenticatedError(caller.refusal);
  return absl::UnauthenticatedError(absl::StrCat(
      method, " is for known callers: show a client certificate of this service's CA, or a ",
      "bearer token that access.tokens of its configuration has"));
}

absl::Status Permissions::CheckMethod(const Caller& caller, const Message& prototype) const {
  if (!policy_.enforced) return absl::OkStatus();
  const Method* method = Find(prototype);
  CW_RETURN_IF_ERROR(CheckKnown(caller, method == nullptr ? "this method" : method->name));
  if (method == nullptr) {
    return absl::PermissionDeniedError("this method has no permission, so nobody may call it");
  }
  const Rule& rule = method->rule;
  if (!caller.services.empty()) {
    for (const ServiceRole service : caller.services) {
      if (rule.services.contains(service)) return absl::OkStatus();
    }
    return absl::PermissionDeniedError(
        absl::StrCat(caller.Description(), " is the ", NamesOf(caller.services),
                     " service, which may not call ", method->name));
  }
  if (rule.roles.empty()) {
    return absl::PermissionDeniedError(absl::StrCat(caller.Description(), " may not call ",
                                                    method->name, ": only the ",
                                                    NamesOf(rule.services), " service may"));
  }
  if (!GrantedTo(caller, rule).empty()) return absl::OkStatus();
  return absl::PermissionDeniedError(
      absl::StrCat(caller.Description(), " may not call ", method->name, ": it takes the role ",
                   NamesOf(rule.roles),
                   ". Roles are granted in access.grants of the service's configuration"));
}

absl::Status Permissions::Check(const Caller& caller, const Message& request) const {
  CW_RETURN_IF_ERROR(CheckMethod(caller, request));
  if (!policy_.enforced || !caller.services.empty()) return absl::OkStatus();
  return CheckOperator(caller, *Find(request), request);
}

std::set<std::string> Permissions::GrantedTo(const Caller& caller, const Rule& rule) const {
  std::set<std::string> granted;
  for (const std::string& identity : caller.identities) {
    const auto [first, last] = grants_.equal_range(identity);
    for (auto grant = first; grant != last; ++grant) {
      if (!rule.roles.contains(grant->second.role)) continue;
      granted.insert(grant->second.namespaces.begin(), grant->second.namespaces.end());
    }
  }
  return granted;
}

absl::Status Permissions::CheckOperator(const Caller& caller, const Method& method,
                                        const Message& request) const {
  const Rule& rule = method.rule;
  const std::string where = NamespaceOf(rule.scope, request);
  const std::set<std::string> granted = GrantedTo(caller, rule);
  if (granted.contains(kAllNamespaces)) return absl::OkStatus();
  if (where != kAllNamespaces && granted.contains(where)) return absl::OkStatus();

  std::string message = absl::StrCat(caller.Description(), " may not call ", method.name,
                                     where == kAllNamespaces
                                         ? " for all namespaces"
                                         : absl::StrCat(" in namespace ", where.substr(0, 64)),
                                     ": it takes the role ", NamesOf(rule.roles), " there");
  if (rule.scope == Scope::kOneOrAllNamespaces && where == kAllNamespaces && !granted.empty()) {
    absl::StrAppend(&message, "; the caller may name one of these namespaces: ",
                    absl::StrJoin(granted, ", "));
  }
  absl::StrAppend(&message,
                  ". Roles are granted in access.grants of the service's configuration",
                  where == kAllNamespaces ? " (namespace \"*\")" : "");
  return absl::PermissionDeniedError(message);
}

}  // namespace certwright::rpc
