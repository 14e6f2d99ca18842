// URLs that the other services want requests signed for. None that is allowed may lead a server
// to an account itself, however that server reads paths.
#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "lib/base/fuzz.h"
#include "lib/http/url.h"
#include "services/issuer/jws_policy.h"

namespace certwright::issuer_service {
namespace {

constexpr char kDirectoryUrl[] = "https://ca.test/directory";
constexpr char kAccountUrl[] = "https://ca.test/acct/1";

acme::Directory CaDirectory() {
  acme::Directory directory;
  directory.new_account = "https://ca.test/new-account";
  directory.new_order = "https://ca.test/new-order";
  directory.key_change = "https://ca.test/key-change";
  directory.revoke_cert = "https://ca.test/revoke-cert";
  return directory;
}

int HexDigit(char c) {
  if (!absl::ascii_isxdigit(c)) return -1;
  return absl::ascii_isdigit(c) ? c - '0' : absl::ascii_tolower(c) - 'a' + 10;
}

std::string Decode(absl::string_view text) {
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const int high = i + 2 < text.size() ? HexDigit(text[i + 1]) : -1;
    const int low = i + 2 < text.size() ? HexDigit(text[i + 2]) : -1;
    if (text[i] == '%' && high >= 0 && low >= 0) {
      decoded += static_cast<char>(high << 4 | low);
      i += 2;
    } else {
      decoded += text[i];
    }
  }
  return decoded;
}

// The path as a server may come to see it, without dots, empty segments and parameters.
std::string Resolve(absl::string_view path) {
  std::vector<absl::string_view> segments;
  for (absl::string_view segment : absl::StrSplit(path, absl::ByAnyChar("/\\"))) {
    segment = segment.substr(0, segment.find(';'));
    if (segment.empty() || segment == ".") continue;
    if (segment != "..") {
      segments.push_back(segment);
    } else if (!segments.empty()) {
      segments.pop_back();
    }
  }
  return absl::StrJoin(segments, "/");
}

void Check(const std::string& url, JwsCaller caller) {
  if (!CheckJwsUrl(url, caller, CaDirectory(), kDirectoryUrl, kAccountUrl).ok()) return;
  const std::optional<http::Url> parsed = http::ParseUrl(url);
  CW_FUZZ_CHECK(parsed.has_value() && parsed->Origin() == "https://ca.test");
  absl::string_view path = absl::string_view(url).substr(url.find("//") + 2);
  path = path.substr(0, path.find('?'));
  path.remove_prefix(std::min(path.find('/'), path.size()));
  for (const std::string& seen : {Resolve(path), Resolve(Decode(path)), Decode(Resolve(path)),
                                  Resolve(Decode(Decode(path)))}) {
    const std::string folded = absl::AsciiStrToLower(seen);
    for (const char* reserved : {"acct/1", "new-account", "key-change", "revoke-cert"}) {
      CW_FUZZ_CHECK(folded != reserved);
    }
    CW_FUZZ_CHECK(!absl::StartsWith(folded, "acct/") || absl::StartsWith(seen, "acct/1/"));
    CW_FUZZ_CHECK(caller != JwsCaller::kSolver || folded != "new-order");
  }
}

}  // namespace
}  // namespace certwright::issuer_service

CW_FUZZ_TARGET(input) {
  using namespace certwright::issuer_service;
  for (const JwsCaller caller : {JwsCaller::kOrder, JwsCaller::kSolver}) {
    Check(std::string(input), caller);
    Check(absl::StrCat("https://ca.test/", input), caller);
  }
}
