// Validator: a CA's look at what proves control of a name, over real HTTP and DNS.
//
// Threading: Check() from any thread, on the executor. Lifetime: the executor must have been
// stopped before this is destroyed.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "lib/dns/resolver.h"
#include "lib/http/http_client.h"
#include "lib/runtime/awaitable.h"
#include "lib/runtime/timers.h"
#include "tests/fakes/behaviour.h"

namespace certwright::fakes {

struct ValidatorOptions {
  // Believe everything.
  bool assume_valid = false;
  // "address:port" that HTTP-01 is fetched from, whatever the name's address.
  std::string http_address = {};
  // "address:port" of the resolver that DNS-01 asks.
  std::string resolver = {};
};

struct Proof {
  // "http-01" or "dns-01".
  std::string type;
  // Without "*.".
  std::string name;
  std::string token;
  std::string thumbprint;
};

class Validator {
 public:
  Validator(runtime::Executor executor, ValidatorOptions options);

  bool assume_valid() const { return options_.assume_valid; }
  // What is wrong, if anything.
  runtime::Awaitable<std::optional<Refusal>> Check(Proof proof);

 private:
  runtime::Awaitable<std::optional<Refusal>> CheckHttp(Proof proof);
  runtime::Awaitable<std::optional<Refusal>> CheckDns(Proof proof);

  const ValidatorOptions options_;
  const std::unique_ptr<runtime::Timers> timers_;
  const std::unique_ptr<http::HttpClient> http_;
  const std::unique_ptr<dns::DnsResolver> resolver_;
};

}  // namespace certwright::fakes
