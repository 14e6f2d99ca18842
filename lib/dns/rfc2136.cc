#include "lib/dns/rfc2136.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/cord.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "lib/base/status_macros.h"
#include "lib/dns/exchange.h"
#include "lib/dns/name.h"
#include "lib/dns/server_address.h"
#include "lib/dns/update_message.h"

namespace certwright::dns {
namespace {

constexpr absl::string_view kRcodePayload = "certwright/dns-update-rcode";
constexpr absl::string_view kRefusedPayload = "certwright/dns-update-refused";
// What passes every network unfragmented; more goes over TCP.
constexpr std::size_t kMaxUdp = 1232;
constexpr std::size_t kMaxSecret = 4096;

struct Explanation {
  absl::StatusCode code;
  absl::string_view text;
};

Explanation Explain(Rcode rcode) {
  constexpr auto kMend = absl::StatusCode::kFailedPrecondition;
  switch (rcode) {
    case Rcode::kServFail:
      return {absl::StatusCode::kUnavailable, "the server's log says why"};
    case Rcode::kRefused:
      return {kMend, "allow this TSIG key to change TXT records of this name at the server"};
    case Rcode::kNotAuth:
      return {kMend,
              "the server is not the primary of this zone, or wants another key: check "
              "nameserver, zone and key"};
    case Rcode::kNotZone:
      return {kMend, "a record's name lies outside the zone: check the zone"};
    case Rcode::kBadKey:
      return {kMend,
              "the server does not know this TSIG key or algorithm, or does not let it change "
              "this name: check key name, algorithm and the server's rules"};
    case Rcode::kBadSig:
    case Rcode::kBadTrunc:
      return {kMend, "the TSIG signature does not match: check the key's secret"};
    case Rcode::kBadTime:
      return {kMend,
              "this host's clock and the server's differ by too much: correct the clock"};
    case Rcode::kFormErr:
    case Rcode::kNotImp:
      return {kMend, "the server does not accept DNS UPDATE, or not this change"};
    case Rcode::kNxDomain:
    case Rcode::kYxDomain:
    case Rcode::kYxRrset:
    case Rcode::kNxRrset:
      return {kMend, "what the server holds at this name is in the way of a TXT record"};
    default:
      return {absl::StatusCode::kUnavailable, "not an answer that a DNS UPDATE should get"};
  }
}

// One exchange, with a message of its own: signatures age, and ids are for one use.
runtime::Awaitable<absl::StatusOr<UpdateReply>> Attempt(
    runtime::Timers& timers, runtime::Context context, Transport transport,
    const ServerAddress& server, const UpdateTarget& target, const UpdateMessage& message) {
  UpdateReply reply;
  auto read = [&](absl::string_view packet) -> absl::Status {
    CW_ASSIGN_OR_RETURN(reply,
                        ReadReply(packet, message, target.key.get(), timers.clock().Now()));
    return absl::OkStatus();
  };
  AcceptAnswer accept(std::move(read));
  CW_CO_RETURN_IF_ERROR(co_await Exchange(timers, context, transport, server, message.wire,
                                          target.timeout, std::move(accept)));
  co_return reply;
}

runtime::Awaitable<absl::Status> UpdateAt(runtime::Timers& timers, runtime::Context context,
                                          const ServerAddress& server,
                                          const UpdateTarget& target,
                                          const std::vector<TxtChange>& changes) {
  CW_CO_ASSIGN_OR_RETURN(UpdateMessage message,
                         BuildUpdate(target.zone, changes, target.key.get()));
  std::string udp_failure;
  if (!target.tcp_only && message.wire.size() <= kMaxUdp) {
    absl::StatusOr<UpdateReply> reply =
        co_await Attempt(timers, context, Transport::kUdp, server, target, message);
    if (reply.ok() && !reply->truncated) {
      co_return UpdateStatus(reply->rcode, server.ToString(), target.zone);
    }
    if (!reply.ok()) {
      if (reply.status().code() != absl::StatusCode::kUnavailable) co_return reply.status();
      udp_failure = absl::StrCat(reply.status().message(), "; ");
    }
    CW_CO_ASSIGN_OR_RETURN(message, BuildUpdate(target.zone, changes, target.key.get()));
  }
  absl::StatusOr<UpdateReply> reply =
      co_await Attempt(timers, context, Transport::kTcp, server, target, message);
  // What is cut short is believed without a signature, but never as a success.
  if (reply.ok() && reply->truncated && reply->rcode == Rcode::kNoError) {
    reply = absl::UnavailableError(
        absl::StrCat(server.ToString(), " over TCP: gave an answer that is cut short"));
  }
  if (reply.ok()) co_return UpdateStatus(reply->rcode, server.ToString(), target.zone);
  if (reply.status().code() != absl::StatusCode::kUnavailable) co_return reply.status();
  co_return absl::UnavailableError(absl::StrCat(udp_failure, reply.status().message()));
}

}  // namespace

absl::StatusOr<TsigAlgorithm> ParseTsigAlgorithm(absl::string_view text) {
  std::string name = absl::AsciiStrToLower(text);
  std::erase_if(name, [](char c) { return c == '-' || c == '_' || c == '.'; });
  if (name.empty() || name == "hmacsha256") return TsigAlgorithm::kHmacSha256;
  if (name == "hmacsha512") return TsigAlgorithm::kHmacSha512;
  if (name == "hmacsha1") return TsigAlgorithm::kHmacSha1;
  if (name == "hmacmd5" || name == "hmacmd5sigalgregint") return TsigAlgorithm::kHmacMd5;
  return absl::InvalidArgumentError(
      absl::StrCat("\"", absl::CHexEscape(text.substr(0, 64)),
                   "\" is not a TSIG algorithm known here: use hmac-sha256 (the default), "
                   "hmac-sha512, hmac-sha1 or, if the server knows no better, hmac-md5"));
}

absl::StatusOr<base::Secret> ParseTsigSecret(absl::string_view base64) {
  const absl::string_view text = absl::StripAsciiWhitespace(base64);
  if (text.empty()) return absl::InvalidArgumentError("the TSIG secret is empty");
  if (text.size() > kMaxSecret) {
    return absl::InvalidArgumentError("the TSIG secret is over 4096 characters");
  }
  std::string bytes;
  if (!absl::Base64Unescape(text, &bytes) || bytes.empty()) {
    base::Wipe(bytes);
    return absl::InvalidArgumentError(
        "the TSIG secret is not base64: give it as tsig-keygen or keymgr print it");
  }
  std::string canonical = absl::Base64Escape(bytes);
  base::Wipe(bytes);
  return base::Secret(std::move(canonical));
}

std::optional<Rcode> UpdateRcode(const absl::Status& status) {
  const auto payload = status.GetPayload(kRcodePayload);
  int number = 0;
  if (!payload.has_value() || !absl::SimpleAtoi(std::string(*payload), &number)) {
    return std::nullopt;
  }
  return static_cast<Rcode>(number);
}

bool IsUpdateRefused(const absl::Status& status) {
  return status.GetPayload(kRefusedPayload).has_value();
}

absl::Status UpdateStatus(Rcode rcode, absl::string_view server, absl::string_view zone) {
  if (rcode == Rcode::kNoError) return absl::OkStatus();
  const Explanation explanation = Explain(rcode);
  absl::Status status(
      explanation.code,
      absl::StrCat("the DNS server ", server, " answered ", RcodeName(rcode),
                   " to an UPDATE of the zone ", DisplayName(zone), ": ", explanation.text));
  status.SetPayload(kRcodePayload, absl::Cord(absl::StrCat(static_cast<int>(rcode))));
  return status;
}

runtime::Awaitable<absl::Status> Rfc2136Client::Update(runtime::Context context,
                                                       UpdateTarget target,
                                                       std::vector<TxtChange> changes) {
  CW_CO_ASSIGN_OR_RETURN(target.zone, Normalize(target.zone));
  if (target.servers.empty()) {
    co_return absl::InvalidArgumentError(
        absl::StrCat("no nameserver is given for updates of ", DisplayName(target.zone)));
  }
  std::vector<ServerAddress> servers;
  for (const std::string& text : target.servers) {
    CW_CO_ASSIGN_OR_RETURN(ServerAddress server, ParseServerAddress(text));
    servers.push_back(std::move(server));
  }
  absl::Status last;
  std::vector<std::string> failures;
  for (const ServerAddress& server : servers) {
    last = co_await UpdateAt(timers_, context, server, target, changes);
    if (last.code() != absl::StatusCode::kUnavailable) {
      // An earlier server may have made the change, and its answer been lost.
      const bool refused = failures.empty() && UpdateRcode(last).has_value();
      if (refused) last.SetPayload(kRefusedPayload, absl::Cord("1"));
      co_return last;
    }
    failures.emplace_back(last.message());
  }
  if (failures.size() == 1) co_return last;
  co_return absl::UnavailableError(absl::StrJoin(failures, "; "));
}

}  // namespace certwright::dns
