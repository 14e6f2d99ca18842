// TestServer: a server on a free loopback port whose connections each run a script on a
// thread of their own, with or without TLS: for tests of what a client does when the other
// side misbehaves.
//
// The destructor breaks all connections, so that reads and writes of scripts fail, and waits
// for the scripts to return.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "absl/strings/string_view.h"
#include "lib/base/mutex.h"
#include "lib/pki/test_ca.h"
#include "openssl/types.h"

namespace certwright::http {

class TestConnection {
 public:
  TestConnection(int fd, int number) : fd_(fd), number_(number) {}
  ~TestConnection();
  TestConnection(const TestConnection&) = delete;
  TestConnection& operator=(const TestConnection&) = delete;

  // False if the handshake fails.
  bool StartTls(SSL_CTX* context);

  // How many connections came before this one.
  int number() const { return number_; }

  // The next request with its body (by Content-Length); empty if the peer is gone.
  std::string ReadRequest();
  // Exactly `size` bytes; empty if the peer is gone.
  std::string ReadExactly(std::size_t size);
  // False if the peer is gone.
  bool Write(absl::string_view bytes);
  // Writes an answer with Content-Length.
  bool Answer(int status, absl::string_view body, absl::string_view extra_headers = "");
  // Until the peer closes or resets, reading what it sends.
  void WaitForEnd();
  // Waits up to `milliseconds` for something to read or the end.
  bool WaitReadable(int milliseconds);
  // Close so that the peer sees a reset.
  void Reset();

  // Makes all else fail; from any thread.
  void Break();

 private:
  bool ReadSome();

  const int fd_;
  const int number_;
  SSL* ssl_ = nullptr;
  std::string unread_;
  bool closed_ = false;
};

class TestServer {
 public:
  using Script = std::function<void(TestConnection&)>;

  struct Tls {
    pki::TestIdentity identity;
    // The protocol that ALPN chooses: "h2" or "http/1.1".
    std::string protocol = "http/1.1";
  };

  explicit TestServer(Script script, std::optional<Tls> tls = std::nullopt);
  ~TestServer();
  TestServer(const TestServer&) = delete;
  TestServer& operator=(const TestServer&) = delete;

  int port() const { return port_; }
  // At 127.0.0.1.
  std::string Url(absl::string_view path) const;
  // How many were accepted so far.
  int connections() const;

 private:
  void AcceptAll();

  const Script script_;
  const std::optional<Tls> tls_;
  SSL_CTX* context_ = nullptr;
  int listener_ = -1;
  int port_ = 0;
  mutable base::Mutex mutex_;
  std::list<std::unique_ptr<TestConnection>> connections_ CW_GUARDED_BY(mutex_);
  std::list<std::jthread> threads_ CW_GUARDED_BY(mutex_);
  bool stopping_ CW_GUARDED_BY(mutex_) = false;
  std::jthread acceptor_;
};

}  // namespace certwright::http
