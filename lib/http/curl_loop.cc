#include "lib/http/curl_loop.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <utility>

#include "boost/asio/dispatch.hpp"

namespace certwright::http {
namespace {

constexpr std::size_t kMaxIdleEasies = 64;
constexpr long kMaxIdleConnections = 128;

void InitializeCurl() {
  static const CURLcode kDone = curl_global_init(CURL_GLOBAL_DEFAULT);
  (void)kDone;
}

struct Endpoint {
  std::string address;
  uint16_t port = 0;
};

// nullopt for what is neither IPv4 nor IPv6.
std::optional<Endpoint> ToEndpoint(const curl_sockaddr& address) {
  char text[INET6_ADDRSTRLEN] = "";
  if (address.family == AF_INET && address.addrlen >= sizeof(sockaddr_in)) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(&address.addr);
    if (inet_ntop(AF_INET, &v4->sin_addr, text, sizeof(text)) == nullptr) return std::nullopt;
    return Endpoint{text, ntohs(v4->sin_port)};
  }
  if (address.family == AF_INET6 && address.addrlen >= sizeof(sockaddr_in6)) {
    const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&address.addr);
    if (inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof(text)) == nullptr) return std::nullopt;
    return Endpoint{text, ntohs(v6->sin6_port)};
  }
  return std::nullopt;
}

// Whether anything of the request has left.
bool HasSent(CURL* easy) {
  long bytes = 0;
  curl_easy_getinfo(easy, CURLINFO_REQUEST_SIZE, &bytes);
  return bytes > 0;
}

}  // namespace

CurlLoop::CurlLoop(runtime::Executor executor, runtime::Timers& timers, CurlLoopOptions options)
    : strand_(boost::asio::make_strand(executor)),
      timers_(timers),
      options_(std::move(options)),
      timer_(strand_) {
  InitializeCurl();
  multi_ = curl_multi_init();
  using SocketCallback = int (*)(CURL*, curl_socket_t, int, void*, void*);
  const SocketCallback socket_wanted = [](CURL*, curl_socket_t fd, int what, void* self,
                                          void*) {
    static_cast<CurlLoop*>(self)->SocketWanted(fd, what);
    return 0;
  };
  using TimerCallback = int (*)(CURLM*, long, void*);
  const TimerCallback timer_wanted = [](CURLM*, long timeout_ms, void* self) {
    static_cast<CurlLoop*>(self)->TimerWanted(timeout_ms);
    return 0;
  };
  curl_multi_setopt(multi_, CURLMOPT_SOCKETFUNCTION, socket_wanted);
  curl_multi_setopt(multi_, CURLMOPT_SOCKETDATA, this);
  curl_multi_setopt(multi_, CURLMOPT_TIMERFUNCTION, timer_wanted);
  curl_multi_setopt(multi_, CURLMOPT_TIMERDATA, this);
  curl_multi_setopt(multi_, CURLMOPT_MAXCONNECTS, kMaxIdleConnections);
  curl_multi_setopt(multi_, CURLMOPT_MAX_HOST_CONNECTIONS,
                    static_cast<long>(options_.max_connections_per_host));
}

CurlLoop::~CurlLoop() { Shutdown(); }

void CurlLoop::Start(runtime::Context context, std::shared_ptr<CurlTransfer> transfer,
                     Done done) {
  auto active = std::make_unique<Active>();
  active->context = std::move(context);
  active->transfer = std::move(transfer);
  active->done = std::move(done);
  boost::asio::dispatch(strand_,
                        [self = shared_from_this(), active = std::move(active)]() mutable {
                          base::MutexLock lock(self->mutex_);
                          self->Begin(std::move(active));
                        });
}

void CurlLoop::Begin(std::unique_ptr<Active> active) {
  if (closed_) return active->done(absl::CancelledError("the HTTP client is shut down"));
  active->loop = this;
  active->id = next_id_++;
  active->easy = TakeEasy();
  CURL* const easy = active->easy;
  if (const absl::Status fit = active->transfer->Configure(easy, options_.transfer);
      !fit.ok()) {
    ReturnEasy(easy);
    return active->done(fit);
  }
  curl_easy_setopt(easy, CURLOPT_PRIVATE, active.get());
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, active.get());
  using OpenCallback = curl_socket_t (*)(void*, curlsocktype, curl_sockaddr*);
  const OpenCallback open = [](void* data, curlsocktype, curl_sockaddr* address) {
    auto* opening = static_cast<Active*>(data);
    return opening->loop->OpenSocket(*opening->transfer, *address);
  };
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open);
  using CloseCallback = int (*)(void*, curl_socket_t);
  const CloseCallback close = [](void* self, curl_socket_t fd) {
    return static_cast<CurlLoop*>(self)->CloseSocket(fd);
  };
  curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, close);
  curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, this);

  Active& begun = *active;
  active_.emplace(begun.id, std::move(active));
  Bound(begun);
  const CURLMcode code = curl_multi_add_handle(multi_, easy);
  if (code != CURLM_OK) {
    return End(&begun, absl::InternalError(curl_multi_strerror(code)));
  }
  Drive(CURL_SOCKET_TIMEOUT, 0);
}

void CurlLoop::Bound(Active& active) {
  const auto interrupt = [weak = weak_from_this(), id = active.id](absl::Status status) {
    auto self = weak.lock();
    if (self == nullptr) return;
    boost::asio::post(self->strand_, [self, id, status = std::move(status)]() mutable {
      self->Interrupt(id, std::move(status));
    });
  };
  active.timer =
      timers_.ScheduleAt(active.context->deadline(), [interrupt, transfer = active.transfer] {
        interrupt(absl::DeadlineExceededError(
            transfer->Describe("no complete answer before the deadline")));
      });
  if (active.context->cancellation() != nullptr) {
    active.registration = active.context->cancellation()->Register(
        [interrupt] { interrupt(absl::CancelledError("cancelled by the caller")); });
  }
}

void CurlLoop::Interrupt(uint64_t id, absl::Status status) {
  base::MutexLock lock(mutex_);
  auto it = active_.find(id);
  if (it == active_.end()) return;
  End(it->second.get(), std::move(status));
  // Others may have waited for the connection that is now free.
  Drive(CURL_SOCKET_TIMEOUT, 0);
}

void CurlLoop::Drive(curl_socket_t fd, int events) {
  int running = 0;
  due_now_ = false;
  curl_multi_socket_action(multi_, fd, events, &running);
  CollectFinished();
  // Ending a transfer may let libcurl begin another that waited, for which it sets the timer.
  for (int round = 0; due_now_ && round < 16; ++round) {
    due_now_ = false;
    curl_multi_socket_action(multi_, CURL_SOCKET_TIMEOUT, 0, &running);
    CollectFinished();
  }
  if (due_now_) {
    due_ = std::chrono::steady_clock::now();
    Arm();
  }
}

void CurlLoop::CollectFinished() {
  int left = 0;
  while (CURLMsg* message = curl_multi_info_read(multi_, &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    const CURLcode code = message->data.result;
    char* pointer = nullptr;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &pointer);
    auto* active = reinterpret_cast<Active*>(pointer);
    End(active, active->transfer->Finish(active->easy, code));
  }
}

void CurlLoop::End(Active* active, absl::Status status) {
  auto node = active_.extract(active->id);
  std::unique_ptr<Active> ended = std::move(node.mapped());
  if (!status.ok() && HasSent(ended->easy)) status = MarkAsSent(std::move(status));
  curl_multi_remove_handle(multi_, ended->easy);
  ReturnEasy(ended->easy);
  timers_.Cancel(ended->timer);
  if (ended->registration != 0) ended->context->cancellation()->Unregister(ended->registration);
  ended->done(std::move(status));
}

CURL* CurlLoop::TakeEasy() {
  if (idle_easies_.empty()) return curl_easy_init();
  CURL* easy = idle_easies_.back();
  idle_easies_.pop_back();
  return easy;
}

void CurlLoop::ReturnEasy(CURL* easy) {
  if (idle_easies_.size() >= kMaxIdleEasies) return curl_easy_cleanup(easy);
  curl_easy_reset(easy);
  idle_easies_.push_back(easy);
}

void CurlLoop::Shutdown() {
  base::MutexLock lock(mutex_);
  if (closed_) return;
  closed_ = true;
  while (!active_.empty()) {
    End(active_.begin()->second.get(), absl::CancelledError("the HTTP client is shut down"));
  }
  for (CURL* easy : idle_easies_) curl_easy_cleanup(easy);
  idle_easies_.clear();
  curl_multi_cleanup(multi_);
  sockets_.clear();
  timer_.cancel();
}

void CurlLoop::SocketWanted(curl_socket_t fd, int what) {
  auto it = sockets_.find(fd);
  if (what == CURL_POLL_REMOVE) {
    if (it == sockets_.end()) return;
    it->second->wanted = CURL_POLL_NONE;
    if (it->second->owned) return;
    // libcurl closes it next: let go of it before the number names something else.
    it->second->open = false;
    if (it->second->descriptor.is_open()) it->second->descriptor.release();
    sockets_.erase(it);
    return;
  }
  if (closed_) return;
  if (it == sockets_.end()) {
    it = sockets_.emplace(fd, std::make_shared<Socket>(strand_, fd, /*owned=*/false)).first;
  }
  it->second->wanted = what;
  Watch(it->second);
}

void CurlLoop::Watch(const std::shared_ptr<Socket>& socket) {
  if (!socket->open || socket->wanted == CURL_POLL_NONE) return;
  if (!socket->descriptor.is_open()) {
    boost::system::error_code error;
    socket->descriptor.assign(socket->fd, error);
    if (error) return;
  }
  if ((socket->wanted & CURL_POLL_IN) != 0 && !socket->reading) Wait(socket, CURL_CSELECT_IN);
  if ((socket->wanted & CURL_POLL_OUT) != 0 && !socket->writing) Wait(socket, CURL_CSELECT_OUT);
}

void CurlLoop::Wait(const std::shared_ptr<Socket>& socket, int event) {
  const bool reading = event == CURL_CSELECT_IN;
  (reading ? socket->reading : socket->writing) = true;
  socket->descriptor.async_wait(
      reading ? boost::asio::posix::descriptor_base::wait_read
              : boost::asio::posix::descriptor_base::wait_write,
      [self = shared_from_this(), socket, event](const boost::system::error_code& error) {
        self->OnReady(socket, event, static_cast<bool>(error));
      });
}

void CurlLoop::OnReady(const std::shared_ptr<Socket>& socket, int event, bool failed) {
  base::MutexLock lock(mutex_);
  (event == CURL_CSELECT_IN ? socket->reading : socket->writing) = false;
  const int wanted = event == CURL_CSELECT_IN ? CURL_POLL_IN : CURL_POLL_OUT;
  if (closed_ || !socket->open || (socket->wanted & wanted) == 0) return;
  Drive(socket->fd, failed ? event | CURL_CSELECT_ERR : event);
  if (!closed_) Watch(socket);
}

void CurlLoop::TimerWanted(long timeout_ms) {
  due_.reset();
  due_now_ = timeout_ms == 0;
  if (timeout_ms <= 0 || closed_) return;
  due_ = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  Arm();
}

// This timer is not one of runtime::Timers, because libcurl reads the real clock when it
// fires. One that is set for earlier than needed is left alone: it costs less to let it fire.
void CurlLoop::Arm() {
  if (armed_for_.has_value() && *armed_for_ <= *due_) return;
  armed_for_ = due_;
  timer_.expires_at(*due_);
  timer_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
    if (!error) self->OnTimer();
  });
}

void CurlLoop::OnTimer() {
  base::MutexLock lock(mutex_);
  armed_for_.reset();
  if (closed_ || !due_.has_value()) return;
  if (*due_ > std::chrono::steady_clock::now()) return Arm();
  due_.reset();
  Drive(CURL_SOCKET_TIMEOUT, 0);
}

curl_socket_t CurlLoop::OpenSocket(CurlTransfer& transfer, const curl_sockaddr& address) {
  const std::optional<Endpoint> endpoint = ToEndpoint(address);
  if (!endpoint.has_value() ||
      !transfer.Allow(options_.transfer, endpoint->address, endpoint->port)) {
    return CURL_SOCKET_BAD;
  }
  const curl_socket_t fd = ::socket(
      address.family, address.socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, address.protocol);
  if (fd < 0) return CURL_SOCKET_BAD;
  sockets_.insert_or_assign(fd, std::make_shared<Socket>(strand_, fd, /*owned=*/true));
  return fd;
}

int CurlLoop::CloseSocket(curl_socket_t fd) {
  auto node = sockets_.extract(fd);
  if (node.empty()) return ::close(fd);
  Socket& socket = *node.mapped();
  socket.open = false;
  if (!socket.descriptor.is_open()) return ::close(fd);
  boost::system::error_code error;
  socket.descriptor.close(error);
  return error ? -1 : 0;
}

}  // namespace certwright::http
