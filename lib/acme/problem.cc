#include "lib/acme/problem.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "boost/json/array.hpp"
#include "boost/json/serialize.hpp"
#include "lib/acme/json.h"
#include "lib/acme/rate_limit_detail.h"
#include "lib/acme/retry_after.h"
#include "lib/base/status_macros.h"

namespace certwright::acme {
namespace {

constexpr char kUrnPrefix[] = "urn:ietf:params:acme:error:";
constexpr char kPayloadUrl[] = "certwright/acme.error";
constexpr std::size_t kMaxTextBytes = 1024;
// With a URL that a person has to visit, which holds a signed token.
constexpr std::size_t kMaxPausedBytes = 4096;
constexpr std::size_t kMaxBodyBytes = 64 << 10;
constexpr std::size_t kMaxSubproblems = 100;
constexpr std::size_t kMaxAlgorithms = 32;

struct TypeRule {
  absl::string_view short_type;
  ErrorClass error_class;
  absl::StatusCode code;
};

constexpr TypeRule kTypeRules[] = {
    {"badNonce", ErrorClass::kRetryNonce, absl::StatusCode::kUnavailable},
    {"rateLimited", ErrorClass::kRetryAt, absl::StatusCode::kResourceExhausted},
    {"serverInternal", ErrorClass::kRetryBackoff, absl::StatusCode::kUnavailable},
    {"orderNotReady", ErrorClass::kRereadOrder, absl::StatusCode::kAborted},
    {"accountDoesNotExist", ErrorClass::kReregister, absl::StatusCode::kNotFound},
    {"unauthorized", ErrorClass::kPermanent, absl::StatusCode::kPermissionDenied},
    {"connection", ErrorClass::kNewOrder, absl::StatusCode::kFailedPrecondition},
    {"dns", ErrorClass::kNewOrder, absl::StatusCode::kFailedPrecondition},
    {"tls", ErrorClass::kNewOrder, absl::StatusCode::kFailedPrecondition},
    {"incorrectResponse", ErrorClass::kNewOrder, absl::StatusCode::kFailedPrecondition},
    {"caa", ErrorClass::kPermanent, absl::StatusCode::kFailedPrecondition},
    {"rejectedIdentifier", ErrorClass::kPermanent, absl::StatusCode::kFailedPrecondition},
    {"unsupportedIdentifier", ErrorClass::kPermanent, absl::StatusCode::kInvalidArgument},
    {"malformed", ErrorClass::kPermanent, absl::StatusCode::kInvalidArgument},
    {"badCSR", ErrorClass::kPermanent, absl::StatusCode::kInvalidArgument},
    {"badPublicKey", ErrorClass::kPermanent, absl::StatusCode::kInvalidArgument},
    {"badSignatureAlgorithm", ErrorClass::kPermanent, absl::StatusCode::kFailedPrecondition},
    {"badRevocationReason", ErrorClass::kPermanent, absl::StatusCode::kInvalidArgument},
    {"invalidContact", ErrorClass::kPermanent, absl::StatusCode::kInvalidArgument},
    {"unsupportedContact", ErrorClass::kPermanent, absl::StatusCode::kInvalidArgument},
    {"invalidProfile", ErrorClass::kPermanent, absl::StatusCode::kFailedPrecondition},
    {"alreadyReplaced", ErrorClass::kPermanent, absl::StatusCode::kFailedPrecondition},
    {"alreadyRevoked", ErrorClass::kAlreadyDone, absl::StatusCode::kAlreadyExists},
    {"externalAccountRequired", ErrorClass::kOperator, absl::StatusCode::kFailedPrecondition},
    {"userActionRequired", ErrorClass::kOperator, absl::StatusCode::kFailedPrecondition},
    {"agreementRequired", ErrorClass::kOperator, absl::StatusCode::kFailedPrecondition},
};

const TypeRule* RuleOf(absl::string_view type) {
  if (!absl::ConsumePrefix(&type, kUrnPrefix)) return nullptr;
  for (const TypeRule& rule : kTypeRules) {
    if (rule.short_type == type) return &rule;
  }
  return nullptr;
}

ErrorClass ClassOfHttpStatus(int http_status) {
  if (http_status == 429) return ErrorClass::kRetryAt;
  if (http_status >= 500 || http_status == 408 || http_status == 425) {
    return ErrorClass::kRetryBackoff;
  }
  // A success that carries a problem, or a number that HTTP does not have.
  if (http_status < 300) return ErrorClass::kRetryBackoff;
  // A redirected signed request, or something in between that refuses: not the CA speaking.
  if (http_status < 400 || http_status == 401 || http_status == 403 || http_status == 407) {
    return ErrorClass::kOperator;
  }
  return ErrorClass::kPermanent;
}

absl::StatusCode CodeOfHttpStatus(int http_status) {
  switch (http_status) {
    case 401:
    case 403:
      return absl::StatusCode::kPermissionDenied;
    case 404:
      return absl::StatusCode::kNotFound;
    case 408:
    case 425:
      return absl::StatusCode::kUnavailable;
    case 409:
      return absl::StatusCode::kAlreadyExists;
    case 429:
      return absl::StatusCode::kResourceExhausted;
    default:
      break;
  }
  if (http_status >= 500 || http_status < 300) return absl::StatusCode::kUnavailable;
  return http_status < 400 || http_status == 407 ? absl::StatusCode::kFailedPrecondition
                                                 : absl::StatusCode::kInvalidArgument;
}

absl::StatusCode CodeOf(int http_status, const Problem& problem) {
  if (http_status == 429) return absl::StatusCode::kResourceExhausted;
  const TypeRule* rule = RuleOf(problem.type);
  if (rule == nullptr) return CodeOfHttpStatus(http_status);
  // The HTTP status says more than "malformed" does, where it does.
  if (rule->code == absl::StatusCode::kInvalidArgument && http_status != 0) {
    return CodeOfHttpStatus(http_status);
  }
  return rule->code;
}

// The class of `problem` if it is "compound": the worst of its parts, by the order of the
// enumeration. kNone for other problems.
template <typename ClassifyPart>
ErrorClass WorstPart(const Problem& problem, ClassifyPart classify_part) {
  ErrorClass worst = ErrorClass::kNone;
  if (problem.ShortType() != "compound") return worst;
  for (const Subproblem& part : problem.subproblems) {
    Problem alone;
    alone.type = part.type;
    alone.detail = part.detail;
    worst = std::max(worst, classify_part(alone));
  }
  return worst;
}

bool IsControl(absl::string_view text, std::size_t i) {
  const auto byte = static_cast<unsigned char>(text[i]);
  if (byte < 0x20 || byte == 0x7f) return true;
  // U+0080 to U+009F, of which terminals obey some.
  return byte == 0xc2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xa0;
}

// Text that is safe to log and to show. `text` is UTF-8.
std::string Printable(absl::string_view text, std::size_t max_bytes = kMaxTextBytes) {
  std::string out;
  for (std::size_t i = 0; i < text.size() && out.size() < max_bytes; ++i) {
    if (!IsControl(text, i)) {
      out += text[i];
      continue;
    }
    out += ' ';
    if (static_cast<unsigned char>(text[i]) == 0xc2) ++i;
  }
  if (out.size() == max_bytes) {
    // Not in the middle of a character.
    while (!out.empty() && (static_cast<unsigned char>(out.back()) & 0xc0) == 0x80) {
      out.pop_back();
    }
    if (!out.empty() && static_cast<unsigned char>(out.back()) >= 0xc0) out.pop_back();
  }
  return out;
}

std::string PrintableMember(const boost::json::object& object, absl::string_view name,
                            std::size_t max_bytes = kMaxTextBytes) {
  return Printable(StringMember(object, name), max_bytes);
}

std::optional<Identifier> IdentifierMember(const boost::json::object& object) {
  const boost::json::object* identifier = ObjectMember(object, "identifier");
  if (identifier == nullptr) return std::nullopt;
  Identifier parsed{PrintableMember(*identifier, "type"),
                    PrintableMember(*identifier, "value")};
  if (parsed.type.empty() || parsed.value.empty()) return std::nullopt;
  return parsed;
}

std::vector<Subproblem> SubproblemsOf(const boost::json::object& object) {
  std::vector<Subproblem> subproblems;
  const boost::json::array* array = ArrayMember(object, "subproblems");
  if (array == nullptr) return subproblems;
  for (const boost::json::value& value : *array) {
    if (subproblems.size() == kMaxSubproblems) break;
    const boost::json::object* part = value.if_object();
    if (part == nullptr) continue;
    subproblems.push_back(Subproblem{PrintableMember(*part, "type"),
                                     PrintableMember(*part, "detail"),
                                     IdentifierMember(*part)});
  }
  return subproblems;
}

boost::json::object ToJson(const Problem& problem) {
  boost::json::object object;
  object["type"] = problem.type;
  object["title"] = problem.title;
  object["detail"] = problem.detail;
  object["status"] = problem.status;
  object["instance"] = problem.instance;
  boost::json::array& subproblems = object["subproblems"].emplace_array();
  for (const Subproblem& part : problem.subproblems) {
    boost::json::object one;
    one["type"] = part.type;
    one["detail"] = part.detail;
    if (part.identifier.has_value()) {
      boost::json::object identifier;
      identifier["type"] = part.identifier->type;
      identifier["value"] = part.identifier->value;
      one["identifier"] = std::move(identifier);
    }
    subproblems.push_back(std::move(one));
  }
  boost::json::array& algorithms = object["algorithms"].emplace_array();
  for (const std::string& algorithm : problem.algorithms) {
    algorithms.emplace_back(boost::json::string(algorithm));
  }
  return object;
}

absl::Status WithPayload(absl::StatusCode code, absl::string_view message,
                         ErrorClass error_class, int http_status, const Problem* problem,
                         std::optional<absl::Time> retry_at) {
  boost::json::object payload;
  payload["class"] = static_cast<int>(error_class);
  if (http_status != 0) payload["http_status"] = http_status;
  if (retry_at.has_value()) payload["retry_at_ms"] = absl::ToUnixMillis(*retry_at);
  if (problem != nullptr) payload["problem"] = ToJson(*problem);
  absl::Status status(code, message);
  status.SetPayload(kPayloadUrl, absl::Cord(boost::json::serialize(payload)));
  return status;
}

std::optional<boost::json::object> PayloadOf(const absl::Status& status) {
  const auto payload = status.GetPayload(kPayloadUrl);
  if (!payload.has_value()) return std::nullopt;
  absl::StatusOr<boost::json::object> object =
      ParseJsonObject(std::string(*payload), "error payload");
  if (!object.ok()) return std::nullopt;
  return *std::move(object);
}

std::optional<int64_t> PayloadNumber(const absl::Status& status, absl::string_view name) {
  const std::optional<boost::json::object> payload = PayloadOf(status);
  if (!payload.has_value()) return std::nullopt;
  return IntMember(*payload, name);
}

Problem ProblemFrom(const boost::json::object& object) {
  Problem problem;
  problem.type = PrintableMember(object, "type");
  problem.title = PrintableMember(object, "title");
  problem.detail = PrintableMember(object, "detail", kMaxPausedBytes);
  if (!UnpauseUrl(problem.detail).has_value()) problem.detail = Printable(problem.detail);
  problem.instance = PrintableMember(object, "instance");
  const std::optional<int64_t> status = IntMember(object, "status");
  if (status >= 100 && status <= 599) problem.status = static_cast<int>(*status);
  problem.subproblems = SubproblemsOf(object);
  for (const std::string& algorithm : StringsMember(object, "algorithms", kMaxAlgorithms)) {
    problem.algorithms.push_back(Printable(algorithm));
  }
  return problem;
}

// The class of a failed challenge's or order's one error.
ErrorClass ClassifyOneOrderError(const Problem& problem) {
  if (IsPause(problem.ShortType(), problem.detail)) return ErrorClass::kOperator;
  const TypeRule* rule = RuleOf(problem.type);
  if (rule == nullptr || rule->short_type == "unauthorized") return ErrorClass::kNewOrder;
  switch (rule->error_class) {
    case ErrorClass::kPermanent:
    case ErrorClass::kOperator:
    case ErrorClass::kRetryAt:
      return rule->error_class;
    default:
      return ErrorClass::kNewOrder;
  }
}

}  // namespace

std::string Problem::ShortType() const {
  return std::string(absl::StripPrefix(type, kUrnPrefix));
}

std::string Problem::Describe() const {
  std::string text = ShortType();
  if (text.empty()) text = title;
  if (!detail.empty()) absl::StrAppend(&text, text.empty() ? "" : ": ", detail);
  for (const Subproblem& part : subproblems) {
    if (text.size() >= kMaxTextBytes) break;
    absl::StrAppend(&text, "; ", part.identifier.has_value() ? part.identifier->value : "",
                    part.identifier.has_value() ? ": " : "",
                    absl::StripPrefix(part.type, kUrnPrefix), ": ", part.detail);
  }
  if (!algorithms.empty()) {
    absl::StrAppend(&text, " (the CA accepts ", absl::StrJoin(algorithms, ", "), ")");
  }
  return Printable(text);
}

absl::string_view ErrorClassName(ErrorClass error_class) {
  switch (error_class) {
    case ErrorClass::kNone:
      return "none";
    case ErrorClass::kAlreadyDone:
      return "already done";
    case ErrorClass::kRetryNonce:
      return "retry with a new nonce";
    case ErrorClass::kRetryBackoff:
      return "retry with backoff";
    case ErrorClass::kRetryAt:
      return "retry at a time";
    case ErrorClass::kRereadOrder:
      return "re-read the order";
    case ErrorClass::kReregister:
      return "re-register the account";
    case ErrorClass::kNewOrder:
      return "make a new order";
    case ErrorClass::kOperator:
      return "an operator must act";
    case ErrorClass::kPermanent:
      return "permanent";
  }
  return "unknown";
}

absl::StatusOr<Problem> ParseProblem(absl::string_view body) {
  CW_ASSIGN_OR_RETURN(boost::json::object object,
                      ParseJsonObject(body, "the problem document", kMaxBodyBytes));
  return ProblemFrom(object);
}

ErrorClass Classify(int http_status, const Problem& problem) {
  if (IsPause(problem.ShortType(), problem.detail)) return ErrorClass::kOperator;
  if (http_status == 429) return ErrorClass::kRetryAt;
  const TypeRule* rule = RuleOf(problem.type);
  ErrorClass error_class =
      rule != nullptr ? rule->error_class : WorstPart(problem, [&](const Problem& part) {
        return Classify(http_status, part);
      });
  if (error_class == ErrorClass::kNone) error_class = ClassOfHttpStatus(http_status);
  // A CA in trouble may blame the request.
  if (http_status >= 500 && error_class == ErrorClass::kPermanent) {
    return ErrorClass::kRetryBackoff;
  }
  return error_class;
}

ErrorClass ClassifyOrderError(const Problem& problem) {
  const ErrorClass worst = WorstPart(problem, ClassifyOneOrderError);
  return worst == ErrorClass::kNone ? ClassifyOneOrderError(problem) : worst;
}

absl::Status ProblemStatus(int http_status, const Problem& problem,
                           std::optional<absl::Time> retry_at, absl::Time now) {
  ErrorClass error_class = Classify(http_status, problem);
  if (error_class == ErrorClass::kRetryBackoff && retry_at.has_value()) {
    error_class = ErrorClass::kRetryAt;
  }
  std::optional<absl::Time> when;
  if (error_class == ErrorClass::kRetryAt) {
    when = std::max(retry_at.value_or(now + kDefaultRateLimitDelay), now + absl::Seconds(1));
  }
  const std::string description = problem.Describe();
  const std::string message = description.empty()
                                  ? absl::StrCat("the CA answered HTTP ", http_status)
                                  : absl::StrCat(description, " (HTTP ", http_status, ")");
  return WithPayload(CodeOf(http_status, problem), message, error_class, http_status,
                     problem == Problem() ? nullptr : &problem, when);
}

absl::Status OrderErrorStatus(const Problem& problem, absl::Time now) {
  const ErrorClass error_class = ClassifyOrderError(problem);
  std::optional<absl::Time> when;
  if (error_class == ErrorClass::kRetryAt) when = now + kDefaultRateLimitDelay;
  std::string message = problem.Describe();
  if (message.empty()) message = "the CA gave no reason";
  const absl::StatusCode code = error_class == ErrorClass::kRetryAt
                                    ? absl::StatusCode::kResourceExhausted
                                    : absl::StatusCode::kFailedPrecondition;
  return WithPayload(code, message, error_class, 0, &problem, when);
}

absl::Status ErrorWithClass(absl::StatusCode code, absl::string_view message,
                            ErrorClass error_class) {
  return WithPayload(code, message, error_class, 0, nullptr, std::nullopt);
}

std::optional<Problem> ProblemOf(const absl::Status& status) {
  const std::optional<boost::json::object> payload = PayloadOf(status);
  if (!payload.has_value()) return std::nullopt;
  const boost::json::object* problem = ObjectMember(*payload, "problem");
  if (problem == nullptr) return std::nullopt;
  return ProblemFrom(*problem);
}

ErrorClass ClassOf(const absl::Status& status) {
  if (status.ok()) return ErrorClass::kNone;
  const std::optional<int64_t> number = PayloadNumber(status, "class");
  if (number > 0 && number <= static_cast<int64_t>(ErrorClass::kPermanent)) {
    return static_cast<ErrorClass>(*number);
  }
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kOutOfRange:
    case absl::StatusCode::kUnimplemented:
      return ErrorClass::kPermanent;
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnauthenticated:
      return ErrorClass::kOperator;
    default:
      return ErrorClass::kRetryBackoff;
  }
}

std::optional<absl::Time> RetryAtOf(const absl::Status& status) {
  const std::optional<int64_t> millis = PayloadNumber(status, "retry_at_ms");
  if (!millis.has_value()) return std::nullopt;
  return absl::FromUnixMillis(*millis);
}

std::optional<int> HttpStatusOf(const absl::Status& status) {
  const std::optional<int64_t> number = PayloadNumber(status, "http_status");
  if (!number.has_value()) return std::nullopt;
  return static_cast<int>(*number);
}

bool HasProblemType(const absl::Status& status, absl::string_view short_type) {
  const std::optional<Problem> problem = ProblemOf(status);
  return problem.has_value() && problem->ShortType() == short_type;
}

}  // namespace certwright::acme
