// Connection: one TCP or TLS connection of an attacker, by the byte. Everything ends at a
// deadline.
//
// Threading: one thread at a time.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "lib/rpc/tls.h"

namespace certwright::attacks {

// For any single thing that a server that lives does at once.
inline constexpr absl::Duration kPatience = absl::Seconds(20);

// What a client of TLS shows; it takes whatever the server shows.
using TlsContext = std::shared_ptr<SSL_CTX>;
TlsContext TlsWithoutCertificate();
// With the certificate and key of `files`, which must be good.
TlsContext TlsWithCertificate(const rpc::TlsFiles& files);

// A port, and how to come to it.
struct Target {
  int port = 0;
  // Null: plaintext.
  TlsContext tls = nullptr;
  // Our own address: all of 127.0.0.0/8 is ours.
  std::string from = "127.0.0.1";
};

class Connection {
 public:
  // Connected, and past the handshake of TLS.
  static absl::StatusOr<std::unique_ptr<Connection>> Open(const Target& target,
                                                          absl::Duration timeout = kPatience);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Whether Send() takes in what comes meanwhile, for Receive(). A peer may take nothing before
  // it is rid of its answers.
  void ReadWhileSending(bool on) { read_while_sending_ = on; }

  // All of it. UNAVAILABLE once the peer has closed, DEADLINE_EXCEEDED if it takes nothing.
  absl::Status Send(absl::string_view bytes, absl::Duration timeout = kPatience);
  // Appends at least one byte. UNAVAILABLE at the end of what the peer sends, DEADLINE_EXCEEDED
  // if nothing comes.
  absl::Status Receive(std::string& bytes, absl::Duration timeout);
  // OK once the peer has closed, whatever it sends before; DEADLINE_EXCEEDED if it does not.
  absl::Status WaitUntilClosed(absl::Duration timeout);

 private:
  enum class Progress { kSome, kWaitToRead, kWaitToWrite, kClosed };

  explicit Connection(int fd) : fd_(fd) {}
  absl::Status Handshake(const TlsContext& tls, absl::Time end);
  Progress AfterTls(int result);
  // Removes from `bytes` what was sent.
  Progress TrySend(absl::string_view& bytes);
  Progress TryReceive();
  absl::Status WaitFor(short events, absl::Time end) const;

  const int fd_;
  SSL* ssl_ = nullptr;
  bool read_while_sending_ = true;
  std::string inbox_;
};

}  // namespace certwright::attacks
