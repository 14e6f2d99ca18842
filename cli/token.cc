#include "cli/token.h"

#include <openssl/rand.h>

#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/substitute.h"
#include "lib/base/base64.h"
#include "lib/pki/digest.h"
#include "lib/rpc/validation.h"

namespace certwright::cli {

absl::StatusOr<base::Secret> MakeToken() {
  std::string bytes(32, '\0');
  if (RAND_priv_bytes(reinterpret_cast<unsigned char*>(bytes.data()),
                      static_cast<int>(bytes.size())) != 1) {
    return absl::InternalError("there are no random bytes");
  }
  std::string text = base::Base64UrlEncode(bytes);
  base::Wipe(bytes);
  return base::Secret(std::move(text));
}

absl::StatusOr<std::string> TokenConfiguration(const std::string& name,
                                               const base::Secret& token) {
  if (!rpc::IsDnsLabel(name)) {
    return absl::InvalidArgumentError(
        "the name of a token must be a DNS label: 1 to 63 of a-z, 0-9 and \"-\"");
  }
  const std::string digest = absl::BytesToHexString(pki::Sha256(token.Reveal()));
  return absl::Substitute(
      "access:\n"
      "  tokens:\n"
      "    - {name: \"$0\", sha256: \"$1\"}\n"
      "  grants:\n"
      "    - {identity: \"token:$0\", role: ROLE_VIEWER, namespaces: [\"default\"]}\n",
      name, digest);
}

}  // namespace certwright::cli
