#include "lib/rpc/reflection.h"

#include <set>
#include <utility>

#include "google/protobuf/descriptor.h"
#include "google/protobuf/descriptor.pb.h"
#include "grpc/reflection/v1alpha/reflection.pb.h"

namespace certwright::rpc {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::DescriptorPool;
using google::protobuf::FieldDescriptor;
using google::protobuf::FileDescriptor;
using grpc::reflection::v1alpha::ErrorResponse;
using grpc::reflection::v1alpha::ExtensionRequest;
using grpc::reflection::v1alpha::FileDescriptorResponse;
using grpc::reflection::v1alpha::ServerReflectionRequest;
using grpc::reflection::v1alpha::ServerReflectionResponse;

constexpr char kName[] = "grpc.reflection.v1alpha.ServerReflection";

const FileDescriptor* FileOfExtension(const ExtensionRequest& request) {
  const DescriptorPool& pool = *DescriptorPool::generated_pool();
  const Descriptor* type = pool.FindMessageTypeByName(request.containing_type());
  if (type == nullptr) return nullptr;
  const FieldDescriptor* field = pool.FindExtensionByNumber(type, request.extension_number());
  return field == nullptr ? nullptr : field->file();
}

// One stream of questions, answered one after the other.
class ReflectionCall final : public Call {
 public:
  ReflectionCall(const CallEnvironment& environment, const Method& method,
                 const std::vector<std::string>& services)
      : Call(environment, method), services_(services) {}

  void OnWriteDone(bool ok) override {
    if (!ok) return Complete(absl::CancelledError("the caller has gone"));
    ReadNext();
  }

 private:
  absl::Status Admit() override { return absl::OkStatus(); }

  void OnRequest() override {
    const auto& question = static_cast<const ServerReflectionRequest&>(request());
    answer_bytes_ = Serialize(Answer(question));
    StartWrite(&answer_bytes_);
  }

  void OnNextMessage(bool ok) override {
    if (!ok) return Complete(absl::OkStatus());
    const absl::Status parsed = Parse();
    if (!parsed.ok()) return Complete(parsed);
    OnRequest();
  }

  ServerReflectionResponse Answer(const ServerReflectionRequest& question) {
    ServerReflectionResponse answer;
    answer.set_valid_host(question.host());
    *answer.mutable_original_request() = question;
    const DescriptorPool& pool = *DescriptorPool::generated_pool();
    switch (question.message_request_case()) {
      case ServerReflectionRequest::kFileByFilename:
        AddFile(pool.FindFileByName(question.file_by_filename()), answer);
        break;
      case ServerReflectionRequest::kFileContainingSymbol:
        AddFile(pool.FindFileContainingSymbol(question.file_containing_symbol()), answer);
        break;
      case ServerReflectionRequest::kFileContainingExtension:
        AddFile(FileOfExtension(question.file_containing_extension()), answer);
        break;
      case ServerReflectionRequest::kAllExtensionNumbersOfType:
        AddExtensions(question.all_extension_numbers_of_type(), answer);
        break;
      case ServerReflectionRequest::kListServices:
        for (const std::string& name : services_) {
          answer.mutable_list_services_response()->add_service()->set_name(name);
        }
        break;
      case ServerReflectionRequest::MESSAGE_REQUEST_NOT_SET:
        SetError(grpc::StatusCode::INVALID_ARGUMENT, "the request asks for nothing", answer);
    }
    return answer;
  }

  static void SetError(grpc::StatusCode code, const char* message,
                       ServerReflectionResponse& answer) {
    ErrorResponse& error = *answer.mutable_error_response();
    error.set_error_code(code);
    error.set_error_message(message);
  }

  void AddFile(const FileDescriptor* file, ServerReflectionResponse& answer) {
    if (file == nullptr) {
      return SetError(grpc::StatusCode::NOT_FOUND, "there is no such file or symbol", answer);
    }
    FileDescriptorResponse& files = *answer.mutable_file_descriptor_response();
    // Asked for by name, it is sent also when it was sent before.
    sent_.erase(file);
    AddWithImports(file, files);
  }

  void AddWithImports(const FileDescriptor* file, FileDescriptorResponse& files) {
    if (!sent_.insert(file).second) return;
    google::protobuf::FileDescriptorProto proto;
    file->CopyTo(&proto);
    *files.add_file_descriptor_proto() = proto.SerializeAsString();
    for (int i = 0; i < file->dependency_count(); ++i) {
      AddWithImports(file->dependency(i), files);
    }
  }

  static void AddExtensions(const std::string& type_name, ServerReflectionResponse& answer) {
    const DescriptorPool& pool = *DescriptorPool::generated_pool();
    const Descriptor* type = pool.FindMessageTypeByName(type_name);
    if (type == nullptr) {
      return SetError(grpc::StatusCode::NOT_FOUND, "there is no such message", answer);
    }
    auto& extensions = *answer.mutable_all_extension_numbers_response();
    extensions.set_base_type_name(type_name);
    std::vector<const FieldDescriptor*> fields;
    pool.FindAllExtensions(type, &fields);
    for (const FieldDescriptor* field : fields) {
      extensions.add_extension_number(field->number());
    }
  }

  const std::vector<std::string>& services_;
  std::set<const FileDescriptor*> sent_;
  grpc::ByteBuffer answer_bytes_;
};

}  // namespace

ReflectionService::ReflectionService(const CallEnvironment& environment,
                                     std::vector<std::string> services)
    : Service(kName, environment, Access::kKnownCallers) {
  services.push_back(kName);
  Add(Shape::kStreams, ServerReflectionRequest::default_instance(),
      [this, listed = std::make_shared<const std::vector<std::string>>(std::move(services))](
          const Method& method) {
        return std::make_shared<ReflectionCall>(this->environment(), method, *listed);
      });
}

}  // namespace certwright::rpc
