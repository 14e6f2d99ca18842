// Every parser of what a CA sends as JSON. What parses must also be fit to be shown.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "absl/strings/string_view.h"
#include "lib/acme/objects.h"
#include "lib/acme/problem.h"

namespace certwright::acme {
namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

void CheckShown(const Problem& problem) {
  const std::string text = problem.Describe();
  Require(text.size() <= 1024);
  for (const char c : text) Require(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
  const absl::Time now = absl::UnixEpoch();
  const absl::Status status = ProblemStatus(400, problem, std::nullopt, now);
  Require(ProblemOf(status).value_or(Problem()) == problem);
  Require(ClassOf(status) == Classify(400, problem));
  Require(ClassOf(OrderErrorStatus(problem, now)) == ClassifyOrderError(problem));
}

void ParseAll(absl::string_view body) {
  const absl::StatusOr<Problem> problem = ParseProblem(body);
  if (problem.ok()) CheckShown(*problem);
  const absl::StatusOr<Order> order = ParseOrder(body, "https://ca.test/order/1");
  if (order.ok()) {
    Require(!order->identifiers.empty() && !order->finalize.empty());
    Require(SameIdentifiers(order->identifiers, NormalizeIdentifiers(order->identifiers)));
    if (order->error.has_value()) CheckShown(*order->error);
  }
  const absl::StatusOr<Authorization> authorization =
      ParseAuthorization(body, "https://ca.test/authz/1");
  if (authorization.ok()) {
    for (const Challenge& challenge : authorization->challenges) {
      Require(!challenge.url.empty() && !challenge.type.empty());
    }
  }
  (void)ParseChallenge(body);
  (void)ParseAccount(body, "https://ca.test/account/1");
  (void)ParseDirectory(body);
  const absl::StatusOr<RenewalInfo> info = ParseRenewalInfo(body);
  if (info.ok()) Require(info->window_start < info->window_end);
}

}  // namespace
}  // namespace certwright::acme

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  certwright::acme::ParseAll(absl::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
