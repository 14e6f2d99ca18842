// Rfc2136Client: adds and removes TXT records with DNS UPDATE (RFC 2136), signed with TSIG
// (RFC 8945).
//
// Records are added and removed by value, never by name alone, so others at the same name
// are left in peace; both are idempotent, so a change whose answer was lost is sent again.
//
// Errors: FAILED_PRECONDITION for what an operator has to mend (key, clock, permission, zone);
// UNAVAILABLE for SERVFAIL and for servers that do not answer (every one tried is named);
// INVALID_ARGUMENT for a change that cannot be written as a DNS record; DEADLINE_EXCEEDED and
// CANCELLED from the context. No message holds a secret.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "lib/base/secret.h"
#include "lib/dns/message.h"
#include "lib/runtime/awaitable.h"
#include "lib/runtime/context.h"
#include "lib/runtime/timers.h"

namespace certwright::dns {

// No SHA-384: ldns 1.8 has its name wrong and cannot compute it.
enum class TsigAlgorithm { kHmacMd5, kHmacSha1, kHmacSha256, kHmacSha512 };

// "hmac-sha256", "HMACSHA256" and the like; "" is SHA-256. HMAC-MD5 is broken and is used
// only by this explicit name. INVALID_ARGUMENT, with the names there are, for any other.
absl::StatusOr<TsigAlgorithm> ParseTsigAlgorithm(absl::string_view text);

// The base64 secret of a TSIG key as configuration files hold it, white space around it
// allowed. INVALID_ARGUMENT says what is wrong with it, without quoting it.
absl::StatusOr<base::Secret> ParseTsigSecret(absl::string_view base64);

struct TsigKey {
  std::string name;
  TsigAlgorithm algorithm = TsigAlgorithm::kHmacSha256;
  // Base64, as ParseTsigSecret returns it.
  base::Secret secret;
};

struct TxtChange {
  enum class Kind { kAdd, kRemove };
  Kind kind = Kind::kAdd;
  std::string name;
  std::string value;
  // Only for kAdd.
  uint32_t ttl = 60;
};

// The zone to change, and how to get at it.
struct UpdateTarget {
  // As ParseServerAddress reads them; the next is tried when one does not answer.
  std::vector<std::string> servers;
  std::string zone;
  // Null for unsigned updates.
  std::shared_ptr<const TsigKey> key;
  bool tcp_only = false;
  // For one exchange with one server.
  absl::Duration timeout = absl::Seconds(2);
};

// What UpdateBatcher needs of a client.
class TxtUpdater {
 public:
  virtual ~TxtUpdater() = default;
  // All `changes` in one UPDATE, in this order: they take effect together or not at all.
  virtual runtime::Awaitable<absl::Status> Update(runtime::Context context, UpdateTarget target,
                                                  std::vector<TxtChange> changes) = 0;
};

// The rcode with which the server turned an UPDATE down; nullopt if `status` is of another
// kind. For a TSIG error it is that error (BADKEY, BADSIG, BADTIME, BADTRUNC).
std::optional<Rcode> UpdateRcode(const absl::Status& status);

// Whether it says that the change was turned down by whoever may have got it, so that it takes
// no effect later either.
bool IsUpdateRefused(const absl::Status& status);

// OK for NOERROR, else the status described above, with the rcode for UpdateRcode.
absl::Status UpdateStatus(Rcode rcode, absl::string_view server, absl::string_view zone);

// UDP, with TCP on truncation, on silence, and for messages over 1232 octets; or TCP only.
// Threading: Update() from any thread. Lifetime: `timers` must outlive this, and this its
// calls.
class Rfc2136Client final : public TxtUpdater {
 public:
  explicit Rfc2136Client(runtime::Timers& timers) : timers_(timers) {}

  runtime::Awaitable<absl::Status> Update(runtime::Context context, UpdateTarget target,
                                          std::vector<TxtChange> changes) override;

 private:
  runtime::Timers& timers_;
};

}  // namespace certwright::dns
