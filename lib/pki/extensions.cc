#include "lib/pki/extensions.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "lib/base/status_macros.h"
#include "lib/pki/general_name.h"
#include "lib/pki/name_constraints_encoding.h"

namespace certwright::pki {
namespace {

absl::Status EncodingError() {
  return OpensslError(absl::StatusCode::kInternal, "cannot encode an X.509 extension");
}

OpensslPtr<GENERAL_NAMES> EncodeNames(const SubjectAltNames& names) {
  OpensslPtr<GENERAL_NAMES> encoded(GENERAL_NAMES_new());
  bool ok = encoded != nullptr;
  auto add = [&](int type, absl::string_view value) {
    ok = ok && Push(encoded.get(), MakeGeneralName(type, value));
  };
  for (const std::string& name : names.dns_names) add(GEN_DNS, name);
  for (const std::string& address : names.ip_addresses) {
    std::string octets = IpAddressToOctets(address);
    ok = ok && !octets.empty();
    add(GEN_IPADD, octets);
  }
  for (const std::string& uri : names.uris) add(GEN_URI, uri);
  for (const std::string& address : names.email_addresses) add(GEN_EMAIL, address);
  for (const OtherName& name : names.other_names) {
    ok = ok && Push(encoded.get(), MakeOtherName(name));
  }
  return ok ? std::move(encoded) : nullptr;
}

OpensslPtr<ASN1_BIT_STRING> EncodeKeyUsage(unsigned bits) {
  OpensslPtr<ASN1_BIT_STRING> encoded(ASN1_BIT_STRING_new());
  for (int bit = 0; encoded != nullptr && bit < kKeyUsageBits; ++bit) {
    if ((bits & (1u << bit)) != 0 && ASN1_BIT_STRING_set_bit(encoded.get(), bit, 1) != 1) {
      return nullptr;
    }
  }
  return encoded;
}

OpensslPtr<EXTENDED_KEY_USAGE> EncodeExtendedKeyUsages(const std::vector<std::string>& oids) {
  OpensslPtr<EXTENDED_KEY_USAGE> encoded(EXTENDED_KEY_USAGE_new());
  if (encoded == nullptr) return nullptr;
  for (const std::string& oid : oids) {
    OpensslPtr<ASN1_OBJECT> object(OBJ_txt2obj(oid.c_str(), /*no_name=*/1));
    if (object == nullptr || sk_ASN1_OBJECT_push(encoded.get(), object.get()) <= 0)
      return nullptr;
    object.release();
  }
  return encoded;
}

absl::Status Append(OpensslPtr<STACK_OF(X509_EXTENSION)>& extensions, int nid, void* value,
                    bool critical) {
  STACK_OF(X509_EXTENSION)* raw = extensions.release();
  int added = value == nullptr
                  ? 0
                  : X509V3_add1_i2d(&raw, nid, value, critical ? 1 : 0, X509V3_ADD_APPEND);
  extensions.reset(raw);
  return added == 1 ? absl::OkStatus() : EncodingError();
}

void DecodeText(const ASN1_STRING* text, absl::string_view kind,
                std::vector<std::string>& names, ExtensionValues& values) {
  absl::string_view name = Bytes(text);
  if (name.empty() || !IsPlain(name)) {
    values.other_name_kinds.push_back(absl::StrCat("malformed ", kind));
  } else {
    names.emplace_back(name);
  }
}

void DecodeOtherName(const OTHERNAME& name, ExtensionValues& values) {
  if (name.value->type == V_ASN1_UTF8STRING) {
    absl::StatusOr<OtherName> other = NormalizeOtherName(
        {Dotted(name.type_id), std::string(Bytes(name.value->value.utf8string))});
    if (other.ok()) {
      values.names.other_names.push_back(*std::move(other));
      return;
    }
  }
  values.other_name_kinds.emplace_back(GeneralNameKind(GEN_OTHERNAME));
}

void DecodeName(const GENERAL_NAME& name, ExtensionValues& values) {
  switch (name.type) {
    case GEN_DNS:
      DecodeText(name.d.dNSName, "dNSName", values.names.dns_names, values);
      if (!values.names.dns_names.empty()) {
        absl::AsciiStrToLower(&values.names.dns_names.back());
      }
      return;
    case GEN_URI:
      DecodeText(name.d.uniformResourceIdentifier, "URI", values.names.uris, values);
      return;
    case GEN_EMAIL:
      DecodeText(name.d.rfc822Name, "rfc822Name", values.names.email_addresses, values);
      return;
    case GEN_IPADD: {
      std::string address = IpAddressFromOctets(Bytes(name.d.iPAddress));
      if (address.empty()) {
        values.other_name_kinds.push_back("malformed iPAddress");
      } else {
        values.names.ip_addresses.push_back(std::move(address));
      }
      return;
    }
    case GEN_OTHERNAME:
      DecodeOtherName(*name.d.otherName, values);
      return;
  }
  values.other_name_kinds.emplace_back(GeneralNameKind(name.type));
}

// The value of the extension `nid`, nullptr if there is none.
template <typename T>
absl::StatusOr<OpensslPtr<T>> Find(const STACK_OF(X509_EXTENSION) * extensions, int nid,
                                   bool* is_critical = nullptr) {
  constexpr int kNotFound = -1;
  int critical = kNotFound;
  OpensslPtr<T> value(static_cast<T*>(X509V3_get_d2i(extensions, nid, &critical, nullptr)));
  if (is_critical != nullptr) *is_critical = critical == 1;
  if (value == nullptr && critical != kNotFound) {
    return OpensslError(
        absl::StatusCode::kInvalidArgument,
        absl::StrCat("extension ", OBJ_nid2sn(nid), " is malformed or there more than once"));
  }
  return value;
}

}  // namespace

absl::StatusOr<OpensslPtr<STACK_OF(X509_EXTENSION)>> EncodeExtensions(
    const ExtensionValues& values, bool subject_is_empty) {
  OpensslPtr<STACK_OF(X509_EXTENSION)> extensions(sk_X509_EXTENSION_new_null());
  if (!values.names.empty()) {
    CW_RETURN_IF_ERROR(Append(extensions, NID_subject_alt_name, EncodeNames(values.names).get(),
                              subject_is_empty));
  }
  if (values.usages.key_usage != 0) {
    CW_RETURN_IF_ERROR(
        Append(extensions, NID_key_usage, EncodeKeyUsage(values.usages.key_usage).get(), true));
  }
  if (!values.usages.extended_key_usages.empty()) {
    CW_RETURN_IF_ERROR(Append(extensions, NID_ext_key_usage,
                              EncodeExtendedKeyUsages(values.usages.extended_key_usages).get(),
                              false));
  }
  if (values.is_ca) {
    OpensslPtr<BASIC_CONSTRAINTS> constraints(BASIC_CONSTRAINTS_new());
    if (constraints != nullptr) constraints->ca = 0xff;
    CW_RETURN_IF_ERROR(Append(extensions, NID_basic_constraints, constraints.get(), true));
  }
  if (!values.name_constraints.empty()) {
    CW_RETURN_IF_ERROR(Append(extensions, NID_name_constraints,
                              EncodeNameConstraints(values.name_constraints).get(),
                              values.name_constraints.critical));
  }
  return extensions;
}

absl::StatusOr<ExtensionValues> DecodeExtensions(const STACK_OF(X509_EXTENSION) * extensions) {
  ExtensionValues values;
  CW_ASSIGN_OR_RETURN(OpensslPtr<GENERAL_NAMES> names,
                      Find<GENERAL_NAMES>(extensions, NID_subject_alt_name));
  for (int i = 0; names != nullptr && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    DecodeName(*sk_GENERAL_NAME_value(names.get(), i), values);
  }
  CW_ASSIGN_OR_RETURN(OpensslPtr<ASN1_BIT_STRING> key_usage,
                      Find<ASN1_BIT_STRING>(extensions, NID_key_usage));
  for (int bit = 0; key_usage != nullptr && bit < kKeyUsageBits; ++bit) {
    if (ASN1_BIT_STRING_get_bit(key_usage.get(), bit) == 1)
      values.usages.key_usage |= 1u << bit;
  }
  CW_ASSIGN_OR_RETURN(OpensslPtr<EXTENDED_KEY_USAGE> extended,
                      Find<EXTENDED_KEY_USAGE>(extensions, NID_ext_key_usage));
  for (int i = 0; extended != nullptr && i < sk_ASN1_OBJECT_num(extended.get()); ++i) {
    values.usages.extended_key_usages.push_back(
        Dotted(sk_ASN1_OBJECT_value(extended.get(), i)));
  }
  CW_ASSIGN_OR_RETURN(OpensslPtr<BASIC_CONSTRAINTS> constraints,
                      Find<BASIC_CONSTRAINTS>(extensions, NID_basic_constraints));
  values.is_ca = constraints != nullptr && constraints->ca != 0;
  bool critical = false;
  CW_ASSIGN_OR_RETURN(OpensslPtr<NAME_CONSTRAINTS> name_constraints,
                      Find<NAME_CONSTRAINTS>(extensions, NID_name_constraints, &critical));
  if (name_constraints != nullptr) {
    values.name_constraints = DecodeNameConstraints(*name_constraints, critical);
  }
  return values;
}

}  // namespace certwright::pki
