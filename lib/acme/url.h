// What this library wants of a URL that a CA names.
#pragma once

#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace certwright::acme {

// "https://ca.example:14000" in lower case, with the port only if it is not the
// scheme's own; nullopt unless `url` is an absolute http or https URL of at
// most 2 KiB without user information, control characters or blanks.
std::optional<std::string> OriginOf(absl::string_view url);

bool IsHttpUrl(absl::string_view url);
bool IsHttpsUrl(absl::string_view url);
// Whether a CA may be asked at `url`: https, or http as well where `allow_http`.
bool IsCaUrl(absl::string_view url, bool allow_http);

// The URL that a CA names by `reference`, in the answer to a request of `url`: as it is written
// if it is absolute, else resolved (RFC 9110 §10.2.2, RFC 8288 §3.1). nullopt unless the CA may
// be asked there.
std::optional<std::string> ResolveCaUrl(absl::string_view url, absl::string_view reference,
                                        bool allow_http);

// Whether both are URLs of one scheme, host and port.
bool SameOrigin(absl::string_view a, absl::string_view b);

}  // namespace certwright::acme
