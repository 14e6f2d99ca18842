#include "lib/dns/message.h"

#include <arpa/inet.h>

#include <array>
#include <cstddef>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "lib/base/status_macros.h"

namespace certwright::dns {
namespace {

constexpr std::size_t kMaxPacket = 65535;
constexpr std::size_t kMaxWireName = 255;

void AppendEscaped(absl::string_view label, std::string& name) {
  for (const char c : label) {
    const auto byte = static_cast<unsigned char>(c);
    if (absl::ascii_isgraph(byte) && c != '.' && c != '\\') {
      name.push_back(absl::ascii_tolower(byte));
    } else {
      absl::StrAppendFormat(&name, "\\%03d", byte);
    }
  }
}

// Reads a packet front to back; each read is checked against `end`, which is the packet's
// end or, while a record's data is read, that data's.
class Reader {
 public:
  explicit Reader(absl::string_view packet) : packet_(packet), end_(packet.size()) {}

  std::size_t left() const { return end_ - position_; }
  std::size_t position() const { return position_; }

  absl::StatusOr<uint8_t> Byte() {
    CW_ASSIGN_OR_RETURN(const absl::string_view bytes, Bytes(1));
    return static_cast<uint8_t>(bytes[0]);
  }
  absl::StatusOr<uint16_t> Word() {
    CW_ASSIGN_OR_RETURN(const absl::string_view bytes, Bytes(2));
    return static_cast<uint16_t>(Octet(bytes, 0) << 8 | Octet(bytes, 1));
  }
  absl::StatusOr<uint32_t> Long() {
    CW_ASSIGN_OR_RETURN(const uint16_t high, Word());
    CW_ASSIGN_OR_RETURN(const uint16_t low, Word());
    return static_cast<uint32_t>(high) << 16 | low;
  }
  absl::StatusOr<absl::string_view> Bytes(std::size_t count) {
    if (count > left()) return Error("is cut short");
    const absl::string_view bytes = packet_.substr(position_, count);
    position_ += count;
    return bytes;
  }
  absl::StatusOr<absl::string_view> CharacterString() {
    CW_ASSIGN_OR_RETURN(const uint8_t length, Byte());
    return Bytes(length);
  }

  // A possibly compressed name. A pointer must lead to before the place where the labels that
  // it continues began, so that following them comes to an end.
  absl::StatusOr<std::string> Name() {
    std::string name;
    std::size_t wire_length = 1;
    std::size_t at = position_;
    std::size_t limit = end_;
    std::size_t run_start = at;
    bool jumped = false;
    while (true) {
      if (at >= limit) return Error("has a name that is cut short");
      const std::size_t length = Octet(packet_, at);
      if ((length & 0xC0) == 0xC0) {
        if (at + 1 >= limit) return Error("has a compression pointer that is cut short");
        const std::size_t target = (length & 0x3F) << 8 | Octet(packet_, at + 1);
        if (target >= run_start) return Error("has a compression pointer that goes forward");
        if (!jumped) position_ = at + 2;
        jumped = true;
        limit = packet_.size();
        at = run_start = target;
        continue;
      }
      if ((length & 0xC0) != 0) return Error("has a label of an unknown kind");
      ++at;
      if (length == 0) break;
      wire_length += length + 1;
      if (wire_length > kMaxWireName) return Error("has a name of more than 255 octets");
      if (at + length > limit) return Error("has a label that is cut short");
      if (!name.empty()) name.push_back('.');
      AppendEscaped(packet_.substr(at, length), name);
      at += length;
    }
    if (!jumped) position_ = at;
    return name;
  }

  // Narrows the reader to the next `count` octets; Leave() widens it again and fails if some
  // of them are left.
  absl::Status Enter(std::size_t count) {
    if (count > left()) return Error("has a record that is cut short");
    end_ = position_ + count;
    return absl::OkStatus();
  }
  absl::Status Leave() {
    if (left() != 0) return Error("has a record that is longer than its data");
    end_ = packet_.size();
    return absl::OkStatus();
  }

  absl::Status Error(absl::string_view what) const {
    return absl::InvalidArgumentError(
        absl::StrCat("the DNS message ", what, " at offset ", position_));
  }

 private:
  static unsigned Octet(absl::string_view bytes, std::size_t at) {
    return static_cast<unsigned char>(bytes[at]);
  }

  absl::string_view packet_;
  std::size_t position_ = 0;
  std::size_t end_;
};

absl::StatusOr<AddressData> ParseAddress(Reader& reader, int family) {
  CW_ASSIGN_OR_RETURN(const absl::string_view bytes, reader.Bytes(family == AF_INET ? 4 : 16));
  std::array<char, INET6_ADDRSTRLEN> text = {};
  if (inet_ntop(family, bytes.data(), text.data(), text.size()) == nullptr) {
    return reader.Error("has an address that cannot be written");
  }
  return AddressData{text.data()};
}

absl::StatusOr<TextData> ParseText(Reader& reader) {
  if (reader.left() == 0) return reader.Error("has a TXT record without a string");
  TextData data;
  while (reader.left() > 0) {
    CW_ASSIGN_OR_RETURN(const absl::string_view part, reader.CharacterString());
    absl::StrAppend(&data.text, part);
  }
  return data;
}

absl::StatusOr<SoaData> ParseSoa(Reader& reader) {
  SoaData data;
  CW_ASSIGN_OR_RETURN(data.primary, reader.Name());
  CW_ASSIGN_OR_RETURN(data.mailbox, reader.Name());
  for (uint32_t* field :
       {&data.serial, &data.refresh, &data.retry, &data.expire, &data.minimum}) {
    CW_ASSIGN_OR_RETURN(*field, reader.Long());
  }
  return data;
}

absl::StatusOr<CaaData> ParseCaa(Reader& reader) {
  CaaData data;
  CW_ASSIGN_OR_RETURN(data.flags, reader.Byte());
  CW_ASSIGN_OR_RETURN(const absl::string_view tag, reader.CharacterString());
  if (tag.empty()) return reader.Error("has a CAA record without a tag");
  CW_ASSIGN_OR_RETURN(const absl::string_view value, reader.Bytes(reader.left()));
  data.tag = absl::AsciiStrToLower(tag);
  data.value = std::string(value);
  return data;
}

absl::Status ParseData(Reader& reader, Record& record) {
  const bool is_internet = record.record_class == kClassIn;
  switch (is_internet ? record.type : RecordType::kOpt) {
    case RecordType::kA: {
      CW_ASSIGN_OR_RETURN(record.data, ParseAddress(reader, AF_INET));
      return absl::OkStatus();
    }
    case RecordType::kAaaa: {
      CW_ASSIGN_OR_RETURN(record.data, ParseAddress(reader, AF_INET6));
      return absl::OkStatus();
    }
    case RecordType::kNs:
    case RecordType::kCname: {
      CW_ASSIGN_OR_RETURN(std::string name, reader.Name());
      record.data = NameData{std::move(name)};
      return absl::OkStatus();
    }
    case RecordType::kTxt: {
      CW_ASSIGN_OR_RETURN(record.data, ParseText(reader));
      return absl::OkStatus();
    }
    case RecordType::kSoa: {
      CW_ASSIGN_OR_RETURN(record.data, ParseSoa(reader));
      return absl::OkStatus();
    }
    case RecordType::kCaa: {
      CW_ASSIGN_OR_RETURN(record.data, ParseCaa(reader));
      return absl::OkStatus();
    }
    default: {
      CW_ASSIGN_OR_RETURN(const absl::string_view bytes, reader.Bytes(reader.left()));
      record.data = RawData{std::string(bytes)};
      return absl::OkStatus();
    }
  }
}

absl::Status ParseRecord(Reader& reader, Record& record) {
  CW_ASSIGN_OR_RETURN(record.name, reader.Name());
  CW_ASSIGN_OR_RETURN(const uint16_t type, reader.Word());
  record.type = static_cast<RecordType>(type);
  CW_ASSIGN_OR_RETURN(record.record_class, reader.Word());
  CW_ASSIGN_OR_RETURN(record.ttl, reader.Long());
  CW_ASSIGN_OR_RETURN(const uint16_t length, reader.Word());
  CW_RETURN_IF_ERROR(reader.Enter(length));
  CW_RETURN_IF_ERROR(ParseData(reader, record));
  return reader.Leave();
}

absl::Status ParseSection(Reader& reader, uint16_t count, std::vector<Record>& section,
                          std::size_t& last_record) {
  for (uint16_t i = 0; i < count; ++i) {
    last_record = reader.position();
    CW_RETURN_IF_ERROR(ParseRecord(reader, section.emplace_back()));
  }
  return absl::OkStatus();
}

void ParseFlags(uint16_t flags, Message& message) {
  message.response = (flags & 0x8000) != 0;
  message.opcode = flags >> 11 & 0xF;
  message.authoritative = (flags & 0x0400) != 0;
  message.truncated = (flags & 0x0200) != 0;
  message.recursion_desired = (flags & 0x0100) != 0;
  message.recursion_available = (flags & 0x0080) != 0;
  message.authentic_data = (flags & 0x0020) != 0;
  message.rcode = static_cast<Rcode>(flags & 0xF);
}

void ExtendRcode(Message& message) {
  for (const Record& record : message.additional) {
    if (record.type != RecordType::kOpt) continue;
    message.rcode =
        static_cast<Rcode>(record.ttl >> 24 << 4 | static_cast<uint16_t>(message.rcode));
    return;
  }
}

}  // namespace

std::string TypeName(RecordType type) {
  switch (type) {
    case RecordType::kA:
      return "A";
    case RecordType::kNs:
      return "NS";
    case RecordType::kCname:
      return "CNAME";
    case RecordType::kSoa:
      return "SOA";
    case RecordType::kTxt:
      return "TXT";
    case RecordType::kAaaa:
      return "AAAA";
    case RecordType::kOpt:
      return "OPT";
    case RecordType::kCaa:
      return "CAA";
  }
  return absl::StrCat("TYPE", static_cast<int>(type));
}

std::string RcodeName(Rcode rcode) {
  static constexpr std::array<const char*, 11> kNames = {
      "NOERROR",  "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED",
      "YXDOMAIN", "YXRRSET", "NXRRSET",  "NOTAUTH",  "NOTZONE"};
  const auto number = static_cast<std::size_t>(rcode);
  if (number < kNames.size()) return kNames[number];
  switch (rcode) {
    case Rcode::kBadSig:
      return "BADSIG";
    case Rcode::kBadKey:
      return "BADKEY";
    case Rcode::kBadTime:
      return "BADTIME";
    case Rcode::kBadTrunc:
      return "BADTRUNC";
    default:
      return absl::StrCat("RCODE", number);
  }
}

absl::StatusOr<Message> ParseMessage(absl::string_view packet) {
  Reader reader(packet.substr(0, kMaxPacket + 1));
  if (packet.size() > kMaxPacket) return reader.Error("is over 65535 octets");
  Message message;
  CW_ASSIGN_OR_RETURN(message.id, reader.Word());
  CW_ASSIGN_OR_RETURN(const uint16_t flags, reader.Word());
  ParseFlags(flags, message);
  std::array<uint16_t, 4> counts = {};
  for (uint16_t& count : counts) {
    CW_ASSIGN_OR_RETURN(count, reader.Word());
  }
  for (uint16_t i = 0; i < counts[0]; ++i) {
    Question& question = message.questions.emplace_back();
    CW_ASSIGN_OR_RETURN(question.name, reader.Name());
    CW_ASSIGN_OR_RETURN(const uint16_t type, reader.Word());
    question.type = static_cast<RecordType>(type);
    CW_ASSIGN_OR_RETURN(question.record_class, reader.Word());
  }
  CW_RETURN_IF_ERROR(ParseSection(reader, counts[1], message.answers, message.last_record));
  CW_RETURN_IF_ERROR(ParseSection(reader, counts[2], message.authority, message.last_record));
  CW_RETURN_IF_ERROR(ParseSection(reader, counts[3], message.additional, message.last_record));
  if (reader.left() != 0) return reader.Error("goes on after its last record");
  ExtendRcode(message);
  return message;
}

const Record* FindRecord(const std::vector<Record>& section, absl::string_view name,
                         RecordType type) {
  for (const Record& record : section) {
    if (record.type == type && record.record_class == kClassIn && record.name == name) {
      return &record;
    }
  }
  return nullptr;
}

}  // namespace certwright::dns
