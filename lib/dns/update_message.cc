#include "lib/dns/update_message.h"

#include <ldns/ldns.h>
#include <openssl/rand.h>

#include <optional>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "lib/base/status_macros.h"
#include "lib/dns/name.h"
#include "lib/dns/tsig.h"

namespace certwright::dns {
namespace {

constexpr std::size_t kMaxValue = 4096;
constexpr std::size_t kMaxString = 255;
constexpr uint32_t kMaxTtl = 0x7FFFFFFF;
constexpr uint8_t kUpdateOpcode = 5;
// RFC 8945 §10.
constexpr uint16_t kFudgeSeconds = 300;
// Where a TSIG record has its fields, in ldns's count.
constexpr std::size_t kMacField = 3;
constexpr std::size_t kTsigFields = 7;

struct PacketDeleter {
  void operator()(ldns_pkt* packet) const { ldns_pkt_free(packet); }
};
using Packet = std::unique_ptr<ldns_pkt, PacketDeleter>;

struct RecordDeleter {
  void operator()(ldns_rr* record) const { ldns_rr_free(record); }
};
using LdnsRecord = std::unique_ptr<ldns_rr, RecordDeleter>;

struct RecordListDeleter {
  void operator()(ldns_rr_list* list) const { ldns_rr_list_deep_free(list); }
};
using LdnsRecordList = std::unique_ptr<ldns_rr_list, RecordListDeleter>;

struct DataDeleter {
  void operator()(ldns_rdf* data) const { ldns_rdf_deep_free(data); }
};
using LdnsData = std::unique_ptr<ldns_rdf, DataDeleter>;

absl::StatusOr<LdnsData> DomainName(absl::string_view name) {
  CW_ASSIGN_OR_RETURN(const std::string normal, Normalize(name));
  LdnsData data(ldns_dname_new_frm_str(absl::StrCat(normal, ".").c_str()));
  if (data == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat("\"", normal, "\" is not a domain name"));
  }
  return data;
}

absl::StatusOr<LdnsRecord> BuildRecord(const TxtChange& change) {
  CW_RETURN_IF_ERROR(CheckChange(change));
  CW_ASSIGN_OR_RETURN(LdnsData owner, DomainName(change.name));
  LdnsRecord record(ldns_rr_new());
  if (record == nullptr) return absl::ResourceExhaustedError("no memory for a DNS record");
  const bool add = change.kind == TxtChange::Kind::kAdd;
  ldns_rr_set_owner(record.get(), owner.release());
  ldns_rr_set_type(record.get(), LDNS_RR_TYPE_TXT);
  // RFC 2136 §2.5.1 and §2.5.4.
  ldns_rr_set_class(record.get(), add ? LDNS_RR_CLASS_IN : LDNS_RR_CLASS_NONE);
  ldns_rr_set_ttl(record.get(), add ? change.ttl : 0);
  absl::string_view left = change.value;
  do {
    const absl::string_view part = left.substr(0, kMaxString);
    left.remove_prefix(part.size());
    const std::string bytes =
        absl::StrCat(std::string(1, static_cast<char>(part.size())), part);
    LdnsData data(ldns_rdf_new_frm_data(LDNS_RDF_TYPE_STR, bytes.size(), bytes.data()));
    if (data == nullptr || !ldns_rr_push_rdf(record.get(), data.get())) {
      return absl::ResourceExhaustedError("no memory for a DNS record");
    }
    data.release();
  } while (!left.empty());
  return record;
}

absl::StatusOr<std::string> ToWire(const ldns_pkt* packet) {
  uint8_t* bytes = nullptr;
  std::size_t size = 0;
  const ldns_status status = ldns_pkt2wire(&bytes, packet, &size);
  absl::Cleanup free_bytes = [&bytes] { free(bytes); };
  if (status != LDNS_STATUS_OK) {
    return absl::InvalidArgumentError(
        absl::StrCat("the DNS UPDATE cannot be written: ", ldns_get_errorstr_by_id(status)));
  }
  if (size > LDNS_MAX_PACKETLEN) {
    return absl::InvalidArgumentError("the DNS UPDATE is over 65535 octets");
  }
  return std::string(reinterpret_cast<const char*>(bytes), size);
}

std::string FieldBytes(const ldns_rdf* field) {
  return std::string(reinterpret_cast<const char*>(ldns_rdf_data(field)), ldns_rdf_size(field));
}

absl::Status Sign(ldns_pkt* packet, const TsigKey& key, UpdateMessage& message) {
  CW_ASSIGN_OR_RETURN(const std::string name, Normalize(key.name));
  std::string secret(key.secret.Reveal());
  const ldns_status status =
      ldns_pkt_tsig_sign(packet, absl::StrCat(name, ".").c_str(), secret.c_str(), kFudgeSeconds,
                         absl::StrCat(AlgorithmName(key.algorithm), ".").c_str(), nullptr);
  base::Wipe(secret);
  const ldns_rr* tsig = ldns_pkt_tsig(packet);
  if (status != LDNS_STATUS_OK || tsig == nullptr || ldns_rr_rd_count(tsig) < kTsigFields) {
    return absl::InvalidArgumentError(
        absl::StrCat("the DNS UPDATE cannot be signed with the TSIG key ", name, ": ",
                     ldns_get_errorstr_by_id(status)));
  }
  message.mac = FieldBytes(ldns_rr_rdf(tsig, kMacField));
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckChange(const TxtChange& change) {
  CW_ASSIGN_OR_RETURN(const std::string name, Normalize(change.name));
  if (name.empty()) return absl::InvalidArgumentError("a TXT record needs a name");
  if (change.value.size() > kMaxValue) {
    return absl::InvalidArgumentError(
        absl::StrCat("the TXT value for ", name, " is over ", kMaxValue, " octets"));
  }
  if (change.ttl > kMaxTtl) {
    return absl::InvalidArgumentError(
        absl::StrCat("the TTL ", change.ttl, " for ", name, " is over 2^31-1"));
  }
  return absl::OkStatus();
}

absl::StatusOr<UpdateMessage> BuildUpdate(absl::string_view zone,
                                          const std::vector<TxtChange>& changes,
                                          const TsigKey* key) {
  UpdateMessage message;
  if (RAND_bytes(reinterpret_cast<unsigned char*>(&message.id), sizeof(message.id)) != 1) {
    return absl::InternalError("no random numbers from OpenSSL");
  }
  CW_ASSIGN_OR_RETURN(LdnsData apex, DomainName(zone));
  LdnsRecordList none(ldns_rr_list_new());
  LdnsRecordList updates(ldns_rr_list_new());
  if (none == nullptr || updates == nullptr) {
    return absl::ResourceExhaustedError("no memory for a DNS UPDATE");
  }
  for (const TxtChange& change : changes) {
    CW_ASSIGN_OR_RETURN(LdnsRecord record, BuildRecord(change));
    if (!ldns_rr_list_push_rr(updates.get(), record.get())) {
      return absl::ResourceExhaustedError("no memory for a DNS UPDATE");
    }
    record.release();
  }
  // The packet takes the zone's name and copies of the records.
  Packet packet(
      ldns_update_pkt_new(apex.get(), LDNS_RR_CLASS_IN, none.get(), updates.get(), none.get()));
  if (packet == nullptr) return absl::ResourceExhaustedError("no memory for a DNS UPDATE");
  apex.release();
  ldns_pkt_set_id(packet.get(), message.id);
  if (key != nullptr) CW_RETURN_IF_ERROR(Sign(packet.get(), *key, message));
  CW_ASSIGN_OR_RETURN(message.wire, ToWire(packet.get()));
  return message;
}

absl::StatusOr<UpdateReply> ReadReply(absl::string_view wire, const UpdateMessage& update,
                                      const TsigKey* key, absl::Time now) {
  CW_ASSIGN_OR_RETURN(const Message message, ParseMessage(wire));
  if (message.id != update.id || !message.response || message.opcode != kUpdateOpcode) {
    return absl::InvalidArgumentError("is no answer to the UPDATE");
  }
  UpdateReply reply;
  reply.rcode = message.rcode;
  reply.truncated = message.truncated;
  if (key == nullptr) return reply;
  const std::optional<TsigRecord> tsig = FindTsig(message);
  // NOTAUTH has two meanings, which the TSIG's error field tells apart.
  if (message.rcode == Rcode::kNotAuth && tsig.has_value() && tsig->error != Rcode::kNoError) {
    reply.rcode = tsig->error;
  }
  const bool believed = reply.rcode != Rcode::kNoError || reply.truncated;
  if (!believed &&
      (!tsig.has_value() || !IsSigned(message, wire, *tsig, update.mac, *key, now))) {
    return absl::InvalidArgumentError("has no valid TSIG signature of the key");
  }
  return reply;
}

}  // namespace certwright::dns
