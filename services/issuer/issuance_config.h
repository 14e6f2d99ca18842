// What the configuration says about issuances: fallback issuers and pace.
#pragma once

#include <string>
#include <vector>

#include "certwright/config/v1/issuer_config.pb.h"
#include "services/issuer/issuance_pace.h"
#include "services/issuer/issuer_choice.h"

namespace certwright::issuer_service {

FallbackRules FallbackRulesOf(const config::v1::Fallback& config);

PaceRules PaceRulesOf(const config::v1::IssuancePace& config);

// Every problem of both, "field: rule" each.
std::vector<std::string> ValidateIssuance(const config::v1::IssuerConfig& config);

}  // namespace certwright::issuer_service
