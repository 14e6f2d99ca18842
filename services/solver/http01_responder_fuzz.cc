// Paths that anyone asks the HTTP-01 listener for: only the token's own is answered, and
// nothing of a path is echoed.
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/base/fuzz.h"
#include "services/solver/http01_responder.h"

namespace certwright::solver {
namespace {

constexpr char kPrefix[] = "/.well-known/acme-challenge/";
constexpr char kToken[] = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA";
constexpr char kAnswer[] =
    "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA.9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI";

Http01Tokens& Tokens() {
  static Http01Tokens& tokens = *[] {
    auto* made = new Http01Tokens;
    ledger::Presentation presentation;
    presentation.set_type(v1::CHALLENGE_TYPE_HTTP01);
    presentation.set_token(kToken);
    presentation.set_key_authorization(kAnswer);
    made->Add("record", presentation);
    return made;
  }();
  return tokens;
}

void Check(absl::string_view path) {
  http::HttpServerRequest request;
  request.path = std::string(path);
  const http::HttpServerResponse response = AnswerToken(Tokens(), request);
  if (path == absl::StrCat(kPrefix, kToken)) {
    CW_FUZZ_CHECK(response.status == 200 && response.body == kAnswer);
  } else {
    CW_FUZZ_CHECK(response.status == 404 && response.body == "not found\n");
  }
}

}  // namespace
}  // namespace certwright::solver

CW_FUZZ_TARGET(input) {
  certwright::solver::Check(input);
  certwright::solver::Check(absl::StrCat("/.well-known/acme-challenge/", input));
}
