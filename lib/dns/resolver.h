// DnsResolver: one DNS question, put to given servers, and the answer of one of them.
//
// Whatever a server says is an answer, whichever its rcode: NXDOMAIN, NODATA, SERVFAIL and
// REFUSED included. Errors are only: UNAVAILABLE, naming every server that was tried and
// what it did, if none answered; INVALID_ARGUMENT for a name, server or setting that is
// none; DEADLINE_EXCEEDED and CANCELLED from the context.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "lib/dns/message.h"
#include "lib/dns/server_address.h"
#include "lib/runtime/awaitable.h"
#include "lib/runtime/context.h"
#include "lib/runtime/timers.h"

namespace certwright::dns {

struct Query {
  std::string name;
  RecordType type = RecordType::kA;
  // As ParseServerAddress reads them; the next is tried when one does not answer. Empty
  // means those of the system's resolv.conf.
  std::vector<std::string> servers;
  // False for questions to authoritative servers.
  bool recursion_desired = true;
  // What one server gets for its first attempt; each further attempt gets twice as long.
  absl::Duration timeout = absl::Seconds(2);
  // How often one server is asked, at least once.
  int attempts = 2;
};

struct Answer {
  Message message;
  // Which server gave it, as ServerAddress::ToString writes it.
  std::string server;
  absl::Duration elapsed;
};

class DnsResolver {
 public:
  virtual ~DnsResolver() = default;
  virtual runtime::Awaitable<absl::StatusOr<Answer>> Resolve(runtime::Context context,
                                                             Query query) = 0;
};

// An UNAVAILABLE that says that this host cannot reach IPv6 addresses like `server` at all:
// the server has not been asked. IsNoRoute recognises it.
absl::Status NoRouteError(absl::string_view server);
bool IsNoRoute(const absl::Status& status);

// DnsResolver on c-ares: UDP with EDNS (1232 octets), TCP when an answer is truncated.
//
// Threading: Resolve() from any thread; all of c-ares runs on one strand of the executor.
// Channels are kept per server for a while, so a query costs a socket and little else.
// Lifetime: `timers` and the executor must outlive this and its queries. Queries still running
// at destruction end with CANCELLED if the executor still runs then.
class AresDnsResolver final : public DnsResolver {
 public:
  struct Options {
    // Where the system's servers are read from; empty for c-ares's default.
    std::string resolv_conf;
    // Idle channels beyond this are closed, the least recently used first.
    std::size_t max_idle_channels = 64;
    // For how long an idle channel, and what resolv.conf said, are used again.
    absl::Duration idle_lifetime = absl::Seconds(30);
  };

  AresDnsResolver(runtime::Executor executor, runtime::Timers& timers);
  AresDnsResolver(runtime::Executor executor, runtime::Timers& timers, Options options);
  ~AresDnsResolver() override;

  runtime::Awaitable<absl::StatusOr<Answer>> Resolve(runtime::Context context,
                                                     Query query) override;

 private:
  class Loop;

  // Coroutines of their own, not of this object, which may be gone before they end.
  static runtime::Awaitable<absl::StatusOr<Answer>> Run(runtime::Timers& timers,
                                                        std::shared_ptr<Loop> loop,
                                                        runtime::Context context, Query query);
  static runtime::Awaitable<absl::StatusOr<Message>> AskServer(runtime::Timers& timers,
                                                               std::shared_ptr<Loop> loop,
                                                               runtime::Context context,
                                                               const ServerAddress& server,
                                                               const Query& query, bool edns);
  static runtime::Awaitable<absl::StatusOr<std::vector<ServerAddress>>> FindServers(
      runtime::Timers& timers, std::shared_ptr<Loop> loop, runtime::Context context,
      const Query& query);

  runtime::Timers& timers_;
  std::shared_ptr<Loop> loop_;
};

}  // namespace certwright::dns
