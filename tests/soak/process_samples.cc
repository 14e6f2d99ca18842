#include "tests/soak/process_samples.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <sstream>
#include <system_error>

#include "absl/strings/str_cat.h"

namespace certwright::soak {
namespace {

// Values to compare that fewer than these of make no judgement.
constexpr std::size_t kFewest = 4;

double Mean(std::vector<double>::const_iterator begin,
            std::vector<double>::const_iterator end) {
  return std::accumulate(begin, end, 0.0) / static_cast<double>(end - begin);
}

// The highest value of each full minute after the warm-up.
std::vector<double> PeaksOfMinutes(const Life& life, absl::Duration warm_up) {
  std::vector<double> peaks;
  for (const Sample& sample : life) {
    if (sample.age < warm_up) continue;
    const auto minute = static_cast<std::size_t>((sample.age - warm_up) / absl::Minutes(1));
    if (minute >= peaks.size()) peaks.resize(minute + 1);
    peaks[minute] = std::max(peaks[minute], sample.value);
  }
  return peaks;
}

// Of each life from the second on that lasted at least nine tenths of their median.
std::vector<double> ValuesAtOneAge(const std::vector<Life>& lives) {
  std::vector<absl::Duration> ends;
  for (std::size_t i = 1; i < lives.size(); ++i) {
    if (!lives[i].empty()) ends.push_back(lives[i].back().age);
  }
  if (ends.empty()) return {};
  std::nth_element(ends.begin(), ends.begin() + static_cast<std::ptrdiff_t>(ends.size() / 2),
                   ends.end());
  const absl::Duration age = ends[ends.size() / 2] * 0.9;
  std::vector<double> values;
  for (std::size_t i = 1; i < lives.size(); ++i) {
    const auto at = std::find_if(lives[i].begin(), lives[i].end(),
                                 [age](const Sample& sample) { return sample.age >= age; });
    if (at != lives[i].end()) values.push_back(at->value);
  }
  return values;
}

}  // namespace

Flatness JudgeFlatness(const std::vector<Life>& lives, const FlatnessRule& rule) {
  if (lives.empty()) return {};
  const std::vector<double> values =
      lives.size() == 1 ? PeaksOfMinutes(lives[0], rule.warm_up) : ValuesAtOneAge(lives);
  if (values.size() < kFewest) return {};
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  Flatness flatness;
  flatness.early = Mean(values.begin(), middle);
  flatness.late = Mean(middle, values.end());
  flatness.flat = flatness.late <= flatness.early * (1 + rule.share) + rule.slack;
  return flatness;
}

Range RangeOf(const std::vector<Life>& lives, absl::Duration warm_up) {
  std::vector<double> values;
  for (const Life& life : lives) {
    for (const Sample& sample : life) {
      if (sample.age >= warm_up) values.push_back(sample.value);
    }
  }
  if (values.empty() && warm_up > absl::ZeroDuration()) {
    return RangeOf(lives, absl::ZeroDuration());
  }
  if (values.empty()) return {};
  const auto [min, max] = std::minmax_element(values.begin(), values.end());
  return {*min, *max};
}

double ResidentMib(int pid) {
  std::ifstream file(absl::StrCat("/proc/", pid, "/status"));
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string key;
    double kib = 0;
    if (words >> key >> kib && key == "VmRSS:") return kib / 1024;
  }
  return 0;
}

double OpenFiles(int pid) {
  std::error_code error;
  const std::filesystem::directory_iterator files(absl::StrCat("/proc/", pid, "/fd"), error);
  if (error) return 0;
  return static_cast<double>(std::distance(begin(files), end(files)));
}

}  // namespace certwright::soak
