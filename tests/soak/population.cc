#include "tests/soak/population.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "lib/base/status_macros.h"
#include "lib/service/conditions.h"
#include "tests/harness/process.h"

namespace certwright::soak {
namespace {

constexpr absl::Duration kCallLimit = absl::Minutes(2);
// How long a failed issuance rests before it is asked for again.
constexpr absl::Duration kRest = absl::Seconds(3);

// Makes a call until it succeeds, or its object has gone or come meanwhile: the service may be
// restarting under it.
template <typename Call>
absl::Status Persist(Call call) {
  absl::Status last;
  harness::WaitUntil(
      [&] {
        last = call();
        return last.ok() || absl::IsAlreadyExists(last) || absl::IsNotFound(last) ||
               absl::IsInvalidArgument(last);
      },
      kCallLimit);
  return absl::IsAlreadyExists(last) ? absl::OkStatus() : last;
}

}  // namespace

Population::Population(fakes::FakeWorld& world)
    : world_(world), thread_([this] { Follow(); }) {}

Population::~Population() {
  base::MutexLock lock(mutex_);
  stopping_ = true;
  if (watch_ != nullptr) watch_->TryCancel();
}

void Population::Follow() {
  while (true) {
    const std::shared_ptr<grpc::ClientContext> context = harness::MakeContext(absl::Hours(24));
    {
      base::MutexLock lock(mutex_);
      if (stopping_) return;
      watch_ = context;
    }
    auto stream = world_.certificates().WatchCertificates(context.get(), {});
    issuer::v1::WatchCertificatesResponse event;
    while (stream->Read(&event)) {
      if (event.has_certificate()) Learn(event.certificate());
    }
    stream->Finish();
    harness::Pause();
  }
}

void Population::Learn(const issuer::v1::Certificate& certificate) {
  base::MutexLock lock(mutex_);
  const auto found = members_.find(certificate.metadata().name());
  if (found == members_.end()) return;
  Member& member = found->second;
  const int revision = certificate.status().revision();
  issued_ += std::max(0, revision - member.revision);
  member.revision = std::max(member.revision, revision);
  member.failed = revision < member.wanted && certificate.status().has_next_attempt_time();
}

absl::Status Population::Add() {
  const std::string name = absl::StrCat("c", next_);
  const bool by_dns = next_++ % 2 == 0;
  const std::string dns_name = absl::StrCat(name, ".", by_dns ? kDnsZone : "example.test");
  if (by_dns) dns01_names_.push_back(dns_name);
  {
    base::MutexLock lock(mutex_);
    members_[name] = {.dns_name = dns_name, .asked = absl::Now()};
  }
  return Persist([&] {
    return world_.CreateCertificate(fakes::FakeWorld::MakeCertificate(name, {dns_name}));
  });
}

std::string Population::LongestIdle() const {
  base::MutexLock lock(mutex_);
  std::string longest;
  absl::Time asked = absl::InfiniteFuture();
  for (const auto& [name, member] : members_) {
    if (member.revision < member.wanted || member.asked >= asked) continue;
    longest = name;
    asked = member.asked;
  }
  return longest;
}

absl::Status Population::AskForRenewal(const std::string& name) {
  issuer::v1::RenewCertificateRequest request;
  request.set_name(name);
  return Persist([&] {
    issuer::v1::RenewCertificateResponse response;
    return harness::FromGrpc(world_.certificates().RenewCertificate(
        harness::MakeContext().get(), request, &response));
  });
}

absl::StatusOr<bool> Population::Renew() {
  const std::string name = LongestIdle();
  if (name.empty()) return false;
  {
    base::MutexLock lock(mutex_);
    Member& member = members_.at(name);
    member.wanted = member.revision + 1;
    member.asked = absl::Now();
  }
  CW_RETURN_IF_ERROR(AskForRenewal(name));
  return true;
}

absl::StatusOr<bool> Population::Replace() {
  const std::string name = LongestIdle();
  if (name.empty()) return false;
  issuer::v1::DeleteCertificateRequest certificate;
  certificate.set_name(name);
  absl::Status deleted = Persist([&] {
    issuer::v1::DeleteCertificateResponse response;
    return harness::FromGrpc(world_.certificates().DeleteCertificate(
        harness::MakeContext().get(), certificate, &response));
  });
  if (!deleted.ok() && !absl::IsNotFound(deleted)) return deleted;
  issuer::v1::DeleteSecretRequest secret;
  secret.set_name(name + "-tls");
  deleted = Persist([&] {
    issuer::v1::DeleteSecretResponse response;
    return harness::FromGrpc(
        world_.secrets().DeleteSecret(harness::MakeContext().get(), secret, &response));
  });
  if (!deleted.ok() && !absl::IsNotFound(deleted)) return deleted;
  {
    base::MutexLock lock(mutex_);
    members_.erase(name);
  }
  CW_RETURN_IF_ERROR(Add());
  return true;
}

absl::Status Population::RetryFailed() {
  std::vector<std::string> failed;
  {
    base::MutexLock lock(mutex_);
    for (auto& [name, member] : members_) {
      if (!member.failed || absl::Now() - member.asked < kRest) continue;
      failed.push_back(name);
      member.asked = absl::Now();
    }
  }
  for (const std::string& name : failed) {
    ++retried_;
    CW_RETURN_IF_ERROR(AskForRenewal(name));
  }
  return absl::OkStatus();
}

int Population::issued() const {
  base::MutexLock lock(mutex_);
  return issued_;
}

int Population::in_flight() const {
  base::MutexLock lock(mutex_);
  return static_cast<int>(std::count_if(
      members_.begin(), members_.end(),
      [](const auto& member) { return member.second.revision < member.second.wanted; }));
}

std::map<std::string, std::string> Population::DnsNames() const {
  base::MutexLock lock(mutex_);
  std::map<std::string, std::string> names;
  for (const auto& [name, member] : members_) names[name] = member.dns_name;
  return names;
}

std::vector<std::string> Population::Verify() {
  std::vector<std::string> faults;
  for (const auto& [name, dns_name] : DnsNames()) {
    const auto certificate = world_.GetCertificate(name);
    if (!certificate.ok()) {
      faults.push_back(absl::StrCat(name, ": ", certificate.status().message()));
    } else if (!service::IsTrue(certificate->status().conditions(), "Ready")) {
      faults.push_back(absl::StrCat(
          name, ": ", harness::DescribeConditions(certificate->status().conditions())));
    }
    const absl::Status secret = world_.VerifySecret(name + "-tls", {dns_name});
    if (!secret.ok()) {
      faults.push_back(absl::StrCat("the Secret of ", name, ": ", secret.message()));
    }
  }
  for (std::string& fault : VerifySecrets()) faults.push_back(std::move(fault));
  for (const std::string& name : dns01_names_) {
    if (!world_.dns().TxtValues(absl::StrCat("_acme-challenge.", name)).empty()) {
      faults.push_back(absl::StrCat(name, " still has a TXT record"));
    }
  }
  return faults;
}

std::vector<std::string> Population::VerifySecrets() {
  std::vector<std::string> faults;
  const auto secrets = ListSecretNames(world_);
  if (!secrets.ok()) return {std::string(secrets.status().message())};
  const auto names = DnsNames();
  for (const std::string& secret : *secrets) {
    const std::string name = secret.substr(0, secret.rfind('-'));
    if (!names.contains(name) || secret != name + "-tls") {
      faults.push_back(absl::StrCat("the Secret ", secret, " belongs to no Certificate"));
    }
  }
  return faults;
}

absl::StatusOr<std::vector<std::string>> ListSecretNames(fakes::FakeWorld& world) {
  std::vector<std::string> names;
  issuer::v1::ListSecretsRequest request;
  request.set_namespace_("default");
  do {
    issuer::v1::ListSecretsResponse response;
    CW_RETURN_IF_ERROR(harness::FromGrpc(
        world.secrets().ListSecrets(harness::MakeContext().get(), request, &response)));
    for (const auto& secret : response.secrets()) names.push_back(secret.metadata().name());
    request.set_page_token(response.next_page_token());
  } while (!request.page_token().empty());
  return names;
}

}  // namespace certwright::soak
