// IssuerApp: the issuer service, put together.
#pragma once

#include <memory>
#include <vector>

#include "certwright/config/v1/issuer_config.pb.h"
#include "lib/service/main.h"

namespace certwright::issuer_service {

// Opens the store and builds everything; nothing runs until Start().
absl::StatusOr<std::unique_ptr<service::App>> BuildIssuerApp(
    const config::v1::IssuerConfig& config, service::Environment environment);

// Every problem of the configuration beyond its syntax.
std::vector<std::string> ValidateIssuerConfig(const config::v1::IssuerConfig& config);

}  // namespace certwright::issuer_service
