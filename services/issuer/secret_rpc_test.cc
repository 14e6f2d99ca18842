#include "services/issuer/secret_rpc.h"

#include <memory>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/issuer/issuer_rpc_testing.h"

namespace certwright::issuer_service {
namespace {

namespace v1 = issuer::v1;

using base::StatusIs;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::Pair;
using testing::UnorderedElementsAre;

using Stub = v1::SecretService::StubInterface;

class SecretRpcTest : public RpcWorld {
 protected:
  static v1::Secret MakeSecret(const std::string& name, const std::string& value) {
    v1::Secret secret;
    secret.mutable_metadata()->set_namespace_("web");
    secret.mutable_metadata()->set_name(name);
    (*secret.mutable_data())["password"] = value;
    (*secret.mutable_data())["user"] = "visible-to-nobody";
    return secret;
  }
  absl::StatusOr<v1::Secret> Create(const v1::Secret& secret) {
    v1::CreateSecretRequest request;
    *request.mutable_secret() = secret;
    CW_ASSIGN_OR_RETURN(auto response, Call(*stub_, &Stub::CreateSecret, request));
    return response.secret();
  }
  absl::StatusOr<v1::Secret> Update(const v1::Secret& secret) {
    v1::UpdateSecretRequest request;
    *request.mutable_secret() = secret;
    CW_ASSIGN_OR_RETURN(auto response, Call(*stub_, &Stub::UpdateSecret, request));
    return response.secret();
  }
  absl::StatusOr<v1::Secret> Get(const std::string& name) {
    v1::GetSecretRequest request;
    request.set_namespace_("web");
    request.set_name(name);
    CW_ASSIGN_OR_RETURN(auto response, Call(*stub_, &Stub::GetSecret, request));
    return response.secret();
  }

  std::unique_ptr<Stub> stub_ = v1::SecretService::NewStub(Channel());
};

TEST_F(SecretRpcTest, OnlyGetShowsValues) {
  CW_ASSERT_OK(Create(MakeSecret("db", "hunter2")));
  EXPECT_EQ(Get("db")->data().at("password"), "hunter2");
  CW_ASSERT_OK_AND_ASSIGN(const auto listed, Call(*stub_, &Stub::ListSecrets, {}));
  ASSERT_EQ(listed.secrets_size(), 1);
  EXPECT_THAT(listed.secrets(0).data(),
              UnorderedElementsAre(Pair("password", ""), Pair("user", "")));
  EXPECT_THAT(listed.SerializeAsString(), Not(HasSubstr("hunter2")));
}

TEST_F(SecretRpcTest, WatchShowsNoValuesOfWhatIsThereComesAndGoes) {
  CW_ASSERT_OK(Create(MakeSecret("db", "hunter2")));
  grpc::ClientContext context;
  SetDeadline(context);
  const auto stream = stub_->WatchSecrets(&context, {});
  v1::WatchSecretsResponse event;
  ASSERT_TRUE(stream->Read(&event));
  EXPECT_EQ(event.type(), meta::v1::EVENT_TYPE_ADDED);
  EXPECT_THAT(event.secret().data(),
              UnorderedElementsAre(Pair("password", ""), Pair("user", "")));
  ASSERT_TRUE(stream->Read(&event));
  EXPECT_EQ(event.type(), meta::v1::EVENT_TYPE_BOOKMARK);

  CW_ASSERT_OK(Update(MakeSecret("db", "hunter3")));
  ASSERT_TRUE(ReadChange(*stream, event));
  EXPECT_EQ(event.type(), meta::v1::EVENT_TYPE_MODIFIED);
  EXPECT_THAT(event.secret().data(),
              UnorderedElementsAre(Pair("password", ""), Pair("user", "")));

  v1::DeleteSecretRequest request;
  request.set_namespace_("web");
  request.set_name("db");
  CW_ASSERT_OK(Call(*stub_, &Stub::DeleteSecret, request));
  ASSERT_TRUE(ReadChange(*stream, event));
  EXPECT_EQ(event.type(), meta::v1::EVENT_TYPE_DELETED);
  EXPECT_EQ(event.secret().metadata().name(), "db");
  EXPECT_THAT(event.SerializeAsString(), Not(HasSubstr("hunter")));
  context.TryCancel();
  stream->Finish();
}

TEST_F(SecretRpcTest, UpdateOfAStaleVersionIsAbortedAndChangesNothing) {
  CW_ASSERT_OK_AND_ASSIGN(v1::Secret stale, Create(MakeSecret("db", "old")));
  CW_ASSERT_OK(Update(MakeSecret("db", "new")));
  (*stale.mutable_data())["password"] = "lost";
  EXPECT_THAT(Update(stale), StatusIs(absl::StatusCode::kAborted));
  EXPECT_EQ(Get("db")->data().at("password"), "new");
}

TEST_F(SecretRpcTest, EveryBrokenRuleIsNamedWithoutAValue) {
  v1::Secret secret = MakeSecret("Bad_Name", "hunter2");
  (*secret.mutable_data())["a/b"] = "hunter2";
  secret.set_type(kTlsSecretType);
  const absl::Status status = Create(secret).status();
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument));
  // A key that is none, and what a key pair lacks.
  EXPECT_THAT(BrokenFields(status), ElementsAre("metadata.name", "data", "data"));
  EXPECT_THAT(status.ToString(), Not(HasSubstr("hunter2")));
  EXPECT_THAT(BrokenFields(Update(secret).status()),
              ElementsAre("metadata.name", "data", "data"));
}

TEST_F(SecretRpcTest, ValuesHaveALimit) {
  CW_EXPECT_OK(Create(MakeSecret("small", std::string(119 << 10, 'x'))));
  EXPECT_THAT(BrokenFields(Create(MakeSecret("big", std::string(120 << 10, 'x'))).status()),
              ElementsAre("data"));
}

}  // namespace
}  // namespace certwright::issuer_service
