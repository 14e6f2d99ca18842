#include "lib/rpc/watch_call.h"

#include <atomic>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/fake_clock.h"
#include "lib/rpc/testing/echo_service.h"
#include "lib/runtime/fake_timers.h"

namespace certwright::rpc::testing {
namespace {

using ::testing::HasSubstr;

WatchEchoResponse Event(int number, std::size_t padding = 0) {
  WatchEchoResponse event;
  event.set_number(number);
  event.set_padding(std::string(padding, 'x'));
  return event;
}

class WatchCallTest : public EchoTest {
 protected:
  WatchCallTest() {
    service.on_watch = [this](std::shared_ptr<WatchCall> watch) {
      if (!first_seen_.test_and_set()) watch_.set_value(std::move(watch));
    };
  }
  ~WatchCallTest() override { server.reset(); }

  struct Client {
    std::unique_ptr<EchoService::StubInterface> stub;
    std::unique_ptr<grpc::ClientContext> context = std::make_unique<grpc::ClientContext>();
    std::unique_ptr<grpc::ClientReaderInterface<WatchEchoResponse>> reader;
  };

  Client StartWatch() {
    Client client;
    client.stub = Stub();
    client.reader = client.stub->WatchEcho(client.context.get(), WatchEchoRequest());
    return client;
  }
  std::shared_ptr<WatchCall> ServedWatch() { return watch_.get_future().get(); }

  // Of the first watch.
  std::promise<std::shared_ptr<WatchCall>> watch_;
  std::atomic_flag first_seen_;
};

TEST_F(WatchCallTest, EventsArriveInOrderAndThenTheStatus) {
  StartServer();
  Client client = StartWatch();
  const auto watch = ServedWatch();
  for (int i = 0; i < 100; ++i) watch->Push(Event(i));
  WatchEchoResponse event;
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(client.reader->Read(&event));
    EXPECT_EQ(event.number(), i);
  }
  watch->End(absl::OutOfRangeError("too old"));
  EXPECT_FALSE(client.reader->Read(&event));
  const grpc::Status status = client.reader->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::OUT_OF_RANGE);
  EXPECT_EQ(status.error_message(), "too old");
}

TEST_F(WatchCallTest, OnlyTheFirstEndCounts) {
  StartServer();
  Client client = StartWatch();
  const auto watch = ServedWatch();
  watch->End(absl::OutOfRangeError("first"));
  watch->End(absl::UnavailableError("second"));
  watch->Push(Event(1));
  WatchEchoResponse event;
  EXPECT_FALSE(client.reader->Read(&event));
  EXPECT_EQ(client.reader->Finish().error_message(), "first");
}

TEST_F(WatchCallTest, AWatcherThatDoesNotReadIsCut) {
  StartServer();
  Client client = StartWatch();
  const auto watch = ServedWatch();
  // More than gRPC's flow control takes without a reader.
  for (int i = 0; i < 400; ++i) watch->Push(Event(i, 64 * 1024));
  WatchEchoResponse event;
  while (client.reader->Read(&event)) {
  }
  const grpc::Status status = client.reader->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(status.error_message(), HasSubstr("too slow"));
}

TEST_F(WatchCallTest, AReaderGetsAllOfABurst) {
  StartServer();
  Client client = StartWatch();
  const auto watch = ServedWatch();
  constexpr int kCount = 5000;
  for (int i = 0; i < kCount; ++i) watch->Push(Event(i, 1000));
  WatchEchoResponse event;
  for (int i = 0; i < kCount; ++i) {
    ASSERT_TRUE(client.reader->Read(&event));
    ASSERT_EQ(event.number(), i);
  }
}

runtime::Awaitable<int> PushWhileThereIsRoom(std::shared_ptr<WatchCall> watch, int count) {
  for (int i = 0; i < count; ++i) {
    co_await watch->WaitForRoom();
    watch->Push(Event(i, 256 * 1024));
  }
  co_return count;
}

TEST_F(WatchCallTest, WhoWaitsForRoomFeedsMoreThanMayBePendingAtOnce) {
  StartServer();
  Client client = StartWatch();
  std::promise<int> fed;
  runtime::SpawnThen<int>(pool.executor(), PushWhileThereIsRoom(ServedWatch(), 100),
                          [&fed](int count) { fed.set_value(count); });
  WatchEchoResponse event;
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(client.reader->Read(&event));
    ASSERT_EQ(event.number(), i);
    EXPECT_LE(environment.watches->pending_bytes(), 2u << 20);
  }
  EXPECT_EQ(fed.get_future().get(), 100);
}

TEST_F(WatchCallTest, TheEndWakesWhoWaitsForRoom) {
  StartServer();
  Client client = StartWatch();
  const auto watch = ServedWatch();
  std::promise<int> fed;
  runtime::SpawnThen<int>(pool.executor(), PushWhileThereIsRoom(watch, 100),
                          [&fed](int count) { fed.set_value(count); });
  watch->End(absl::UnavailableError("end"));
  EXPECT_EQ(fed.get_future().get(), 100);
  EXPECT_EQ(environment.watches->pending_bytes(), 0u);
}

TEST_F(WatchCallTest, AllWatchersTogetherHaveABoundInBytes) {
  WatchLimits limits;
  limits.max_total_bytes = 2 << 20;
  EchoServiceForTest bounded(environment, limits);
  bounded.on_watch = service.on_watch;
  options.listen_address = "127.0.0.1:0";
  CW_ASSERT_OK_AND_ASSIGN(server, Server::Start(options, environment, {&bounded}));
  Client client = StartWatch();
  const auto watch = ServedWatch();
  for (int i = 0; i < 100; ++i) watch->Push(Event(i, 64 * 1024));
  WatchEchoResponse event;
  while (client.reader->Read(&event)) {
  }
  EXPECT_EQ(client.reader->Finish().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  server.reset();
}

TEST_F(WatchCallTest, AWatcherThatCancelsEndsTheFeed) {
  std::promise<void> done;
  StartServer();
  Client client = StartWatch();
  const auto watch = ServedWatch();
  watch->SetOnDone([&done] { done.set_value(); });
  std::atomic<bool> stop = false;
  std::thread feeder([&] {
    for (int i = 0; !stop; ++i) watch->Push(Event(i));
  });
  WatchEchoResponse event;
  ASSERT_TRUE(client.reader->Read(&event));
  client.context->TryCancel();
  done.get_future().get();
  stop = true;
  feeder.join();
  EXPECT_EQ((*environment.watches).size(), 0u);
}

TEST_F(WatchCallTest, SetOnDoneAfterTheEndRunsAtOnce) {
  std::promise<void> done;
  StartServer();
  Client client = StartWatch();
  const auto watch = ServedWatch();
  watch->SetOnDone([&done] { done.set_value(); });
  client.context->TryCancel();
  done.get_future().get();
  bool ran = false;
  watch->SetOnDone([&ran] { ran = true; });
  EXPECT_TRUE(ran);
}

TEST_F(WatchCallTest, EndAllEndsLiveWatchesAndRefusesLaterOnes) {
  StartServer();
  Client client = StartWatch();
  ServedWatch();
  (*environment.watches).EndAll(absl::UnavailableError("shutting down"));
  WatchEchoResponse event;
  EXPECT_FALSE(client.reader->Read(&event));
  EXPECT_EQ(client.reader->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  Client late = StartWatch();
  EXPECT_FALSE(late.reader->Read(&event));
  EXPECT_EQ(late.reader->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(WatchCallTest, ManyWatchesSurviveConcurrentPushesCancelsAndTheEnd) {
  base::Mutex mutex;
  std::vector<std::shared_ptr<WatchCall>> watches;
  service.on_watch = [&](std::shared_ptr<WatchCall> watch) {
    base::MutexLock lock(mutex);
    watches.push_back(std::move(watch));
  };
  StartServer();
  std::vector<Client> clients;
  for (int i = 0; i < 8; ++i) clients.push_back(StartWatch());
  std::atomic<bool> stop = false;
  std::thread feeder([&] {
    for (int i = 0; !stop; ++i) {
      std::vector<std::shared_ptr<WatchCall>> snapshot;
      {
        base::MutexLock lock(mutex);
        snapshot = watches;
      }
      for (const auto& watch : snapshot) watch->Push(Event(i));
      std::this_thread::yield();
    }
  });
  WatchEchoResponse event;
  for (std::size_t i = 0; i < clients.size(); ++i) {
    ASSERT_TRUE(clients[i].reader->Read(&event));
    if (i % 2 == 0) clients[i].context->TryCancel();
  }
  (*environment.watches).EndAll(absl::UnavailableError("shutting down"));
  for (Client& client : clients) {
    while (client.reader->Read(&event)) {
    }
    EXPECT_FALSE(client.reader->Finish().ok());
  }
  stop = true;
  feeder.join();
  {
    base::MutexLock lock(mutex);
    watches.clear();
  }
  server.reset();
  EXPECT_EQ((*environment.watches).size(), 0u);
}

class HeartbeatTest : public EchoTest {
 protected:
  HeartbeatTest() {
    heartbeats_.on_watch = [this](std::shared_ptr<WatchCall> watch) {
      watch->SetHeartbeat([](WatchCall& call) { call.Push(Event(-1)); });
      watch_.set_value(watch);
    };
    options.listen_address = "127.0.0.1:0";
  }
  ~HeartbeatTest() override { server.reset(); }

  base::FakeClock clock_;
  runtime::FakeTimers fake_timers_{clock_};
  CallEnvironment fake_environment_{pool.executor(), fake_timers_};
  EchoServiceForTest heartbeats_{fake_environment_};
  std::promise<std::shared_ptr<WatchCall>> watch_;
};

TEST_F(HeartbeatTest, AWatcherThatWasIdleIsNotCutByTheNextBurst) {
  CW_ASSERT_OK_AND_ASSIGN(server, Server::Start(options, fake_environment_, {&heartbeats_}));
  grpc::ClientContext context;
  const auto stub = Stub();
  const auto reader = stub->WatchEcho(&context, WatchEchoRequest());
  const auto watch = watch_.get_future().get();
  const WatchLimits limits;
  // It takes all that comes, but nothing has come for longer than it may stall.
  clock_.Advance(limits.max_stall + absl::Seconds(1));
  const auto large = static_cast<std::size_t>(limits.max_pending_bytes) + 1024;
  // More than a client's window takes without a reader.
  for (int i = 0; i < 3; ++i) watch->Push(Event(i, large));
  WatchEchoResponse event;
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(reader->Read(&event));
    EXPECT_EQ(event.number(), i);
  }
  watch->End(absl::UnavailableError("end"));
  while (reader->Read(&event)) {
  }
  EXPECT_EQ(reader->Finish().error_message(), "end");
  server.reset();
}

TEST_F(HeartbeatTest, ASilentWatchGetsABookmarkEveryThirtySeconds) {
  CW_ASSERT_OK_AND_ASSIGN(server, Server::Start(options, fake_environment_, {&heartbeats_}));
  grpc::ClientContext context;
  const auto stub = Stub();
  const auto reader = stub->WatchEcho(&context, WatchEchoRequest());
  const auto watch = watch_.get_future().get();
  std::atomic<int> received = 0;
  std::thread client([&] {
    WatchEchoResponse event;
    while (reader->Read(&event)) {
      EXPECT_EQ(event.number(), -1);
      ++received;
    }
    reader->Finish();
  });
  // One may be left out while the one before is still being written.
  int beats = 0;
  for (; received < 3; ++beats) {
    clock_.Advance(absl::Seconds(30));
    std::this_thread::yield();
  }
  EXPECT_GE(beats, 3);
  watch->End(absl::UnavailableError("end"));
  client.join();
  server.reset();
  EXPECT_EQ(fake_timers_.pending(), 0u);
}

}  // namespace
}  // namespace certwright::rpc::testing
