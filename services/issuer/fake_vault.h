// FakeVault: the answers of a server that follows Vault's documented HTTP API and really signs
// what it is sent, for tests.
//
// It has a PKI engine at pki_int, whose role "web" signs for names below .example for at most a
// day, and an AppRole method at auth/machines; both in the namespace "team". Time is `clock`'s.
// Threading: safe from any thread.
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "boost/json/array.hpp"
#include "boost/json/parse.hpp"
#include "boost/json/serialize.hpp"
#include "boost/json/value.hpp"
#include "lib/base/clock.h"
#include "lib/base/mutex.h"
#include "lib/pki/csr.h"
#include "lib/pki/test_ca.h"

namespace certwright::issuer_service {

class FakeVault {
 public:
  static constexpr char kRoleId[] = "db02de05-fa39-4855-059b-67221c5c2f63";
  static constexpr char kSecretId[] = "6a174c20-f6de-a53c-74d2-6018fcceff64";
  static constexpr int kLeaseSeconds = 1200;

  struct Answer {
    int status = 200;
    std::string body;
  };
  struct Request {
    std::string method;
    std::string target;
    std::map<std::string, std::string> headers;  // by name in lower case
    boost::json::object body;
  };

  explicit FakeVault(const base::Clock& clock) : clock_(clock) {}

  Answer Handle(const Request& request) {
    if (absl::StartsWith(request.target, "/v1/sys/health")) return Health(request);
    base::MutexLock lock(mutex_);
    if (sealed_) return Errors(503, "Vault is sealed");
    if (Header(request, "x-vault-namespace") != "team") {
      return Errors(404, "no handler for route");
    }
    if (request.method != "POST") return Errors(405, "1 error occurred:\n\t* unsupported\n\n");
    if (request.target == "/v1/auth/machines/login") return Login(request.body);
    if (!MaySign(Header(request, "x-vault-token"))) return Errors(403, "permission denied");
    if (request.target == "/v1/pki_int/sign/web") return Sign(request.body);
    return Errors(404, absl::StrCat("no handler for route \"", request.target.substr(4), "\""));
  }

  // `text` is well-formed: a client of ours wrote it.
  static Request ParseRequest(const std::string& text) {
    Request request;
    const std::pair<std::string, std::string> parts =
        absl::StrSplit(text, absl::MaxSplits("\r\n\r\n", 1));
    std::vector<std::string> lines = absl::StrSplit(parts.first, "\r\n");
    const std::vector<std::string> first = absl::StrSplit(lines.front(), ' ');
    request.method = first.at(0);
    request.target = first.at(1);
    for (std::size_t i = 1; i < lines.size(); ++i) {
      const std::pair<std::string, std::string> header =
          absl::StrSplit(lines[i], absl::MaxSplits(": ", 1));
      request.headers[absl::AsciiStrToLower(header.first)] = header.second;
    }
    if (!parts.second.empty()) request.body = boost::json::parse(parts.second).as_object();
    return request;
  }

  void Seal(bool sealed) {
    base::MutexLock lock(mutex_);
    sealed_ = sealed;
  }
  void RevokeTokens() {
    base::MutexLock lock(mutex_);
    tokens_.clear();
  }
  // Whether tokens of logins may sign from now on.
  void SetPolicy(bool allowed) {
    base::MutexLock lock(mutex_);
    policy_ = allowed;
  }
  void AddToken(const std::string& token) {
    base::MutexLock lock(mutex_);
    tokens_[token] = base::MonotonicTime{absl::InfiniteDuration()};
  }
  int logins() const {
    base::MutexLock lock(mutex_);
    return logins_;
  }
  int refusals() const {
    base::MutexLock lock(mutex_);
    return refusals_;
  }
  const pki::TestCa& root() const { return root_; }
  const pki::TestCa& intermediate() const { return intermediate_; }

 private:
  static Answer Errors(int status, const std::string& error) {
    boost::json::object body;
    body["errors"] = boost::json::array();
    if (!error.empty()) body["errors"].as_array().emplace_back(error);
    return {status, boost::json::serialize(body)};
  }

  static std::string Text(const boost::json::object& object, const char* name) {
    const boost::json::value* value = object.if_contains(name);
    return value == nullptr ? "" : std::string(value->as_string());
  }

  static std::vector<std::string> List(const boost::json::object& object, const char* name) {
    return absl::StrSplit(Text(object, name), ',', absl::SkipEmpty());
  }

  static std::string Header(const Request& request, const std::string& name) {
    auto header = request.headers.find(name);
    return header == request.headers.end() ? "" : header->second;
  }

  Answer Health(const Request& request) const {
    base::MutexLock lock(mutex_);
    if (!Header(request, "x-vault-namespace").empty()) return Errors(400, "unsupported path");
    return sealed_ ? Answer{503, R"({"initialized":true,"sealed":true,"standby":true})"}
                   : Answer{200, R"({"initialized":true,"sealed":false,"standby":false})"};
  }

  bool MaySign(const std::string& token) CW_REQUIRES(mutex_) {
    auto known = tokens_.find(token);
    const bool may = policy_ && known != tokens_.end() && clock_.MonotonicNow() < known->second;
    if (!may) ++refusals_;
    return may;
  }

  Answer Login(const boost::json::object& body) CW_REQUIRES(mutex_) {
    ++logins_;
    if (Text(body, "role_id") != kRoleId || Text(body, "secret_id") != kSecretId) {
      return Errors(400, "invalid role or secret ID");
    }
    const std::string token = absl::StrCat("hvs.", logins_);
    tokens_[token] = clock_.MonotonicNow() + absl::Seconds(kLeaseSeconds);
    const boost::json::value answer = {{"lease_id", ""},
                                       {"data", nullptr},
                                       {"auth",
                                        {{"client_token", token},
                                         {"accessor", "fd6c9a00"},
                                         {"lease_duration", kLeaseSeconds},
                                         {"renewable", true}}}};
    return {200, boost::json::serialize(answer)};
  }

  Answer Sign(const boost::json::object& body) CW_REQUIRES(mutex_) {
    const absl::StatusOr<pki::Csr> csr = pki::ParseCsrPem(Text(body, "csr"));
    if (!csr.ok()) return Errors(400, "csr contains no data");
    pki::TestCertificateSpec spec;
    spec.common_name = Text(body, "common_name");
    spec.names.dns_names = List(body, "alt_names");
    spec.names.ip_addresses = List(body, "ip_sans");
    spec.names.uris = List(body, "uri_sans");
    if (Text(body, "exclude_cn_from_sans") != "true") {
      spec.names.dns_names.push_back(spec.common_name);
    }
    for (const std::string& name : spec.names.dns_names) {
      if (!absl::EndsWith(name, ".example")) {
        return Errors(
            400, absl::StrCat("subject alternate name ", name, " not allowed by this role"));
      }
    }
    std::string ttl = Text(body, "ttl");
    int seconds = 86400;
    if (!ttl.empty() && !absl::SimpleAtoi(absl::StripSuffix(ttl, "s"), &seconds)) {
      return Errors(400, "error converting input for field \"ttl\"");
    }
    spec.not_before = clock_.Now() - absl::Seconds(30);
    spec.not_after = clock_.Now() + std::min(absl::Seconds(seconds), absl::Hours(24));
    const pki::Certificate leaf = intermediate_.Sign(csr->public_key, spec);
    // Vault ends no PEM with a newline.
    std::string leaf_pem = leaf.Pem();
    leaf_pem.pop_back();
    const boost::json::value answer = {
        {"lease_id", ""},
        {"renewable", false},
        {"lease_duration", 0},
        {"data",
         {{"certificate", leaf_pem},
          {"issuing_ca", intermediate_.certificate().Pem()},
          {"ca_chain",
           boost::json::array{intermediate_.certificate().Pem(), root_.certificate().Pem()}},
          {"serial_number", leaf.serial_hex},
          {"expiration", absl::ToUnixSeconds(leaf.not_after)}}},
        {"warnings", nullptr},
        {"auth", nullptr}};
    return {200, boost::json::serialize(answer)};
  }

  const base::Clock& clock_;
  const pki::TestCa root_{"Vault Root"};
  const pki::TestCa intermediate_ = root_.MakeIntermediate("Vault Intermediate");
  mutable base::Mutex mutex_;
  bool sealed_ CW_GUARDED_BY(mutex_) = false;
  bool policy_ CW_GUARDED_BY(mutex_) = true;
  std::map<std::string, base::MonotonicTime> tokens_ CW_GUARDED_BY(mutex_);
  int logins_ CW_GUARDED_BY(mutex_) = 0;
  int refusals_ CW_GUARDED_BY(mutex_) = 0;
};

}  // namespace certwright::issuer_service
