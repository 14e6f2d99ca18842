// What an audit log is told of calls.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/pki/digest.h"
#include "lib/rpc/access.h"
#include "lib/rpc/audit.h"
#include "lib/rpc/testing/echo_service.h"

namespace certwright::rpc::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class AuditLog final : public AuditSink {
 public:
  void Record(const AuditRecord& record) override {
    base::MutexLock lock(mutex_);
    lines_.push_back(absl::StrCat(record.caller, " ",
                                  record.method.substr(record.method.rfind('.') + 1), " ",
                                  absl::StatusCodeToString(record.code)));
  }
  // "token:ci Echo OK" for each record since the last time.
  std::vector<std::string> Take() {
    base::MutexLock lock(mutex_);
    return std::exchange(lines_, {});
  }

 private:
  base::Mutex mutex_;
  std::vector<std::string> lines_ CW_GUARDED_BY(mutex_);
};

class CallAuditTest : public EchoTest {
 protected:
  ~CallAuditTest() override { server.reset(); }

  // A viewer may call Echo, but only in all namespaces, as it is about none.
  void Start(Effect effect) {
    const std::string prefix = absl::StrCat(kService, ".");
    const Rule rule{.roles = {Role::kViewer}, .scope = Scope::kCluster, .effect = effect};
    AccessPolicy policy;
    policy.enforced = true;
    policy.tokens = {{"all", pki::Sha256("all-token")},
                     {"some", pki::Sha256("some-token")},
                     {"none", pki::Sha256("none-token")}};
    policy.grants = {{"token:all", Role::kViewer, {kAllNamespaces}},
                     {"token:some", Role::kViewer, {"team-a"}}};
    CW_ASSERT_OK_AND_ASSIGN(
        permissions_, Permissions::Make(std::move(policy), {{prefix + "Echo", rule},
                                                            {prefix + "WatchEcho", rule}}));
    environment.permissions = permissions_.get();
    environment.audit = &log_;
    StartServer();
  }
  grpc::StatusCode Call(const std::string& token) {
    grpc::ClientContext context;
    if (!token.empty()) context.AddMetadata("authorization", absl::StrCat("Bearer ", token));
    EchoResponse response;
    return Stub()->Echo(&context, EchoRequest(), &response).error_code();
  }

  AuditLog log_;
  std::unique_ptr<Permissions> permissions_;
};

class RefusedCallAuditTest : public CallAuditTest,
                             public ::testing::WithParamInterface<Effect> {};

TEST_P(RefusedCallAuditTest, ARefusedCallIsTold) {
  Start(GetParam());
  // By what its headers say, and by what its message says.
  EXPECT_EQ(Call(""), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_THAT(log_.Take(), ElementsAre(" Echo UNAUTHENTICATED"));
  EXPECT_EQ(Call("none-token"), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_THAT(log_.Take(), ElementsAre("token:none Echo PERMISSION_DENIED"));
  EXPECT_EQ(Call("some-token"), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_THAT(log_.Take(), ElementsAre("token:some Echo PERMISSION_DENIED"));
}

INSTANTIATE_TEST_SUITE_P(Effects, RefusedCallAuditTest,
                         ::testing::Values(Effect::kReads, Effect::kReadsSecrets,
                                           Effect::kChanges));

TEST_F(CallAuditTest, ACallThatOnlyReadsIsNotTold) {
  Start(Effect::kReads);
  EXPECT_EQ(Call("all-token"), grpc::StatusCode::OK);
  EXPECT_THAT(log_.Take(), IsEmpty());
}

TEST_F(CallAuditTest, ACallThatChangesIsToldWithItsEnd) {
  Start(Effect::kChanges);
  EXPECT_EQ(Call("all-token"), grpc::StatusCode::OK);
  EXPECT_THAT(log_.Take(), ElementsAre("token:all Echo OK"));
  service.handler = [](CallContext,
                       const EchoRequest&) -> runtime::Awaitable<absl::StatusOr<EchoResponse>> {
    co_return absl::NotFoundError("no");
  };
  EXPECT_EQ(Call("all-token"), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(log_.Take(), ElementsAre("token:all Echo NOT_FOUND"));
}

}  // namespace
}  // namespace certwright::rpc::testing
