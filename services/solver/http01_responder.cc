#include "services/solver/http01_responder.h"

#include <utility>

#include "absl/strings/strip.h"
#include "lib/base/status_macros.h"

namespace certwright::solver {

void Http01Tokens::Add(const std::string& record_key,
                       const ledger::Presentation& presentation) {
  if (presentation.type() != v1::CHALLENGE_TYPE_HTTP01) return;
  base::MutexLock lock(mutex_);
  if (!token_of_record_.emplace(record_key, presentation.token()).second) return;
  Entry& entry = tokens_[presentation.token()];
  entry.key_authorization = presentation.key_authorization();
  ++entry.records;
}

void Http01Tokens::Remove(const std::string& record_key) {
  base::MutexLock lock(mutex_);
  auto record = token_of_record_.find(record_key);
  if (record == token_of_record_.end()) return;
  auto token = tokens_.find(record->second);
  if (token != tokens_.end() && --token->second.records == 0) tokens_.erase(token);
  token_of_record_.erase(record);
}

std::string Http01Tokens::Find(absl::string_view token) const {
  base::MutexLock lock(mutex_);
  auto it = tokens_.find(std::string_view(token.data(), token.size()));
  return it == tokens_.end() ? "" : it->second.key_authorization;
}

std::size_t Http01Tokens::size() const {
  base::MutexLock lock(mutex_);
  return tokens_.size();
}

http::HttpServerResponse AnswerToken(const Http01Tokens& tokens,
                                     const http::HttpServerRequest& request) {
  http::HttpServerResponse response;
  response.headers.push_back({"Cache-Control", "no-store"});
  absl::string_view token = request.path;
  if (absl::ConsumePrefix(&token, "/.well-known/acme-challenge/")) {
    response.body = tokens.Find(token);
  }
  if (response.body.empty()) {
    response.status = 404;
    response.body = "not found\n";
    return response;
  }
  response.content_type = "text/plain";
  return response;
}

absl::StatusOr<std::unique_ptr<Http01Responder>> Http01Responder::Start(
    runtime::Executor executor, runtime::Timers& timers, const std::string& address,
    const Http01Tokens& tokens) {
  absl::StatusOr<std::unique_ptr<http::HttpServer>> server = http::HttpServer::Start(
      std::move(executor), timers, address, [&tokens](const http::HttpServerRequest& request) {
        return AnswerToken(tokens, request);
      });
  if (!server.ok()) return base::Annotate(server.status(), "http01Listen");
  return std::unique_ptr<Http01Responder>(new Http01Responder(*std::move(server)));
}

}  // namespace certwright::solver
