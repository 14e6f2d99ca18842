// ReflectionService: grpc.reflection.v1alpha, for callers that are known. gRPC's own has no way
// to refuse a caller.
//
// Threading: safe from any thread.
#pragma once

#include <string>
#include <vector>

#include "lib/rpc/service.h"

namespace certwright::rpc {

class ReflectionService final : public Service {
 public:
  // `services` are the full names that are listed, besides reflection itself.
  ReflectionService(const CallEnvironment& environment, std::vector<std::string> services);
};

}  // namespace certwright::rpc
