#include "lib/pki/pem.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "lib/base/secret.h"
#include "lib/base/status_macros.h"

namespace certwright::pki {
namespace {

constexpr absl::string_view kBegin = "-----BEGIN ";
constexpr absl::string_view kEnd = "-----END ";
constexpr absl::string_view kDashes = "-----";
constexpr size_t kBase64LineLength = 64;

constexpr absl::string_view kByteOrderMark = "\xef\xbb\xbf";

// Narrower than RFC 7468's labels, which may hold any printable character but a hyphen.
bool IsLabel(absl::string_view label) {
  if (label.empty() || label.size() > 64) return false;
  for (unsigned char c : label) {
    if (!absl::ascii_isupper(c) && !absl::ascii_isdigit(c) && c != ' ' && c != '.') {
      return false;
    }
  }
  return true;
}

// Whether what follows `text` begins a line, but for blanks and a byte order mark.
bool EndsAtLineStart(absl::string_view text) {
  const size_t line_end = text.find_last_of("\r\n");
  if (line_end != absl::string_view::npos) text.remove_prefix(line_end + 1);
  text = absl::StripAsciiWhitespace(text);
  absl::ConsumePrefix(&text, kByteOrderMark);
  return absl::StripAsciiWhitespace(text).empty();
}

// Reads one text; its members hold the state between boundaries.
class PemReader {
 public:
  explicit PemReader(PemLimits limits) : limits_(limits) {}
  ~PemReader() {
    base::Wipe(base64_);
    for (PemBlock& block : blocks_) base::Wipe(block.der);
  }

  absl::StatusOr<std::vector<PemBlock>> Read(absl::string_view text) {
    base64_.reserve(text.size());
    while (!text.empty()) CW_RETURN_IF_ERROR(inside_ ? ReadInside(text) : ReadOutside(text));
    if (inside_) return Error("has no END line");
    return std::exchange(blocks_, {});
  }

 private:
  // Both take what they have read off `text`.

  // Up to and with the next BEGIN boundary, if there is one.
  absl::Status ReadOutside(absl::string_view& text) {
    const size_t boundary = std::min(text.find("-----BEGIN"), text.find("-----END"));
    const absl::string_view before = text.substr(0, boundary);
    text.remove_prefix(before.size());
    if (text.empty()) return absl::OkStatus();
    absl::string_view label;
    // A boundary that this reader overlooks but another finds could hide a key.
    if (!EndsAtLineStart(before) || !absl::ConsumePrefix(&text, kBegin) ||
        !TakeLabel(text, label) || !IsLabel(label)) {
      return Error("has a boundary that is malformed or not on a line of its own");
    }
    if (blocks_.size() == limits_.max_blocks) {
      return absl::InvalidArgumentError(
          absl::StrCat("PEM text has more than ", limits_.max_blocks, " blocks"));
    }
    inside_ = true;
    label_ = std::string(label);
    return absl::OkStatus();
  }

  // Up to and with the END boundary.
  absl::Status ReadInside(absl::string_view& text) {
    const absl::string_view content = text.substr(0, text.find(kDashes));
    text.remove_prefix(content.size());
    CW_RETURN_IF_ERROR(AddBase64(content));
    if (text.empty()) return absl::OkStatus();
    absl::string_view label;
    if (!absl::ConsumePrefix(&text, kEnd) || !TakeLabel(text, label) || label != label_) {
      return Error("has an END line that does not match its BEGIN line");
    }
    return CloseBlock();
  }

  static bool TakeLabel(absl::string_view& text, absl::string_view& label) {
    const size_t end = text.find(kDashes);
    if (end == absl::string_view::npos) return false;
    label = text.substr(0, end);
    text.remove_prefix(end + kDashes.size());
    return true;
  }

  absl::Status AddBase64(absl::string_view content) {
    if (absl::StrContains(content, ':')) {
      return Error("has headers; encrypted PEM is not supported");
    }
    for (unsigned char c : content) {
      if (absl::ascii_isspace(c)) continue;
      if (!absl::ascii_isalnum(c) && c != '+' && c != '/' && c != '=') {
        return Error("has a character that is not base64");
      }
      base64_ += static_cast<char>(c);
    }
    return absl::OkStatus();
  }

  absl::Status CloseBlock() {
    PemBlock block{std::move(label_), ""};
    bool valid = !base64_.empty() && base64_.size() % 4 == 0 &&
                 absl::Base64Unescape(base64_, &block.der) && !block.der.empty();
    base::Wipe(base64_);
    if (!valid) {
      base::Wipe(block.der);
      return Error("is not valid base64");
    }
    blocks_.push_back(std::move(block));
    inside_ = false;
    return absl::OkStatus();
  }

  absl::Status Error(absl::string_view what) const {
    return absl::InvalidArgumentError(
        absl::StrCat("PEM block ", blocks_.size() + 1, " ", what));
  }

  const PemLimits limits_;
  bool inside_ = false;
  std::string label_;
  std::string base64_;
  std::vector<PemBlock> blocks_;
};

}  // namespace

absl::StatusOr<std::vector<PemBlock>> ParsePem(absl::string_view text, PemLimits limits) {
  if (text.size() > limits.max_bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("PEM text is longer than ", limits.max_bytes, " bytes"));
  }
  return PemReader(limits).Read(text);
}

std::string EncodePem(absl::string_view label, absl::string_view der) {
  std::string base64 = absl::Base64Escape(der);
  std::string pem = absl::StrCat(kBegin, label, kDashes, "\n");
  for (size_t i = 0; i < base64.size(); i += kBase64LineLength) {
    absl::StrAppend(&pem, absl::string_view(base64).substr(i, kBase64LineLength), "\n");
  }
  absl::StrAppend(&pem, kEnd, label, kDashes, "\n");
  return pem;
}

}  // namespace certwright::pki
