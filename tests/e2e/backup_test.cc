// Backups of running services, and what the suite makes of them after a restore.
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"
#include "tests/harness/world.h"

namespace certwright {
namespace {

using base::StatusIs;
using harness::Service;
using harness::World;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr int kCertificates = 20;
constexpr absl::Duration kTimeout = absl::Minutes(3);

class BackupTest : public testing::Test {
 protected:
  void SetUp() override {
    CW_ASSERT_OK_AND_ASSIGN(world_, World::Start({}));
    CW_ASSERT_OK(
        world_->CreateClusterIssuer(world_->MakeClusterIssuer({}, {"dns.example.test"})));
    for (int i = 0; i < kCertificates; ++i) names_.push_back(absl::StrCat("c", i));
    Issue(names_);
  }

  static std::string DnsName(const std::string& name) {
    return absl::StrCat(name, name.size() % 2 == 0 ? ".dns.example.test" : ".example.test");
  }
  void Issue(const std::vector<std::string>& names) {
    for (const std::string& name : names) {
      CW_ASSERT_OK(world_->CreateCertificate(World::MakeCertificate(name, {DnsName(name)})));
    }
    CW_ASSERT_OK(world_->WaitUntilReady(names, kTimeout));
  }
  std::string BackupFile(Service service) const {
    return absl::StrCat(world_->folder(), "/", harness::ServiceName(service), ".backup");
  }
  void BackUp(Service service) {
    CW_ASSERT_OK_AND_ASSIGN(
        const std::string said,
        world_->suite().RunCommand(service, {"--backup=" + BackupFile(service)}));
    EXPECT_THAT(said, HasSubstr("checked"));
  }
  void Restore(Service service) {
    world_->suite().Kill(service);
    CW_ASSERT_OK(world_->suite().RunCommand(
        service, {"--restore=" + BackupFile(service), "--replace_store"}));
    CW_ASSERT_OK(world_->suite().Restart(service));
  }
  void Delete(const std::string& name) {
    issuer::v1::DeleteCertificateRequest request;
    request.set_name(name);
    issuer::v1::DeleteCertificateResponse response;
    CW_ASSERT_OK(harness::FromGrpc(world_->certificates().DeleteCertificate(
        harness::MakeContext().get(), request, &response)));
    issuer::v1::DeleteSecretRequest secret;
    secret.set_name(name + "-tls");
    issuer::v1::DeleteSecretResponse deleted;
    CW_ASSERT_OK(harness::FromGrpc(
        world_->secrets().DeleteSecret(harness::MakeContext().get(), secret, &deleted)));
  }
  std::string CertificatesVersion() {
    issuer::v1::ListCertificatesResponse response;
    CW_EXPECT_OK(harness::FromGrpc(
        world_->certificates().ListCertificates(harness::MakeContext().get(), {}, &response)));
    return response.resource_version();
  }
  absl::Status WatchCertificatesFrom(const std::string& version) {
    const auto context = harness::MakeContext();
    issuer::v1::WatchCertificatesRequest request;
    request.set_resource_version(version);
    const auto stream = world_->certificates().WatchCertificates(context.get(), request);
    issuer::v1::WatchCertificatesResponse event;
    while (stream->Read(&event)) {
    }
    return harness::FromGrpc(stream->Finish());
  }
  void ExpectAllAsBackedUp(const std::vector<std::string>& certificates) {
    CW_ASSERT_OK(world_->WaitUntilReady(names_, kTimeout));
    for (std::size_t i = 0; i < names_.size(); ++i) {
      CW_ASSERT_OK_AND_ASSIGN(const auto secret, world_->GetSecret(names_[i] + "-tls"));
      CW_EXPECT_OK(world_->VerifySecret(secret, {DnsName(names_[i])}));
      EXPECT_EQ(secret.data().at("tls.crt"), certificates[i]) << names_[i];
    }
    EXPECT_TRUE(harness::WaitUntil(
        [&] {
          for (const auto& challenge : world_->ListChallenges()) {
            if (challenge.status().presented()) return false;
          }
          return true;
        },
        kTimeout));
  }
  std::vector<std::string> Certificates() {
    std::vector<std::string> certificates;
    for (const std::string& name : names_) {
      certificates.push_back(world_->GetSecret(name + "-tls")->data().at("tls.crt"));
    }
    return certificates;
  }

  std::unique_ptr<World> world_;
  std::vector<std::string> names_;
};

TEST_F(BackupTest, AllThreeRestoredConvergeWithoutNewOrders) {
  const std::vector<std::string> certificates = Certificates();
  for (const Service service : harness::kServices) BackUp(service);
  for (const char* name : {"c3", "c4", "c17"}) Delete(name);
  Issue({"later1", "later2"});
  const std::string lost_version = CertificatesVersion();
  const int orders = world_->pebble().CountOrders();
  for (const Service service : harness::kServices) Restore(service);

  ExpectAllAsBackedUp(certificates);
  EXPECT_THAT(WatchCertificatesFrom(lost_version), StatusIs(absl::StatusCode::kOutOfRange));
  EXPECT_THAT(world_->GetCertificate("later1"), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_EQ(world_->pebble().CountOrders(), orders);
  // Life goes on.
  Issue({"after1", "later1"});
  EXPECT_EQ(world_->pebble().CountOrders(), orders + 2);
}

TEST_F(BackupTest, TheIssuerAloneRestoredConvergesWithoutNewOrders) {
  const std::vector<std::string> certificates = Certificates();
  BackUp(Service::kIssuer);
  for (const char* name : {"c0", "c10"}) Delete(name);
  Issue({"later1", "later2"});
  const int orders = world_->pebble().CountOrders();
  Restore(Service::kIssuer);

  ExpectAllAsBackedUp(certificates);
  EXPECT_EQ(world_->pebble().CountOrders(), orders);
  Issue({"after1", "later1"});
}

TEST_F(BackupTest, TheOrderServiceAloneRestoredConvergesWithoutNewOrders) {
  const std::vector<std::string> certificates = Certificates();
  BackUp(Service::kOrder);
  Issue({"later1", "later2"});
  const int orders = world_->pebble().CountOrders();
  Restore(Service::kOrder);

  ExpectAllAsBackedUp(certificates);
  CW_EXPECT_OK(world_->WaitUntilReady({"later1", "later2"}, kTimeout));
  EXPECT_EQ(world_->pebble().CountOrders(), orders);
  Issue({"after1"});
}

TEST_F(BackupTest, WhatWouldLoseOrMixUpDataIsRefused) {
  BackUp(Service::kIssuer);
  BackUp(Service::kOrder);
  const std::string issuer_backup = "--restore=" + BackupFile(Service::kIssuer);
  EXPECT_THAT(world_->suite().RunCommand(Service::kIssuer, {issuer_backup, "--replace_store"}),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("another process")));
  world_->suite().Kill(Service::kIssuer);
  EXPECT_THAT(world_->suite().RunCommand(Service::kIssuer, {issuer_backup}),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("--replace_store")));
  EXPECT_THAT(
      world_->suite().RunCommand(
          Service::kIssuer, {"--restore=" + BackupFile(Service::kOrder), "--replace_store"}),
      StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("certwright-order")));
  // A store that is gone is not made anew.
  for (const char* suffix : {"", "-wal", "-shm"}) {
    std::filesystem::remove(world_->suite().store_path(Service::kIssuer) + suffix);
  }
  EXPECT_THAT(world_->suite().Restart(Service::kIssuer),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr("there was one"), HasSubstr("--restore"))));
  CW_EXPECT_OK(world_->suite().RunCommand(Service::kIssuer, {issuer_backup}));
  // A key that is gone is not made anew, either.
  const std::string key = world_->suite().store_path(Service::kIssuer) + ".key";
  std::filesystem::rename(key, key + ".away");
  EXPECT_THAT(world_->suite().Restart(Service::kIssuer),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("put it back")));
  std::filesystem::rename(key + ".away", key);
  CW_EXPECT_OK(world_->suite().Restart(Service::kIssuer));
  CW_EXPECT_OK(world_->WaitUntilReady(names_, kTimeout));
}

}  // namespace
}  // namespace certwright
