#include "lib/pki/general_name.h"

#include <algorithm>

#include "absl/strings/ascii.h"

namespace certwright::pki {
namespace {

ASN1_STRING* MakeString(int type, absl::string_view value) {
  ASN1_STRING* text = ASN1_STRING_type_new(type);
  if (text != nullptr &&
      ASN1_STRING_set(text, value.data(), static_cast<int>(value.size())) != 1) {
    ASN1_STRING_free(text);
    return nullptr;
  }
  return text;
}

}  // namespace

OpensslPtr<GENERAL_NAME> MakeGeneralName(int type, absl::string_view value) {
  ASN1_STRING* text =
      MakeString(type == GEN_IPADD ? V_ASN1_OCTET_STRING : V_ASN1_IA5STRING, value);
  OpensslPtr<GENERAL_NAME> name(GENERAL_NAME_new());
  if (text == nullptr || name == nullptr) {
    ASN1_STRING_free(text);
    return nullptr;
  }
  GENERAL_NAME_set0_value(name.get(), type, text);
  return name;
}

OpensslPtr<GENERAL_NAME> MakeOtherName(const OtherName& other) {
  ASN1_STRING* text = MakeString(V_ASN1_UTF8STRING, other.utf8_value);
  ASN1_TYPE* value = ASN1_TYPE_new();
  OpensslPtr<ASN1_OBJECT> type(OBJ_txt2obj(other.oid.c_str(), /*no_name=*/1));
  OpensslPtr<GENERAL_NAME> name(GENERAL_NAME_new());
  if (text == nullptr || value == nullptr || type == nullptr || name == nullptr) {
    ASN1_STRING_free(text);
    ASN1_TYPE_free(value);
    return nullptr;
  }
  ASN1_TYPE_set(value, V_ASN1_UTF8STRING, text);
  if (GENERAL_NAME_set0_othername(name.get(), type.get(), value) != 1) {
    ASN1_TYPE_free(value);
    return nullptr;
  }
  type.release();
  return name;
}

bool Push(GENERAL_NAMES* names, OpensslPtr<GENERAL_NAME> name) {
  if (names == nullptr || name == nullptr || sk_GENERAL_NAME_push(names, name.get()) <= 0) {
    return false;
  }
  name.release();
  return true;
}

absl::string_view GeneralNameKind(int type) {
  switch (type) {
    case GEN_DNS:
      return "dNSName";
    case GEN_URI:
      return "URI";
    case GEN_EMAIL:
      return "rfc822Name";
    case GEN_IPADD:
      return "iPAddress";
    case GEN_OTHERNAME:
      return "otherName";
    case GEN_DIRNAME:
      return "directoryName";
    case GEN_RID:
      return "registeredID";
  }
  return "x400Address or ediPartyName";
}

absl::string_view Bytes(const ASN1_STRING* text) {
  return absl::string_view(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                           static_cast<size_t>(ASN1_STRING_length(text)));
}

bool IsPlain(absl::string_view text) {
  return std::all_of(text.begin(), text.end(), absl::ascii_isgraph);
}

std::string Dotted(const ASN1_OBJECT* object) {
  char text[128] = {};
  OBJ_obj2txt(text, sizeof text, object, /*no_name=*/1);
  return text;
}

}  // namespace certwright::pki
