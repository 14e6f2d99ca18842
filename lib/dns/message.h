// A parsed DNS message (RFC 1035), as far as certificate work needs one.
//
// ParseMessage is a function of untrusted bytes: every length is checked, compression
// pointers must go backwards, and the result is bounded by the size of the packet, which is
// at most 65535 octets. Threading: values, no shared state.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace certwright::dns {

enum class RecordType : uint16_t {
  kA = 1,
  kNs = 2,
  kCname = 5,
  kSoa = 6,
  kTxt = 16,
  kAaaa = 28,
  kOpt = 41,
  kCaa = 257,
};

// RFC 1035, RFC 2136 and RFC 8945; a message can hold others.
enum class Rcode : uint16_t {
  kNoError = 0,
  kFormErr = 1,
  kServFail = 2,
  kNxDomain = 3,
  kNotImp = 4,
  kRefused = 5,
  kYxDomain = 6,
  kYxRrset = 7,
  kNxRrset = 8,
  kNotAuth = 9,
  kNotZone = 10,
  kBadSig = 16,
  kBadKey = 17,
  kBadTime = 18,
  kBadTrunc = 22,
};

// "TXT", or "TYPE99" for a type without a name here.
std::string TypeName(RecordType type);
// "NXDOMAIN", or "RCODE99" for one without a name here.
std::string RcodeName(Rcode rcode);

constexpr uint16_t kClassIn = 1;

struct Question {
  std::string name;
  RecordType type = RecordType::kA;
  uint16_t record_class = kClassIn;
};

// A and AAAA, in text.
struct AddressData {
  std::string address;
  bool operator==(const AddressData&) const = default;
};
// NS and CNAME.
struct NameData {
  std::string name;
  bool operator==(const NameData&) const = default;
};
// TXT: its strings joined, which is how ACME (RFC 8555 §8.4) reads it.
struct TextData {
  std::string text;
  bool operator==(const TextData&) const = default;
};
struct SoaData {
  std::string primary;
  std::string mailbox;
  uint32_t serial = 0;
  uint32_t refresh = 0;
  uint32_t retry = 0;
  uint32_t expire = 0;
  uint32_t minimum = 0;
  bool operator==(const SoaData&) const = default;
};
struct CaaData {
  uint8_t flags = 0;
  std::string tag;
  std::string value;
  bool operator==(const CaaData&) const = default;
};
// Every other type, and every record that is not of class IN.
struct RawData {
  std::string bytes;
  bool operator==(const RawData&) const = default;
};

struct Record {
  std::string name;
  RecordType type = RecordType::kA;
  uint16_t record_class = kClassIn;
  uint32_t ttl = 0;
  // The alternative that belongs to `type`.
  std::variant<RawData, AddressData, NameData, TextData, SoaData, CaaData> data;
};

struct Message {
  uint16_t id = 0;
  bool response = false;
  uint8_t opcode = 0;
  bool authoritative = false;
  bool truncated = false;
  bool recursion_desired = false;
  bool recursion_available = false;
  bool authentic_data = false;
  // With the upper bits of an OPT record, if there is one (RFC 6891 §6.1.3).
  Rcode rcode = Rcode::kNoError;

  std::vector<Question> questions;
  std::vector<Record> answers;
  std::vector<Record> authority;
  std::vector<Record> additional;
  // Where in the packet the last record begins; 0 without records. Only read.
  std::size_t last_record = 0;
};

// INVALID_ARGUMENT, with the offset at which the packet stopped making sense.
absl::StatusOr<Message> ParseMessage(absl::string_view packet);

// The first record of `type` at `name` in `section`; null if there is none.
const Record* FindRecord(const std::vector<Record>& section, absl::string_view name,
                         RecordType type);

}  // namespace certwright::dns
