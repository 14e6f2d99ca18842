#include "lib/rpc/service.h"

#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "google/protobuf/descriptor.h"

namespace certwright::rpc {

Service::Service(std::string full_name, const CallEnvironment& environment, Access access)
    : name_(std::move(full_name)), environment_(environment), access_(access) {}

void Service::Add(Shape shape, const google::protobuf::Message& request,
                  NewCallFunction new_call) {
  const auto* service =
      google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(name_);
  if (service == nullptr) std::abort();
  for (int i = 0; i < service->method_count(); ++i) {
    const auto* method = service->method(i);
    if (method->input_type() != request.GetDescriptor() || ShapeOf(*method) != shape) continue;
    methods_[absl::StrCat("/", name_, "/", method->name())] = {
        {method->full_name(), &request, access_}, std::move(new_call)};
    return;
  }
  std::abort();
}

Service::Shape Service::ShapeOf(const google::protobuf::MethodDescriptor& method) {
  if (method.client_streaming()) return Shape::kStreams;
  return method.server_streaming() ? Shape::kWatch : Shape::kUnary;
}

std::shared_ptr<Call> Service::NewCall(const std::string& path) const {
  const auto entry = methods_.find(path);
  if (entry == methods_.end()) return nullptr;
  return entry->second.new_call(entry->second.method);
}

}  // namespace certwright::rpc
