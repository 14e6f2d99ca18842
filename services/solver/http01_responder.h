// Http01Tokens: what is to be answered for HTTP-01 tokens; Http01Responder: the listener that
// answers it (RFC 8555 §8.3).
//
// Tokens come from the ledger, so that every replica answers every one; the replica that puts
// one out adds it at once. It is answered, however often, until its ledger record is gone: a
// CA fetches it several times from several places.
//
// Threading: safe from any thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lib/base/mutex.h"
#include "lib/http/http_server.h"
#include "services/solver/presentation.pb.h"

namespace certwright::solver {

class Http01Tokens {
 public:
  // `record_key` is the ledger record's; adding it again changes nothing.
  void Add(const std::string& record_key, const ledger::Presentation& presentation);
  void Remove(const std::string& record_key);

  // The key authorization; empty for an unknown token.
  std::string Find(absl::string_view token) const;
  std::size_t size() const;

 private:
  mutable base::Mutex mutex_;
  // Token → what it holds, and for how many records.
  struct Entry {
    std::string key_authorization;
    int records = 0;
  };
  std::map<std::string, Entry, std::less<>> tokens_ CW_GUARDED_BY(mutex_);
  std::map<std::string, std::string> token_of_record_ CW_GUARDED_BY(mutex_);
};

// The answer to one request: the key authorization, or 404 without an echo.
http::HttpServerResponse AnswerToken(const Http01Tokens& tokens,
                                     const http::HttpServerRequest& request);

class Http01Responder {
 public:
  // Errors as HttpServer::Start(), naming the setting. `tokens`, `executor` and `timers` must
  // outlive it.
  static absl::StatusOr<std::unique_ptr<Http01Responder>> Start(runtime::Executor executor,
                                                                runtime::Timers& timers,
                                                                const std::string& address,
                                                                const Http01Tokens& tokens);

  uint16_t port() const { return server_->port(); }
  void Stop() { server_->Stop(); }

 private:
  explicit Http01Responder(std::unique_ptr<http::HttpServer> server)
      : server_(std::move(server)) {}

  const std::unique_ptr<http::HttpServer> server_;
};

}  // namespace certwright::solver
