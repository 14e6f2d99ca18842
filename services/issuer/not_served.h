// The answer of RPCs that are part of the API but not of this version.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "lib/runtime/awaitable.h"

namespace certwright::issuer_service {

template <typename Response>
runtime::Awaitable<absl::StatusOr<Response>> NotServed(std::string method) {
  co_return absl::UnimplementedError(absl::StrCat(method, " is not served by this version"));
}

}  // namespace certwright::issuer_service
