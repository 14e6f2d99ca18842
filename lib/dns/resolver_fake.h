// FakeDnsResolver: a DnsResolver that answers from a script, for tests.
//
// What is not scripted fails loudly: an INTERNAL error that names the question. Answers are
// given at once. Threading: safe from any thread.
#pragma once

#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lib/base/mutex.h"
#include "lib/dns/resolver.h"

namespace certwright::dns {

class FakeDnsResolver final : public DnsResolver {
 public:
  // `server` "" is for every server (and for queries that name none) that has no script of
  // its own for this question. A later call for the same question replaces an earlier one.
  void Set(absl::string_view server, absl::string_view name, RecordType type, Message message);
  // This server does not answer: the next of the query is tried, as with a real resolver.
  void SetError(absl::string_view server, absl::string_view name, RecordType type,
                absl::Status status);
  // Forgets the script for this question.
  void Clear(absl::string_view server, absl::string_view name, RecordType type);

  // Every query so far, in order.
  std::vector<Query> queries() const;

  runtime::Awaitable<absl::StatusOr<Answer>> Resolve(runtime::Context context,
                                                     Query query) override;

 private:
  // Server, name, type.
  using Key = std::tuple<std::string, std::string, RecordType>;

  absl::StatusOr<Message> Lookup(const std::string& server, const Query& query) const
      CW_REQUIRES(mutex_);

  mutable base::Mutex mutex_;
  std::map<Key, absl::StatusOr<Message>> script_ CW_GUARDED_BY(mutex_);
  std::vector<Query> queries_ CW_GUARDED_BY(mutex_);
};

// Records and messages to script with. TTLs are 60.
Record AddressRecord(absl::string_view name, absl::string_view ip);
Record NsRecord(absl::string_view zone, absl::string_view nameserver);
Record CnameRecord(absl::string_view name, absl::string_view target);
Record TxtRecord(absl::string_view name, absl::string_view text);
Record SoaRecord(absl::string_view zone);

// An authoritative NOERROR with these answers.
Message Answering(std::vector<Record> answers);
// Authoritative negative answers, with the SOA of `zone` in the authority section.
Message NoData(absl::string_view zone);
Message NxDomain(absl::string_view zone);
// An answer that is only an rcode.
Message Failing(Rcode rcode);

}  // namespace certwright::dns
