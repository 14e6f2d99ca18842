#include "services/solver/host_addresses.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/base/status_macros.h"
#include "lib/dns/zone.h"
#include "lib/pki/names.h"

namespace certwright::solver {
namespace {

using runtime::Awaitable;
using runtime::Context;

Awaitable<absl::StatusOr<std::vector<std::string>>> Ask(Context context,
                                                        dns::DnsResolver& resolver,
                                                        std::string host, dns::RecordType type,
                                                        std::vector<std::string> nameservers) {
  CW_CO_ASSIGN_OR_RETURN(
      const dns::CnameTarget target,
      co_await dns::FollowCnames(context, resolver, std::move(host), type, nameservers));
  std::vector<std::string> addresses;
  for (const dns::Record& record : target.answer.message.answers) {
    const auto* data = std::get_if<dns::AddressData>(&record.data);
    if (data != nullptr && record.type == type && record.name == target.name) {
      addresses.push_back(data->address);
    }
  }
  co_return addresses;
}

}  // namespace

std::vector<std::string> HostAddresses::All() const {
  std::vector<std::string> all = ipv6;
  all.insert(all.end(), ipv4.begin(), ipv4.end());
  return all;
}

Awaitable<absl::StatusOr<HostAddresses>> FindHostAddresses(
    Context context, dns::DnsResolver& resolver, std::string host,
    std::vector<std::string> nameservers) {
  HostAddresses addresses;
  const absl::StatusOr<std::string> ip = pki::NormalizeIpAddress(host);
  if (ip.ok()) {
    (absl::StrContains(*ip, ':') ? addresses.ipv6 : addresses.ipv4).push_back(*ip);
    co_return addresses;
  }
  std::vector<Awaitable<absl::StatusOr<std::vector<std::string>>>> questions;
  questions.push_back(Ask(context, resolver, host, dns::RecordType::kAaaa, nameservers));
  questions.push_back(Ask(context, resolver, host, dns::RecordType::kA, nameservers));
  auto answers = co_await runtime::WhenAll(std::move(questions));
  // One family that cannot be told leaves the other one.
  if (!answers[0].ok() && !answers[1].ok()) co_return answers[1].status();
  if (answers[0].ok()) addresses.ipv6 = *std::move(answers[0]);
  if (answers[1].ok()) addresses.ipv4 = *std::move(answers[1]);
  if (addresses.ipv6.empty() && addresses.ipv4.empty()) {
    for (const auto& answer : answers) {
      if (!answer.ok()) co_return answer.status();
    }
    co_return absl::NotFoundError(absl::StrCat(host, " has no address (A or AAAA record)"));
  }
  co_return addresses;
}

std::string HostPort(const std::string& ip, int port) {
  return absl::StrContains(ip, ':') ? absl::StrCat("[", ip, "]:", port)
                                    : absl::StrCat(ip, ":", port);
}

}  // namespace certwright::solver
