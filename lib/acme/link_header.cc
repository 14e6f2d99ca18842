#include "lib/acme/link_header.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"

namespace certwright::acme {
namespace {

constexpr std::size_t kMaxTargets = 32;
constexpr std::size_t kMaxTargetBytes = 2048;
constexpr std::size_t kMaxHeaderBytes = 64 << 10;

// Reads one header value from left to right.
class LinkReader {
 public:
  explicit LinkReader(absl::string_view text) : text_(text) {}

  // The next link's target and relation types; false at the end or at the first fault.
  bool Next(std::string& target, std::string& rel) {
    while (Skip(',') || SkipBlanks()) {
    }
    if (!Skip('<')) return false;
    const std::size_t end = text_.find('>', at_);
    if (end == absl::string_view::npos) return false;
    target = std::string(absl::StripAsciiWhitespace(text_.substr(at_, end - at_)));
    at_ = end + 1;
    rel.clear();
    bool has_rel = false;
    while (SkipBlanks(), Skip(';')) {
      SkipBlanks();
      const std::string name = absl::AsciiStrToLower(Token());
      SkipBlanks();
      std::string value;
      if (Skip('=') && !Value(value)) return false;
      // RFC 8288 §3.3: only the first counts.
      if (name == "rel" && !has_rel) {
        rel = value;
        has_rel = true;
      }
    }
    return at_ == text_.size() || text_[at_] == ',';
  }

 private:
  bool Skip(char c) {
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  bool SkipBlanks() {
    const std::size_t before = at_;
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t')) ++at_;
    return at_ != before;
  }

  absl::string_view Token() {
    const std::size_t end = std::min(text_.find_first_of(" \t=;,\"", at_), text_.size());
    const absl::string_view token = text_.substr(at_, end - at_);
    at_ = end;
    return token;
  }

  bool Value(std::string& value) {
    SkipBlanks();
    if (!Skip('"')) {
      value = std::string(Token());
      return true;
    }
    while (at_ < text_.size()) {
      char c = text_[at_++];
      if (c == '"') return true;
      if (c == '\\') {
        if (at_ == text_.size()) return false;
        c = text_[at_++];
      }
      value += c;
    }
    return false;
  }

  const absl::string_view text_;
  std::size_t at_ = 0;
};

bool HasRelation(absl::string_view rels, absl::string_view rel) {
  for (absl::string_view one : absl::StrSplit(rels, absl::ByAnyChar(" \t"))) {
    if (absl::EqualsIgnoreCase(one, rel)) return true;
  }
  return false;
}

}  // namespace

std::vector<std::string> LinksByRel(const std::vector<std::string>& header_values,
                                    absl::string_view rel) {
  std::vector<std::string> targets;
  for (const std::string& header : header_values) {
    LinkReader reader(absl::string_view(header).substr(0, kMaxHeaderBytes));
    std::string target;
    std::string rels;
    while (targets.size() < kMaxTargets && reader.Next(target, rels)) {
      const bool wanted =
          !target.empty() && target.size() <= kMaxTargetBytes && HasRelation(rels, rel);
      if (wanted && std::find(targets.begin(), targets.end(), target) == targets.end()) {
        targets.push_back(target);
      }
    }
  }
  return targets;
}

}  // namespace certwright::acme
