// How the issuer service finds the keys that its Secrets are sealed with.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "certwright/config/v1/issuer_config.pb.h"
#include "lib/store/sealing_codec.h"
#include "lib/store/store.h"

namespace certwright::issuer_service {

// "<path of the store>.key"
std::string DefaultKeyFile(const config::v1::IssuerConfig& config);

// "<path of the store>.sealed": what shows, outside the store's own file, that all in it has
// been sealed once.
std::string SealedMarkFile(const config::v1::IssuerConfig& config);

// Every problem of the configuration of sealing, "field: rule" each.
std::vector<std::string> ValidateSealing(const config::v1::Sealing& config);

// Reads the key files. The default one is made if it is absent and nothing in `store` has ever
// been sealed. A store that is not sealed is sealed if the configuration names its content
// (sealing.migrateUnsealed), and refused otherwise, or if its note (resealing.h) or the mark
// file shows that it was. Errors name the file or the key that is wrong or missing, and what to
// do: nothing is started with Secrets that do not open. Blocks: for the start of the process.
absl::StatusOr<std::unique_ptr<store::SealingCodec>> OpenSealing(
    const config::v1::IssuerConfig& config, store::Store& store);

}  // namespace certwright::issuer_service
