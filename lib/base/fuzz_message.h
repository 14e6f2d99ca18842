// Protobuf messages for fuzz targets.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "google/protobuf/io/tokenizer.h"
#include "google/protobuf/message.h"
#include "google/protobuf/stubs/logging.h"
#include "google/protobuf/text_format.h"

namespace certwright::base {

class IgnoreErrors final : public google::protobuf::io::ErrorCollector {
 public:
  void AddError(int, google::protobuf::io::ColumnNumber, const std::string&) override {}
};

// Reads the text form, which libFuzzer changes better than the wire's. False also for what
// gRPC would not let through: strings that are no UTF-8.
inline bool ReadFuzzMessage(absl::string_view text, google::protobuf::Message& message) {
  // Each broken message would be a line on standard error.
  static const auto kNoLog = google::protobuf::SetLogHandler(nullptr);
  (void)kNoLog;
  google::protobuf::TextFormat::Parser parser;
  IgnoreErrors errors;
  parser.RecordErrorsTo(&errors);
  return parser.ParseFromString(std::string(text), &message) &&
         message.ParseFromString(message.SerializeAsString());
}

}  // namespace certwright::base
