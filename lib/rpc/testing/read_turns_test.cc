#include "lib/rpc/read_turns.h"

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "boost/asio/io_context.hpp"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace certwright::rpc {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

Caller Known(const std::string& identity) {
  Caller caller;
  caller.identities = {identity};
  return caller;
}

class ReadTurnsTest : public ::testing::Test {
 protected:
  // Asks for a turn, which `name` then has until it is ended.
  void Ask(const std::string& name, const Caller& caller) {
    runtime::Spawn(loop_.get_executor(), Take(name, caller));
  }
  void End(const std::string& name) { held_.erase(name); }
  // Who has got a turn since the last call.
  std::vector<std::string> Granted() {
    loop_.restart();
    loop_.poll();
    return std::exchange(granted_, {});
  }

 private:
  runtime::Awaitable<void> Take(std::string name, Caller caller) {
    ReadTurns::Turn turn = co_await turns_->Take(caller);
    held_.emplace(name, std::move(turn));
    granted_.push_back(std::move(name));
  }

  boost::asio::io_context loop_;
  const std::shared_ptr<ReadTurns> turns_ = std::make_shared<ReadTurns>();
  std::map<std::string, ReadTurns::Turn> held_;
  std::vector<std::string> granted_;
};

TEST_F(ReadTurnsTest, TwoReadAtOnceAndTheOthersInTheOrderInWhichTheyCame) {
  for (int i = 0; i < 5; ++i) Ask(absl::StrCat("a", i), Known("a"));
  EXPECT_THAT(Granted(), ElementsAre("a0", "a1"));
  End("a1");
  EXPECT_THAT(Granted(), ElementsAre("a2"));
  End("a0");
  End("a2");
  EXPECT_THAT(Granted(), ElementsAre("a3", "a4"));
  End("a3");
  End("a4");
  EXPECT_THAT(Granted(), IsEmpty());
  for (int i = 5; i < 8; ++i) Ask(absl::StrCat("a", i), Known("a"));
  EXPECT_THAT(Granted(), ElementsAre("a5", "a6"));
}

TEST_F(ReadTurnsTest, NobodyWaitsForOthers) {
  for (int i = 0; i < 5; ++i) Ask(absl::StrCat("a", i), Known("a"));
  Ask("b", Known("b"));
  EXPECT_THAT(Granted(), ElementsAre("a0", "a1", "b"));
  End("b");
  EXPECT_THAT(Granted(), IsEmpty());
}

TEST_F(ReadTurnsTest, ServicesAndThoseNobodyKnowsStandInNoLine) {
  Caller service = Known("order");
  service.services = {ServiceRole::kOrder};
  for (int i = 0; i < 3; ++i) Ask(absl::StrCat("service", i), service);
  for (int i = 0; i < 3; ++i) Ask(absl::StrCat("nobody", i), Caller());
  EXPECT_THAT(Granted(),
              ElementsAre("service0", "service1", "service2", "nobody0", "nobody1", "nobody2"));
}

}  // namespace
}  // namespace certwright::rpc
