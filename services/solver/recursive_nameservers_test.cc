#include "services/solver/recursive_nameservers.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"

namespace certwright::solver {
namespace {

using base::StatusIs;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

using Named = google::protobuf::RepeatedPtrField<std::string>;

TEST(RecursiveNameserversTest, TheServicesOwnMayBeAnywhere) {
  EXPECT_THAT(*RecursiveNameservers().Choose({}), IsEmpty());
  const RecursiveNameservers own({"127.0.0.1:5353"}, dns::ServerPolicy());
  EXPECT_THAT(*own.Choose({}), ElementsAre("127.0.0.1:5353"));
}

TEST(RecursiveNameserversTest, WhatOthersNameIsHeldToThePolicy) {
  const RecursiveNameservers nameservers(
      {"127.0.0.1:5353"},
      dns::ServerPolicy(*http::AddressRanges::Parse({"10.0.0.0/8"}), {5300}));
  Named named;
  named.Add("9.9.9.9");
  named.Add("10.0.0.1:5300");
  EXPECT_THAT(*nameservers.Choose(named), ElementsAre("9.9.9.9", "10.0.0.1:5300"));
  for (const char* server : {"127.0.0.1:5353", "127.0.0.1", "10.0.0.1:22", "[::1]:53"}) {
    *named.Mutable(1) = server;
    EXPECT_THAT(nameservers.Choose(named),
                StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("refused by policy")))
        << server;
  }
  *named.Mutable(1) = "ns.example.test";
  EXPECT_THAT(nameservers.Choose(named), StatusIs(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace certwright::solver
