// What somebody who may call, or who can write a store's file, does to a store: fills it, makes
// its log of changes grow, asks for all of it at once, plants a Secret. Each ends in a refusal
// that names the rule, while others are served.
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "certwright/issuer/v1/certificate_request.grpc.pb.h"
#include "gmock/gmock.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"
#include "lib/pki/csr.h"
#include "lib/pki/key.h"
#include "lib/store/resealing.h"
#include "lib/store/sqlite_store.h"
#include "lib/store/store_testing.h"
#include "tests/fakes/fake_world.h"

namespace certwright {
namespace {

using base::StatusIs;
using fakes::FakeWorld;
using harness::Service;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr absl::Duration kTimeout = absl::Minutes(2);
// The memory limit in k8s/base/issuer/deployment.yaml.
constexpr int64_t kMemoryLimitKib = 256 * 1024;
// Of annotations, which may have 64 KiB.
constexpr std::size_t kLarge = 60'000;
// What a client of gRPC takes in one message, unless it is told otherwise.
constexpr std::size_t kClientLimit = 4 << 20;

class StoreAttacksTest : public testing::Test {
 protected:
  void SetUp() override {
    fakes::FakeWorldOptions options;
    options.ca.validation.assume_valid = true;
    CW_ASSERT_OK_AND_ASSIGN(world_, FakeWorld::Start(std::move(options)));
    CW_ASSERT_OK(world_->CreateClusterIssuer(world_->MakeClusterIssuer()));
    requests_ = issuer::v1::CertificateRequestService::NewStub(
        world_->suite().channel(Service::kIssuer));
    pki::CsrSpec csr;
    csr.names.dns_names = {"www.example.test"};
    CW_ASSERT_OK_AND_ASSIGN(const pki::PrivateKey key,
                            pki::PrivateKey::Generate(pki::KeySpec()));
    CW_ASSERT_OK_AND_ASSIGN(csr_, pki::CreateCsrPem(csr, key));
  }

  // A request that waits for an issuer that does not exist.
  grpc::Status CreateRequest(const std::string& resource_namespace, const std::string& name,
                             std::size_t bytes) {
    issuer::v1::CreateCertificateRequestRequest create;
    issuer::v1::CertificateRequest& request = *create.mutable_certificate_request();
    request.mutable_metadata()->set_namespace_(resource_namespace);
    request.mutable_metadata()->set_name(name);
    (*request.mutable_metadata()->mutable_annotations())["a"] = std::string(bytes, 'x');
    request.mutable_spec()->mutable_issuer_ref()->set_name("none");
    request.mutable_spec()->set_request(csr_);
    issuer::v1::CreateCertificateRequestResponse response;
    return requests_->CreateCertificateRequest(harness::MakeContext().get(), create, &response);
  }
  // How many were made before one was refused, and how it was.
  std::pair<int, grpc::Status> Fill(const std::string& resource_namespace, std::size_t bytes,
                                    int most) {
    for (int i = 0; i < most; ++i) {
      grpc::Status status = CreateRequest(resource_namespace, absl::StrCat("r", i), bytes);
      if (!status.ok()) return {i, std::move(status)};
    }
    return {most, grpc::Status::OK};
  }
  // Lists all of a namespace, page by page. A page that is too large fails.
  int ListAll(const std::string& resource_namespace) {
    int count = 0;
    issuer::v1::ListCertificateRequestsRequest list;
    list.set_namespace_(resource_namespace);
    list.set_page_size(1000);
    do {
      issuer::v1::ListCertificateRequestsResponse page;
      const absl::Status status = harness::FromGrpc(
          requests_->ListCertificateRequests(harness::MakeContext().get(), list, &page));
      CW_EXPECT_OK(status);
      if (!status.ok()) return count;
      EXPECT_LT(page.ByteSizeLong(), kClientLimit / 2);
      count += page.certificate_requests_size();
      list.set_page_token(page.next_page_token());
    } while (!list.page_token().empty());
    return count;
  }
  // Others are served: a certificate is issued from end to end.
  void ExpectIssued(const std::string& name) {
    CW_ASSERT_OK(
        world_->CreateCertificate(FakeWorld::MakeCertificate(name, {name + ".example.test"})));
    CW_EXPECT_OK(world_->WaitUntilReady({name}, kTimeout));
  }
  void RestartIssuer() {
    world_->suite().Kill(Service::kIssuer);
    CW_ASSERT_OK(world_->suite().Restart(Service::kIssuer));
  }
  int64_t IssuerRssKib() { return world_->suite().process(Service::kIssuer).PeakRssKib(); }
  std::string StorePath() { return world_->suite().store_path(Service::kIssuer); }
  int64_t StoreFilesBytes() {
    int64_t bytes = 0;
    for (const char* suffix : {"", "-wal"}) {
      const std::string file = StorePath() + suffix;
      if (std::filesystem::exists(file)) {
        bytes += static_cast<int64_t>(std::filesystem::file_size(file));
      }
    }
    return bytes;
  }
  void Configure(const std::string& text, const std::string& replacement) {
    const std::string file = world_->suite().folder() + "/issuer.yaml";
    CW_ASSERT_OK_AND_ASSIGN(const std::string config, harness::ReadFile(file));
    ASSERT_TRUE(absl::StrContains(config, text));
    harness::WriteFile(file, absl::StrReplaceAll(config, {{text, replacement}}));
  }

  std::unique_ptr<FakeWorld> world_;
  std::unique_ptr<issuer::v1::CertificateRequestService::Stub> requests_;
  std::string csr_;
};

TEST_F(StoreAttacksTest, ARequesterWhoFillsItsNamespaceIsStoppedAndNobodyElseIs) {
  const auto [made, refused] = Fill("team-a", kLarge, 2000);
  // 64 MiB.
  EXPECT_GT(made, 450);
  EXPECT_LT(made, 1120);
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(refused.error_message(),
              AllOf(HasSubstr("namespace team-a may have 33554432 bytes"),
                    HasSubstr("store.quotas.namespaceBytes")));
  google::rpc::Status details;
  google::rpc::QuotaFailure failure;
  ASSERT_TRUE(details.ParseFromString(refused.error_details()));
  ASSERT_EQ(details.details_size(), 2);
  ASSERT_TRUE(details.details(1).UnpackTo(&failure));
  EXPECT_EQ(failure.violations(0).subject(), "namespace team-a");

  ExpectIssued("others");
  EXPECT_EQ(ListAll("team-a"), made);
  EXPECT_LT(IssuerRssKib(), kMemoryLimitKib);

  RestartIssuer();
  EXPECT_EQ(CreateRequest("team-a", "more", kLarge).error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);
  ExpectIssued("others-after");
  EXPECT_EQ(ListAll("team-a"), made);
  EXPECT_LT(IssuerRssKib(), kMemoryLimitKib);

  issuer::v1::DeleteCertificateRequestRequest deletion;
  deletion.set_namespace_("team-a");
  deletion.set_name("r0");
  issuer::v1::DeleteCertificateRequestResponse deleted;
  CW_ASSERT_OK(harness::FromGrpc(
      requests_->DeleteCertificateRequest(harness::MakeContext().get(), deletion, &deleted)));
  EXPECT_TRUE(harness::WaitUntil(
      [&] { return CreateRequest("team-a", "more", kLarge / 2).ok(); }, kTimeout));
}

TEST_F(StoreAttacksTest, ObjectsAreCountedWhateverTheirKind) {
  Configure("store: {", "store: {quotas: {namespaceObjects: 20}, ");
  RestartIssuer();
  const auto [made, refused] = Fill("team-a", 10, 100);
  EXPECT_EQ(made, 20);
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(refused.error_message(), HasSubstr("store.quotas.namespaceObjects"));
  issuer::v1::CreateSecretRequest create;
  create.mutable_secret()->mutable_metadata()->set_namespace_("team-a");
  create.mutable_secret()->mutable_metadata()->set_name("s");
  (*create.mutable_secret()->mutable_data())["k"] = "v";
  issuer::v1::CreateSecretResponse response;
  EXPECT_EQ(world_->secrets()
                .CreateSecret(harness::MakeContext().get(), create, &response)
                .error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);
  // What belongs to no namespace has its own.
  ExpectIssued("others");
}

TEST_F(StoreAttacksTest, AnObjectIsSmallAndSoIsItsOwner) {
  issuer::v1::Certificate certificate = FakeWorld::MakeCertificate("big", {"a.example.test"});
  certificate.mutable_metadata()->mutable_owner()->set_kind("Certificate");
  certificate.mutable_metadata()->mutable_owner()->set_name(std::string(1 << 20, 'a'));
  EXPECT_THAT(world_->CreateCertificate(certificate),
              StatusIs(absl::StatusCode::kResourceExhausted));
  certificate.mutable_metadata()->mutable_owner()->set_name(std::string(100 << 10, 'a'));
  EXPECT_THAT(
      world_->CreateCertificate(certificate),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("metadata.owner.name: must be")));
  issuer::v1::CreateSecretRequest create;
  create.mutable_secret()->mutable_metadata()->set_name("big");
  (*create.mutable_secret()->mutable_data())["k"] = std::string(200 << 10, 'v');
  issuer::v1::CreateSecretResponse response;
  EXPECT_THAT(harness::FromGrpc(world_->secrets().CreateSecret(harness::MakeContext().get(),
                                                               create, &response)),
              StatusIs(absl::StatusCode::kInvalidArgument));
  ExpectIssued("others");
}

TEST_F(StoreAttacksTest, UpdatesDoNotMakeTheFileGrowForGood) {
  constexpr int kUpdates = 3000;
  issuer::v1::CreateSecretRequest create;
  create.mutable_secret()->mutable_metadata()->set_name("a");
  (*create.mutable_secret()->mutable_data())["k"] = "v";
  issuer::v1::CreateSecretResponse created;
  CW_ASSERT_OK(harness::FromGrpc(
      world_->secrets().CreateSecret(harness::MakeContext().get(), create, &created)));
  for (int i = 0; i < kUpdates; ++i) {
    issuer::v1::UpdateSecretRequest update;
    *update.mutable_secret() = create.secret();
    (*update.mutable_secret()->mutable_data())["k"] =
        std::string(kLarge, static_cast<char>('a' + i % 26));
    issuer::v1::UpdateSecretResponse updated;
    CW_ASSERT_OK(harness::FromGrpc(
        world_->secrets().UpdateSecret(harness::MakeContext().get(), update, &updated)));
  }
  // 180 MB were written; the log keeps 64 MiB of them, and the write-ahead log as much at most.
  EXPECT_LT(StoreFilesBytes(), int64_t{140} << 20);
  EXPECT_LT(IssuerRssKib(), kMemoryLimitKib);
  ExpectIssued("others");
}

// With the store's file in their hands, but not the key.
class PlantedSecretTest : public StoreAttacksTest {
 protected:
  void SetUp() override {
    StoreAttacksTest::SetUp();
    ExpectIssued("site");
    world_->suite().Kill(Service::kIssuer);
    issuer::v1::Secret secret;
    secret.mutable_metadata()->set_namespace_("default");
    secret.mutable_metadata()->set_name("planted");
    (*secret.mutable_data())["tls.key"] = "the attacker's key";
    Write([&](store::Store& file) {
      CW_ASSERT_OK(store::Put(file, "secrets/default/planted", secret.SerializeAsString()));
    });
  }

  template <typename Change>
  void Write(Change change) {
    CW_ASSERT_OK_AND_ASSIGN(const auto file, store::OpenSqliteStore(StorePath(), {}));
    change(*file);
  }
  // Starts the issuer, which ends at once, and returns what it says.
  std::string RefusalToStart() {
    const auto output = world_->suite().RunCommand(Service::kIssuer, {});
    EXPECT_FALSE(output.ok());
    return std::string(output.status().message());
  }
};

TEST_F(PlantedSecretTest, IsNotOpenedAndOthersAre) {
  CW_ASSERT_OK(world_->suite().Restart(Service::kIssuer));
  EXPECT_THAT(world_->GetSecret("planted"),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("is not sealed")));
  CW_EXPECT_OK(world_->VerifySecret("site-tls", {"site.example.test"}));
  ExpectIssued("others");
}

TEST_F(PlantedSecretTest, IsNotLetInByTakingOutWhatShowsThatAllIsSealed) {
  const std::string mark = StorePath() + ".sealed";
  ASSERT_TRUE(std::filesystem::exists(mark));
  Write([](store::Store& file) { CW_ASSERT_OK(store::Delete(file, store::kSealingNote)); });
  EXPECT_THAT(RefusalToStart(),
              AllOf(HasSubstr("Secrets are not sealed, although"), HasSubstr(mark)));
  Write([](store::Store& file) {
    CW_ASSERT_OK(store::Put(file, store::kSealingNote, "0123456789abcdef"));
  });
  std::filesystem::remove(mark);
  EXPECT_THAT(RefusalToStart(), HasSubstr("a note in the store shows that all were"));
  Write([](store::Store& file) { CW_ASSERT_OK(store::Delete(file, store::kSealingNote)); });
  EXPECT_THAT(RefusalToStart(), HasSubstr("sealing.migrateUnsealed"));
  Configure("store: {", absl::StrCat("sealing: {migrateUnsealed: \"", std::string(64, 'a'),
                                     "\"}\nstore: {"));
  EXPECT_THAT(RefusalToStart(), AllOf(HasSubstr("are not those that sealing.migrateUnsealed"),
                                      Not(HasSubstr("the attacker's key"))));
  // What an operator does who knows that it is not theirs.
  Write(
      [](store::Store& file) { CW_ASSERT_OK(store::Delete(file, "secrets/default/planted")); });
  CW_ASSERT_OK(world_->suite().Restart(Service::kIssuer));
  CW_EXPECT_OK(world_->VerifySecret("site-tls", {"site.example.test"}));
}

}  // namespace
}  // namespace certwright
