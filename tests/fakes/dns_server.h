// DnsServer: a nameserver of our own, in this process, over UDP and TCP: it serves zones, takes
// DNS UPDATE (RFC 2136) with TSIG, and misbehaves where a test asks for it.
//
// It answers for its zones with authority, follows aliases within them, and refuses all else.
// Names below an apex that have no records of their own have the address 127.0.0.1.
//
// Threading: all methods from any thread.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "lib/base/mutex.h"
#include "lib/dns/message.h"
#include "lib/dns/rfc2136.h"
#include "lib/dns/test_dns_server.h"

namespace certwright::fakes {

struct DnsFault {
  static constexpr auto kNoType = static_cast<dns::RecordType>(0);
  static constexpr int kForever = -1;
  enum class Kind {
    kNone,
    kDrop,
    // Answer with `rcode`, and nothing else.
    kRcode,
    // The same by a header alone, to requests with EDNS only.
    kBareRcode,
    // Over UDP, with nothing in it: ask again over TCP.
    kTruncate,
    kWrongId,
    kWrongQuestion,
    // No authority, no answer.
    kLame,
    // An UPDATE takes effect, but no answer comes.
    kLoseAnswer,
  };

  Kind kind = Kind::kNone;
  dns::Rcode rcode = dns::Rcode::kServFail;
  absl::Duration delay = {};
  int times = 1;
  // Only requests about this name and those below it; for an UPDATE the zone's name counts.
  // Empty: all.
  std::string name = {};
  // Only questions for records of this type; kNoType: for all.
  dns::RecordType type = kNoType;
  // Only UPDATEs, or only other requests.
  bool updates = false;
};

struct DnsServerOptions {
  std::string address = "127.0.0.1";
  // 0: a free one.
  int port = 0;
  std::vector<std::string> zones = {"example.test"};
  // Unsigned updates are refused.
  dns::TsigAlgorithm tsig_algorithm = dns::TsigAlgorithm::kHmacSha256;
};

class DnsServer {
 public:
  explicit DnsServer(DnsServerOptions options = DnsServerOptions());
  DnsServer(const DnsServer&) = delete;
  DnsServer& operator=(const DnsServer&) = delete;

  // "127.0.0.1:PORT"
  std::string address() const { return server_->address(); }
  int port() const { return server_->port(); }
  const std::string& tsig_key_name() const { return key_.name; }
  // base64
  std::string tsig_secret() const { return std::string(key_.secret.Reveal()); }

  void Inject(DnsFault fault);
  void ClearFaults();

  // Names as dns::Normalize() writes them.
  void AddRecord(dns::Record record);
  void AddTxt(const std::string& name, const std::string& value);
  void AddCname(const std::string& name, const std::string& target);
  void RemoveRecords(const std::string& name);
  std::vector<std::string> TxtValues(const std::string& name) const;

  // UPDATEs that took effect.
  int updates() const;
  // All others.
  int queries() const;

 private:
  using Request = dns::TestDnsServer::Request;

  std::vector<std::string> Handle(const Request& request);
  absl::Duration TakeDelay(const Request& request);
  std::optional<DnsFault> FindFault(const Request& request) CW_REQUIRES(mutex_);
  std::string AnswerQuery(const Request& request) CW_REQUIRES(mutex_);
  void Look(const std::string& name, dns::RecordType type, dns::Message& message) const
      CW_REQUIRES(mutex_);
  std::vector<dns::Record> RecordsAt(const std::string& name) const CW_REQUIRES(mutex_);
  std::string AnswerUpdate(const Request& request) CW_REQUIRES(mutex_);
  void Apply(const dns::Record& record) CW_REQUIRES(mutex_);
  std::string ZoneOf(const std::string& name) const;

  const DnsServerOptions options_;
  const dns::TsigKey key_;
  mutable base::Mutex mutex_;
  std::deque<DnsFault> faults_ CW_GUARDED_BY(mutex_);
  // The fault of the request that is being answered.
  std::optional<DnsFault> current_ CW_GUARDED_BY(mutex_);
  std::multimap<std::string, dns::Record> records_ CW_GUARDED_BY(mutex_);
  uint32_t serial_ CW_GUARDED_BY(mutex_) = 1;
  int updates_ CW_GUARDED_BY(mutex_) = 0;
  int queries_ CW_GUARDED_BY(mutex_) = 0;
  // Last: it calls the others until it is gone.
  std::unique_ptr<dns::TestDnsServer> server_;
};

}  // namespace certwright::fakes
