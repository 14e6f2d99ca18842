// Whose a Secret is: pure functions of what is stored and of who needs it.
//
// What a Certificate has written is its own, whoever else reads it. All else may hold keys that
// exist nowhere else or still serve, so nothing of it is overwritten unless its admin says so,
// and nothing that an issuer, a key store or a next key needs even then.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "certwright/issuer/v1/certificate.pb.h"
#include "certwright/issuer/v1/secret.pb.h"
#include "services/issuer/finding.h"
#include "services/issuer/secret_users.h"

namespace certwright::issuer_service {

// Whether it was written for this Certificate, or its admin means it for it.
bool IsMeantFor(const issuer::v1::Certificate& certificate, const issuer::v1::Secret& secret);

// Why `certificate` must leave the Secret of its spec.secret_name alone, and what to do about
// it; nothing if it may write it. `secret` is null if there is none yet, and `users` are those
// of that name.
//
// Of several Certificates that name a Secret which is not there yet, the oldest may.
std::optional<Finding> WhyNotWrite(const issuer::v1::Certificate& certificate,
                                   const issuer::v1::Secret* secret,
                                   const std::vector<SecretUser>& users);

// Why an account key is not kept in the Secret of the name `secret_name`, as it would be
// replaced there; empty if it may be. Otherwise as above.
std::string WhyNoAccountKey(const std::string& secret_name, const issuer::v1::Secret* secret,
                            const std::vector<SecretUser>& users);

}  // namespace certwright::issuer_service
