#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "certwright/issuer/v1/secret.grpc.pb.h"
#include "gmock/gmock.h"
#include "grpcpp/create_channel.h"
#include "lib/base/status_matchers.h"
#include "lib/rpc/server.h"
#include "lib/service/resource_verbs.h"
#include "lib/service/resource_verbs_fixture.h"

namespace certwright::service {
namespace {

class SecretWatchService final : public rpc::Service {
 public:
  SecretWatchService(const rpc::CallEnvironment& calls, ResourceVerbs<v1::Secret>& verbs)
      : Service("certwright.issuer.v1.SecretService", calls) {
    Watch<v1::WatchSecretsRequest>([&verbs](auto watch, const auto& request) {
      verbs.Watch(std::move(watch), request, &v1::WatchSecretsResponse::mutable_secret);
    });
  }
};

// One watch, read by the test.
class Watcher {
 public:
  Watcher(v1::SecretService::StubInterface& stub, const v1::WatchSecretsRequest& request) {
    // Runs out only if something is broken.
    context_.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
    reader_ = stub.WatchSecrets(&context_, request);
  }
  ~Watcher() {
    if (ended_) return;
    context_.TryCancel();
    v1::WatchSecretsResponse event;
    while (reader_->Read(&event)) {
    }
    reader_->Finish();
  }

  // "ADDED a", "BOOKMARK", "end UNAVAILABLE".
  std::string Next() {
    last_.Clear();
    if (!reader_->Read(&last_)) {
      ended_ = true;
      return absl::StrCat("end ",
                          absl::StatusCodeToString(rpc::FromGrpc(reader_->Finish()).code()));
    }
    version_ = last_.resource_version();
    const std::string type = meta::v1::EventType_Name(last_.type()).substr(11);
    return last_.has_secret() ? absl::StrCat(type, " ", last_.secret().metadata().name())
                              : type;
  }
  // The next that is no bookmark: those come as they please once the watch is live.
  std::string NextChange() {
    std::string next;
    do {
      next = Next();
    } while (next == "BOOKMARK");
    return next;
  }

  const v1::WatchSecretsResponse& last() const { return last_; }
  const std::string& version() const { return version_; }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderInterface<v1::WatchSecretsResponse>> reader_;
  v1::WatchSecretsResponse last_;
  std::string version_;
  bool ended_ = false;
};

class ResourceVerbsWatchTest : public ResourceVerbsFixture {
 protected:
  void SetUp() override {
    rpc::ServerOptions options;
    options.listen_address = "127.0.0.1:0";
    CW_ASSERT_OK_AND_ASSIGN(server_, rpc::Server::Start(options, calls, {&service_}));
    stub_ = v1::SecretService::NewStub(grpc::CreateChannel(
        absl::StrCat("127.0.0.1:", server_->port()), grpc::InsecureChannelCredentials()));
  }
  void TearDown() override {
    calls.watches->EndAll(absl::UnavailableError("the test is over"));
    server_.reset();
  }

  Watcher Watch(const std::string& selector = "", const std::string& version = "",
                const std::string& name = "", const std::string& resource_namespace = "") {
    v1::WatchSecretsRequest request;
    request.set_label_selector(selector);
    request.set_resource_version(version);
    request.set_name(name);
    request.set_namespace_(resource_namespace);
    return Watcher(*stub_, request);
  }

 private:
  SecretWatchService service_{calls, verbs};
  std::unique_ptr<rpc::Server> server_;
  std::unique_ptr<v1::SecretService::StubInterface> stub_;
};

TEST_F(ResourceVerbsWatchTest, ShowsWhatIsThereThenABookmarkThenWhatHappens) {
  CW_ASSERT_OK(Create(MakeSecret("a")));
  CW_ASSERT_OK(Create(MakeSecret("b")));
  Watcher watcher = Watch();
  EXPECT_EQ(watcher.Next(), "ADDED a");
  EXPECT_EQ(watcher.Next(), "ADDED b");
  EXPECT_EQ(watcher.Next(), "BOOKMARK");
  CW_ASSERT_OK(Create(MakeSecret("c")));
  EXPECT_EQ(watcher.NextChange(), "ADDED c");
  CW_ASSERT_OK(Update(MakeSecret("a", "new")));
  EXPECT_EQ(watcher.NextChange(), "MODIFIED a");
  CW_ASSERT_OK(Delete("", "b"));
  EXPECT_EQ(watcher.NextChange(), "DELETED b");
}

TEST_F(ResourceVerbsWatchTest, ABookmarkEndsTheListOfAnEmptyStore) {
  Watcher watcher = Watch();
  EXPECT_EQ(watcher.Next(), "BOOKMARK");
  EXPECT_FALSE(watcher.version().empty());
}

TEST_F(ResourceVerbsWatchTest, ShowsNoValues) {
  CW_ASSERT_OK(Create(MakeSecret("a", "hidden")));
  Watcher watcher = Watch();
  ASSERT_EQ(watcher.Next(), "ADDED a");
  EXPECT_EQ(watcher.last().secret().data().at("key"), "");
}

TEST_F(ResourceVerbsWatchTest, ResumesAfterAVersion) {
  CW_ASSERT_OK(Create(MakeSecret("a")));
  std::string version;
  {
    Watcher watcher = Watch();
    EXPECT_EQ(watcher.Next(), "ADDED a");
    EXPECT_EQ(watcher.Next(), "BOOKMARK");
    version = watcher.version();
  }
  CW_ASSERT_OK(Create(MakeSecret("b")));
  CW_ASSERT_OK(Update(MakeSecret("a", "new")));
  Watcher resumed = Watch("", version);
  EXPECT_EQ(resumed.NextChange(), "ADDED b");
  EXPECT_EQ(resumed.NextChange(), "MODIFIED a");
  Watcher from_list = Watch("", List({})->resource_version());
  CW_ASSERT_OK(Delete("", "a"));
  EXPECT_EQ(from_list.NextChange(), "DELETED a");
}

TEST_F(ResourceVerbsWatchTest, WhatLeavesTheSelectionIsShownAsDeleted) {
  CW_ASSERT_OK(Create(MakeSecret("a", "x", {{"team", "web"}})));
  CW_ASSERT_OK(Create(MakeSecret("b", "x", {{"team", "db"}})));
  Watcher watcher = Watch("team=web");
  EXPECT_EQ(watcher.Next(), "ADDED a");
  EXPECT_EQ(watcher.Next(), "BOOKMARK");
  CW_ASSERT_OK(Update(MakeSecret("a", "x", {{"team", "db"}})));
  EXPECT_EQ(watcher.NextChange(), "DELETED a");
  // Nothing is said of what is not selected.
  CW_ASSERT_OK(Update(MakeSecret("a", "y", {{"team", "db"}})));
  CW_ASSERT_OK(Delete("", "a"));
  CW_ASSERT_OK(Update(MakeSecret("b", "x", {{"team", "web"}})));
  EXPECT_EQ(watcher.NextChange(), "ADDED b");
  CW_ASSERT_OK(Update(MakeSecret("b", "y", {{"team", "web"}})));
  EXPECT_EQ(watcher.NextChange(), "MODIFIED b");
  CW_ASSERT_OK(Delete("", "b"));
  EXPECT_EQ(watcher.NextChange(), "DELETED b");
}

TEST_F(ResourceVerbsWatchTest, AResumedWatchAlsoTellsWhatLeavesTheSelection) {
  CW_ASSERT_OK(Create(MakeSecret("a", "x", {{"team", "web"}})));
  CW_ASSERT_OK(Create(MakeSecret("b", "x", {{"team", "web"}})));
  CW_ASSERT_OK(Create(MakeSecret("c", "x")));
  Watcher resumed = Watch("team=web", List({})->resource_version());
  CW_ASSERT_OK(Update(MakeSecret("a", "x", {{"team", "db"}})));
  EXPECT_EQ(resumed.NextChange(), "DELETED a");
  CW_ASSERT_OK(Update(MakeSecret("a", "y", {{"team", "db"}})));
  CW_ASSERT_OK(Delete("", "b"));
  EXPECT_EQ(resumed.NextChange(), "DELETED b");
  CW_ASSERT_OK(Update(MakeSecret("a", "y", {{"team", "web"}})));
  EXPECT_EQ(resumed.NextChange(), "ADDED a");
}

TEST_F(ResourceVerbsWatchTest, ShowsOneNameOnlyIfAskedFor) {
  CW_ASSERT_OK(Create(MakeSecret("a")));
  CW_ASSERT_OK(Create(MakeSecret("b")));
  Watcher watcher = Watch("", "", "b");
  EXPECT_EQ(watcher.Next(), "ADDED b");
  EXPECT_EQ(watcher.Next(), "BOOKMARK");
  CW_ASSERT_OK(Update(MakeSecret("a", "new")));
  CW_ASSERT_OK(Update(MakeSecret("b", "new")));
  EXPECT_EQ(watcher.NextChange(), "MODIFIED b");
}

TEST_F(ResourceVerbsWatchTest, ShowsOneNamespaceOnlyIfAskedFor) {
  CW_ASSERT_OK(Create(MakeSecret("a")));
  v1::Secret other = MakeSecret("b");
  other.mutable_metadata()->set_namespace_("web");
  CW_ASSERT_OK(Create(other));
  Watcher watcher = Watch("", "", "", "web");
  EXPECT_EQ(watcher.Next(), "ADDED b");
  EXPECT_EQ(watcher.Next(), "BOOKMARK");
}

TEST_F(ResourceVerbsWatchTest, BadRequestsEndTheWatch) {
  Watcher bad_selector = Watch("=");
  EXPECT_EQ(bad_selector.Next(), "end INVALID_ARGUMENT");
  Watcher bad_version = Watch("", "yesterday");
  EXPECT_EQ(bad_version.Next(), "end INVALID_ARGUMENT");
}

TEST_F(ResourceVerbsWatchTest, ADrainEndsEveryWatchAndRefusesMore) {
  Watcher watcher = Watch();
  EXPECT_EQ(watcher.Next(), "BOOKMARK");
  calls.watches->EndAll(absl::UnavailableError("draining"));
  EXPECT_EQ(watcher.NextChange(), "end UNAVAILABLE");
  Watcher late = Watch();
  EXPECT_EQ(late.Next(), "end UNAVAILABLE");
}

}  // namespace
}  // namespace certwright::service
