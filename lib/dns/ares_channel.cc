#include "lib/dns/ares_channel.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/rand.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "boost/asio/bind_executor.hpp"
#include "boost/asio/post.hpp"
#include "lib/base/status_macros.h"
#include "lib/dns/message.h"

namespace certwright::dns {
namespace {

constexpr int kEdnsSize = 1232;
constexpr std::size_t kHeaderOctets = 12;
constexpr std::size_t kOptOctets = 11;
// Half of the ids, so that a random one is soon found free.
constexpr std::size_t kMaxInFlight = 32768;
// About half of the small datagrams that Linux's default buffer of 208 KiB holds.
constexpr std::size_t kWindow = 128;
constexpr std::chrono::milliseconds kWindowLifetime(100);
constexpr std::size_t kMaxWaiting = 100'000;
// ares_timeout() cuts to milliseconds what is then compared in microseconds.
constexpr std::chrono::milliseconds kTimerSlack(1);

absl::Status InitLibrary() {
  static const int status = ares_library_init(ARES_LIB_INIT_ALL);
  if (status == ARES_SUCCESS) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("c-ares does not start: ", ares_strerror(status)));
}

absl::Status SetServer(ares_channel channel, const ServerAddress& server) {
  ares_addr_port_node node = {};
  node.family = server.is_v6() ? AF_INET6 : AF_INET;
  node.udp_port = server.port;
  node.tcp_port = server.port;
  int status = ARES_EBADSTR;
  if (inet_pton(node.family, server.ip.c_str(), &node.addr) == 1) {
    status = ares_set_servers_ports(channel, &node);
  }
  if (status == ARES_SUCCESS) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("c-ares refuses the server ", server.ToString(), ": ",
                                          ares_strerror(status)));
}

// What c-ares does by itself, but for receiving, where it takes functions of one's own only all
// together.
int OpenSocket(int family, int type, int protocol, void*) {
  const int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
  const int on = 1;
  if (fd >= 0 && type == SOCK_STREAM) {
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  }
  return fd;
}
int CloseSocket(int fd, void*) { return close(fd); }
int Connect(int fd, const sockaddr* address, ares_socklen_t length, void*) {
  return connect(fd, address, length);
}
ares_ssize_t SendParts(int fd, const iovec* parts, int count, void*) {
  msghdr message = {};
  message.msg_iov = const_cast<iovec*>(parts);
  message.msg_iovlen = static_cast<std::size_t>(count);
  return sendmsg(fd, &message, MSG_NOSIGNAL);
}

absl::Status ReplyError(int status) {
  switch (status) {
    case ARES_EDESTRUCTION:
    case ARES_ECANCELLED:
      return absl::CancelledError("the resolver was closed");
    case ARES_ETIMEOUT:
      return absl::UnavailableError("did not answer in time");
    case ARES_ECONNREFUSED:
      return absl::UnavailableError("refused the connection or cannot be reached");
    default:
      return absl::UnavailableError(absl::StrCat("failed: ", ares_strerror(status)));
  }
}

}  // namespace

struct AresChannel::InFlight {
  // Alive: while queries are in flight the timer's handler holds the channel.
  AresChannel* channel;
  uint16_t id = 0;
  std::weak_ptr<Reply> reply;
};

struct AresChannel::Socket {
  Socket(const AresStrand& strand, int fd) : fd(fd), descriptor(strand) {}
  const int fd;
  boost::asio::posix::stream_descriptor descriptor;
  bool want_read = false;
  bool want_write = false;
  bool reading = false;
  bool writing = false;
  // c-ares has closed it: handlers still on their way must not touch the number again.
  bool gone = false;
};

AresChannel::AresChannel(AresStrand strand, absl::Duration timeout, bool edns)
    : strand_(std::move(strand)),
      timeout_(absl::ToChronoMilliseconds(timeout)),
      edns_(edns),
      timer_(strand_),
      window_(kWindow, kWindowLifetime),
      window_timer_(strand_) {}

absl::StatusOr<std::shared_ptr<AresChannel>> AresChannel::Create(AresStrand strand,
                                                                 const ServerAddress& server,
                                                                 absl::Duration timeout,
                                                                 int attempts, bool edns) {
  CW_RETURN_IF_ERROR(InitLibrary());
  std::shared_ptr<AresChannel> channel(new AresChannel(std::move(strand), timeout, edns));
  // With all of these set c-ares reads no file; the server is a stand-in until SetServer.
  in_addr loopback = {htonl(INADDR_LOOPBACK)};
  std::string lookups = "b";
  ares_options options = {};
  options.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES | ARES_FLAG_NOCHECKRESP |
                  (edns ? ARES_FLAG_EDNS : 0);
  options.timeout = static_cast<int>(absl::ToInt64Milliseconds(timeout));
  options.tries = attempts;
  options.ndots = 1;
  options.servers = &loopback;
  options.nservers = 1;
  options.lookups = lookups.data();
  options.sock_state_cb = &AresChannel::OnSocketState;
  options.sock_state_cb_data = channel.get();
  options.ednspsz = kEdnsSize;
  const int status = ares_init_options(
      &channel->channel_, &options,
      ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_NDOTS | ARES_OPT_SERVERS |
          ARES_OPT_DOMAINS | ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB | ARES_OPT_SORTLIST |
          ARES_OPT_EDNSPSZ | ARES_OPT_NOROTATE);
  if (status != ARES_SUCCESS) {
    channel->channel_ = nullptr;
    return absl::InternalError(
        absl::StrCat("c-ares does not make a channel: ", ares_strerror(status)));
  }
  // c-ares keeps the pointer.
  static const ares_socket_functions kFunctions = {&OpenSocket, &CloseSocket, &Connect,
                                                   &AresChannel::OnReceive, &SendParts};
  ares_set_socket_functions(channel->channel_, &kFunctions, channel.get());
  CW_RETURN_IF_ERROR(SetServer(channel->channel_, server));
  return channel;
}

AresChannel::~AresChannel() {
  dropping_ = true;
  Close();
}

void AresChannel::Close() {
  if (channel_ == nullptr) return;
  // ares_destroy calls back for every query and socket that is left.
  ares_channel channel = std::exchange(channel_, nullptr);
  timer_.cancel();
  window_timer_.cancel();
  ares_destroy(channel);
  for (Waiting& waiting : std::exchange(waiting_, {})) {
    const std::shared_ptr<Reply> reply = waiting.reply.lock();
    if (reply != nullptr && !dropping_) reply->Complete(ReplyError(ARES_EDESTRUCTION));
  }
}

void AresChannel::CloseWhenIdle() {
  close_when_idle_ = true;
  // Posted, because ares_destroy must not run within one of c-ares's callbacks.
  if (idle()) boost::asio::post(strand_, [self = shared_from_this()] { self->Close(); });
}

void AresChannel::Send(std::string packet, std::shared_ptr<Reply> reply) {
  if (channel_ == nullptr || waiting_.size() >= kMaxWaiting) {
    reply->Complete(absl::UnavailableError("was not asked: too many queries wait for it"));
    return;
  }
  Waiting next;
  next.packet = std::move(packet);
  next.reply = reply;
  waiting_.push_back(std::move(next));
  SendWaiting();
}

void AresChannel::SendWaiting() {
  const auto now = std::chrono::steady_clock::now();
  while (channel_ != nullptr && !waiting_.empty() && !window_.full(now)) {
    Waiting next = std::move(waiting_.front());
    waiting_.pop_front();
    const std::shared_ptr<Reply> reply = next.reply.lock();
    if (reply == nullptr || !reply->pending()) continue;
    absl::Status status = SendNow(std::move(next));
    if (!status.ok()) reply->Complete(std::move(status));
  }
  if (!window_.empty()) ArmTimer(timeout_ + kTimerSlack);
  if (waiting_.empty() || channel_ == nullptr) return;
  if (window_timer_.expiry() > now) return;
  window_timer_.expires_at(window_.opens_at());
  window_timer_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
    if (!error) self->SendWaiting();
  });
}

absl::Status AresChannel::SendNow(Waiting next) {
  if (window_.in_flight() >= kMaxInFlight) {
    return absl::UnavailableError("was not asked: too many queries to it are in flight");
  }
  uint16_t id = 0;
  do {
    if (RAND_bytes(reinterpret_cast<unsigned char*>(&id), sizeof(id)) != 1) {
      return absl::UnavailableError("was not asked: no random numbers from OpenSSL");
    }
  } while (!window_.Insert(id, std::chrono::steady_clock::now()));
  next.packet[0] = static_cast<char>(id >> 8);
  next.packet[1] = static_cast<char>(id & 0xFF);
  auto query = std::make_unique<InFlight>();
  query->channel = this;
  query->id = id;
  query->reply = std::move(next.reply);
  questions_[id] = next.packet.substr(
      kHeaderOctets, next.packet.size() - kHeaderOctets - (edns_ ? kOptOctets : 0));
  // May call OnReply before it returns.
  ares_send(channel_, reinterpret_cast<const unsigned char*>(next.packet.data()),
            static_cast<int>(next.packet.size()), &AresChannel::OnReply, query.release());
  return absl::OkStatus();
}

void AresChannel::OnReply(void* argument, int status, int, unsigned char* packet, int length) {
  std::unique_ptr<InFlight> query(static_cast<InFlight*>(argument));
  AresChannel* channel = query->channel;
  absl::string_view bytes;
  if (packet != nullptr && length > 0) {
    bytes = absl::string_view(reinterpret_cast<const char*>(packet),
                              static_cast<std::size_t>(length));
  }
  channel->Finish(std::move(query), status, bytes);
}

void AresChannel::Finish(std::unique_ptr<InFlight> query, int status,
                         absl::string_view packet) {
  window_.Erase(query->id);
  questions_.erase(query->id);
  if (status != ARES_SUCCESS && status != ARES_ETIMEOUT) worn_out_ = true;
  // After FORMERR c-ares leaves EDNS out for as long as the channel lives.
  if (packet.size() > 3 && (packet[3] & 0xF) == 1) worn_out_ = true;
  if (close_when_idle_ && channel_ != nullptr) CloseWhenIdle();
  const std::shared_ptr<Reply> reply = query->reply.lock();
  if (reply == nullptr || dropping_) return;
  if (status == ARES_SUCCESS) {
    reply->Complete(std::string(packet));
  } else {
    reply->Complete(ReplyError(status));
  }
}

ares_ssize_t AresChannel::OnReceive(int fd, void* data, std::size_t size, int flags,
                                    sockaddr* from, ares_socklen_t* from_length,
                                    void* channel) {
  const ssize_t length = recvfrom(fd, data, size, flags, from, from_length);
  // Only datagrams are whole messages, and only for them c-ares asks who sent them.
  if (length < 0 || from == nullptr) return length;
  const std::size_t restored = static_cast<AresChannel*>(channel)->RestoreQuestion(
      static_cast<char*>(data), static_cast<std::size_t>(length), size);
  return static_cast<ares_ssize_t>(restored);
}

// A server that cannot read a query may answer with a header alone (RFC 1035 §7.3 leaves it to
// the id); c-ares passes over what lacks the question, and would wait for another answer.
std::size_t AresChannel::RestoreQuestion(char* packet, std::size_t length,
                                         std::size_t capacity) const {
  if (length < kHeaderOctets) return length;
  const auto octet = [packet](std::size_t at) { return static_cast<uint8_t>(packet[at]); };
  const bool is_response = (octet(2) & 0x80) != 0;
  const auto rcode = static_cast<Rcode>(octet(3) & 0xF);
  const bool is_error = rcode != Rcode::kNoError && rcode != Rcode::kNxDomain;
  const bool has_question = octet(4) != 0 || octet(5) != 0;
  const auto asked = questions_.find(static_cast<uint16_t>(octet(0) << 8 | octet(1)));
  if (!is_response || !is_error || has_question || asked == questions_.end() ||
      kHeaderOctets + asked->second.size() > capacity) {
    return length;
  }
  std::fill(packet + 4, packet + kHeaderOctets, '\0');
  packet[5] = 1;
  std::copy(asked->second.begin(), asked->second.end(), packet + kHeaderOctets);
  return kHeaderOctets + asked->second.size();
}

void AresChannel::OnSocketState(void* argument, int fd, int readable, int writable) {
  auto* self = static_cast<AresChannel*>(argument);
  auto it = self->sockets_.find(fd);
  if (readable == 0 && writable == 0) {
    if (it == self->sockets_.end()) return;
    it->second->gone = true;
    it->second->descriptor.release();
    self->sockets_.erase(it);
    return;
  }
  if (it == self->sockets_.end()) {
    auto socket = std::make_shared<Socket>(self->strand_, fd);
    boost::system::error_code error;
    socket->descriptor.assign(fd, error);
    // A socket that cannot be watched is one whose query times out.
    if (error) return;
    it = self->sockets_.emplace(fd, std::move(socket)).first;
  }
  it->second->want_read = readable != 0;
  it->second->want_write = writable != 0;
  self->WaitFor(it->second);
}

void AresChannel::WaitFor(const std::shared_ptr<Socket>& socket) {
  using Descriptor = boost::asio::posix::stream_descriptor;
  auto wait = [this, &socket](bool write) {
    (write ? socket->writing : socket->reading) = true;
    socket->descriptor.async_wait(
        write ? Descriptor::wait_write : Descriptor::wait_read,
        [self = shared_from_this(), socket, write](const boost::system::error_code& error) {
          (write ? socket->writing : socket->reading) = false;
          if (!error) self->OnReady(socket, write);
        });
  };
  if (socket->want_read && !socket->reading) wait(false);
  if (socket->want_write && !socket->writing) wait(true);
}

void AresChannel::OnReady(const std::shared_ptr<Socket>& socket, bool write) {
  if (socket->gone) return;
  if (write ? socket->want_write : socket->want_read) {
    Process(write ? ARES_SOCKET_BAD : socket->fd, write ? socket->fd : ARES_SOCKET_BAD);
  }
  // A new wait reports at once what is still readable, so this is level-triggered.
  if (!socket->gone) WaitFor(socket);
}

void AresChannel::Process(int read_fd, int write_fd) {
  if (channel_ == nullptr) return;
  ares_process_fd(channel_, read_fd, write_fd);
  SendWaiting();
  if (window_.empty() && timer_armed_) {
    timer_armed_ = false;
    timer_.cancel();
  }
}

void AresChannel::ArmTimer(std::chrono::steady_clock::duration delay) {
  // No query ends before the first timeout, counted from its (re)sending, so a timer that
  // comes earlier than that serves; ares_timeout(), which looks at all queries, is asked only
  // when it has come.
  const auto when = std::chrono::steady_clock::now() + delay;
  if (timer_armed_ && timer_.expiry() <= when) return;
  timer_armed_ = true;
  timer_.expires_at(when);
  timer_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
    if (!error) self->OnTimer();
  });
}

void AresChannel::OnTimer() {
  // A timer that was set anew after this one had come has a handler of its own.
  if (!timer_armed_ || timer_.expiry() > std::chrono::steady_clock::now()) return;
  timer_armed_ = false;
  if (channel_ == nullptr) return;
  ares_process_fd(channel_, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
  SendWaiting();
  if (window_.empty() || channel_ == nullptr) return;
  timeval left = {};
  if (ares_timeout(channel_, nullptr, &left) == nullptr) return;
  ArmTimer(std::chrono::seconds(left.tv_sec) + std::chrono::microseconds(left.tv_usec) +
           kTimerSlack);
}

absl::StatusOr<std::vector<ServerAddress>> ReadSystemServers(const std::string& resolv_conf) {
  CW_RETURN_IF_ERROR(InitLibrary());
  std::string path = resolv_conf;
  ares_options options = {};
  options.resolvconf_path = path.data();
  ares_channel channel = nullptr;
  int status = ares_init_options(&channel, &options, path.empty() ? 0 : ARES_OPT_RESOLVCONF);
  if (status != ARES_SUCCESS) {
    return absl::UnavailableError(
        absl::StrCat("the system's DNS servers cannot be read: ", ares_strerror(status)));
  }
  absl::Cleanup destroy = [channel] { ares_destroy(channel); };
  ares_addr_port_node* nodes = nullptr;
  status = ares_get_servers_ports(channel, &nodes);
  if (status != ARES_SUCCESS) {
    return absl::UnavailableError(
        absl::StrCat("the system's DNS servers cannot be read: ", ares_strerror(status)));
  }
  absl::Cleanup free_nodes = [nodes] { ares_free_data(nodes); };
  std::vector<ServerAddress> servers;
  for (const ares_addr_port_node* node = nodes; node != nullptr; node = node->next) {
    char text[INET6_ADDRSTRLEN] = {};
    if (inet_ntop(node->family, &node->addr, text, sizeof(text)) == nullptr) continue;
    ServerAddress& server = servers.emplace_back();
    server.ip = text;
    if (node->udp_port != 0) server.port = static_cast<uint16_t>(node->udp_port);
  }
  return servers;
}

}  // namespace certwright::dns
