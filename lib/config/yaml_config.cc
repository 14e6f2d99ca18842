#include "lib/config/yaml_config.h"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <limits>
#include <set>
#include <sstream>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/duration.pb.h"
#include "lib/base/utf8.h"
#include "yaml-cpp/yaml.h"

namespace certwright::config {
namespace {

using ::google::protobuf::EnumValueDescriptor;
using ::google::protobuf::FieldDescriptor;
using ::google::protobuf::Message;

constexpr std::size_t kMaxBytes = 1 << 20;
constexpr int kMaxDepth = 32;
constexpr std::size_t kMaxShownKey = 100;

// Walks a YAML tree and a message side by side.
class Reader {
 public:
  std::vector<std::string> problems;

  void ReadMap(const YAML::Node& node, const std::string& path, int depth, Message& message) {
    if (depth > kMaxDepth) return Report(node, path, "nested too deeply");
    if (!node.IsMap()) return Report(node, path, "must be a map of keys to values");
    std::set<std::string> seen;
    for (const auto& entry : node) {
      const std::string key = entry.first.IsScalar() ? entry.first.Scalar() : "";
      const std::string shown = absl::Utf8SafeCHexEscape(key.substr(0, kMaxShownKey));
      const std::string child = path.empty() ? shown : absl::StrCat(path, ".", shown);
      const FieldDescriptor* field = Find(message, key);
      if (field == nullptr) {
        Report(entry.first, child, absl::StrCat("unknown key; known are ", Known(message)));
      } else if (!seen.insert(std::string(field->name())).second) {
        Report(entry.first, child, "is given twice");
      } else if (const FieldDescriptor* other = OneofRival(message, *field)) {
        Report(entry.first, child, absl::StrCat("excludes ", other->json_name()));
      } else {
        ReadField(entry.second, child, depth, *field, message);
      }
    }
  }

  void Report(const YAML::Node& node, absl::string_view path, absl::string_view what) {
    const int line = node.Mark().line + 1;
    problems.push_back(absl::StrCat("line ", line, ": ", path, path.empty() ? "" : ": ", what));
  }

 private:
  static const FieldDescriptor* Find(const Message& message, const std::string& key) {
    const auto* descriptor = message.GetDescriptor();
    for (int i = 0; i < descriptor->field_count(); ++i) {
      const FieldDescriptor* field = descriptor->field(i);
      if (field->json_name() == key || field->name() == key) return field;
    }
    return nullptr;
  }

  static std::string Known(const Message& message) {
    std::vector<std::string> names;
    names.reserve(static_cast<std::size_t>(message.GetDescriptor()->field_count()));
    for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
      names.push_back(message.GetDescriptor()->field(i)->json_name());
    }
    return absl::StrJoin(names, ", ");
  }

  static const FieldDescriptor* OneofRival(const Message& message,
                                           const FieldDescriptor& field) {
    const auto* oneof = field.real_containing_oneof();
    if (oneof == nullptr) return nullptr;
    return message.GetReflection()->GetOneofFieldDescriptor(message, oneof);
  }

  void ReadField(const YAML::Node& node, const std::string& path, int depth,
                 const FieldDescriptor& field, Message& message) {
    if (node.IsNull()) return;
    if (!field.is_repeated()) return ReadValue(node, path, depth, field, message);
    if (!node.IsSequence()) return Report(node, path, "must be a list");
    for (std::size_t i = 0; i < node.size(); ++i) {
      ReadValue(node[i], absl::StrCat(path, "[", i, "]"), depth, field, message);
    }
  }

  void ReadValue(const YAML::Node& node, const std::string& path, int depth,
                 const FieldDescriptor& field, Message& message) {
    const auto* reflection = message.GetReflection();
    if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      Message& child = field.is_repeated() ? *reflection->AddMessage(&message, &field)
                                           : *reflection->MutableMessage(&message, &field);
      if (child.GetDescriptor() != google::protobuf::Duration::descriptor()) {
        return ReadMap(node, path, depth + 1, child);
      }
      return ReadDuration(node, path, static_cast<google::protobuf::Duration&>(child));
    }
    if (!node.IsScalar()) return Report(node, path, "must be a single value");
    ReadScalar(node, path, field, message);
  }

  void ReadDuration(const YAML::Node& node, const std::string& path,
                    google::protobuf::Duration& duration) {
    absl::Duration value;
    if (!node.IsScalar() || !absl::ParseDuration(node.Scalar(), &value)) {
      return Report(node, path, "must be a duration such as \"90s\" or \"1h30m\"");
    }
    if (value < absl::ZeroDuration() || value > absl::Hours(24 * 3660)) {
      return Report(node, path, "must be between 0 and 10 years");
    }
    duration.set_seconds(absl::IDivDuration(value, absl::Seconds(1), &value));
    duration.set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(value)));
  }

  void ReadScalar(const YAML::Node& node, const std::string& path, const FieldDescriptor& field,
                  Message& message) {
    const auto* reflection = message.GetReflection();
    const std::string& text = node.Scalar();
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_STRING:
        if (!base::IsUtf8(text)) return Report(node, path, "must be UTF-8");
        return field.is_repeated() ? reflection->AddString(&message, &field, text)
                                   : reflection->SetString(&message, &field, text);
      case FieldDescriptor::CPPTYPE_BOOL: {
        if (text != "true" && text != "false") {
          return Report(node, path, "must be true or false");
        }
        return field.is_repeated() ? reflection->AddBool(&message, &field, text == "true")
                                   : reflection->SetBool(&message, &field, text == "true");
      }
      case FieldDescriptor::CPPTYPE_INT32: {
        int32_t value = 0;
        if (!absl::SimpleAtoi(text, &value)) return Report(node, path, "must be a number");
        if (value < 0) return Report(node, path, "must not be negative");
        return field.is_repeated() ? reflection->AddInt32(&message, &field, value)
                                   : reflection->SetInt32(&message, &field, value);
      }
      case FieldDescriptor::CPPTYPE_INT64: {
        int64_t value = 0;
        if (!absl::SimpleAtoi(text, &value)) return Report(node, path, "must be a number");
        if (value < 0) return Report(node, path, "must not be negative");
        return field.is_repeated() ? reflection->AddInt64(&message, &field, value)
                                   : reflection->SetInt64(&message, &field, value);
      }
      case FieldDescriptor::CPPTYPE_ENUM: {
        const EnumValueDescriptor* value = field.enum_type()->FindValueByName(text);
        if (value == nullptr) return Report(node, path, "is none of the known names");
        return field.is_repeated() ? reflection->AddEnum(&message, &field, value)
                                   : reflection->SetEnum(&message, &field, value);
      }
      default:
        Report(node, path, "cannot be set in a configuration file");
    }
  }
};

}  // namespace

std::vector<std::string> ParseYaml(absl::string_view text, Message& message) {
  if (text.size() > kMaxBytes) return {"the file is larger than 1 MiB"};
  Reader reader;
  // yaml-cpp reports by exception, and only here.
  try {
    const YAML::Node root = YAML::Load(std::string(text));
    if (!root.IsNull()) reader.ReadMap(root, "", 0, message);
  } catch (const YAML::Exception& error) {
    reader.problems.push_back(absl::StrCat("line ", std::max(error.mark.line + 1, 1), ": ",
                                           absl::Utf8SafeCHexEscape(error.msg)));
  }
  return reader.problems;
}

absl::Status LoadYamlFile(const std::string& path, Message& message) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot read configuration file ", path));
  }
  std::string text(kMaxBytes + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  const std::vector<std::string> problems = ParseYaml(text, message);
  if (problems.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("configuration file ", path, ":\n  ", absl::StrJoin(problems, "\n  ")));
}

}  // namespace certwright::config
