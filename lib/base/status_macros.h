// Early return on a bad absl::Status or absl::StatusOr, in functions and in coroutines.
#pragma once

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace certwright::base {

inline const absl::Status& ToStatus(const absl::Status& status) { return status; }
template <typename T>
const absl::Status& ToStatus(const absl::StatusOr<T>& status_or) {
  return status_or.status();
}

// `status` with `context` and a colon put before its message; code and payloads are kept.
// OK stays OK.
absl::Status Annotate(const absl::Status& status, absl::string_view context);

}  // namespace certwright::base

#define CW_STATUS_CONCAT_INNER(a, b) a##b
#define CW_STATUS_CONCAT(a, b) CW_STATUS_CONCAT_INNER(a, b)

// CW_RETURN_IF_ERROR(expression): `expression` is a Status or StatusOr.
#define CW_RETURN_IF_ERROR(expression)                \
  do {                                                \
    auto&& cw_result = (expression);                  \
    if (!cw_result.ok()) {                            \
      return ::certwright::base::ToStatus(cw_result); \
    }                                                 \
  } while (false)

// CW_ASSIGN_OR_RETURN(auto x, expression): `expression` is a StatusOr.
#define CW_ASSIGN_OR_RETURN(target, expression) \
  CW_ASSIGN_OR_RETURN_INNER(CW_STATUS_CONCAT(cw_or_, __LINE__), target, return, expression)

// The same two for coroutines, whose `return` is co_return. The expression may co_await.
#define CW_CO_RETURN_IF_ERROR(expression)                \
  do {                                                   \
    auto&& cw_result = (expression);                     \
    if (!cw_result.ok()) {                               \
      co_return ::certwright::base::ToStatus(cw_result); \
    }                                                    \
  } while (false)

#define CW_CO_ASSIGN_OR_RETURN(target, expression) \
  CW_ASSIGN_OR_RETURN_INNER(CW_STATUS_CONCAT(cw_or_, __LINE__), target, co_return, expression)

#define CW_ASSIGN_OR_RETURN_INNER(variable, target, leave, expression) \
  auto variable = (expression);                                        \
  if (!variable.ok()) {                                                \
    leave variable.status();                                           \
  }                                                                    \
  target = *std::move(variable)
