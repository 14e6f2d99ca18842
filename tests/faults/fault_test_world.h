// What the tests of the catalogue of faults (docs/RELIABILITY.md) share: a FakeWorld whose CA
// believes everything, and looks at what the services say.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "lib/acme/renewal_info.h"
#include "lib/base/status_matchers.h"
#include "lib/pki/certificate.h"
#include "lib/service/conditions.h"
#include "tests/fakes/fake_world.h"

namespace certwright::fakes {

inline constexpr absl::Duration kTimeout = absl::Seconds(90);

// A CA that asks nobody whether names are proven.
inline FakeWorldOptions BelievingCa() {
  FakeWorldOptions options;
  options.ca.validation.assume_valid = true;
  return options;
}

// Started, with its ClusterIssuer; null, and a failure, if that cannot be had.
inline std::unique_ptr<FakeWorld> StartWorld(FakeWorldOptions options,
                                             const std::vector<std::string>& dns_zones = {}) {
  auto world = FakeWorld::Start(std::move(options));
  EXPECT_THAT(world, base::IsOk());
  if (!world.ok()) return nullptr;
  CW_EXPECT_OK((*world)->CreateClusterIssuer((*world)->MakeClusterIssuer(dns_zones)));
  return *std::move(world);
}

inline std::string DnsName(const std::string& name) { return name + ".example.test"; }

// Creates a Certificate for <name>.example.test.
inline void Create(FakeWorld& world, const std::string& name) {
  CW_EXPECT_OK(world.CreateCertificate(FakeWorld::MakeCertificate(name, {DnsName(name)})));
}

inline void Renew(FakeWorld& world, const std::string& name) {
  issuer::v1::RenewCertificateRequest request;
  request.set_name(name);
  issuer::v1::RenewCertificateResponse response;
  CW_EXPECT_OK(harness::FromGrpc(
      world.certificates().RenewCertificate(harness::MakeContext().get(), request, &response)));
}

// Waits until the Certificate is as `done` wants it; what it was last.
inline issuer::v1::Certificate WaitFor(
    FakeWorld& world, const std::string& name,
    const std::function<bool(const issuer::v1::Certificate&)>& done,
    absl::Duration timeout = kTimeout) {
  issuer::v1::Certificate last;
  const bool in_time = harness::WaitUntil(
      [&] {
        const auto certificate = world.GetCertificate(name);
        if (certificate.ok()) last = *certificate;
        return certificate.ok() && done(last);
      },
      timeout);
  EXPECT_TRUE(in_time) << last.ShortDebugString();
  return last;
}

inline issuer::v1::Certificate WaitForRevision(FakeWorld& world, const std::string& name,
                                               int revision) {
  return WaitFor(world, name, [revision](const issuer::v1::Certificate& certificate) {
    return certificate.status().revision() >= revision;
  });
}

// The present certificate, as `replaces` names it.
inline std::string CertIdOf(FakeWorld& world, const std::string& name) {
  const auto secret = world.GetSecret(name + "-tls");
  EXPECT_THAT(secret, base::IsOk());
  if (!secret.ok()) return "";
  const auto chain = pki::ParseChainPem(secret->data().at("tls.crt"));
  EXPECT_THAT(chain, base::IsOk());
  return chain.ok() ? acme::CertId(chain->front()).value_or("") : "";
}

// Waits until an Order for <name>.example.test is as `done` wants it; what it was last.
inline order::v1::Order WaitForOrder(FakeWorld& world, const std::string& name,
                                     const std::function<bool(const order::v1::Order&)>& done,
                                     absl::Duration timeout = kTimeout) {
  order::v1::Order last;
  const bool in_time = harness::WaitUntil(
      [&] {
        for (const order::v1::Order& order : world.ListOrders()) {
          if (order.spec().dns_names_size() == 0) continue;
          if (order.spec().dns_names(0) != DnsName(name)) continue;
          last = order;
          if (done(last)) return true;
        }
        return false;
      },
      timeout);
  EXPECT_TRUE(in_time) << last.ShortDebugString();
  return last;
}

// The reason of its condition Ready; "" if it has none.
template <typename Resource>
std::string ReadyReason(const Resource& resource) {
  const auto* ready = service::FindCondition(resource.status().conditions(), "Ready");
  return ready == nullptr ? "" : ready->reason();
}

template <typename Resource>
std::string ReadyMessage(const Resource& resource) {
  const auto* ready = service::FindCondition(resource.status().conditions(), "Ready");
  return ready == nullptr ? "" : ready->message();
}

inline void ExpectIssued(FakeWorld& world, const std::vector<std::string>& names) {
  CW_EXPECT_OK(world.WaitUntilReady(names, kTimeout));
  for (const std::string& name : names) {
    CW_EXPECT_OK(world.VerifySecret(name + "-tls", {DnsName(name)}));
  }
}

}  // namespace certwright::fakes
