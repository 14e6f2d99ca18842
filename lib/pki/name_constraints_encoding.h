// The extension of name_constraints.h as OpenSSL has it.
#pragma once

#include "lib/pki/name_constraints.h"
#include "lib/pki/openssl.h"

namespace certwright::pki {

// `constraints` are in their one spelling. nullptr if OpenSSL cannot make them.
OpensslPtr<NAME_CONSTRAINTS> EncodeNameConstraints(const NameConstraints& constraints);

// As they are written there, but lower-cased where case means nothing.
NameConstraints DecodeNameConstraints(const NAME_CONSTRAINTS& encoded, bool critical);

}  // namespace certwright::pki
