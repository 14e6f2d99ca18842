#include "lib/acme/url.h"

#include "lib/http/url.h"

namespace certwright::acme {

std::optional<std::string> OriginOf(absl::string_view url) {
  const std::optional<http::Url> parsed = http::ParseUrl(url);
  if (!parsed.has_value()) return std::nullopt;
  return parsed->Origin();
}

bool IsHttpUrl(absl::string_view url) { return http::ParseUrl(url).has_value(); }

bool IsHttpsUrl(absl::string_view url) {
  const std::optional<http::Url> parsed = http::ParseUrl(url);
  return parsed.has_value() && parsed->https;
}

bool IsCaUrl(absl::string_view url, bool allow_http) {
  return allow_http ? IsHttpUrl(url) : IsHttpsUrl(url);
}

std::optional<std::string> ResolveCaUrl(absl::string_view url, absl::string_view reference,
                                        bool allow_http) {
  // A fragment is never sent (RFC 9110 §7.1), so it must not be signed either.
  reference = reference.substr(0, reference.find('#'));
  std::string resolved(reference);
  if (!IsHttpUrl(reference)) {
    const std::optional<http::Url> base = http::ParseUrl(url);
    if (!base.has_value()) return std::nullopt;
    const std::optional<http::Url> target = http::ResolveUrl(*base, reference);
    if (!target.has_value()) return std::nullopt;
    resolved = target->text;
  }
  if (!IsCaUrl(resolved, allow_http)) return std::nullopt;
  return resolved;
}

bool SameOrigin(absl::string_view a, absl::string_view b) {
  const std::optional<std::string> origin = OriginOf(a);
  return origin.has_value() && origin == OriginOf(b);
}

}  // namespace certwright::acme
