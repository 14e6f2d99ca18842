#include "tests/fakes/validator.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "lib/acme/key_authorization.h"
#include "lib/base/clock.h"
#include "lib/http/curl_http_client.h"
#include "lib/runtime/context.h"

namespace certwright::fakes {
namespace {

constexpr absl::Duration kTimeout = absl::Seconds(10);
constexpr int kMaxRedirects = 10;

Refusal Failure(int status, std::string type, std::string detail) {
  Refusal refusal;
  refusal.status = status;
  refusal.type = std::move(type);
  refusal.detail = std::move(detail);
  return refusal;
}

runtime::Context NewContext() {
  return runtime::Context::WithTimeout(base::Clock::Real(), kTimeout);
}

}  // namespace

Validator::Validator(runtime::Executor executor, ValidatorOptions options)
    : options_(std::move(options)),
      timers_(runtime::MakeAsioTimers(executor, base::Clock::Real())),
      http_(http::MakeCurlHttpClient(executor, *timers_)),
      resolver_(std::make_unique<dns::AresDnsResolver>(executor, *timers_)) {}

runtime::Awaitable<std::optional<Refusal>> Validator::Check(Proof proof) {
  if (options_.assume_valid) co_return std::nullopt;
  if (proof.type == "http-01") co_return co_await CheckHttp(std::move(proof));
  if (proof.type == "dns-01") co_return co_await CheckDns(std::move(proof));
  co_return Failure(400, "malformed", "challenges of this kind cannot be proven");
}

runtime::Awaitable<std::optional<Refusal>> Validator::CheckHttp(Proof proof) {
  http::HttpRequest request;
  request.url =
      absl::StrCat("http://", proof.name, "/.well-known/acme-challenge/", proof.token);
  request.connect_to = options_.http_address;
  request.max_redirects = kMaxRedirects;
  const auto answer = co_await http_->Send(NewContext(), std::move(request));
  if (!answer.ok()) {
    co_return Failure(400, "connection", std::string(answer.status().message()));
  }
  const std::string expected = acme::KeyAuthorization(proof.token, proof.thumbprint);
  if (answer->status != 200 || absl::StripTrailingAsciiWhitespace(answer->body) != expected) {
    co_return Failure(403, "unauthorized",
                      absl::StrCat("status ", answer->status, " or another body"));
  }
  co_return std::nullopt;
}

runtime::Awaitable<std::optional<Refusal>> Validator::CheckDns(Proof proof) {
  dns::Query query;
  query.name = absl::StrCat("_acme-challenge.", proof.name);
  query.type = dns::RecordType::kTxt;
  query.servers = {options_.resolver};
  const auto answer = co_await resolver_->Resolve(NewContext(), std::move(query));
  if (!answer.ok()) co_return Failure(400, "dns", std::string(answer.status().message()));
  const dns::Rcode rcode = answer->message.rcode;
  if (rcode != dns::Rcode::kNoError && rcode != dns::Rcode::kNxDomain) {
    co_return Failure(400, "dns", dns::RcodeName(rcode));
  }
  const std::string expected =
      acme::Dns01Digest(acme::KeyAuthorization(proof.token, proof.thumbprint));
  for (const dns::Record& record : answer->message.answers) {
    const auto* text = std::get_if<dns::TextData>(&record.data);
    if (text != nullptr && text->text == expected) co_return std::nullopt;
  }
  co_return Failure(403, "unauthorized", "no TXT record has the digest");
}

}  // namespace certwright::fakes
