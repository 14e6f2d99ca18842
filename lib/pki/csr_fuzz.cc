// Certificate requests of users. Their signature is checked first, so the target signs:
// input[1] is the length of the subject that follows, and the rest are the attributes, or what
// is inside of one extension of a kind that input[0] chooses.
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "lib/base/fuzz.h"
#include "lib/pki/csr.h"
#include "lib/pki/jose.h"
#include "lib/pki/pem.h"
#include "lib/pki/usages.h"

namespace certwright::pki {
namespace {

constexpr absl::string_view kExtensionRequest("\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x09\x0e",
                                              11);
constexpr absl::string_view kSubjectAltName("\x06\x03\x55\x1d\x11", 5);
constexpr absl::string_view kKeyUsage("\x06\x03\x55\x1d\x0f", 5);
constexpr absl::string_view kExtendedKeyUsage("\x06\x03\x55\x1d\x25", 5);
constexpr absl::string_view kBasicConstraints("\x06\x03\x55\x1d\x13", 5);
constexpr absl::string_view kNameConstraints("\x06\x03\x55\x1d\x1e", 5);
constexpr absl::string_view kEd25519("\x30\x05\x06\x03\x2b\x65\x70", 7);

constexpr char kSequence = 0x30;
constexpr char kSet = 0x31;
constexpr char kBitString = 0x03;
constexpr char kOctetString = 0x04;
constexpr char kAttributes = '\xa0';

std::string Der(char tag, absl::string_view content) {
  const std::size_t size = content.size();
  std::string der(1, tag);
  if (size >= 128) der += size < 256 ? '\x81' : '\x82';
  if (size >= 256) der += static_cast<char>(size >> 8);
  der += static_cast<char>(size & 0xff);
  return absl::StrCat(der, content);
}

std::string Extension(absl::string_view type, absl::string_view value) {
  return Der(kSequence, absl::StrCat(type, Der(kOctetString, value)));
}

std::string Attributes(char choice, absl::string_view rest) {
  absl::string_view extension;
  switch (choice) {
    case 'n':
      extension = kSubjectAltName;
      break;
    case 'u':
      extension = kKeyUsage;
      break;
    case 'e':
      extension = kExtendedKeyUsage;
      break;
    case 'b':
      extension = kBasicConstraints;
      break;
    case 'c':
      extension = kNameConstraints;
      break;
    default:
      return Der(kAttributes, rest);
  }
  const std::string value = choice == 'u' ? std::string(rest) : Der(kSequence, rest);
  std::string extensions = Extension(extension, value);
  // Constraints are only for a CA.
  if (choice == 'c') extensions += Extension(kBasicConstraints, "\x30\x03\x01\x01\xff");
  extensions = Der(kSequence, extensions);
  return Der(kAttributes,
             Der(kSequence, absl::StrCat(kExtensionRequest, Der(kSet, extensions))));
}

const PrivateKey& Key() {
  static const PrivateKey& key =
      *new PrivateKey(*PrivateKey::Generate({KeyAlgorithm::kEd25519, 0}));
  return key;
}

std::string Sign(absl::string_view subject, absl::string_view attributes) {
  const std::string info =
      Der(kSequence, absl::StrCat(absl::string_view("\x02\x01\x00", 3), Der(kSequence, subject),
                                  Key().public_key().Spki(), attributes));
  const std::string signature = *SignJose(Key(), info);
  return Der(kSequence, absl::StrCat(info, kEd25519,
                                     Der(kBitString,
                                         absl::StrCat(absl::string_view("\0", 1), signature))));
}

// A request made of what was read reads as the same.
void CheckRoundTrip(const Csr& csr) {
  const absl::StatusOr<UsageSet> usages = ParseUsages(csr.usages);
  const absl::StatusOr<std::string> pem =
      CreateCsrPem({csr.subject, csr.names, csr.usages, csr.is_ca, /*literal_subject=*/"",
                    csr.name_constraints},
                   Key());
  // A subject may hold what none that we make does, and a usage may have no word.
  CW_FUZZ_CHECK(pem.ok() || !usages.ok() || !CheckSubject(csr.subject).ok());
  if (!pem.ok()) return;
  const absl::StatusOr<Csr> again = ParseCsrPem(*pem);
  CW_FUZZ_CHECK(again.ok());
  CW_FUZZ_CHECK(again->subject == csr.subject && again->names == csr.names);
  CW_FUZZ_CHECK(again->is_ca == csr.is_ca && again->name_constraints == csr.name_constraints);
  CW_FUZZ_CHECK(*ParseUsages(again->usages) == *usages);
}

void Check(const std::string& der) {
  const absl::StatusOr<Csr> csr = ParseCsrPem(EncodePem("CERTIFICATE REQUEST", der));
  if (!csr.ok()) return;
  CW_FUZZ_CHECK(csr->der == der && csr->public_key == Key().public_key());
  // Names come in their one spelling.
  const absl::StatusOr<SubjectAltNames> normal = NormalizeNames(csr->names);
  CW_FUZZ_CHECK(normal.ok() && *normal == csr->names);
  CheckRoundTrip(*csr);
}

}  // namespace
}  // namespace certwright::pki

CW_FUZZ_TARGET(input) {
  using namespace certwright::pki;
  // Longer than Der() can say.
  if (input.size() < 2 || input.size() > 16384) return;
  const char choice = input[0];
  const std::size_t subject_size = static_cast<unsigned char>(input[1]);
  input.remove_prefix(2);
  if (subject_size > input.size()) return;
  Check(Sign(input.substr(0, subject_size), Attributes(choice, input.substr(subject_size))));
}
