#include "tests/attacks/identities.h"

#include <cstdio>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "lib/pki/run_command.h"
#include "tests/harness/process.h"

namespace certwright::attacks {
namespace {

constexpr std::size_t kTokenLength = 43;
constexpr std::size_t kDigestLength = 64;

std::string Bootstrap(const std::string& arguments) {
  const pki::CommandResult result =
      pki::RunCommand(absl::StrCat("cli/certwright-bootstrap ", arguments));
  if (result.exit_status != 0) {
    std::fprintf(stderr, "certwright-bootstrap: %s\n", result.output.c_str());
    std::abort();
  }
  return result.output;
}

std::string After(const std::string& text, const std::string& label, std::size_t length) {
  return text.substr(text.find(label) + label.size(), length);
}

}  // namespace

Identities Identities::Make() {
  Identities identities;
  identities.folder_ = harness::MakeFolder("attacks");
  std::string arguments = absl::StrCat("certificates --out ", identities.certificates());
  for (const char* client : {kAdmin, kRequester, kNobody}) {
    absl::StrAppend(&arguments, " --client ", client);
  }
  Bootstrap(arguments);
  const std::string token = Bootstrap("token ci");
  identities.token_ = After(token, "shown only now: ", kTokenLength);
  identities.token_digest_ = After(token, "sha256: \"", kDigestLength);
  return identities;
}

std::string Identities::AccessConfig(bool with_tokens) const {
  return absl::StrCat(
      "access:\n  grants:\n  - {identity: ", kAdmin, ", role: ROLE_ADMIN}\n",
      "  - {identity: ", kRequester, ", role: ROLE_REQUESTER, namespaces: [team-a]}\n",
      with_tokens ? absl::StrCat("  - {identity: \"token:ci\", role: ROLE_REQUESTER, "
                                 "namespaces: [team-a]}\n  tokens: [{name: ci, sha256: \"",
                                 token_digest_, "\"}]\n")
                  : "",
      // What tests do with it is no attack.
      "  rates: [{identity: ", kAdmin, ", changesPerSecond: 1000, changesBurst: 1000, ",
      "callsPerSecond: 1000, callsBurst: 10000}, {identity: ", kNobody,
      ", callsPerSecond: 200, callsBurst: 2000}]\n");
}

}  // namespace certwright::attacks
