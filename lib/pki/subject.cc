#include "lib/pki/subject.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "lib/base/status_macros.h"
#include "lib/base/utf8.h"
#include "lib/pki/general_name.h"
#include "lib/pki/literal_subject.h"
#include "lib/pki/openssl.h"
#include "lib/pki/subject_type.h"

namespace certwright::pki {
namespace {

// RFC 5280 appendix A.1 bounds most parts, and OpenSSL enforces that; these it leaves open.
constexpr size_t kMaxSubjectPartLength = 128;

struct RepeatablePart {
  int nid;
  std::vector<std::string> Subject::*values;
  absl::string_view what;
};

constexpr RepeatablePart kRepeatableParts[] = {
    {NID_countryName, &Subject::countries, "country"},
    {NID_organizationName, &Subject::organizations, "organization"},
    {NID_organizationalUnitName, &Subject::organizational_units, "organizational unit"},
    {NID_localityName, &Subject::localities, "locality"},
    {NID_stateOrProvinceName, &Subject::provinces, "province"},
    {NID_streetAddress, &Subject::street_addresses, "street address"},
    {NID_postalCode, &Subject::postal_codes, "postal code"},
};

struct SinglePart {
  int nid;
  std::string Subject::*value;
  absl::string_view what;
};

constexpr SinglePart kSingleParts[] = {
    {NID_commonName, &Subject::common_name, "common name"},
    {NID_serialNumber, &Subject::serial_number, "serial number"},
};

// `set` as X509_NAME_add_entry() has it: 0 for a new relative name, -1 for the last one.
absl::Status AddPart(X509_NAME* name, const ASN1_OBJECT* type, absl::string_view value, int set,
                     absl::string_view what) {
  if (value.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("subject has an empty ", what));
  }
  const auto* bytes = reinterpret_cast<const unsigned char*>(value.data());
  if (type == nullptr || value.size() > 4 * kMaxSubjectPartLength ||
      X509_NAME_add_entry_by_OBJ(name, type, MBSTRING_UTF8, bytes,
                                 static_cast<int>(value.size()), /*loc=*/-1, set) != 1) {
    return OpensslError(absl::StatusCode::kInvalidArgument,
                        absl::StrCat("subject's ", what,
                                     " is too long, not UTF-8, or has "
                                     "characters that are not allowed there"));
  }
  if (base::HasControl(value)) {
    return absl::InvalidArgumentError(
        absl::StrCat("subject's ", what, " has a control character"));
  }
  return absl::OkStatus();
}

absl::StatusOr<OpensslPtr<X509_NAME>> MakeName(const Subject& subject) {
  OpensslPtr<X509_NAME> name(X509_NAME_new());
  if (name == nullptr) return OpensslError(absl::StatusCode::kInternal, "out of memory");
  for (const RepeatablePart& part : kRepeatableParts) {
    for (const std::string& value : subject.*part.values) {
      CW_RETURN_IF_ERROR(
          AddPart(name.get(), OBJ_nid2obj(part.nid), value, /*set=*/0, part.what));
    }
  }
  for (const SinglePart& part : kSingleParts) {
    const std::string& value = subject.*part.value;
    if (value.empty()) continue;
    CW_RETURN_IF_ERROR(AddPart(name.get(), OBJ_nid2obj(part.nid), value, /*set=*/0, part.what));
  }
  return name;
}

absl::StatusOr<std::string> Encode(X509_NAME* name) {
  unsigned char* der = nullptr;
  int length = i2d_X509_NAME(name, &der);
  if (length <= 0) return OpensslError(absl::StatusCode::kInternal, "cannot encode a subject");
  std::string bytes(reinterpret_cast<char*>(der), static_cast<size_t>(length));
  OPENSSL_free(der);
  return bytes;
}

absl::StatusOr<OpensslPtr<X509_NAME>> DecodeName(absl::string_view der) {
  const auto* position = reinterpret_cast<const unsigned char*>(der.data());
  const unsigned char* end = position + der.size();
  OpensslPtr<X509_NAME> name(d2i_X509_NAME(nullptr, &position, static_cast<long>(der.size())));
  if (name == nullptr || position != end) {
    return OpensslError(absl::StatusCode::kInvalidArgument, "subject is no DER of a name");
  }
  return name;
}

absl::StatusOr<std::string> Utf8(const ASN1_STRING* text) {
  unsigned char* utf8 = nullptr;
  int length = ASN1_STRING_to_UTF8(&utf8, text);
  if (length < 0) {
    return OpensslError(absl::StatusCode::kInvalidArgument, "subject holds malformed text");
  }
  std::string value(reinterpret_cast<char*>(utf8), static_cast<size_t>(length));
  OPENSSL_free(utf8);
  return value;
}

// Octets that are not text of the string's type would be read in as many ways as there are
// programs.
absl::StatusOr<std::string> PlainText(const ASN1_STRING* text) {
  const auto is_ascii = [](char c) {
    return absl::ascii_isascii(static_cast<unsigned char>(c));
  };
  const absl::string_view octets = Bytes(text);
  bool plain = false;
  switch (ASN1_STRING_type(text)) {
    case V_ASN1_UTF8STRING:
    case V_ASN1_BMPSTRING:
    case V_ASN1_UNIVERSALSTRING:
      plain = true;
      break;
    case V_ASN1_PRINTABLESTRING:
    case V_ASN1_IA5STRING:
    case V_ASN1_NUMERICSTRING:
      plain = std::all_of(octets.begin(), octets.end(), is_ascii);
      break;
    default:
      break;
  }
  absl::StatusOr<std::string> value =
      plain ? Utf8(text) : absl::InvalidArgumentError("is no plain text");
  if (!value.ok() || base::HasControl(*value)) {
    return absl::InvalidArgumentError("is no plain text");
  }
  return value;
}

absl::Status DecodePart(const X509_NAME_ENTRY* entry, Subject& subject) {
  const ASN1_OBJECT* type = X509_NAME_ENTRY_get_object(entry);
  const absl::StatusOr<std::string> text = Utf8(X509_NAME_ENTRY_get_data(entry));
  if (text.ok() && base::HasControl(*text)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the subject's ", SubjectTypeName(Dotted(type)), " has a control character"));
  }
  const int nid = OBJ_obj2nid(type);
  for (const RepeatablePart& part : kRepeatableParts) {
    if (part.nid != nid) continue;
    CW_RETURN_IF_ERROR(text.status());
    (subject.*part.values).push_back(*text);
  }
  for (const SinglePart& part : kSingleParts) {
    if (part.nid != nid) continue;
    if (!(subject.*part.value).empty()) {
      return absl::InvalidArgumentError(absl::StrCat("subject has more than one ", part.what));
    }
    CW_RETURN_IF_ERROR(text.status());
    subject.*part.value = *text;
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckSubject(const Subject& subject) {
  OpensslErrorScope scope;
  return MakeName(subject).status();
}

absl::StatusOr<std::string> EncodeSubject(const Subject& subject) {
  OpensslErrorScope scope;
  CW_ASSIGN_OR_RETURN(OpensslPtr<X509_NAME> name, MakeName(subject));
  return Encode(name.get());
}

absl::StatusOr<std::string> EncodeLiteralSubject(absl::string_view text) {
  OpensslErrorScope scope;
  CW_ASSIGN_OR_RETURN(std::vector<LiteralPart> parts, SplitLiteralSubject(text));
  OpensslPtr<X509_NAME> name(X509_NAME_new());
  if (name == nullptr) return OpensslError(absl::StatusCode::kInternal, "out of memory");
  // From the last relative name to the first, each from its first part to its last.
  size_t end = parts.size();
  while (end > 0) {
    size_t begin = end - 1;
    while (parts[begin].joins_previous) --begin;
    for (size_t i = begin; i < end; ++i) {
      OpensslPtr<ASN1_OBJECT> type(OBJ_txt2obj(parts[i].oid.c_str(), /*no_name=*/1));
      CW_RETURN_IF_ERROR(AddPart(name.get(), type.get(), parts[i].value, i == begin ? 0 : -1,
                                 absl::StrCat("part ", i + 1, " (", parts[i].type, ")")));
    }
    end = begin;
  }
  CW_ASSIGN_OR_RETURN(std::string der, Encode(name.get()));
  // A request with this subject must be readable again.
  CW_RETURN_IF_ERROR(DecodeSubject(der).status());
  return der;
}

absl::StatusOr<std::vector<SubjectAttribute>> SubjectAttributesOf(absl::string_view der) {
  OpensslErrorScope scope;
  CW_ASSIGN_OR_RETURN(const OpensslPtr<X509_NAME> name, DecodeName(der));
  std::vector<SubjectAttribute> attributes;
  for (int i = 0; i < X509_NAME_entry_count(name.get()); ++i) {
    const X509_NAME_ENTRY* entry = X509_NAME_get_entry(name.get(), i);
    std::string oid = Dotted(X509_NAME_ENTRY_get_object(entry));
    absl::StatusOr<std::string> value = PlainText(X509_NAME_ENTRY_get_data(entry));
    if (!value.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("the subject's ", SubjectTypeName(oid), " ", value.status().message()));
    }
    attributes.push_back({std::move(oid), *std::move(value)});
  }
  return attributes;
}

absl::StatusOr<Subject> DecodeSubject(absl::string_view der) {
  OpensslErrorScope scope;
  CW_ASSIGN_OR_RETURN(const OpensslPtr<X509_NAME> name, DecodeName(der));
  Subject subject;
  for (int i = 0; i < X509_NAME_entry_count(name.get()); ++i) {
    CW_RETURN_IF_ERROR(DecodePart(X509_NAME_get_entry(name.get(), i), subject));
  }
  return subject;
}

}  // namespace certwright::pki
