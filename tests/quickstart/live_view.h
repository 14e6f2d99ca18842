// LiveView: prints how the resources of a world change, a line each, while it lives.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/time.h"
#include "grpcpp/client_context.h"
#include "lib/base/mutex.h"
#include "tests/harness/world.h"

namespace certwright::quickstart {

class LiveView {
 public:
  // `world` must outlive this.
  explicit LiveView(harness::World& world);
  ~LiveView() { Stop(); }
  void Stop();

 private:
  // Prints `text` with the time since the start unless it was the last about `object`.
  void Show(const std::string& object, const std::string& text);
  // Reads a stream on a thread of its own until it ends.
  template <typename Stub, typename Request, typename Response>
  void Follow(Stub& stub,
              std::unique_ptr<grpc::ClientReader<Response>> (Stub::*watch)(grpc::ClientContext*,
                                                                           const Request&),
              std::function<void(const Response&)> show);

  const absl::Time start_;
  base::Mutex mutex_;
  std::map<std::string, std::string> last_ CW_GUARDED_BY(mutex_);
  std::vector<std::unique_ptr<grpc::ClientContext>> contexts_;
  std::vector<std::jthread> threads_;
};

}  // namespace certwright::quickstart
