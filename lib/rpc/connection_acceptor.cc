#include "lib/rpc/connection_acceptor.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "lib/base/status_macros.h"
#include "lib/telemetry/log.h"

namespace certwright::rpc {
namespace {

// Before accepting is tried again when the process or the machine has no descriptors left.
constexpr int kPauseMilliseconds = 100;
constexpr absl::Duration kBetweenLogs = absl::Seconds(10);
// What one listener takes before the others have their turn.
constexpr int kBatch = 32;
// Who connects too often is kept waiting for so long, if it is not one of too many.
constexpr absl::Duration kDelay = absl::Seconds(1);
constexpr std::size_t kMaxDelayed = 256;
// Files, the store, connections to others; and those that are kept waiting.
constexpr rlim_t kOtherDescriptors = 256 + kMaxDelayed;

void SetOption(int socket, int level, int option, int value) {
  // All of them only make a connection better.
  setsockopt(socket, level, option, &value, sizeof value);
}

// A peer that has vanished without a word is noticed within two minutes.
void SetOptions(int socket) {
  SetOption(socket, IPPROTO_TCP, TCP_NODELAY, 1);
  SetOption(socket, SOL_SOCKET, SO_KEEPALIVE, 1);
  SetOption(socket, IPPROTO_TCP, TCP_KEEPIDLE, 60);
  SetOption(socket, IPPROTO_TCP, TCP_KEEPINTVL, 15);
  SetOption(socket, IPPROTO_TCP, TCP_KEEPCNT, 4);
}

bool IsConnected(const base::FileDescriptor& connection) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  return getpeername(connection.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0;
}

void CheckDescriptors(const ConnectionLimits& limits) {
  rlimit allowed{};
  const auto needed = static_cast<rlim_t>(limits.total) * 2 + kOtherDescriptors;
  if (getrlimit(RLIMIT_NOFILE, &allowed) != 0 || allowed.rlim_cur >= needed) return;
  telemetry::LogWarning("fewer file descriptors are allowed than the connections may need",
                        {{"connections", limits.total},
                         {"needed", uint64_t{needed}},
                         {"allowed", uint64_t{allowed.rlim_cur}}});
}

}  // namespace

absl::StatusOr<std::unique_ptr<ConnectionAcceptor>> ConnectionAcceptor::Listen(
    const std::string& address, ConnectionAcceptorOptions options) {
  CW_ASSIGN_OR_RETURN(ListeningSockets listening, ListenAt(address));
  CheckDescriptors(options.limits);
  std::unique_ptr<ConnectionAcceptor> acceptor(
      new ConnectionAcceptor(std::move(listening), std::move(options)));
  CW_RETURN_IF_ERROR(acceptor->Prepare());
  return acceptor;
}

ConnectionAcceptor::ConnectionAcceptor(ListeningSockets listening,
                                       ConnectionAcceptorOptions options)
    : options_(std::move(options)),
      listening_(std::move(listening)),
      counts_(options_.limits) {}

absl::Status ConnectionAcceptor::Prepare() {
  epoll_ = base::FileDescriptor(epoll_create1(EPOLL_CLOEXEC));
  wake_up_ = base::FileDescriptor(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!epoll_.ok() || !wake_up_.ok())
    return absl::ErrnoToStatus(errno, "cannot wait for clients");
  std::vector<int> files = {wake_up_.get()};
  for (const base::FileDescriptor& socket : listening_.sockets) files.push_back(socket.get());
  for (const int file : files) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = file;
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, file, &event) != 0) {
      return absl::ErrnoToStatus(errno, "cannot wait for clients");
    }
  }
  return absl::OkStatus();
}

void ConnectionAcceptor::ServeInto(grpc::ServerBuilder& builder,
                                   std::shared_ptr<grpc::ServerCredentials> credentials) {
  using Type = grpc::ServerBuilder::experimental_type::ExternalConnectionType;
  grpc_ = builder.experimental().AddExternalConnectionAcceptor(Type::FROM_FD,
                                                               std::move(credentials));
}

void ConnectionAcceptor::Start() {
  thread_ = std::thread([this] { Run(); });
}

void ConnectionAcceptor::Stop() {
  if (thread_.joinable()) {
    {
      base::MutexLock lock(mutex_);
      stopping_ = true;
    }
    eventfd_write(wake_up_.get(), 1);
    thread_.join();
  }
  listening_.sockets.clear();
  epoll_.Close();
  connections_.clear();
  delayed_.clear();
}

void ConnectionAcceptor::Run() {
  epoll_event events[64];
  while (!stopped_) {
    const bool was_paused = paused_;
    const int ready = epoll_wait(epoll_.get(), events, std::size(events),
                                 was_paused ? kPauseMilliseconds : MillisecondsLeft());
    for (int i = 0; i < ready; ++i) OnReady(events[i]);
    CloseDelayed();
    // Also when a connection has ended before the time was up: that gives descriptors back.
    if (was_paused) SetListening(true);
  }
}

void ConnectionAcceptor::SetListening(bool listening) {
  paused_ = !listening;
  for (const base::FileDescriptor& socket : listening_.sockets) {
    epoll_event event{};
    event.events = listening ? static_cast<uint32_t>(EPOLLIN) : 0;
    event.data.fd = socket.get();
    epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, socket.get(), &event);
  }
}

void ConnectionAcceptor::OnReady(const epoll_event& event) {
  const int file = event.data.fd;
  if (file == wake_up_.get()) {
    OnWakeUp();
  } else if (connections_.contains(file)) {
    if ((event.events & EPOLLHUP) != 0) Forget(file);
  } else {
    Accept(file);
  }
}

void ConnectionAcceptor::Disconnect(const std::string& peer) {
  {
    base::MutexLock lock(mutex_);
    if (stopping_ ||
        std::find(to_disconnect_.begin(), to_disconnect_.end(), peer) != to_disconnect_.end()) {
      return;
    }
    to_disconnect_.push_back(peer);
  }
  eventfd_write(wake_up_.get(), 1);
}

void ConnectionAcceptor::OnWakeUp() {
  eventfd_t count = 0;
  eventfd_read(wake_up_.get(), &count);
  std::vector<std::string> to_disconnect;
  {
    base::MutexLock lock(mutex_);
    stopped_ = stopping_;
    to_disconnect.swap(to_disconnect_);
  }
  for (const auto& [number, connection] : connections_) {
    if (std::find(to_disconnect.begin(), to_disconnect.end(), connection.uri) ==
        to_disconnect.end()) {
      continue;
    }
    // gRPC sees the end of both directions, and lets go of all that it has for the connection.
    shutdown(number, SHUT_RDWR);
    LogRefused("answers", connection.peer);
  }
}

void ConnectionAcceptor::Accept(int listener) {
  for (int i = 0; i < kBatch && !paused_; ++i) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    base::FileDescriptor connection(accept4(listener, reinterpret_cast<sockaddr*>(&address),
                                            &size, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (connection.ok()) {
      Take(listener, std::move(connection), address);
    } else if (errno == EAGAIN) {
      return;
    } else if (errno != EINTR && errno != ECONNABORTED) {
      // A level-triggered wait would return at once, again and again.
      SetListening(false);
      LogRefused("resources", "");
    }
  }
}

void ConnectionAcceptor::Take(int listener, base::FileDescriptor connection,
                              const sockaddr_storage& address) {
  // For one that has been reset before it was taken, gRPC would log an error.
  if (!IsConnected(connection)) return;
  std::string peer = PeerOf(address);
  if (options_.strangers != nullptr && options_.strangers->Take(peer) > absl::ZeroDuration()) {
    return Refuse(std::move(connection), "rate", peer);
  }
  switch (counts_.Admit(peer)) {
    case ConnectionCounts::Verdict::kTooMany:
      return Refuse(std::move(connection), "total", peer);
    case ConnectionCounts::Verdict::kTooManyOfPeer:
      return Refuse(std::move(connection), "peer", peer);
    case ConnectionCounts::Verdict::kAdmitted:
      break;
  }
  base::FileDescriptor duplicate(fcntl(connection.get(), F_DUPFD_CLOEXEC, 0));
  if (!duplicate.ok() || !Watch(duplicate.get())) {
    counts_.Release(peer);
    return Refuse(std::move(connection), "resources", peer);
  }
  SetOptions(connection.get());
  const int number = duplicate.get();
  connections_.emplace(number,
                       Connection{std::move(duplicate), std::move(peer), UriOf(address)});
  CountChanged();
  grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters parameters;
  parameters.listener_fd = listener;
  parameters.fd = connection.Release();
  grpc_->HandleNewConnection(&parameters);
}

bool ConnectionAcceptor::Watch(int duplicate) {
  // EPOLLHUP comes unasked, once both directions have ended: by shutdown(2) of gRPC, or when
  // the peer has reset it. A peer that has only ended its own direction has not freed anything.
  // Edge-triggered, so that an error alone (EPOLLERR) is told but once.
  epoll_event event{};
  event.events = EPOLLET;
  event.data.fd = duplicate;
  return epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, duplicate, &event) == 0;
}

void ConnectionAcceptor::Refuse(base::FileDescriptor connection, absl::string_view limit,
                                const std::string& peer) {
  // Reset rather than ended, so that nothing of it stays in the kernel.
  const linger reset{1, 0};
  setsockopt(connection.get(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  if (limit == "rate") {
    KeepWaiting(std::move(connection));
  } else {
    connection.Close();
  }
  LogRefused(limit, peer);
}

void ConnectionAcceptor::KeepWaiting(base::FileDescriptor connection) {
  if (delayed_.size() >= kMaxDelayed) return;
  // The least that the kernel gives: nothing is read.
  SetOption(connection.get(), SOL_SOCKET, SO_RCVBUF, 1);
  delayed_.push_back({options_.clock->MonotonicNow() + kDelay, std::move(connection)});
}

void ConnectionAcceptor::CloseDelayed() {
  if (delayed_.empty()) return;
  const base::MonotonicTime now = options_.clock->MonotonicNow();
  while (!delayed_.empty() && delayed_.front().until <= now) delayed_.pop_front();
}

int ConnectionAcceptor::MillisecondsLeft() const {
  if (delayed_.empty()) return -1;
  const absl::Duration left = delayed_.front().until - options_.clock->MonotonicNow();
  return static_cast<int>(absl::ToInt64Milliseconds(std::max(left, absl::ZeroDuration()))) + 1;
}

void ConnectionAcceptor::LogRefused(absl::string_view limit, const std::string& peer) {
  options_.on_refused(limit);
  ++refused_since_logged_;
  const base::MonotonicTime now = options_.clock->MonotonicNow();
  if (now < next_log_) return;
  telemetry::LogWarning("connections are closed: there are too many, or they ask too much",
                        {{"limit", limit},
                         {"peer", peer},
                         {"open", counts_.total()},
                         {"refused", refused_since_logged_}});
  refused_since_logged_ = 0;
  next_log_ = now + kBetweenLogs;
}

void ConnectionAcceptor::Forget(int duplicate) {
  const auto found = connections_.find(duplicate);
  // gRPC may not have closed its descriptor yet, so closing this one does not end the wait.
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, duplicate, nullptr);
  counts_.Release(found->second.peer);
  connections_.erase(found);
  CountChanged();
}

void ConnectionAcceptor::CountChanged() {
  open_.store(counts_.total(), std::memory_order_relaxed);
  options_.on_change(counts_.total());
}

}  // namespace certwright::rpc
