// What recording an event costs.
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "benchmark/benchmark.h"
#include "lib/service/events.h"

namespace certwright::service {
namespace {

std::vector<meta::v1::ObjectMeta> Objects() {
  std::vector<meta::v1::ObjectMeta> objects(1000);
  for (std::size_t i = 0; i < objects.size(); ++i) {
    objects[i].set_namespace_("default");
    objects[i].set_name(absl::StrCat("certificate-", i));
    objects[i].set_uid("0b0b0b0b-0b0b-4b0b-8b0b-0b0b0b0b0b0b");
  }
  return objects;
}

// Full, so that each event drops another.
void BM_RecordNew(benchmark::State& state) {
  EventRecorder recorder(base::Clock::Real());
  const std::vector<meta::v1::ObjectMeta> objects = Objects();
  uint64_t i = 0;
  for (auto _ : state) {
    recorder.Record("Certificate", objects[i % objects.size()],
                    {meta::v1::EVENT_SEVERITY_NORMAL, "Issuing",
                     absl::StrCat("The certificate is issued for the time number ", i)});
    ++i;
  }
}
BENCHMARK(BM_RecordNew);

void BM_RecordRepeated(benchmark::State& state) {
  EventRecorder recorder(base::Clock::Real());
  const std::vector<meta::v1::ObjectMeta> objects = Objects();
  uint64_t i = 0;
  for (auto _ : state) {
    recorder.Record("Certificate", objects[i++ % objects.size()],
                    {meta::v1::EVENT_SEVERITY_NORMAL, "Issuing",
                     "The certificate is issued for the first time."});
  }
}
BENCHMARK(BM_RecordRepeated);

}  // namespace
}  // namespace certwright::service

BENCHMARK_MAIN();
