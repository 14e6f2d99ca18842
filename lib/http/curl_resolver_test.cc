// How the client resolves names: this program's own getaddrinfo(), which libcurl finds before
// the C library's, answers for names under .test.
#include <dlfcn.h>
#include <netdb.h>

#include <condition_variable>
#include <cstring>
#include <mutex>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/http/curl_test_fixture.h"
#include "lib/http/test_server.h"

namespace certwright::http {
namespace {

struct Resolver {
  std::mutex mutex;
  std::condition_variable changed;
  int waiting = 0;
  bool released = false;
};

Resolver& GetResolver() {
  static auto* const kResolver = new Resolver;
  return *kResolver;
}

}  // namespace
}  // namespace certwright::http

extern "C" int getaddrinfo(const char* node, const char* service, const addrinfo* hints,
                           addrinfo** result) noexcept(false) {
  using Function = int (*)(const char*, const char*, const addrinfo*, addrinfo**);
  static const auto kReal = reinterpret_cast<Function>(dlsym(RTLD_NEXT, "getaddrinfo"));
  if (node == nullptr || !absl::EndsWith(node, ".test")) {
    return kReal(node, service, hints, result);
  }
  if (std::strcmp(node, "unknown.test") == 0) return EAI_NONAME;
  auto& resolver = certwright::http::GetResolver();
  if (std::strcmp(node, "slow.test") == 0) {
    std::unique_lock<std::mutex> lock(resolver.mutex);
    ++resolver.waiting;
    resolver.changed.notify_all();
    resolver.changed.wait(lock, [&] { return resolver.released; });
    --resolver.waiting;
    resolver.changed.notify_all();
  }
  return kReal("127.0.0.1", service, hints, result);
}

namespace certwright::http {
namespace {

using absl::StatusCode;
using base::StatusIs;
using testing::HasSubstr;

class CurlResolverTest : public CurlClientTest {
 protected:
  static void AwaitSlowLookups(int count) {
    Resolver& resolver = GetResolver();
    std::unique_lock<std::mutex> lock(resolver.mutex);
    resolver.changed.wait(lock, [&] { return resolver.waiting == count; });
  }
  static void SetReleased(bool released) {
    Resolver& resolver = GetResolver();
    std::unique_lock<std::mutex> lock(resolver.mutex);
    resolver.released = released;
    resolver.changed.notify_all();
  }
  std::string Url(const std::string& name) const {
    return absl::StrCat("http://", name, ":", server_.port(), "/");
  }

  TestServer server_{[](TestConnection& connection) {
    while (!connection.ReadRequest().empty()) connection.Answer(200, "ok");
  }};
};

TEST_F(CurlResolverTest, ConnectsToWhatTheNameResolvesTo) {
  HttpRequest request = Get(Url("quick.test"));
  std::string asked;
  request.allow_address = [&](absl::string_view address, uint16_t) {
    asked = std::string(address);
    return true;
  };
  CW_ASSERT_OK(Send(request));
  EXPECT_EQ(asked, "127.0.0.1");
}

TEST_F(CurlResolverTest, AnUnknownNameIsUnavailable) {
  EXPECT_THAT(Send(Get(Url("unknown.test"))),
              StatusIs(StatusCode::kUnavailable, HasSubstr("unknown.test")));
}

TEST_F(CurlResolverTest, ASlowLookupHoldsUpNobodyElse) {
  std::future<Result> slow = Start(Get(Url("slow.test")));
  AwaitSlowLookups(1);
  CW_EXPECT_OK(Send(Get(Url("quick.test"))));
  CW_EXPECT_OK(Send(Get(Url("127.0.0.1"))));
  SetReleased(true);
  CW_EXPECT_OK(slow.get());
  SetReleased(false);
}

TEST_F(CurlResolverTest, GivingUpOnASlowLookupDoesNotWaitForIt) {
  std::future<Result> slow = Start(Get(Url("slow.test")));
  AwaitSlowLookups(1);
  clock_.Advance(absl::Seconds(30));
  EXPECT_THAT(slow.get(), StatusIs(StatusCode::kDeadlineExceeded));
  CW_EXPECT_OK(Send(Get(Url("quick.test"))));
  SetReleased(true);
  AwaitSlowLookups(0);
  SetReleased(false);
}

}  // namespace
}  // namespace certwright::http
