#include "lib/http/test_server.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "openssl/bio.h"
#include "openssl/pem.h"
#include "openssl/ssl.h"

namespace certwright::http {
namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

SSL_CTX* NewContext(const TestServer::Tls& tls) {
  SSL_CTX* context = SSL_CTX_new(TLS_server_method());
  BIO* certificate_bio = BIO_new_mem_buf(tls.identity.chain_pem.data(),
                                         static_cast<int>(tls.identity.chain_pem.size()));
  X509* certificate = PEM_read_bio_X509(certificate_bio, nullptr, nullptr, nullptr);
  BIO* key_bio = BIO_new_mem_buf(tls.identity.key_pem.data(),
                                 static_cast<int>(tls.identity.key_pem.size()));
  EVP_PKEY* key = PEM_read_bio_PrivateKey(key_bio, nullptr, nullptr, nullptr);
  Require(SSL_CTX_use_certificate(context, certificate) == 1);
  Require(SSL_CTX_use_PrivateKey(context, key) == 1);
  X509_free(certificate);
  EVP_PKEY_free(key);
  BIO_free(certificate_bio);
  BIO_free(key_bio);
  SSL_CTX_set_alpn_select_cb(
      context,
      [](SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* in,
         unsigned int in_size, void* argument) {
        const auto& protocol = *static_cast<const std::string*>(argument);
        const std::string offered(reinterpret_cast<const char*>(in), in_size);
        const std::string wanted = static_cast<char>(protocol.size()) + protocol;
        const std::size_t at = offered.find(wanted);
        if (at == std::string::npos) return SSL_TLSEXT_ERR_NOACK;
        *out = in + at + 1;
        *out_size = static_cast<unsigned char>(protocol.size());
        return SSL_TLSEXT_ERR_OK;
      },
      const_cast<std::string*>(&tls.protocol));
  return context;
}

}  // namespace

TestConnection::~TestConnection() {
  if (ssl_ != nullptr) SSL_free(ssl_);
  ::close(fd_);
}

bool TestConnection::StartTls(SSL_CTX* context) {
  ssl_ = SSL_new(context);
  SSL_set_fd(ssl_, fd_);
  return SSL_accept(ssl_) == 1;
}

bool TestConnection::ReadSome() {
  if (closed_) return false;
  char bytes[16384];
  const long size = ssl_ != nullptr ? SSL_read(ssl_, bytes, sizeof(bytes))
                                    : static_cast<long>(::recv(fd_, bytes, sizeof(bytes), 0));
  if (size <= 0) {
    closed_ = true;
    return false;
  }
  unread_.append(bytes, size);
  return true;
}

std::string TestConnection::ReadExactly(std::size_t size) {
  while (unread_.size() < size) {
    if (!ReadSome()) return "";
  }
  std::string bytes = unread_.substr(0, size);
  unread_.erase(0, size);
  return bytes;
}

std::string TestConnection::ReadRequest() {
  std::size_t end = 0;
  while ((end = unread_.find("\r\n\r\n")) == std::string::npos) {
    if (!ReadSome()) return "";
  }
  const std::string head = absl::AsciiStrToLower(unread_.substr(0, end + 2));
  std::size_t body_size = 0;
  const std::size_t length = head.find("\r\ncontent-length:");
  if (length != std::string::npos) {
    const std::size_t value = length + 17;
    Require(absl::SimpleAtoi(head.substr(value, head.find("\r\n", value) - value), &body_size));
  }
  return ReadExactly(end + 4 + body_size);
}

bool TestConnection::Write(absl::string_view bytes) {
  while (!bytes.empty() && !closed_) {
    const long size =
        ssl_ != nullptr
            ? SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size()))
            : static_cast<long>(::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL));
    if (size <= 0) return false;
    bytes.remove_prefix(size);
  }
  return !closed_;
}

bool TestConnection::Answer(int status, absl::string_view body,
                            absl::string_view extra_headers) {
  return Write(absl::StrCat("HTTP/1.1 ", status, " Status\r\nContent-Length: ", body.size(),
                            "\r\n", extra_headers, "\r\n", body));
}

void TestConnection::WaitForEnd() {
  while (ReadSome()) {
  }
}

bool TestConnection::WaitReadable(int milliseconds) {
  pollfd wait{fd_, POLLIN, 0};
  return ::poll(&wait, 1, milliseconds) > 0;
}

void TestConnection::Reset() {
  const linger now{1, 0};
  ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
  // close() follows in the destructor; disconnecting resets at once.
  sockaddr unspecified{};
  unspecified.sa_family = AF_UNSPEC;
  ::connect(fd_, &unspecified, sizeof(unspecified));
  closed_ = true;
}

void TestConnection::Break() { ::shutdown(fd_, SHUT_RDWR); }

TestServer::TestServer(Script script, std::optional<Tls> tls)
    : script_(std::move(script)), tls_(std::move(tls)) {
  // SSL_write() has no flag like MSG_NOSIGNAL.
  std::signal(SIGPIPE, SIG_IGN);
  if (tls_.has_value()) context_ = NewContext(*tls_);
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  Require(::bind(listener_, generic, sizeof(address)) == 0);
  Require(::listen(listener_, 256) == 0);
  socklen_t size = sizeof(address);
  Require(::getsockname(listener_, generic, &size) == 0);
  port_ = ntohs(address.sin_port);
  acceptor_ = std::jthread([this] { AcceptAll(); });
}

TestServer::~TestServer() {
  {
    base::MutexLock lock(mutex_);
    stopping_ = true;
    for (const auto& connection : connections_) connection->Break();
  }
  ::shutdown(listener_, SHUT_RDWR);
  acceptor_.join();
  std::list<std::jthread> threads;
  {
    base::MutexLock lock(mutex_);
    threads.swap(threads_);
  }
  threads.clear();
  ::close(listener_);
  {
    base::MutexLock lock(mutex_);
    connections_.clear();
  }
  if (context_ != nullptr) SSL_CTX_free(context_);
}

void TestServer::AcceptAll() {
  while (true) {
    const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) return;
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    base::MutexLock lock(mutex_);
    if (stopping_) {
      ::close(fd);
      return;
    }
    connections_.push_back(
        std::make_unique<TestConnection>(fd, static_cast<int>(connections_.size())));
    TestConnection* connection = connections_.back().get();
    threads_.emplace_back([this, connection] {
      if (context_ == nullptr || connection->StartTls(context_)) script_(*connection);
      connection->Break();
    });
  }
}

std::string TestServer::Url(absl::string_view path) const {
  return absl::StrCat(tls_.has_value() ? "https" : "http", "://127.0.0.1:", port_, path);
}

int TestServer::connections() const {
  base::MutexLock lock(mutex_);
  return static_cast<int>(connections_.size());
}

}  // namespace certwright::http
