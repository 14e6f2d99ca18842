#include "bench/ca_load.h"

#include <sys/resource.h>

#include <algorithm>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "boost/asio/buffer.hpp"
#include "boost/asio/io_context.hpp"
#include "boost/asio/ip/tcp.hpp"
#include "boost/asio/ssl.hpp"
#include "boost/asio/write.hpp"
#include "boost/beast/core/flat_buffer.hpp"
#include "boost/beast/http.hpp"
#include "boost/json/parse.hpp"
#include "boost/json/serialize.hpp"
#include "lib/acme/jws.h"
#include "lib/base/base64.h"
#include "lib/base/status_macros.h"
#include "lib/pki/csr.h"
#include "lib/pki/jose.h"
#include "tests/fakes/jws.h"

namespace certwright::bench {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace json = boost::json;
using asio::ip::tcp;
using boost::system::error_code;
using Response = beast::http::response<beast::http::string_body>;

struct Work {
  std::string name;
  std::string csr;
};

// One connection with an account. It throws nothing; what goes wrong is a status.
class Client {
 public:
  explicit Client(int port)
      : port_(port),
        key_(pki::PrivateKey::Generate({}).value()),
        signer_(std::make_unique<acme::LocalJwsSigner>(key_)) {}

  absl::Status Connect() {
    error_code error;
    stream_.lowest_layer().connect(
        tcp::endpoint(asio::ip::address_v4::loopback(), static_cast<uint16_t>(port_)), error);
    if (!error) stream_.lowest_layer().set_option(tcp::no_delay(true), error);
    if (!error) stream_.handshake(asio::ssl::stream_base::client, error);
    if (error) return absl::UnavailableError(error.message());
    CW_RETURN_IF_ERROR(Exchange("HEAD", "/nonce", ""));
    CW_ASSIGN_OR_RETURN(const Response answer,
                        Post("/new-account", acme::RequestKind::kNewAccount,
                             R"({"termsOfServiceAgreed":true})"));
    signer_ = std::make_unique<acme::LocalJwsSigner>(
        key_, std::string(answer[beast::http::field::location]));
    return absl::OkStatus();
  }

  absl::Status Issue(const Work& work) {
    CW_ASSIGN_OR_RETURN(json::object order,
                        PostForObject("/new-order", acme::RequestKind::kNewOrder,
                                      absl::StrCat(R"({"identifiers":[{"type":"dns","value":")",
                                                   work.name, R"("}]})")));
    CW_ASSIGN_OR_RETURN(const json::object authorization,
                        PostForObject(PathOf(order.at("authorizations").as_array().at(0)),
                                      acme::RequestKind::kAuthorization, ""));
    const json::value& challenge = authorization.at("challenges").as_array().at(0);
    CW_RETURN_IF_ERROR(
        Post(PathOf(challenge.as_object().at("url")), acme::RequestKind::kChallenge, "{}"));
    CW_ASSIGN_OR_RETURN(
        order, PostForObject(PathOf(order.at("finalize")), acme::RequestKind::kFinalize,
                             absl::StrCat(R"({"csr":")", work.csr, R"("})")));
    if (!order.contains("certificate")) return absl::InternalError("the order is not valid");
    CW_ASSIGN_OR_RETURN(const Response chain, Post(PathOf(order.at("certificate")),
                                                   acme::RequestKind::kCertificate, ""));
    if (!absl::StartsWith(chain.body(), "-----BEGIN CERTIFICATE-----")) {
      return absl::InternalError("no certificate");
    }
    return absl::OkStatus();
  }

  int requests() const { return requests_; }

 private:
  std::string Base() const { return absl::StrCat("https://127.0.0.1:", port_); }
  std::string PathOf(const json::value& url) const {
    return std::string(url.as_string()).substr(Base().size());
  }

  absl::StatusOr<json::object> PostForObject(const std::string& path, acme::RequestKind kind,
                                             std::string payload) {
    CW_ASSIGN_OR_RETURN(const Response answer, Post(path, kind, std::move(payload)));
    error_code error;
    json::value value = json::parse(answer.body(), error);
    if (error || !value.is_object()) return absl::InternalError("no JSON object");
    return std::move(value.as_object());
  }

  absl::StatusOr<Response> Post(const std::string& path, acme::RequestKind kind,
                                std::string payload) {
    acme::SignRequest request;
    request.url = Base() + path;
    request.nonce = nonce_;
    request.kind = kind;
    request.payload = std::move(payload);
    CW_ASSIGN_OR_RETURN(const acme::SignedRequest jws, signer_->SignNow(request));
    return Exchange("POST", path, jws.body);
  }

  absl::StatusOr<Response> Exchange(const char* method, const std::string& path,
                                    const std::string& body) {
    ++requests_;
    const std::string bytes =
        absl::StrCat(method, " ", path, " HTTP/1.1\r\nHost: 127.0.0.1:", port_,
                     "\r\nUser-Agent: bench\r\nContent-Type: application/jose+json\r\n",
                     "Content-Length: ", body.size(), "\r\n\r\n", body);
    error_code error;
    asio::write(stream_, asio::buffer(bytes), error);
    if (error) return absl::UnavailableError(error.message());
    beast::http::response_parser<beast::http::string_body> parser;
    parser.skip(absl::string_view(method) == "HEAD");
    beast::http::read(stream_, buffer_, parser, error);
    if (error) return absl::UnavailableError(error.message());
    Response response = parser.release();
    nonce_ = std::string(response["Replay-Nonce"]);
    if (response.result_int() >= 300) return absl::InternalError(response.body());
    return response;
  }

  const int port_;
  const pki::PrivateKey key_;
  std::unique_ptr<acme::LocalJwsSigner> signer_;
  asio::io_context context_;
  asio::ssl::context tls_{asio::ssl::context::tls_client};
  asio::ssl::stream<tcp::socket> stream_{context_, tls_};
  beast::flat_buffer buffer_;
  std::string nonce_;
  int requests_ = 0;
};

absl::StatusOr<std::vector<Work>> Prepare(int certificates) {
  CW_ASSIGN_OR_RETURN(const pki::PrivateKey key, pki::PrivateKey::Generate({}));
  std::vector<Work> work;
  for (int i = 0; i < certificates; ++i) {
    pki::CsrSpec spec;
    spec.names.dns_names = {absl::StrCat("host-", i, ".example.test")};
    CW_ASSIGN_OR_RETURN(const std::string pem, pki::CreateCsrPem(spec, key));
    CW_ASSIGN_OR_RETURN(const pki::Csr csr, pki::ParseCsrPem(pem));
    work.push_back({spec.names.dns_names[0], base::Base64UrlEncode(csr.der)});
  }
  return work;
}

// User and system time so far, of this process (RUSAGE_SELF) or this thread (RUSAGE_THREAD).
absl::Duration CpuTime(int of) {
  rusage usage = {};
  getrusage(of, &usage);
  return absl::DurationFromTimeval(usage.ru_utime) + absl::DurationFromTimeval(usage.ru_stime);
}

// What one connection does.
struct Share {
  std::unique_ptr<Client> client;
  absl::Status status;
  std::vector<absl::Duration> latencies;
  absl::Duration cpu;
};

void Issue(const std::vector<Work>& work, std::size_t first, std::size_t step, Share& share) {
  for (std::size_t i = first; i < work.size() && share.status.ok(); i += step) {
    const absl::Time start = absl::Now();
    share.status = share.client->Issue(work[i]);
    share.latencies.push_back(absl::Now() - start);
  }
  share.cpu = CpuTime(RUSAGE_THREAD);
}

}  // namespace

absl::StatusOr<CaLoadResult> RunCaLoad(const fakes::CaServer& ca, int certificates,
                                       int connections) {
  CW_ASSIGN_OR_RETURN(const std::vector<Work> work, Prepare(certificates));
  std::vector<Share> shares(static_cast<std::size_t>(connections));
  for (Share& share : shares) {
    share.client = std::make_unique<Client>(ca.port());
    CW_RETURN_IF_ERROR(share.client->Connect());
  }
  const absl::Time start = absl::Now();
  const absl::Duration cpu_before = CpuTime(RUSAGE_SELF);
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < shares.size(); ++i) {
      threads.emplace_back([&, i] { Issue(work, i, shares.size(), shares[i]); });
    }
  }
  CaLoadResult result;
  result.elapsed = absl::Now() - start;
  result.ca_cpu = CpuTime(RUSAGE_SELF) - cpu_before;
  for (const Share& share : shares) {
    CW_RETURN_IF_ERROR(share.status);
    result.client_cpu += share.cpu;
    result.ca_cpu -= share.cpu;
    result.requests += share.client->requests();
    result.latencies.insert(result.latencies.end(), share.latencies.begin(),
                            share.latencies.end());
  }
  return result;
}

CryptoRates MeasureCrypto() {
  constexpr int kTimes = 3000;
  const pki::PrivateKey key = pki::PrivateKey::Generate({}).value();
  const pki::JoseSigner signer(key);
  const fakes::JwsVerifier verifier(key.public_key());
  fakes::Jws jws;
  jws.signed_text = std::string(500, 'x');
  absl::Duration start = CpuTime(RUSAGE_THREAD);
  for (int i = 0; i < kTimes; ++i) {
    jws.signature = signer.Sign(jws.signed_text).value();
  }
  CryptoRates rates;
  rates.signatures = kTimes / absl::ToDoubleSeconds(CpuTime(RUSAGE_THREAD) - start);
  start = CpuTime(RUSAGE_THREAD);
  int good = 0;
  for (int i = 0; i < kTimes; ++i) good += verifier.Accepts(jws) ? 1 : 0;
  rates.verifications = good / absl::ToDoubleSeconds(CpuTime(RUSAGE_THREAD) - start);
  return rates;
}

}  // namespace certwright::bench
