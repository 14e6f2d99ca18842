#include "lib/pki/usages.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace certwright::pki {
namespace {

struct Usage {
  absl::string_view word;
  // Number of the KeyUsage bit, or -1 for an extended usage.
  int bit;
  absl::string_view oid;
};

// Where two words mean the same, the first is the one that UsageWords() gives.
constexpr Usage kUsages[] = {
    {"digital signature", 0, ""},
    {"signing", 0, ""},
    {"content commitment", 1, ""},
    {"key encipherment", 2, ""},
    {"data encipherment", 3, ""},
    {"key agreement", 4, ""},
    {"cert sign", 5, ""},
    {"crl sign", 6, ""},
    {"encipher only", 7, ""},
    {"decipher only", 8, ""},
    {"any", -1, "2.5.29.37.0"},
    {"server auth", -1, "1.3.6.1.5.5.7.3.1"},
    {"client auth", -1, "1.3.6.1.5.5.7.3.2"},
    {"code signing", -1, "1.3.6.1.5.5.7.3.3"},
    {"email protection", -1, "1.3.6.1.5.5.7.3.4"},
    {"s/mime", -1, "1.3.6.1.5.5.7.3.4"},
    {"ipsec end system", -1, "1.3.6.1.5.5.7.3.5"},
    {"ipsec tunnel", -1, "1.3.6.1.5.5.7.3.6"},
    {"ipsec user", -1, "1.3.6.1.5.5.7.3.7"},
    {"timestamping", -1, "1.3.6.1.5.5.7.3.8"},
    {"ocsp signing", -1, "1.3.6.1.5.5.7.3.9"},
    {"microsoft sgc", -1, "1.3.6.1.4.1.311.10.3.3"},
    {"netscape sgc", -1, "2.16.840.1.113730.4.1"},
};

}  // namespace

absl::StatusOr<UsageSet> ParseUsages(const std::vector<std::string>& words) {
  UsageSet usages;
  for (const std::string& word : words) {
    const Usage* usage = std::find_if(std::begin(kUsages), std::end(kUsages),
                                      [&](const Usage& known) { return known.word == word; });
    if (usage == std::end(kUsages)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "unknown key usage \"", absl::Utf8SafeCEscape(word.substr(0, 64)),
          "\"; known are words such as \"digital signature\" and \"server auth\""));
    }
    if (usage->bit >= 0) {
      usages.key_usage |= 1u << usage->bit;
    } else if (std::find(usages.extended_key_usages.begin(), usages.extended_key_usages.end(),
                         usage->oid) == usages.extended_key_usages.end()) {
      usages.extended_key_usages.emplace_back(usage->oid);
    }
  }
  return usages;
}

std::vector<std::string> UsageWords(const UsageSet& usages) {
  std::vector<std::string> words;
  for (int bit = 0; bit < kKeyUsageBits; ++bit) {
    if ((usages.key_usage & (1u << bit)) == 0) continue;
    const Usage* usage = std::find_if(std::begin(kUsages), std::end(kUsages),
                                      [&](const Usage& known) { return known.bit == bit; });
    words.emplace_back(usage->word);
  }
  for (const std::string& oid : usages.extended_key_usages) {
    const Usage* usage =
        std::find_if(std::begin(kUsages), std::end(kUsages),
                     [&](const Usage& known) { return known.bit < 0 && known.oid == oid; });
    words.emplace_back(usage == std::end(kUsages) ? absl::string_view(oid) : usage->word);
  }
  return words;
}

std::vector<std::string> AllUsageWords() {
  std::vector<std::string> words;
  for (const Usage& usage : kUsages) words.emplace_back(usage.word);
  return words;
}

}  // namespace certwright::pki
