// Attacks on HTTP/2 itself, of which most have a CVE somewhere: a service that is attacked
// stays small, serves others meanwhile, and has nothing to do afterwards.
#include <sys/resource.h>

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"
#include "tests/attacks/attacked_suite.h"

namespace certwright::attacks {
namespace {

using harness::Service;

// What of a header block a server may take, with the kernel's buffers of both sides.
constexpr std::size_t kMaxBlockBytes = 16 << 20;
constexpr std::size_t kFrameBytes = 16 * 1024;
// What one attack may take of the processor, and then of an idle second.
constexpr absl::Duration kMaxCpu = absl::Seconds(30);
constexpr absl::Duration kMaxIdleCpu = absl::Milliseconds(500);

// Sends `piece` again and again until the server ends it, or `limit` bytes are sent; OK then.
absl::Status Flood(Connection& connection, const std::string& piece, std::size_t limit) {
  for (std::size_t sent = 0; sent < limit; sent += piece.size()) {
    CW_RETURN_IF_ERROR(connection.Send(piece));
  }
  return absl::OkStatus();
}

// The issuer, as somebody without credentials meets it.
class Http2Attacks : public testing::Test {
 protected:
  void SetUp() override {
    CW_ASSERT_OK_AND_ASSIGN(suite_, AttackedSuite::Start(Mode::kTokens));
    doors_ = {suite_->ToGrpc(Service::kIssuer), suite_->ToHealth(Service::kIssuer)};
    cpu_before_ = process().CpuTime();
  }

  harness::Process& process() { return suite_->process(Service::kIssuer); }

  // Runs `attack` on each of the doors from several addresses at once, and asks as another
  // meanwhile.
  void Attack(int attackers, const std::function<void(const Target& target)>& attack) {
    std::vector<std::jthread> threads;
    for (const Target& door : doors_) {
      for (int i = 0; i < attackers; ++i) {
        Target target = door;
        target.from = absl::StrCat("127.0.0.", 20 + i);
        threads.emplace_back([&attack, target] { attack(target); });
      }
    }
    for (int i = 0; i < 10; ++i) EXPECT_TRUE(suite_->Serves(Service::kIssuer)) << "meanwhile";
  }

  // Begins a header block on each of the doors and goes on with `piece`: the server must end
  // the connection.
  void ExpectCutOff(const std::string& start, const std::string& piece) {
    const std::string continuation = Serialize({FrameType::kContinuation, 0, 1, piece});
    for (const Target& door : doors_) {
      CW_ASSERT_OK_AND_ASSIGN(const auto attacker, Http2Attacker::Connect(door));
      CW_ASSERT_OK(attacker->Send({FrameType::kHeaders, 0, 1, start}));
      EXPECT_THAT(Flood(attacker->connection(), continuation, kMaxBlockBytes),
                  base::StatusIs(absl::StatusCode::kUnavailable));
      EXPECT_TRUE(suite_->Serves(Service::kIssuer)) << "meanwhile";
    }
  }

  void TearDown() override {
    if (suite_ == nullptr) return;
    EXPECT_TRUE(suite_->Serves(Service::kIssuer));
    EXPECT_TRUE(StayedSmall(process()));
    EXPECT_LT(process().CpuTime() - cpu_before_, kMaxCpu);
    ExpectIdle();
  }

  // Once what is left of an attack is done, the service has nothing to do.
  void ExpectIdle() {
    EXPECT_TRUE(harness::WaitUntil(
        [this] {
          const absl::Duration before = process().CpuTime();
          harness::WaitUntil([] { return false; }, absl::Seconds(1));
          return process().CpuTime() - before < kMaxIdleCpu;
        },
        kPatience))
        << "it keeps the processor busy";
  }

  std::unique_ptr<AttackedSuite> suite_;
  std::vector<Target> doors_;
  absl::Duration cpu_before_;
};

std::string Repeated(const std::string& piece, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += piece;
  return all;
}

// CVE-2023-44487: 100,000 calls that are taken back at once.
TEST_F(Http2Attacks, RapidResetLeavesOthersServed) {
  constexpr int kResets = 100'000;
  constexpr int kAttackers = 4;
  constexpr int kAtOnce = 500;
  const std::string block = HeaderBlock(CallHeaders(kHealthCheck));
  Attack(kAttackers, [&block](const Target& target) {
    std::unique_ptr<Http2Attacker> attacker;
    for (int sent = 0; sent < kResets / kAttackers / 2; sent += kAtOnce) {
      if (attacker == nullptr) {
        auto connected = Http2Attacker::Connect(target);
        if (!connected.ok()) continue;
        attacker = *std::move(connected);
      }
      std::string bytes;
      for (int i = 0; i < kAtOnce; ++i) {
        const uint32_t stream = attacker->NextStream();
        bytes += Serialize({FrameType::kHeaders, kEndHeaders, stream, block});
        bytes += Serialize({FrameType::kRstStream, 0, stream, Number32(8)});
      }
      const bool goes_on =
          attacker->Send(bytes).ok() && !absl::IsUnavailable(attacker->Pump({}));
      if (!goes_on) attacker = nullptr;
    }
  });
}

// The server resets by itself what is wrong: as many streams, none of which counts as open.
TEST_F(Http2Attacks, ResetsProvokedFromTheServerLeaveOthersServed) {
  const std::string block = HeaderBlock(CallHeaders(kHealthCheck));
  Attack(4, [&block](const Target& target) {
    const auto attacker = Http2Attacker::Connect(target);
    if (!attacker.ok()) return;
    for (int sent = 0; sent < 10'000; sent += 100) {
      std::string bytes;
      for (int i = 0; i < 100; ++i) {
        const uint32_t stream = (*attacker)->NextStream();
        bytes += Serialize({FrameType::kHeaders, kEndHeaders, stream, block});
        bytes += Serialize({FrameType::kWindowUpdate, 0, stream, Number32(0)});
      }
      if (!(*attacker)->Send(bytes).ok()) return;
    }
  });
}

// A header block without an end: CERT's VU#421644.
TEST_F(Http2Attacks, ContinuationFloodIsCutOff) {
  const std::string field = Literal("x", std::string(1000, 'x'));
  ExpectCutOff(HeaderBlock(CallHeaders(kHealthCheck)),
               Repeated(field, kFrameBytes / field.size()));
}

// CVE-2023-33953: a string is read as a whole before its length is looked at.
TEST_F(Http2Attacks, AHugeHeaderStringIsCutOff) {
  ExpectCutOff(absl::StrCat(HpackInteger(0, 4, 0), HpackString("x"),
                            HpackString(std::string(8000, 'x'), uint64_t{1} << 31)),
               std::string(kFrameBytes, 'x'));
}

// CVE-2023-33953: a number of any length that stays small.
TEST_F(Http2Attacks, AnEndlessVarintIsCutOff) {
  ExpectCutOff("\x7f", std::string(kFrameBytes, '\x80'));
}

// These never reach a limit of size.
TEST_F(Http2Attacks, EmptyContinuationsLeaveOthersServed) {
  const std::string piece = Repeated(Serialize({FrameType::kContinuation, 0, 1}), 1000);
  Attack(2, [&piece](const Target& target) {
    const auto attacker = Http2Attacker::Connect(target);
    if (!attacker.ok()) return;
    const std::string block = HeaderBlock(CallHeaders(kHealthCheck));
    (*attacker)->Send({FrameType::kHeaders, 0, 1, block}).IgnoreError();
    Flood((*attacker)->connection(), piece, 8 << 20).IgnoreError();
  });
}

TEST_F(Http2Attacks, NumbersAndHuffmanCodesBeyondTheirBoundsAreRefused) {
  const std::string blocks[] = {
      HpackInteger(~uint64_t{0}, 7, 0x80),
      HpackInteger(uint64_t{1} << 32, 7, 0x80),
      HpackInteger(62, 7, 0x80, /*padding=*/20),
      // A literal whose name has a length of 2^64-1.
      absl::StrCat(std::string(1, '\0'), HpackInteger(~uint64_t{0}, 7, 0), "x"),
      // Huffman: EOS within a string, padding of more than 7 bits, padding of zeros.
      absl::StrCat(std::string(1, '\0'), "\x84\xff\xff\xff\xff", HpackString("x")),
      absl::StrCat(std::string(1, '\0'), "\x82\xff\xff", HpackString("x")),
      absl::StrCat(std::string(1, '\0'), std::string("\x81\x00", 2), HpackString("x")),
      // A long one, for every bit of it a symbol.
      absl::StrCat(std::string(1, '\0'), HpackInteger(8000, 7, 0x80), std::string(8000, '\0'),
                   HpackString("x")),
      TableSizeUpdate(~uint64_t{0}),
      Repeated(TableSizeUpdate(0), 8000),
      IndexedField(0),
      IndexedField(62),
  };
  for (const Target& door : doors_) {
    for (const std::string& bad : blocks) {
      const auto attacker = Http2Attacker::Connect(door);
      CW_ASSERT_OK(attacker);
      std::string block = HeaderBlock(CallHeaders(kHealthCheck)) + bad;
      (*attacker)
          ->Send({FrameType::kHeaders, kEndHeaders | kEndStream, 1, block})
          .IgnoreError();
      (*attacker)->PumpUntil([&] { return (*attacker)->going_away().has_value(); },
                             absl::Milliseconds(200));
    }
    ASSERT_TRUE(suite_->Serves(Service::kIssuer));
  }
}

TEST_F(Http2Attacks, HpackTableUpdatesStayBounded) {
  // The table may have 4096 bytes, each entry of which costs 32 besides its own.
  const std::string blocks[] = {
      TableSizeUpdate(uint64_t{4} << 30),
      TableSizeUpdate(4097),
      absl::StrCat(TableSizeUpdate(0), TableSizeUpdate(4096)),
      Repeated(LiteralIndexed("", ""), 400),
      Repeated(LiteralIndexed("a", std::string(100, 'b')), 100),
      // An entry that is larger than the table empties it.
      LiteralIndexed("a", std::string(5000, 'b')),
      absl::StrCat(TableSizeUpdate(0), Repeated(LiteralIndexed("a", "b"), 400),
                   TableSizeUpdate(4096)),
      absl::StrCat(LiteralIndexed("a", std::string(4000, 'b')), Repeated(IndexedField(62), 4)),
  };
  Attack(2, [&blocks](const Target& target) {
    for (int round = 0; round < 20; ++round) {
      for (const std::string& pieces : blocks) {
        const auto attacker = Http2Attacker::Connect(target);
        if (!attacker.ok()) continue;
        for (int i = 0; i < 20; ++i) {
          const std::string block = pieces + HeaderBlock(CallHeaders(kHealthCheck));
          const uint32_t stream = (*attacker)->NextStream();
          if (!(*attacker)
                   ->Send({FrameType::kHeaders, kEndHeaders | kEndStream, stream, block})
                   .ok()) {
            break;
          }
        }
        (*attacker)->PumpUntil([&] { return (*attacker)->going_away().has_value(); },
                               absl::Milliseconds(10));
      }
    }
  });
}

// CVE-2019-9512 and CVE-2019-9515: each asks for an answer that nobody takes.
TEST_F(Http2Attacks, PingsAndSettingsWhoseAnswersNobodyReadsStayBounded) {
  constexpr std::size_t kBytes = 16 << 20;
  const std::string floods[] = {
      Serialize({FrameType::kPing, 0, 0, std::string(8, 'p')}),
      Serialize(SettingsFrame({})),
      Serialize(SettingsFrame({{kInitialWindowSize, 0}, {kHeaderTableSize, 0}})),
      Serialize(SettingsFrame({{kHeaderTableSize, 0xffffffff}})),
  };
  for (const std::string& flood : floods) {
    const std::string piece = Repeated(flood, 1000);
    Attack(2, [&piece](const Target& target) {
      const auto attacker = Http2Attacker::Connect(target);
      if (!attacker.ok()) return;
      (*attacker)->connection().ReadWhileSending(false);
      Flood((*attacker)->connection(), piece, kBytes).IgnoreError();
    });
    EXPECT_TRUE(StayedSmall(process())) << "after frames of type " << int{flood[3]};
  }
}

// Each stream that the server resets is told, and answered calls are: nobody takes either.
TEST_F(Http2Attacks, ResetsAndAnswersThatNobodyReadsStayBounded) {
  const std::string call = HeaderBlock(CallHeaders(kHealthCheck));
  const std::string unknown = HeaderBlock(CallHeaders("/no/such"));
  for (const bool ends : {false, true}) {
    Attack(8, [&](const Target& target) {
      const auto attacker = Http2Attacker::Connect(target);
      if (!attacker.ok()) return;
      (*attacker)->connection().ReadWhileSending(false);
      for (std::size_t sent = 0; sent < (8 << 20);) {
        std::string bytes;
        for (int i = 0; i < 100; ++i) {
          const uint32_t stream = (*attacker)->NextStream();
          const uint8_t flags = ends ? kEndHeaders | kEndStream : kEndHeaders;
          bytes += Serialize({FrameType::kHeaders, flags, stream, ends ? unknown : call});
          if (!ends) bytes += Serialize({FrameType::kWindowUpdate, 0, stream, Number32(0)});
        }
        if (!(*attacker)->connection().Send(bytes).ok()) return;
        sent += bytes.size();
      }
    });
    EXPECT_TRUE(StayedSmall(process())) << ends;
  }
}

TEST_F(Http2Attacks, EmptyDataAndPriorityFramesStayBounded) {
  for (const Frame& frame :
       {Frame{FrameType::kData, 0, 1}, Frame{FrameType::kPriority, 0, 1, std::string(5, '\0')},
        Frame{FrameType::kWindowUpdate, 0, 1, Number32(1)}}) {
    const std::string piece = Repeated(Serialize(frame), 1000);
    Attack(2, [&piece](const Target& target) {
      const auto attacker = Http2Attacker::Connect(target);
      if (!attacker.ok()) return;
      if (!(*attacker)->StartStream(CallHeaders(kHealthCheck), false).ok()) return;
      Flood((*attacker)->connection(), piece, 4 << 20).IgnoreError();
    });
  }
}

TEST_F(Http2Attacks, WindowsBeyondTheirBoundsAreRefused) {
  const Frame frames[] = {{FrameType::kWindowUpdate, 0, 0, Number32(0)},
                          {FrameType::kWindowUpdate, 0, 0, Number32(0x7fffffff)},
                          {FrameType::kWindowUpdate, 0, 1, Number32(0x7fffffff)},
                          SettingsFrame({{kInitialWindowSize, 0xffffffff}}),
                          SettingsFrame({{5, 1}, {5, 0xffffffff}})};
  for (const Target& door : doors_) {
    for (const Frame& frame : frames) {
      CW_ASSERT_OK_AND_ASSIGN(const auto attacker, Http2Attacker::Connect(door));
      CW_ASSERT_OK(attacker->StartStream(CallHeaders(kHealthCheck), false));
      for (int i = 0; i < 3; ++i) attacker->Send(frame).IgnoreError();
      attacker->PumpUntil([&] { return attacker->going_away().has_value(); },
                          absl::Milliseconds(200));
    }
  }
}

// CVE-2023-4785: a server that gets no descriptor for a connection must go on when there are
// some again.
TEST_F(Http2Attacks, FileDescriptorExhaustionPasses) {
  constexpr rlim_t kFiles = 100;
  rlimit before{};
  ASSERT_EQ(prlimit(process().pid(), RLIMIT_NOFILE, nullptr, &before), 0);
  const rlimit few{kFiles, before.rlim_max};
  ASSERT_EQ(prlimit(process().pid(), RLIMIT_NOFILE, &few, nullptr), 0);
  {
    std::vector<std::unique_ptr<Connection>> connections;
    Target plain = doors_[0];
    plain.tls = nullptr;
    for (rlim_t i = 0; i < 3 * kFiles; ++i) {
      plain.from = absl::StrCat("127.0.3.", 1 + i % 100);
      plain.port = doors_[i % 2].port;
      auto connection = Connection::Open(plain);
      if (connection.ok()) connections.push_back(*std::move(connection));
    }
    EXPECT_GT(connections.size(), kFiles);
    const absl::Duration cpu = process().CpuTime();
    harness::WaitUntil([] { return false; }, absl::Seconds(2));
    EXPECT_LT(process().CpuTime() - cpu, absl::Seconds(1)) << "it spins";
  }
  EXPECT_TRUE(
      harness::WaitUntil([this] { return bool{suite_->Serves(Service::kIssuer)}; }, kPatience))
      << process().LogTail();
  EXPECT_EQ(prlimit(process().pid(), RLIMIT_NOFILE, &before, nullptr), 0);
}

}  // namespace
}  // namespace certwright::attacks
