#include "lib/pki/pem.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "lib/base/secret.h"

namespace certwright::pki {
namespace {

constexpr absl::string_view kBegin = "-----BEGIN ";
constexpr absl::string_view kEnd = "-----END ";
constexpr absl::string_view kDashes = "-----";
constexpr size_t kBase64LineLength = 64;

// Narrower than RFC 7468's labels, which may hold any printable character but a hyphen.
bool IsLabel(absl::string_view label) {
  if (label.empty() || label.size() > 64) return false;
  for (unsigned char c : label) {
    if (!absl::ascii_isupper(c) && !absl::ascii_isdigit(c) && c != ' ') return false;
  }
  return true;
}

// Reads one text; its members hold the state between lines.
class PemReader {
 public:
  explicit PemReader(PemLimits limits) : limits_(limits) {}
  ~PemReader() {
    base::Wipe(base64_);
    for (PemBlock& block : blocks_) base::Wipe(block.der);
  }

  absl::StatusOr<std::vector<PemBlock>> Read(absl::string_view text) {
    base64_.reserve(text.size());
    while (!text.empty()) {
      size_t end = text.find('\n');
      absl::string_view line = absl::StripAsciiWhitespace(text.substr(0, end));
      text = end == absl::string_view::npos ? "" : text.substr(end + 1);
      absl::Status status = inside_ ? InsideLine(line) : OutsideLine(line);
      if (!status.ok()) return status;
    }
    if (inside_) return Error("has no END line");
    return std::exchange(blocks_, {});
  }

 private:
  absl::Status OutsideLine(absl::string_view line) {
    absl::string_view label = line;
    if (absl::ConsumePrefix(&label, kBegin) && absl::ConsumeSuffix(&label, kDashes) &&
        IsLabel(label)) {
      if (blocks_.size() == limits_.max_blocks) {
        return absl::InvalidArgumentError(
            absl::StrCat("PEM text has more than ", limits_.max_blocks, " blocks"));
      }
      inside_ = true;
      label_ = std::string(label);
      return absl::OkStatus();
    }
    // A boundary that this reader overlooks but another finds could hide a key.
    if (absl::StrContains(line, "-----BEGIN") || absl::StrContains(line, "-----END")) {
      return Error("has a boundary that is malformed or not on a line of its own");
    }
    return absl::OkStatus();
  }

  absl::Status InsideLine(absl::string_view line) {
    if (absl::ConsumePrefix(&line, kEnd)) {
      if (!absl::ConsumeSuffix(&line, kDashes) || line != label_) {
        return Error("has an END line that does not match its BEGIN line");
      }
      return CloseBlock();
    }
    if (absl::StrContains(line, ':')) {
      return Error("has headers; encrypted PEM is not supported");
    }
    for (unsigned char c : line) {
      if (!absl::ascii_isalnum(c) && c != '+' && c != '/' && c != '=') {
        return Error("has a character that is not base64");
      }
    }
    base64_.append(line.data(), line.size());
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
