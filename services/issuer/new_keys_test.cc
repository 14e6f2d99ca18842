#include "services/issuer/new_keys.h"

#include <memory>

#include "gtest/gtest.h"
#include "lib/base/fake_clock.h"
#include "lib/base/status_matchers.h"
#include "lib/runtime/fake_timers.h"
#include "lib/runtime/run_sync.h"

namespace certwright::issuer_service {
namespace {

class NewKeysTest : public testing::Test {
 protected:
  absl::StatusOr<pki::PrivateKey> Make(pki::KeySpec spec,
                                       std::shared_ptr<runtime::Cancellation> ended = nullptr) {
    const runtime::Context context(clock_, clock_.MonotonicNow() + absl::Seconds(60), ended);
    return runtime::RunSync<absl::StatusOr<pki::PrivateKey>>(keys_.Make(context, spec));
  }

  base::FakeClock clock_;
  runtime::FakeTimers timers_{clock_};
  NewKeys keys_{timers_};
};

TEST_F(NewKeysTest, MakesKeysOfEveryKind) {
  for (const pki::KeySpec& spec : {pki::KeySpec{pki::KeyAlgorithm::kEcdsa, 384},
                                   pki::KeySpec{pki::KeyAlgorithm::kEd25519, 0},
                                   pki::KeySpec{pki::KeyAlgorithm::kRsa, 2048},
                                   pki::KeySpec{pki::KeyAlgorithm::kRsa, 2056}}) {
    const auto key = Make(spec);
    ASSERT_THAT(key, base::IsOk());
    EXPECT_EQ(key->spec(), spec);
  }
}

TEST_F(NewKeysTest, RefusesSizesThatThereAreNot) {
  EXPECT_THAT(Make({pki::KeyAlgorithm::kRsa, 1024}),
              base::StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(Make({pki::KeyAlgorithm::kEcdsa, 512}),
              base::StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(NewKeysTest, ACancelledCallerDoesNotWait) {
  const auto ended = std::make_shared<runtime::Cancellation>();
  ended->Cancel();
  EXPECT_THAT(Make({pki::KeyAlgorithm::kRsa, 8192}, ended),
              base::StatusIs(absl::StatusCode::kCancelled));
}

}  // namespace
}  // namespace certwright::issuer_service
