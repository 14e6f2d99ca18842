// Http01SelfCheck: fetches the token through the public name, as the CA will (RFC 8555 §8.3).
//
// IPv6 goes first. Only where every IPv6 address cannot be connected to does IPv4 count, as at
// Let's Encrypt; within a family an address that cannot be connected to is passed over if
// another one answers, and one that answers wrongly fails the check.
//
// Redirects lead where they lead a CA: to ports 80 and 443. The solver's self_check_port stands
// for port 80 of the name itself, so it also serves a redirect that names neither host nor
// port.
//
// What is fetched is chosen by strangers: connections go to public addresses and those that
// the configuration allows, also after redirects; answers are capped and compared, never shown.
#pragma once

#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "lib/dns/resolver.h"
#include "lib/http/address_ranges.h"
#include "lib/http/http_client.h"
#include "lib/http/url.h"
#include "services/solver/recursive_nameservers.h"
#include "services/solver/self_check.h"

namespace certwright::solver {

struct Http01CheckOptions {
  RecursiveNameservers nameservers;
  // Addresses that may be connected to besides public ones.
  http::AddressRanges allowed_ranges;
};

class Http01SelfCheck final : public SelfCheck {
 public:
  // References must outlive this.
  Http01SelfCheck(http::HttpClient& http, dns::DnsResolver& resolver,
                  Http01CheckOptions options)
      : http_(http), resolver_(resolver), options_(std::move(options)) {}

  runtime::Awaitable<absl::StatusOr<SelfCheckResult>> Check(
      runtime::Context context, const v1::Challenge& challenge,
      std::shared_ptr<const SolverConfig> config) override;

 private:
  // What one address, or all of one family, had to say.
  struct Finding {
    enum class Kind { kFound, kWrong, kNotConnected };
    Kind kind = Kind::kNotConnected;
    std::string reason;
  };
  static Finding Wrong(std::string reason);
  static Finding Judge(const http::HttpResponse& response, const std::string& server,
                       const std::string& expected);
  // Where to connect to next, and for what.
  struct Hop {
    http::Url url;
    std::string address;
    int port = 0;

    std::string Server() const;
  };
  // One fetch, with what its redirects need.
  struct Fetch {
    // The name to be proven.
    std::string host;
    std::string url;
    std::string expected;
    int self_check_port = 80;
    std::vector<std::string> nameservers;
  };

  runtime::Awaitable<Finding> AskFamily(runtime::Context context, Fetch fetch,
                                        std::vector<std::string> addresses);
  // Starts at `address` and follows redirects.
  runtime::Awaitable<Finding> AskAddress(runtime::Context context, Fetch fetch,
                                         std::string address);
  // The answer of one server, or a finding.
  runtime::Awaitable<std::variant<http::HttpResponse, Finding>> Ask(runtime::Context context,
                                                                    const Hop& hop);
  // Where the answer of `hop` redirects to, or a finding.
  runtime::Awaitable<std::variant<Hop, Finding>> Redirect(runtime::Context context,
                                                          const Fetch& fetch, const Hop& hop,
                                                          const http::HttpResponse& response);
  bool MayConnect(const std::string& address) const;

  http::HttpClient& http_;
  dns::DnsResolver& resolver_;
  const Http01CheckOptions options_;
};

}  // namespace certwright::solver
