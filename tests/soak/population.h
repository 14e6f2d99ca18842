// Population: the Certificates of a soak, renewed over and over, and now and then one that is
// deleted and another made in its place. Half of them are proven by HTTP-01, half by DNS-01.
//
// A thread follows them by Watch, through restarts of the services, and counts what is issued.
//
// Threading: one thread at a time, which is also the one that restarts services.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "lib/base/mutex.h"
#include "tests/fakes/fake_world.h"

namespace certwright::soak {

// The zone of those that are proven by DNS-01.
inline constexpr char kDnsZone[] = "dns.example.test";

class Population {
 public:
  // The world has the ClusterIssuer "fake", and outlives this.
  explicit Population(fakes::FakeWorld& world);
  ~Population();
  Population(const Population&) = delete;
  Population& operator=(const Population&) = delete;

  // One more, which is issued at once.
  absl::Status Add();
  // Has the one renewed that was asked for longest ago; false if all are being issued.
  absl::StatusOr<bool> Renew();
  // Deletes that one, with its Secret, and adds another.
  absl::StatusOr<bool> Replace();
  // Asks once more for those whose issuance failed, which would wait for a minute and more.
  absl::Status RetryFailed();

  // Certificates that came, of all that there ever were.
  int issued() const;
  int in_flight() const;
  // Issuances that failed and were asked for again.
  int retried() const { return retried_; }

  // What is wrong with what there is, a sentence each. Nothing must be in flight.
  std::vector<std::string> Verify();

 private:
  struct Member {
    std::string dns_name;
    int revision = 0;
    int wanted = 1;
    bool failed = false;
    // When it was asked for last.
    absl::Time asked;
  };

  void Follow();
  void Learn(const issuer::v1::Certificate& certificate);
  // "" if all are being issued.
  std::string LongestIdle() const;
  absl::Status AskForRenewal(const std::string& name);
  std::map<std::string, std::string> DnsNames() const;
  std::vector<std::string> VerifySecrets();

  fakes::FakeWorld& world_;
  int next_ = 0;
  int retried_ = 0;
  // Names proven by DNS-01, also of those that are gone.
  std::vector<std::string> dns01_names_;
  mutable base::Mutex mutex_;
  std::map<std::string, Member> members_ CW_GUARDED_BY(mutex_);
  int issued_ CW_GUARDED_BY(mutex_) = 0;
  bool stopping_ CW_GUARDED_BY(mutex_) = false;
  std::shared_ptr<grpc::ClientContext> watch_ CW_GUARDED_BY(mutex_);
  std::jthread thread_;
};

// All Secrets of namespace "default".
absl::StatusOr<std::vector<std::string>> ListSecretNames(fakes::FakeWorld& world);

}  // namespace certwright::soak
