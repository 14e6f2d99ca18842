// GeneralName (RFC 5280 §4.2.1.6), which several extensions are made of.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "lib/pki/names.h"
#include "lib/pki/openssl.h"

namespace certwright::pki {

// `value`: the octets for GEN_IPADD, else ASCII text for GEN_DNS, GEN_EMAIL or GEN_URI.
// nullptr, as below, if OpenSSL cannot make it.
OpensslPtr<GENERAL_NAME> MakeGeneralName(int type, absl::string_view value);

OpensslPtr<GENERAL_NAME> MakeOtherName(const OtherName& name);

// False if `name` is nullptr or could not be added.
bool Push(GENERAL_NAMES* names, OpensslPtr<GENERAL_NAME> name);

// "directoryName" and so on.
absl::string_view GeneralNameKind(int type);

// Valid while `text` lives.
absl::string_view Bytes(const ASN1_STRING* text);

// Whether `text` has only characters that names have: no blanks, controls or NUL.
bool IsPlain(absl::string_view text);

// Dotted decimal; cut when it is very long.
std::string Dotted(const ASN1_OBJECT* object);

}  // namespace certwright::pki
