// Configuration files.
#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/strip.h"
#include "certwright/config/v1/solver_config.pb.h"
#include "google/protobuf/util/json_util.h"
#include "google/protobuf/util/message_differencer.h"
#include "lib/base/fuzz.h"
#include "lib/config/yaml_config.h"

namespace certwright::config {
namespace {

using ::certwright::config::v1::SolverConfig;
using ::google::protobuf::util::MessageDifferencer;

// "line 3: " and a text that a terminal can show.
void CheckProblem(absl::string_view problem) {
  CW_FUZZ_CHECK(problem.size() < 2048);
  CW_FUZZ_CHECK(std::none_of(problem.begin(), problem.end(), absl::ascii_iscntrl));
  int line = 0;
  CW_FUZZ_CHECK(absl::ConsumePrefix(&problem, "line "));
  const std::size_t digits = problem.find(':');
  CW_FUZZ_CHECK(digits != absl::string_view::npos);
  CW_FUZZ_CHECK(absl::SimpleAtoi(problem.substr(0, digits), &line) && line >= 1);
}

// JSON is YAML, but for what it writes beyond ASCII.
void CheckRoundTrip(const SolverConfig& config) {
  std::string json;
  if (!google::protobuf::util::MessageToJsonString(config, &json).ok()) return;
  const bool plain = std::all_of(json.begin(), json.end(), absl::ascii_isprint);
  if (!plain || absl::StrContains(json, "\\ud")) return;
  SolverConfig again;
  CW_FUZZ_CHECK(ParseYaml(json, again).empty());
  CW_FUZZ_CHECK(MessageDifferencer::Equals(config, again));
}

void Check(absl::string_view text) {
  SolverConfig config;
  const std::vector<std::string> problems = ParseYaml(text, config);
  for (const std::string& problem : problems) CheckProblem(problem);
  if (!problems.empty()) return;
  CW_FUZZ_CHECK(config.workers() >= 0 && config.limits().total() >= 0);
  CW_FUZZ_CHECK(config.retention().seconds() >= 0 && config.retention().nanos() >= 0);
  CheckRoundTrip(config);
}

}  // namespace
}  // namespace certwright::config

CW_FUZZ_TARGET(input) { certwright::config::Check(input); }
