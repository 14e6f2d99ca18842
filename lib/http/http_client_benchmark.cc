// What a request costs this process: http_client_benchmark URL [PARALLEL [COUNT]] posts COUNT
// requests of 500 bytes, PARALLEL at a time, and prints time and CPU per request. The
// server's certificate is not verified.
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <future>
#include <memory>
#include <string>

#include "lib/http/curl_http_client.h"
#include "lib/runtime/thread_pool.h"
#include "lib/runtime/timers.h"

namespace certwright::http {
namespace {

double CpuSeconds() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

struct Work {
  HttpClient& client;
  std::string url;
  std::atomic<int> left;
  std::atomic<int> failed{0};
};

runtime::Awaitable<bool> SendRequests(Work& work) {
  while (work.left.fetch_sub(1) > 0) {
    HttpRequest request;
    request.method = "POST";
    request.url = work.url;
    request.headers.push_back({"Content-Type", "application/jose+json"});
    request.body = std::string(500, 'x');
    request.trust.skip_verify = true;
    const runtime::Context context =
        runtime::Context::WithTimeout(base::Clock::Real(), absl::Seconds(30));
    const absl::StatusOr<HttpResponse> response =
        co_await work.client.Send(context, std::move(request));
    if (!response.ok() && work.failed.fetch_add(1) == 0) {
      std::fprintf(stderr, "%s\n", response.status().ToString().c_str());
    }
  }
  co_return true;
}

void Run(Work& work, runtime::ThreadPool& pool, int parallel, int count) {
  work.left = count;
  std::promise<void> all_done;
  std::atomic<int> running = parallel;
  const double cpu = CpuSeconds();
  const absl::Time start = base::Clock::Real().Now();
  for (int i = 0; i < parallel; ++i) {
    runtime::SpawnThen<bool>(pool.executor(), SendRequests(work), [&](bool) {
      if (running.fetch_sub(1) == 1) all_done.set_value();
    });
  }
  all_done.get_future().wait();
  std::printf("%d in parallel: %.1f us and %.1f us of CPU per request, %d failed\n", parallel,
              absl::ToDoubleMicroseconds(base::Clock::Real().Now() - start) / count,
              1e6 * (CpuSeconds() - cpu) / count, work.failed.load());
}

}  // namespace
}  // namespace certwright::http

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: %s URL [PARALLEL [COUNT]]\n", argv[0]);
    return 2;
  }
  const int parallel = argc > 2 ? std::atoi(argv[2]) : 16;
  const int count = argc > 3 ? std::atoi(argv[3]) : 20000;
  using namespace certwright;  // NOLINT
  runtime::ThreadPool pool;
  const auto timers = runtime::MakeAsioTimers(pool.executor(), base::Clock::Real());
  const auto client = http::MakeCurlHttpClient(pool.executor(), *timers);
  http::Work work{*client, argv[1], 0};
  // The first round opens the connections.
  http::Run(work, pool, parallel, count / 10);
  http::Run(work, pool, parallel, count);
  pool.Stop();
  return work.failed == 0 ? 0 : 1;
}
