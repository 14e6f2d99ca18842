#include "lib/rpc/refusal.h"

#include "gtest/gtest.h"
#include "lib/rpc/status.h"

namespace certwright::rpc {
namespace {

// Fault 109.
TEST(RefusalTest, WhatIsWrongAsItIsIsARefusalAndWhatMayPassIsNone) {
  for (const absl::Status& refusal :
       {InvalidArgument({{"spec.dnsNames", "must be at most 100 names"}}),
        FailedPrecondition("NOT_SO", "not like this"), absl::OutOfRangeError("too far")}) {
    EXPECT_TRUE(IsRefusal(FromGrpc(ToGrpc(refusal)))) << refusal;
  }
  for (const absl::Status& other :
       {absl::OkStatus(), absl::UnavailableError("x"), absl::DeadlineExceededError("x"),
        absl::ResourceExhaustedError("x"), absl::AbortedError("x"), absl::CancelledError("x"),
        absl::InternalError("x"), absl::UnauthenticatedError("x"),
        absl::PermissionDeniedError("x"), absl::UnknownError("x")}) {
    EXPECT_FALSE(IsRefusal(FromGrpc(ToGrpc(other)))) << other;
  }
}

}  // namespace
}  // namespace certwright::rpc
