#include "lib/base/fault_point.h"

#include <signal.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"

namespace certwright::base {

std::optional<FaultPlan> FaultPlan::Parse(absl::string_view text) {
  const std::vector<std::string> parts = absl::StrSplit(text, ':');
  const auto name = std::find(kFaultPointNames.begin(), kFaultPointNames.end(), parts[0]);
  if (name == kFaultPointNames.end() || parts.size() > 3) return std::nullopt;
  FaultPlan plan{static_cast<FaultPoint>(name - kFaultPointNames.begin()), 1, SIGKILL};
  if (parts.size() > 1 && (!absl::SimpleAtoi(parts[1], &plan.at) || plan.at < 1)) {
    return std::nullopt;
  }
  if (parts.size() > 2) {
    if (parts[2] != "stop") return std::nullopt;
    plan.signal = SIGSTOP;
  }
  return plan;
}

namespace internal {
namespace {

std::optional<FaultPlan> PlanOfEnvironment() {
  const char* text = std::getenv("CERTWRIGHT_FAULT_POINT");
  if (text == nullptr || *text == '\0') return std::nullopt;
  const std::optional<FaultPlan> plan = FaultPlan::Parse(text);
  if (!plan.has_value()) {
    std::fputs("CERTWRIGHT_FAULT_POINT names no fault point\n", stderr);
    std::exit(2);
  }
  return plan;
}

std::atomic<int> reached = 0;

}  // namespace

const std::optional<FaultPlan> kFaultPlan = PlanOfEnvironment();

void ReachPlanned() {
  if (++reached == kFaultPlan->at) raise(kFaultPlan->signal);
}

}  // namespace internal
}  // namespace certwright::base
