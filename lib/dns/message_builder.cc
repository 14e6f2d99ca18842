#include "lib/dns/message_builder.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace certwright::dns {
namespace {

std::string Word(unsigned value) {
  return {static_cast<char>(value >> 8 & 0xFF), static_cast<char>(value & 0xFF)};
}

std::string Long(uint32_t value) {
  return absl::StrCat(Word(value >> 16), Word(value & 0xFFFF));
}

std::string CharacterString(absl::string_view text) {
  return absl::StrCat(std::string(1, static_cast<char>(text.size())), text);
}

struct DataWriter {
  std::string operator()(const RawData& data) const { return data.bytes; }
  std::string operator()(const AddressData& data) const {
    std::array<char, 16> bytes = {};
    const bool v6 = data.address.find(':') != std::string::npos;
    inet_pton(v6 ? AF_INET6 : AF_INET, data.address.c_str(), bytes.data());
    return std::string(bytes.data(), v6 ? 16 : 4);
  }
  std::string operator()(const NameData& data) const { return BuildName(data.name); }
  std::string operator()(const TextData& data) const {
    std::string out;
    absl::string_view left = data.text;
    do {
      out += CharacterString(left.substr(0, 255));
      left.remove_prefix(std::min<std::size_t>(left.size(), 255));
    } while (!left.empty());
    return out;
  }
  std::string operator()(const SoaData& data) const {
    return absl::StrCat(BuildName(data.primary), BuildName(data.mailbox), Long(data.serial),
                        Long(data.refresh), Long(data.retry), Long(data.expire),
                        Long(data.minimum));
  }
  std::string operator()(const CaaData& data) const {
    return absl::StrCat(std::string(1, static_cast<char>(data.flags)),
                        CharacterString(data.tag), data.value);
  }
};

std::string BuildRecord(const Record& record) {
  const std::string data = std::visit(DataWriter{}, record.data);
  return absl::StrCat(BuildName(record.name), Word(static_cast<unsigned>(record.type)),
                      Word(record.record_class), Long(record.ttl), Word(data.size()), data);
}

unsigned Flags(const Message& message) {
  return (message.response ? 0x8000u : 0) | static_cast<unsigned>(message.opcode) << 11 |
         (message.authoritative ? 0x0400u : 0) | (message.truncated ? 0x0200u : 0) |
         (message.recursion_desired ? 0x0100u : 0) |
         (message.recursion_available ? 0x0080u : 0) | (message.authentic_data ? 0x0020u : 0) |
         (static_cast<unsigned>(message.rcode) & 0xF);
}

}  // namespace

std::string BuildName(absl::string_view name) {
  std::string out;
  if (!name.empty()) {
    for (const absl::string_view label : absl::StrSplit(name, '.')) {
      std::string bytes;
      for (std::size_t i = 0; i < label.size(); ++i) {
        if (label[i] == '\\' && i + 3 < label.size()) {
          bytes.push_back(
              static_cast<char>(std::atoi(std::string(label.substr(i + 1, 3)).c_str())));
          i += 3;
        } else {
          bytes.push_back(label[i]);
        }
      }
      out += CharacterString(bytes);
    }
  }
  out.push_back('\0');
  return out;
}

std::string BuildMessage(const Message& message) {
  std::string out =
      absl::StrCat(Word(message.id), Word(Flags(message)), Word(message.questions.size()),
                   Word(message.answers.size()), Word(message.authority.size()),
                   Word(message.additional.size()));
  for (const Question& question : message.questions) {
    absl::StrAppend(&out, BuildName(question.name), Word(static_cast<unsigned>(question.type)),
                    Word(question.record_class));
  }
  for (const auto* section : {&message.answers, &message.authority, &message.additional}) {
    for (const Record& record : *section) out += BuildRecord(record);
  }
  return out;
}

}  // namespace certwright::dns
