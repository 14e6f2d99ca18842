// The grpcurl commands of the README and the docs are what the API takes: the method exists,
// and so does every field and value that -d gives it.
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "certwright/issuer/v1/account.pb.h"
#include "certwright/issuer/v1/certificate.pb.h"
#include "certwright/issuer/v1/certificate_request.pb.h"
#include "certwright/issuer/v1/issuer.pb.h"
#include "certwright/issuer/v1/secret.pb.h"
#include "certwright/meta/v1/event_service.pb.h"
#include "certwright/order/v1/order.pb.h"
#include "certwright/solver/v1/challenge.pb.h"
#include "certwright/solver/v1/presentation.pb.h"
#include "certwright/solver/v1/propagation.pb.h"
#include "gmock/gmock.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"
#include "google/protobuf/util/json_util.h"
#include "gtest/gtest.h"

namespace certwright {
namespace {

using google::protobuf::MethodDescriptor;

std::string ReadFile(const std::string& path) {
  std::ifstream file(path);
  EXPECT_TRUE(file.is_open()) << path;
  return std::string(std::istreambuf_iterator<char>(file), {});
}

// What stands in the fenced blocks of a Markdown file.
std::string CodeOf(const std::string& path) {
  std::string code;
  bool fenced = false;
  for (const absl::string_view line : absl::StrSplit(ReadFile(path), '\n')) {
    if (absl::StartsWith(absl::StripLeadingAsciiWhitespace(line), "```")) {
      fenced = !fenced;
    } else if (fenced) {
      absl::StrAppend(&code, line, "\n");
    }
  }
  return code;
}

// The call of a grpcurl command as a shell takes it.
struct Command {
  std::string text;
  // "service/method"; empty for other commands, as list and describe.
  std::string method;
  // What -d gives, or the file that it is read from.
  std::string body = "{}";
};

// Reads one command, from its name to the end of its line; lines go on within quotes and after
// a backslash.
Command ReadCommand(absl::string_view code) {
  Command command;
  bool quoted = false;
  std::vector<std::string> words = {""};
  for (std::size_t i = 0; i < code.size() && (quoted || code[i] != '\n'); ++i) {
    command.text += code[i];
    // What another command prints; the Base64 of a value, where there is one.
    if (!quoted && absl::StartsWith(code.substr(i), "\"$(")) {
      i = code.find(")\"", i) + 1;
      words.back() += "eA==";
    } else if (code[i] == '\'') {
      quoted = !quoted;
    } else if (!quoted && absl::StartsWith(code.substr(i), "\\\n")) {
      ++i;
    } else if (!quoted && code[i] == ' ') {
      words.emplace_back();
    } else {
      words.back() += code[i];
    }
  }
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (absl::StartsWith(words[i], "certwright.") && absl::StrContains(words[i], '/')) {
      command.method = words[i];
    }
    if (i + 1 == words.size()) break;
    if (words[i] == "-d" && words[i + 1] != "@") command.body = words[i + 1];
    if (words[i] == "<") command.body = ReadFile(words[i + 1]);
  }
  return command;
}

std::vector<Command> CommandsIn(const std::string& path) {
  constexpr char kName[] = "grpcurl ";
  const std::string code = CodeOf(path);
  std::vector<Command> commands;
  for (std::size_t at = code.find(kName); at != std::string::npos;
       at = code.find(kName, at + commands.back().text.size())) {
    commands.push_back(ReadCommand(absl::string_view(code).substr(at)));
  }
  return commands;
}

// Null if there is no such method.
const MethodDescriptor* FindMethod(const std::string& name) {
  // Naming one message of each file is what links its services.
  for (const google::protobuf::Descriptor* message :
       {issuer::v1::GetAccountRequest::descriptor(), issuer::v1::Certificate::descriptor(),
        issuer::v1::CertificateRequest::descriptor(), issuer::v1::Issuer::descriptor(),
        issuer::v1::Secret::descriptor(), meta::v1::ListEventsRequest::descriptor(),
        order::v1::Order::descriptor(), solver::v1::Challenge::descriptor(),
        solver::v1::Presentation::descriptor(),
        solver::v1::CheckPropagationRequest::descriptor()}) {
    const MethodDescriptor* method =
        message->file()->pool()->FindMethodByName(absl::StrReplaceAll(name, {{"/", "."}}));
    if (method != nullptr) return method;
  }
  return nullptr;
}

class CommandsTest : public testing::TestWithParam<const char*> {};

TEST_P(CommandsTest, AreWhatTheApiTakes) {
  int calls = 0;
  for (const Command& command : CommandsIn(GetParam())) {
    if (command.method.empty()) {
      EXPECT_THAT(command.text,
                  testing::AnyOf(testing::HasSubstr(" list"), testing::HasSubstr(" describe")));
      continue;
    }
    SCOPED_TRACE(command.text);
    ++calls;
    const MethodDescriptor* const method = FindMethod(command.method);
    if (method == nullptr) {
      ADD_FAILURE() << "no such method";
      continue;
    }
    const std::unique_ptr<google::protobuf::Message> request(
        google::protobuf::MessageFactory::generated_factory()
            ->GetPrototype(method->input_type())
            ->New());
    const auto parsed =
        google::protobuf::util::JsonStringToMessage(command.body, request.get());
    EXPECT_TRUE(parsed.ok()) << parsed.ToString();
  }
  EXPECT_GT(calls, 0);
}

INSTANTIATE_TEST_SUITE_P(Docs, CommandsTest,
                         testing::Values("README.md", "docs/CERTIFICATES.md",
                                         "docs/OPERATIONS.md", "docs/SECURITY.md",
                                         "k8s/README.md"));

}  // namespace
}  // namespace certwright
