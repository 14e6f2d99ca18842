#include "lib/dns/update_message.h"

#include <ldns/ldns.h>
#include <openssl/rand.h>

#include <algorithm>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "lib/base/status_macros.h"
#include "lib/dns/name.h"

namespace certwright::dns {
namespace {

constexpr std::size_t kMaxValue = 4096;
constexpr std::size_t kMaxString = 255;
constexpr uint32_t kMaxTtl = 0x7FFFFFFF;
constexpr uint8_t kUpdateOpcode = 5;
// RFC 8945 §10.
constexpr uint16_t kFudgeSeconds = 300;
// Where a TSIG record has its fields, in ldns's count.
constexpr std::size_t kTimeField = 1;
constexpr std::size_t kMacField = 3;
constexpr std::size_t kErrorField = 5;
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

const char* AlgorithmName(TsigAlgorithm algorithm) {
  switch (algorithm) {
    case TsigAlgorithm::kHmacMd5:
      return "hmac-md5.sig-alg.reg.int.";
    case TsigAlgorithm::kHmacSha1:
      return "hmac-sha1.";
    case TsigAlgorithm::kHmacSha256:
      return "hmac-sha256.";
    case TsigAlgorithm::kHmacSha512:
      return "hmac-sha512.";
  }
  return "";
}

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
                         AlgorithmName(key.algorithm), nullptr);
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

// Whether the TSIG of `packet` is that of `key`, over all of `wire`, and of about `now`.
bool IsSigned(ldns_pkt* packet, absl::string_view wire, const UpdateMessage& update,
              const TsigKey& key, absl::Time now) {
  const ldns_rr* tsig = ldns_pkt_tsig(packet);
  absl::StatusOr<LdnsData> name = DomainName(key.name);
  if (tsig == nullptr || ldns_rr_rd_count(tsig) < kTsigFields || !name.ok()) return false;
  if (ldns_dname_compare(ldns_rr_owner(tsig), name->get()) != 0) return false;
  uint64_t seconds = 0;
  for (const char byte : FieldBytes(ldns_rr_rdf(tsig, kTimeField))) {
    seconds = seconds << 8 | static_cast<unsigned char>(byte);
  }
  // 48 bits fit the signed seconds.
  const absl::Time signed_at = absl::FromUnixSeconds(static_cast<int64_t>(seconds));
  if (absl::AbsDuration(now - signed_at) > absl::Seconds(kFudgeSeconds)) return false;
  LdnsData mac(
      ldns_rdf_new_frm_data(LDNS_RDF_TYPE_INT16_DATA, update.mac.size(), update.mac.data()));
  if (mac == nullptr) return false;
  std::string secret(key.secret.Reveal());
  const absl::StatusOr<std::string> key_name = Normalize(key.name);
  const bool valid =
      ldns_pkt_tsig_verify(packet, reinterpret_cast<const uint8_t*>(wire.data()), wire.size(),
                           absl::StrCat(*key_name, ".").c_str(), secret.c_str(), mac.get());
  base::Wipe(secret);
  return valid;
}

// NOTAUTH has two meanings, which the TSIG's error field tells apart.
Rcode TsigError(const ldns_pkt* packet) {
  const ldns_rr* tsig = ldns_pkt_tsig(packet);
  if (tsig == nullptr || ldns_rr_rd_count(tsig) < kTsigFields) return Rcode::kNoError;
  const ldns_rdf* error = ldns_rr_rdf(tsig, kErrorField);
  if (ldns_rdf_size(error) != 2) return Rcode::kNoError;
  return static_cast<Rcode>(ldns_rdf2native_int16(error));
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
  CW_ASSIGN_OR_RETURN(const Message header, ParseMessage(wire));
  if (header.id != update.id || !header.response || header.opcode != kUpdateOpcode) {
    return absl::InvalidArgumentError("is no answer to the UPDATE");
  }
  UpdateReply reply;
  reply.rcode = header.rcode;
  reply.truncated = header.truncated;
  if (key == nullptr) return reply;
  ldns_pkt* parsed = nullptr;
  if (ldns_wire2pkt(&parsed, reinterpret_cast<const uint8_t*>(wire.data()), wire.size()) !=
      LDNS_STATUS_OK) {
    return absl::InvalidArgumentError("cannot be read by ldns");
  }
  const Packet packet(parsed);
  if (header.rcode == Rcode::kNotAuth) {
    const Rcode error = TsigError(packet.get());
    if (error != Rcode::kNoError) reply.rcode = error;
  }
  const bool believed = reply.rcode != Rcode::kNoError || reply.truncated;
  if (!believed && !IsSigned(packet.get(), wire, update, *key, now)) {
    return absl::InvalidArgumentError("has no valid TSIG signature of the key");
  }
  return reply;
}

}  // namespace certwright::dns
