#include "lib/dns/resolver.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <tuple>
#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "lib/base/status_macros.h"
#include "lib/dns/ares_channel.h"
#include "lib/dns/name.h"
#include "lib/dns/pending_result.h"
#include "lib/dns/server_address.h"

namespace certwright::dns {
namespace {

constexpr absl::string_view kNoRoutePayload = "certwright/dns-no-route";
constexpr int kMaxAttempts = 8;
constexpr absl::Duration kMinTimeout = absl::Milliseconds(1);
constexpr absl::Duration kMaxTimeout = absl::Minutes(1);

// Whether the kernel has a way to `server`: connecting a UDP socket sends nothing.
bool HasRoute(const ServerAddress& server) {
  sockaddr_in6 address = {};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(server.port);
  if (inet_pton(AF_INET6, server.ip.c_str(), &address.sin6_addr) != 1) return false;
  const int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return errno != EAFNOSUPPORT;
  const int result = connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  const int error = errno;
  close(fd);
  return result == 0 ||
         (error != ENETUNREACH && error != EADDRNOTAVAIL && error != EHOSTUNREACH);
}

// The query's wire form: a header, the question and, with `edns`, an OPT record (RFC 6891).
std::string BuildQuery(absl::string_view name, const Query& query, bool edns) {
  const auto type = static_cast<uint16_t>(query.type);
  std::string packet = {0, 0, static_cast<char>(query.recursion_desired ? 1 : 0),
                        0, 0, 1,
                        0, 0, 0,
                        0, 0, static_cast<char>(edns ? 1 : 0)};
  packet += WireName(name);
  packet.append({static_cast<char>(type >> 8), static_cast<char>(type & 0xFF), 0, kClassIn});
  if (edns) packet.append({0, 0, 41, 0x04, static_cast<char>(0xD0), 0, 0, 0, 0, 0, 0});
  return packet;
}

absl::StatusOr<Message> ParseReply(absl::string_view packet, absl::string_view name,
                                   RecordType type) {
  CW_ASSIGN_OR_RETURN(Message message, ParseMessage(packet));
  const bool matches = message.response && message.questions.size() == 1 &&
                       message.questions[0].name == name && message.questions[0].type == type;
  if (!matches) return absl::InvalidArgumentError("its question is not the one asked");
  return message;
}

absl::Status CheckSettings(const Query& query) {
  if (query.attempts < 1 || query.attempts > kMaxAttempts) {
    return absl::InvalidArgumentError(
        absl::StrCat("a DNS query has 1 to ", kMaxAttempts, " attempts, not ", query.attempts));
  }
  if (query.timeout < kMinTimeout || query.timeout > kMaxTimeout) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a DNS query's timeout is ", absl::FormatDuration(kMinTimeout), " to ",
        absl::FormatDuration(kMaxTimeout), ", not ", absl::FormatDuration(query.timeout)));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<ServerAddress>> ParseServers(const std::vector<std::string>& texts) {
  std::vector<ServerAddress> servers;
  servers.reserve(texts.size());
  for (const std::string& text : texts) {
    CW_ASSIGN_OR_RETURN(ServerAddress server, ParseServerAddress(text));
    servers.push_back(std::move(server));
  }
  return servers;
}

bool EndsTheQuery(const absl::Status& status) {
  return status.code() == absl::StatusCode::kCancelled ||
         status.code() == absl::StatusCode::kDeadlineExceeded;
}

}  // namespace

absl::Status NoRouteError(absl::string_view server) {
  absl::Status status = absl::UnavailableError(
      absl::StrCat(server, " cannot be reached: this host has no IPv6 route to it"));
  status.SetPayload(kNoRoutePayload, absl::Cord("1"));
  return status;
}

bool IsNoRoute(const absl::Status& status) {
  return status.GetPayload(kNoRoutePayload).has_value();
}

// What lives on the strand: the channels, and what resolv.conf said.
class AresDnsResolver::Loop : public std::enable_shared_from_this<Loop> {
 public:
  using PacketResult = AresChannel::Reply;
  using ServersResult = PendingResult<absl::StatusOr<std::vector<ServerAddress>>>;

  Loop(const runtime::Executor& executor, const base::Clock& clock, Options options)
      : strand_(executor), clock_(clock), options_(std::move(options)) {}

  struct ChannelKey {
    std::string server;
    absl::Duration timeout;
    int attempts = 0;
    bool edns = true;
    bool operator<(const ChannelKey& other) const {
      return std::tie(server, timeout, attempts, edns) <
             std::tie(other.server, other.timeout, other.attempts, other.edns);
    }
  };

  void Ask(ServerAddress server, const Query& query, bool edns,
           std::shared_ptr<PacketResult> result) {
    std::string packet = BuildQuery(query.name, query, edns);
    ChannelKey key;
    key.server = server.ToString();
    key.timeout = query.timeout;
    key.attempts = query.attempts;
    key.edns = edns;
    boost::asio::post(
        strand_, [self = shared_from_this(), key = std::move(key), server = std::move(server),
                  packet = std::move(packet), result = std::move(result)]() mutable {
          // The caller may have gone while this waited for the strand.
          if (!result->pending()) return;
          auto channel = self->Acquire(key, server);
          if (!channel.ok()) return result->Complete(channel.status());
          (*channel)->Send(std::move(packet), std::move(result));
        });
  }

  void ReadServers(std::shared_ptr<ServersResult> result) {
    boost::asio::post(strand_, [self = shared_from_this(), result = std::move(result)] {
      result->Complete(self->SystemServers());
    });
  }

  void Shutdown() {
    boost::asio::post(strand_, [self = shared_from_this()] {
      self->closed_ = true;
      for (const auto& [key, entry] : self->channels_) entry.channel->Close();
      self->channels_.clear();
      for (const auto& weak : self->retired_) {
        if (auto channel = weak.lock()) channel->Close();
      }
    });
  }

 private:
  struct Entry {
    std::shared_ptr<AresChannel> channel;
    base::MonotonicTime last_used;
  };

  absl::StatusOr<std::shared_ptr<AresChannel>> Acquire(const ChannelKey& key,
                                                       const ServerAddress& server) {
    if (closed_) return absl::CancelledError("the resolver was closed");
    const base::MonotonicTime now = clock_.MonotonicNow();
    auto it = channels_.find(key);
    if (it != channels_.end() && it->second.channel->worn_out()) {
      Retire(it);
      it = channels_.end();
    }
    if (it == channels_.end()) {
      Trim(now);
      CW_ASSIGN_OR_RETURN(
          std::shared_ptr<AresChannel> channel,
          AresChannel::Create(strand_, server, key.timeout, key.attempts, key.edns));
      it = channels_.emplace(key, Entry{std::move(channel), now}).first;
    }
    it->second.last_used = now;
    return it->second.channel;
  }

  // Closes idle channels that are too old, and, the oldest first, those that are too many.
  void Trim(base::MonotonicTime now) {
    std::vector<std::map<ChannelKey, Entry>::iterator> idle;
    for (auto it = channels_.begin(); it != channels_.end(); ++it) {
      if (it->second.channel->idle()) idle.push_back(it);
    }
    std::sort(idle.begin(), idle.end(), [](const auto& a, const auto& b) {
      return a->second.last_used > b->second.last_used;
    });
    for (std::size_t i = 0; i < idle.size(); ++i) {
      const bool old = now - idle[i]->second.last_used > options_.idle_lifetime;
      if (old || i + 1 >= options_.max_idle_channels) Retire(idle[i]);
    }
  }

  void Retire(std::map<ChannelKey, Entry>::iterator it) {
    std::erase_if(retired_, [](const auto& weak) { return weak.expired(); });
    it->second.channel->CloseWhenIdle();
    retired_.push_back(it->second.channel);
    channels_.erase(it);
  }

  absl::StatusOr<std::vector<ServerAddress>> SystemServers() {
    const base::MonotonicTime now = clock_.MonotonicNow();
    if (system_servers_.empty() || now - servers_read_ > options_.idle_lifetime) {
      CW_ASSIGN_OR_RETURN(system_servers_, ReadSystemServers(options_.resolv_conf));
      servers_read_ = now;
    }
    return system_servers_;
  }

  AresStrand strand_;
  const base::Clock& clock_;
  const Options options_;
  bool closed_ = false;
  std::map<ChannelKey, Entry> channels_;
  // Not used any more, but with queries still in flight.
  std::vector<std::weak_ptr<AresChannel>> retired_;
  std::vector<ServerAddress> system_servers_;
  base::MonotonicTime servers_read_;
};

AresDnsResolver::AresDnsResolver(runtime::Executor executor, runtime::Timers& timers)
    : AresDnsResolver(std::move(executor), timers, Options()) {}

AresDnsResolver::AresDnsResolver(runtime::Executor executor, runtime::Timers& timers,
                                 Options options)
    : timers_(timers),
      loop_(std::make_shared<Loop>(executor, timers.clock(), std::move(options))) {}

AresDnsResolver::~AresDnsResolver() { loop_->Shutdown(); }

runtime::Awaitable<absl::StatusOr<Message>> AresDnsResolver::AskServer(
    runtime::Timers& timers, std::shared_ptr<Loop> loop, runtime::Context context,
    const ServerAddress& server, const Query& query, bool edns) {
  if (server.is_v6() && !HasRoute(server)) co_return NoRouteError(server.ToString());
  auto start = [&loop, &server, &query, edns](std::shared_ptr<Loop::PacketResult> result) {
    loop->Ask(server, query, edns, std::move(result));
  };
  absl::StatusOr<std::string> packet =
      co_await AwaitResult<absl::StatusOr<std::string>>(timers, context, std::move(start));
  if (!packet.ok()) co_return base::Annotate(packet.status(), server.ToString());
  absl::StatusOr<Message> message = ParseReply(*packet, query.name, query.type);
  if (!message.ok()) {
    co_return absl::UnavailableError(
        absl::StrCat(server.ToString(), " gave a broken answer: ", message.status().message()));
  }
  co_return message;
}

runtime::Awaitable<absl::StatusOr<std::vector<ServerAddress>>> AresDnsResolver::FindServers(
    runtime::Timers& timers, std::shared_ptr<Loop> loop, runtime::Context context,
    const Query& query) {
  if (!query.servers.empty()) co_return ParseServers(query.servers);
  auto start = [&loop](std::shared_ptr<Loop::ServersResult> result) {
    loop->ReadServers(std::move(result));
  };
  co_return co_await AwaitResult<absl::StatusOr<std::vector<ServerAddress>>>(timers, context,
                                                                             std::move(start));
}

runtime::Awaitable<absl::StatusOr<Answer>> AresDnsResolver::Resolve(runtime::Context context,
                                                                    Query query) {
  return Run(timers_, loop_, std::move(context), std::move(query));
}

runtime::Awaitable<absl::StatusOr<Answer>> AresDnsResolver::Run(runtime::Timers& timers,
                                                                std::shared_ptr<Loop> loop,
                                                                runtime::Context context,
                                                                Query query) {
  CW_CO_RETURN_IF_ERROR(CheckSettings(query));
  CW_CO_ASSIGN_OR_RETURN(query.name, Normalize(query.name));
  const std::string what =
      absl::StrCat("DNS query for ", TypeName(query.type), " of ", DisplayName(query.name));
  absl::StatusOr<std::vector<ServerAddress>> servers =
      co_await FindServers(timers, loop, context, query);
  if (!servers.ok()) co_return base::Annotate(servers.status(), what);

  std::vector<absl::Status> failures;
  for (const ServerAddress& server : *servers) {
    const base::MonotonicTime began = timers.clock().MonotonicNow();
    absl::StatusOr<Message> message =
        co_await AskServer(timers, loop, context, server, query, true);
    // A server that knows no EDNS.
    const bool refused =
        message.ok() && (message->rcode == Rcode::kFormErr || message->rcode == Rcode::kNotImp);
    if (refused) {
      message = co_await AskServer(timers, loop, context, server, query, false);
    }
    if (message.ok()) {
      Answer answer;
      answer.message = *std::move(message);
      answer.server = server.ToString();
      answer.elapsed = timers.clock().MonotonicNow() - began;
      co_return answer;
    }
    if (EndsTheQuery(message.status())) co_return base::Annotate(message.status(), what);
    failures.push_back(message.status());
  }
  if (failures.size() == 1) co_return base::Annotate(failures[0], what);
  co_return absl::UnavailableError(absl::StrCat(
      what, ": ",
      absl::StrJoin(failures, "; ", [](std::string* out, const absl::Status& status) {
        absl::StrAppend(out, status.message());
      })));
}

}  // namespace certwright::dns
