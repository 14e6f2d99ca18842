// How the client resolves names: this program's own getaddrinfo(), which libcurl finds before
// the C library's, answers for names under .test.
#include <dlfcn.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <condition_variable>
#include <cstring>
#include <mutex>
#include <string>
#include <vector>

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
  if (std::strcmp(node, "dual.test") == 0) {
    const int error = kReal("::1", service, hints, result);
    return error != 0 ? error : kReal("127.0.0.1", service, hints, &(*result)->ai_next);
  }
  if (std::strcmp(node, "six.test") == 0) return kReal("::1", service, hints, result);
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

// Takes no connection at a port of [::1], and says nothing: its queue is full.
class BlackHole {
 public:
  explicit BlackHole(int port) {
    address_.sin6_family = AF_INET6;
    address_.sin6_port = htons(static_cast<uint16_t>(port));
    address_.sin6_addr = in6addr_loopback;
    listener_ = socket(AF_INET6, SOCK_STREAM, 0);
    good_ = bind(listener_, Address(), sizeof(address_)) == 0 && listen(listener_, 0) == 0;
    for (int& filler : fillers_) {
      filler = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0);
      (void)connect(filler, Address(), sizeof(address_));
    }
  }
  ~BlackHole() {
    for (const int filler : fillers_) close(filler);
    close(listener_);
  }
  bool good() const { return good_; }

 private:
  const sockaddr* Address() const { return reinterpret_cast<const sockaddr*>(&address_); }

  sockaddr_in6 address_ = {};
  int listener_ = -1;
  int fillers_[3] = {-1, -1, -1};
  bool good_ = false;
};

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

// Fault 27.
TEST_F(CurlResolverTest, AnUnknownNameIsUnavailable) {
  EXPECT_THAT(Send(Get(Url("unknown.test"))),
              StatusIs(StatusCode::kUnavailable, HasSubstr("unknown.test")));
}

// Fault 27.
TEST_F(CurlResolverTest, AnIpv6AddressThatSwallowsEverythingIsPassedOver) {
  const BlackHole hole(server_.port());
  ASSERT_TRUE(hole.good());
  HttpRequest request = Get(Url("dual.test"));
  std::vector<std::string> tried;
  request.allow_address = [&](absl::string_view address, uint16_t) {
    tried.emplace_back(address);
    return true;
  };
  CW_EXPECT_OK(Send(request));
  EXPECT_THAT(tried, testing::ElementsAre("::1", "127.0.0.1"));
}

// Fault 27.
TEST_F(CurlResolverTest, AServerThatTakesNoConnectionIsUnavailableAfterTheConnectTimeout) {
  EXPECT_EQ(HttpRequest().connect_timeout, absl::Seconds(10));
  const BlackHole hole(server_.port());
  ASSERT_TRUE(hole.good());
  HttpRequest request = Get(Url("six.test"));
  request.connect_timeout = absl::Milliseconds(100);
  EXPECT_THAT(Send(request), StatusIs(StatusCode::kUnavailable, HasSubstr("six.test")));
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
