#include "tests/harness/fleet.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "lib/base/status_macros.h"

namespace certwright::harness {
namespace {

bool AnyIsPresented(World& world) {
  const std::vector<solver::v1::Challenge> challenges = world.ListChallenges();
  return std::any_of(challenges.begin(), challenges.end(),
                     [](const auto& challenge) { return challenge.status().presented(); });
}

}  // namespace

absl::StatusOr<Fleet> Fleet::Create(World& world, int size, const std::string& prefix) {
  Fleet fleet(world);
  absl::Status issuer =
      world.CreateClusterIssuer(world.MakeClusterIssuer({}, {"dns.example.test"}));
  if (!issuer.ok() && !absl::IsAlreadyExists(issuer)) return issuer;
  for (int i = 0; i < size; ++i) {
    fleet.names_.push_back(absl::StrCat(prefix, i));
    fleet.dns_names_.push_back(
        absl::StrCat(fleet.names_.back(), i % 2 == 0 ? ".dns.example.test" : ".example.test"));
    CW_RETURN_IF_ERROR(world.CreateCertificate(
        World::MakeCertificate(fleet.names_.back(), {fleet.dns_names_.back()})));
  }
  return fleet;
}

std::vector<std::string> Fleet::Faults(absl::Duration timeout) {
  std::vector<std::string> faults;
  for (std::size_t i = 0; i < names_.size(); ++i) {
    const auto secret = world_->GetSecret(absl::StrCat(names_[i], "-tls"));
    const absl::Status status =
        secret.ok() ? world_->VerifySecret(*secret, {dns_names_[i]}) : secret.status();
    if (!status.ok()) {
      faults.push_back(absl::StrCat("the Secret of ", names_[i], ": ", status.message()));
    }
  }
  if (!WaitUntil([this] { return !AnyIsPresented(*world_); }, timeout)) {
    faults.push_back("a proof is still presented");
  }
  for (const std::string& name : dns_names_) {
    const std::vector<std::string> values = world_->TxtValues(name);
    if (values.empty()) continue;
    faults.push_back(absl::StrCat("TXT records of ", name, ": ", absl::StrJoin(values, " ")));
  }
  return faults;
}

}  // namespace certwright::harness
