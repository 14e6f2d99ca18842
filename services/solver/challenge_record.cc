#include "services/solver/challenge_record.h"

#include "lib/service/derived_name.h"
#include "lib/store/resource_key.h"

namespace certwright::solver {

bool IsFinal(v1::ChallengeState state) {
  return state == v1::CHALLENGE_STATE_VALID || state == v1::CHALLENGE_STATE_INVALID ||
         state == v1::CHALLENGE_STATE_EXPIRED || state == v1::CHALLENGE_STATE_ERRORED;
}

std::string KeyOf(const v1::Challenge& challenge) {
  return store::QueueKey(challenge.metadata().namespace_(), challenge.metadata().name());
}

std::string PresentationName(const std::string& challenge_name, const std::string& uid) {
  return service::DerivedName(challenge_name, {uid});
}

std::string PresentationKeyOf(const v1::Challenge& challenge) {
  const auto& metadata = challenge.metadata();
  return store::QueueKey(metadata.namespace_(),
                         PresentationName(metadata.name(), metadata.uid()));
}

ledger::Presentation MakePresentation(const v1::Challenge& challenge) {
  const v1::ChallengeSpec& spec = challenge.spec();
  ledger::Presentation presentation;
  auto& metadata = *presentation.mutable_metadata();
  metadata.set_namespace_(challenge.metadata().namespace_());
  metadata.set_name(PresentationName(challenge.metadata().name(), challenge.metadata().uid()));
  presentation.set_challenge_name(challenge.metadata().name());
  presentation.set_challenge_uid(challenge.metadata().uid());
  presentation.set_type(spec.type());
  *presentation.mutable_issuer_ref() = spec.issuer_ref();
  presentation.set_solver_name(spec.solver_name());
  if (spec.type() == v1::CHALLENGE_TYPE_HTTP01) {
    presentation.set_token(spec.token());
    presentation.set_key_authorization(spec.key());
  } else {
    presentation.set_record_name(challenge.status().resolved_name());
    presentation.set_zone(challenge.status().resolved_zone());
    presentation.set_value(spec.key());
  }
  return presentation;
}

}  // namespace certwright::solver
