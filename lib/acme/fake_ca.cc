#include "lib/acme/fake_ca.h"

#include <cstdlib>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "boost/json/parse.hpp"
#include "boost/json/serialize.hpp"
#include "lib/base/base64.h"

namespace certwright::acme {
namespace {

constexpr char kDirectory[] = R"({
  "newNonce": "https://ca.test/nonce", "newAccount": "https://ca.test/new-account",
  "newOrder": "https://ca.test/new-order", "revokeCert": "https://ca.test/revoke",
  "keyChange": "https://ca.test/key-change", "renewalInfo": "https://ca.test/renewal-info",
  "xYz12": "a member that no client knows", "meta": {"profiles": {"short": "a week"}}})";

// Made for these tests and used nowhere else.
constexpr char kTestKeyPem[] = R"(-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgJwU0iOpowODSbrwI
Vy6PZgVZm+UEEp8h4LywMJVzhJWhRANCAAQqGon4Xax+rnnAi/6jEPz8y3S9A5ch
BNqnRENRikmk/oK+rnEtNJ5MryhZtZF0ON2R75MBDnI+Aq3EMS86OTSC
-----END PRIVATE KEY-----
)";

SentJws Open(const std::string& body) {
  const boost::json::object jws = boost::json::parse(body).as_object();
  auto decode = [&jws](const char* member) {
    return base::Base64UrlDecode(std::string(jws.at(member).as_string())).value();
  };
  return SentJws{boost::json::parse(decode("protected")).as_object(), decode("payload")};
}

}  // namespace

boost::json::object SentJws::PayloadObject() const {
  return boost::json::parse(payload).as_object();
}

FakeAnswer Reply(int status, std::string body, std::vector<http::Header> headers) {
  http::HttpResponse response;
  response.status = status;
  response.body = std::move(body);
  response.headers = std::move(headers);
  if (!http::FindHeader(response.headers, "Content-Type").has_value()) {
    response.headers.push_back({"Content-Type", "application/json"});
  }
  return [response](const SentJws&) -> absl::StatusOr<http::HttpResponse> { return response; };
}

FakeAnswer Refuse(int status, const std::string& type, std::vector<http::Header> headers) {
  const bool is_uri = absl::StrContains(type, ":");
  boost::json::object problem;
  problem["type"] = is_uri ? type : absl::StrCat("urn:ietf:params:acme:error:", type);
  problem["detail"] = absl::StrCat("because of ", type);
  problem["status"] = status;
  headers.push_back({"Content-Type", "application/problem+json"});
  return Reply(status, boost::json::serialize(problem), std::move(headers));
}

FakeAnswer Lose() {
  return [](const SentJws&) -> absl::StatusOr<http::HttpResponse> {
    return absl::UnavailableError("https://ca.test: connection reset");
  };
}

FakeCa::FakeCa() {
  http.On("GET", absl::StrCat(kCaUrl, "/directory")).Reply(200, kDirectory);
  http.On("HEAD", absl::StrCat(kCaUrl, "/nonce"))
      .Call([this](const http::HttpRequest& request) -> absl::StatusOr<http::HttpResponse> {
        http::HttpResponse response;
        response.status = 200;
        response.url = request.url;
        response.headers.push_back({"Replay-Nonce", FreshNonce()});
        return response;
      });
}

std::string FakeCa::FreshNonce() {
  std::string nonce = absl::StrCat("nonce-", ++last_nonce_);
  valid_nonces_.insert(nonce);
  return nonce;
}

CaOptions FakeCa::Options() const {
  CaOptions options;
  options.directory_url = absl::StrCat(kCaUrl, "/directory");
  options.user_agent = "test/1";
  return options;
}

void FakeCa::OnPost(const std::string& path, std::vector<FakeAnswer> answers) {
  auto shared = std::make_shared<std::vector<FakeAnswer>>(std::move(answers));
  http.On("POST", absl::StrCat(kCaUrl, path)).Call([this, shared](const auto& request) {
    return Handle(request, *shared);
  });
}

absl::StatusOr<http::HttpResponse> FakeCa::Handle(const http::HttpRequest& request,
                                                  std::vector<FakeAnswer>& answers) {
  const SentJws jws = Open(request.body);
  const bool fresh = valid_nonces_.erase(std::string(jws.header.at("nonce").as_string())) == 1;
  const bool right_url = jws.header.at("url").as_string() == request.url;
  sent_.push_back(jws);
  FakeAnswer answer = answers.front();
  if (bad_nonces > 0 || !fresh || !right_url) {
    if (bad_nonces > 0) --bad_nonces;
    answer = Refuse(400, "badNonce");
  } else if (answers.size() > 1) {
    answers.erase(answers.begin());
  }
  absl::StatusOr<http::HttpResponse> response = answer(jws);
  if (!response.ok()) return response;
  response->url = request.url;
  if (!http::FindHeader(response->headers, "Replay-Nonce").has_value()) {
    response->headers.push_back({"Replay-Nonce", FreshNonce()});
  }
  return response;
}

int FakeCa::Count(const std::string& method, const std::string& path) const {
  int count = 0;
  for (const http::HttpRequest& request : http.requests()) {
    if (request.method == method && request.url == absl::StrCat(kCaUrl, path)) ++count;
  }
  return count;
}

pki::PrivateKey TestKey() {
  absl::StatusOr<pki::PrivateKey> key = pki::PrivateKey::ParsePem(kTestKeyPem);
  if (!key.ok()) std::abort();
  return *std::move(key);
}

}  // namespace certwright::acme
