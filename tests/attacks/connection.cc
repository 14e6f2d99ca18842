#include "tests/attacks/connection.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "absl/time/clock.h"
#include "lib/base/status_macros.h"

namespace certwright::attacks {
namespace {

[[noreturn]] void Fail(const char* what) {
  std::perror(what);
  std::abort();
}

sockaddr_in AddressOf(const std::string& host, int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  if (inet_pton(AF_INET, host.c_str(), &address.sin_addr) != 1) Fail("inet_pton");
  return address;
}

absl::Status Closed() { return absl::UnavailableError("the peer has closed the connection"); }

}  // namespace

TlsContext TlsWithoutCertificate() {
  TlsContext context(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
  if (context == nullptr) Fail("SSL_CTX_new");
  static constexpr unsigned char kAlpn[] = {2, 'h', '2'};
  SSL_CTX_set_alpn_protos(context.get(), kAlpn, sizeof kAlpn);
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_NONE, nullptr);
  SSL_CTX_set_mode(context.get(),
                   SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  return context;
}

TlsContext TlsWithCertificate(const rpc::TlsFiles& files) {
  TlsContext context = TlsWithoutCertificate();
  if (SSL_CTX_use_certificate_chain_file(context.get(), files.certificate.c_str()) != 1 ||
      SSL_CTX_use_PrivateKey_file(context.get(), files.private_key.c_str(), SSL_FILETYPE_PEM) !=
          1) {
    Fail(files.certificate.c_str());
  }
  return context;
}

absl::StatusOr<std::unique_ptr<Connection>> Connection::Open(const Target& target,
                                                             absl::Duration timeout) {
  // OpenSSL writes without MSG_NOSIGNAL.
  static const auto kIgnored = signal(SIGPIPE, SIG_IGN);
  (void)kIgnored;
  const absl::Time end = absl::Now() + timeout;
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return absl::ErrnoToStatus(errno, "socket");
  std::unique_ptr<Connection> connection(new Connection(fd));
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  // The port is chosen when connecting, so that many connections may come from one address.
  setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  const sockaddr_in from = AddressOf(target.from, 0);
  if (bind(fd, reinterpret_cast<const sockaddr*>(&from), sizeof from) != 0) Fail("bind");
  const sockaddr_in to = AddressOf("127.0.0.1", target.port);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) {
    if (errno != EINPROGRESS) return absl::ErrnoToStatus(errno, "connect");
    CW_RETURN_IF_ERROR(connection->WaitFor(POLLOUT, end));
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) return absl::ErrnoToStatus(error, "connect");
  }
  if (target.tls != nullptr) CW_RETURN_IF_ERROR(connection->Handshake(target.tls, end));
  return connection;
}

Connection::~Connection() {
  SSL_free(ssl_);
  close(fd_);
}

absl::Status Connection::Handshake(const TlsContext& tls, absl::Time end) {
  ssl_ = SSL_new(tls.get());
  if (ssl_ == nullptr || SSL_set_fd(ssl_, fd_) != 1) Fail("SSL_new");
  while (true) {
    switch (AfterTls(SSL_connect(ssl_))) {
      case Progress::kSome:
        return absl::OkStatus();
      case Progress::kWaitToRead:
        CW_RETURN_IF_ERROR(WaitFor(POLLIN, end));
        break;
      case Progress::kWaitToWrite:
        CW_RETURN_IF_ERROR(WaitFor(POLLOUT, end));
        break;
      case Progress::kClosed:
        return Closed();
    }
  }
}

Connection::Progress Connection::AfterTls(int result) {
  if (result > 0) return Progress::kSome;
  const int error = SSL_get_error(ssl_, result);
  ERR_clear_error();
  if (error == SSL_ERROR_WANT_READ) return Progress::kWaitToRead;
  if (error == SSL_ERROR_WANT_WRITE) return Progress::kWaitToWrite;
  return Progress::kClosed;
}

Connection::Progress Connection::TrySend(absl::string_view& bytes) {
  if (ssl_ != nullptr) {
    const int size = static_cast<int>(std::min<std::size_t>(bytes.size(), 1 << 20));
    const int sent = SSL_write(ssl_, bytes.data(), size);
    if (sent > 0) bytes.remove_prefix(static_cast<std::size_t>(sent));
    return AfterTls(sent);
  }
  const ssize_t sent = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  if (sent >= 0) {
    bytes.remove_prefix(static_cast<std::size_t>(sent));
    return Progress::kSome;
  }
  return errno == EAGAIN || errno == EINTR ? Progress::kWaitToWrite : Progress::kClosed;
}

Connection::Progress Connection::TryReceive() {
  std::array<char, 64 * 1024> buffer;
  if (ssl_ != nullptr) {
    const int got = SSL_read(ssl_, buffer.data(), static_cast<int>(buffer.size()));
    if (got > 0) inbox_.append(buffer.data(), static_cast<std::size_t>(got));
    return AfterTls(got);
  }
  const ssize_t got = recv(fd_, buffer.data(), buffer.size(), 0);
  if (got > 0) {
    inbox_.append(buffer.data(), static_cast<std::size_t>(got));
    return Progress::kSome;
  }
  return got < 0 && (errno == EAGAIN || errno == EINTR) ? Progress::kWaitToRead
                                                        : Progress::kClosed;
}

absl::Status Connection::WaitFor(short events, absl::Time end) const {
  const absl::Duration left = std::max(end - absl::Now(), absl::ZeroDuration());
  pollfd descriptor{fd_, events, 0};
  const int ready = poll(&descriptor, 1, static_cast<int>(absl::ToInt64Milliseconds(left)) + 1);
  if (ready > 0 || (ready < 0 && errno == EINTR)) return absl::OkStatus();
  return absl::DeadlineExceededError("the peer does nothing");
}

absl::Status Connection::Send(absl::string_view bytes, absl::Duration timeout) {
  const absl::Time end = absl::Now() + timeout;
  while (!bytes.empty()) {
    const Progress progress = TrySend(bytes);
    if (progress == Progress::kClosed) return Closed();
    if (progress == Progress::kSome) continue;
    short events = progress == Progress::kWaitToRead ? POLLIN : POLLOUT;
    if (read_while_sending_) {
      Progress read = Progress::kSome;
      while (read == Progress::kSome) read = TryReceive();
      if (read == Progress::kClosed) return Closed();
      events = POLLIN | POLLOUT;
    }
    if (absl::Now() >= end) return absl::DeadlineExceededError("the peer takes nothing");
    CW_RETURN_IF_ERROR(WaitFor(events, end));
  }
  return absl::OkStatus();
}

absl::Status Connection::Receive(std::string& bytes, absl::Duration timeout) {
  const absl::Time end = absl::Now() + timeout;
  while (inbox_.empty()) {
    const Progress progress = TryReceive();
    if (progress == Progress::kClosed) return Closed();
    if (progress == Progress::kSome) break;
    CW_RETURN_IF_ERROR(WaitFor(progress == Progress::kWaitToRead ? POLLIN : POLLOUT, end));
  }
  bytes += std::exchange(inbox_, "");
  return absl::OkStatus();
}

absl::Status Connection::WaitUntilClosed(absl::Duration timeout) {
  const absl::Time end = absl::Now() + timeout;
  while (true) {
    std::string ignored;
    const absl::Status status = Receive(ignored, end - absl::Now());
    if (absl::IsUnavailable(status)) return absl::OkStatus();
    CW_RETURN_IF_ERROR(status);
    if (absl::Now() >= end) return absl::DeadlineExceededError("the peer goes on sending");
  }
}

}  // namespace certwright::attacks
