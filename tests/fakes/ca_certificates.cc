// Certificates of the fake CA: finalize and download (RFC 8555 §7.4), revocation (§7.6), and
// renewal information (RFC 9773).
#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "lib/acme/renewal_info.h"
#include "lib/base/base64.h"
#include "lib/pki/pem.h"
#include "tests/fakes/ca_reply.h"
#include "tests/fakes/ca_server.h"

namespace certwright::fakes {
namespace {

namespace json = boost::json;

// Of RFC 5280 §5.3.1, those that subscribers may give.
constexpr int kReasons[] = {0, 1, 3, 4, 5};
constexpr int kKeyCompromise = 1;

absl::StatusOr<pki::Csr> ReadCsr(const std::optional<json::object>& payload) {
  if (!payload.has_value()) return absl::InvalidArgumentError("no JSON object");
  std::optional<std::string> der = base::Base64UrlDecode(StringAt(*payload, "csr"));
  if (!der.has_value()) return absl::InvalidArgumentError("csr is not base64url");
  return pki::ParseCsrDer(*std::move(der));
}

std::set<Identifier> NamesOf(const pki::Csr& csr) {
  std::set<Identifier> names;
  for (const std::string& name : csr.names.dns_names) names.insert({"dns", name});
  for (const std::string& address : csr.names.ip_addresses) names.insert({"ip", address});
  if (!csr.subject.common_name.empty()) names.insert({"dns", csr.subject.common_name});
  return names;
}

}  // namespace

Reply CaServer::Finalize(Call& call) {
  const Id id = ParseId(call.rest);
  const absl::StatusOr<pki::Csr> csr = ReadCsr(call.Object());
  if (!csr.ok()) return ProblemReply(400, "badCSR", csr.status().message());
  if (csr->public_key == *call.key) {
    return ProblemReply(400, "badCSR", "the key is the account's");
  }
  if (std::optional<Reply> refusal = ClaimOrder(call, id, *csr)) return *std::move(refusal);
  std::string profile;
  ChainVariant variant = ChainVariant::kGood;
  std::optional<absl::Duration> lifetime;
  absl::Duration backdating;
  {
    base::MutexLock lock(mutex_);
    profile = orders_.at(id).profile;
    variant = behaviour_.chain;
    lifetime = behaviour_.lifetime;
    backdating = behaviour_.backdating;
  }
  if (!lifetime.has_value()) {
    lifetime = profile.empty() ? options_.lifetime : options_.profiles.at(profile);
  }
  // Without the lock: most of a CA's work is here.
  IssuedLeaf leaf = issuing_.Issue(*csr, *lifetime, backdating, variant);
  return StoreCertificate(call, id, std::move(leaf));
}

std::optional<Reply> CaServer::ClaimOrder(const Call& call, Id id, const pki::Csr& csr) {
  base::MutexLock lock(mutex_);
  const auto found = orders_.find(id);
  if (found == orders_.end()) return ProblemReply(404, "malformed", "no such order");
  OrderEntry& order = found->second;
  if (order.account != call.account) {
    return ProblemReply(403, "unauthorized", "another's order");
  }
  const std::string status = OrderStatus(order);
  if (status != "ready") {
    return ProblemReply(403, "orderNotReady", absl::StrCat("the order is ", status));
  }
  const std::set<Identifier> wanted(order.identifiers.begin(), order.identifiers.end());
  if (NamesOf(csr) != wanted) {
    return ProblemReply(400, "badCSR", "the names are not those of the order");
  }
  order.finalized = true;
  ++finalized_;
  return std::nullopt;
}

Reply CaServer::StoreCertificate(const Call& call, Id order_id, IssuedLeaf leaf) {
  CertificateEntry entry;
  entry.account = call.account;
  entry.der = std::move(leaf.der);
  entry.cert_id = std::move(leaf.cert_id);
  entry.not_before = leaf.not_before;
  entry.not_after = leaf.not_after;
  base::MutexLock lock(mutex_);
  const auto order = orders_.find(order_id);
  if (order == orders_.end()) return ProblemReply(404, "malformed", "no such order");
  entry.identifiers = order->second.identifiers;
  entry.misses_left = behaviour_.certificate_misses;
  const Id id = ++last_id_;
  certificates_by_cert_id_[entry.cert_id] = id;
  certificates_.emplace(id, std::move(entry));
  order->second.certificate = id;
  order->second.valid_at = absl::Now() + behaviour_.processing;
  Reply reply = OrderReply(call, 200, order_id);
  if (!behaviour_.finalize_has_location)
    reply = Spoil(std::move(reply), RemoveHeader("Location"));
  return reply;
}

// "17" is the default chain of certificate 17, "17/1" the first alternate.
Reply CaServer::Certificate(Call& call) {
  if (!call.ReadsOnly()) return ProblemReply(400, "malformed", "certificates are only read");
  const std::vector<std::string> parts = absl::StrSplit(call.rest, '/');
  const Id id = ParseId(parts[0]);
  const std::size_t root = parts.size() == 1 ? 0 : ParseId(parts[1]);
  std::string der;
  ChainVariant variant = ChainVariant::kGood;
  {
    base::MutexLock lock(mutex_);
    const auto found = certificates_.find(id);
    const bool exists = found != certificates_.end() && root < issuing_.roots();
    if (!exists) return ProblemReply(404, "malformed", "no such certificate");
    if (found->second.account != call.account) {
      return ProblemReply(403, "unauthorized", "another's certificate");
    }
    if (found->second.misses_left > 0) {
      --found->second.misses_left;
      return ProblemReply(404, "malformed", "not there yet");
    }
    der = found->second.der;
    variant = behaviour_.chain;
  }
  Reply reply;
  reply.body = issuing_.Chain(der, root, variant);
  AddHeader(reply, "Content-Type", "application/pem-certificate-chain");
  for (std::size_t other = 0; other < issuing_.roots(); ++other) {
    if (other == root) continue;
    std::string url = call.Url(absl::StrCat("/certificate/", id));
    if (other > 0) absl::StrAppend(&url, "/", other);
    AddHeader(reply, "Link", absl::StrCat("<", url, ">;rel=\"alternate\""));
  }
  return reply;
}

Reply CaServer::RevokeCert(Call& call) {
  const std::optional<json::object> payload = call.Object();
  const auto der =
      base::Base64UrlDecode(payload.has_value() ? StringAt(*payload, "certificate") : "");
  const auto chain = pki::ParseChainPem(pki::EncodePem("CERTIFICATE", der.value_or("")));
  if (!chain.ok()) return ProblemReply(400, "malformed", "no certificate");
  int reason = 0;
  if (const json::value* value = payload->if_contains("reason")) {
    reason = value->is_int64() ? static_cast<int>(value->as_int64()) : -1;
  }
  if (std::find(std::begin(kReasons), std::end(kReasons), reason) == std::end(kReasons)) {
    return ProblemReply(400, "badRevocationReason", "not this reason");
  }
  const std::string cert_id = acme::CertId(chain->front()).value_or("");
  base::MutexLock lock(mutex_);
  CertificateEntry* entry = FindCertificate(cert_id);
  if (entry == nullptr || entry->der != *der) {
    return ProblemReply(404, "malformed", "not a certificate of this CA");
  }
  if (!MayRevoke(call, *entry, chain->front().public_key)) {
    return ProblemReply(403, "unauthorized", "not yours to revoke");
  }
  if (entry->revocation_reason.has_value()) {
    return ProblemReply(400, "alreadyRevoked", "it is revoked");
  }
  // Whoever shows the key has compromised it.
  entry->revocation_reason = call.account == 0 ? kKeyCompromise : reason;
  return Reply();
}

// RFC 8555 §7.6: its account, one with authorizations for all its names, or its key.
bool CaServer::MayRevoke(const Call& call, const CertificateEntry& entry,
                         const pki::PublicKey& certificate_key) {
  if (call.account == 0) return *call.key == certificate_key;
  if (call.account == entry.account) return true;
  return std::all_of(entry.identifiers.begin(), entry.identifiers.end(),
                     [this, &call](const Identifier& identifier) CW_REQUIRES(mutex_) {
                       AuthorizationEntry like;
                       like.account = call.account;
                       like.identifier = identifier;
                       like.wildcard = identifier.value.rfind("*.", 0) == 0;
                       if (like.wildcard) like.identifier.value.erase(0, 2);
                       return FindValidAuthorization(like) != 0;
                     });
}

CertificateEntry* CaServer::FindCertificate(const std::string& cert_id) {
  const auto found = certificates_by_cert_id_.find(cert_id);
  return found == certificates_by_cert_id_.end() ? nullptr : &certificates_.at(found->second);
}

Reply CaServer::RenewalInfo(Call& call) {
  if (call.http.method != "GET") return ProblemReply(405, "malformed", "GET this");
  base::MutexLock lock(mutex_);
  const CertificateEntry* entry = FindCertificate(call.rest);
  if (entry == nullptr || !options_.renewal_info) {
    return ProblemReply(404, "malformed", "not a certificate of this CA");
  }
  // As Boulder: two hundredths of the life, about two thirds through it.
  const absl::Duration life = entry->not_after - entry->not_before;
  const absl::Time centre = entry->not_before + life * 2 / 3;
  RenewalWindow window = {centre - life / 100, centre + life / 100, ""};
  if (entry->revocation_reason.has_value()) {
    window = {absl::Now() - absl::Hours(1), absl::Now() - absl::Minutes(30), ""};
  }
  if (behaviour_.renewal_window.has_value()) window = *behaviour_.renewal_window;
  if (entry->renewal_window.has_value()) window = *entry->renewal_window;
  json::object object;
  object["suggestedWindow"] = {{"start", ToText(window.start)}, {"end", ToText(window.end)}};
  if (!window.explanation_url.empty()) object["explanationURL"] = window.explanation_url;
  Reply reply = JsonReply(200, object);
  if (behaviour_.renewal_retry_after > absl::ZeroDuration()) {
    AddHeader(reply, "Retry-After",
              absl::StrCat(absl::ToInt64Seconds(behaviour_.renewal_retry_after)));
  }
  return reply;
}

}  // namespace certwright::fakes
