#include "lib/dns/rfc2136.h"

#include <mutex>

#include "absl/strings/str_cat.h"
#include "lib/base/status_matchers.h"
#include "lib/dns/test_dns_server.h"
#include "lib/dns/tsig.h"
#include "lib/dns/update_message.h"
#include "lib/runtime/run_sync.h"
#include "lib/runtime/thread_pool.h"

// Last, because it makes "true" a macro that googletest cannot bear.
#include <ldns/ldns.h>

namespace certwright::dns {
namespace {

using base::IsOkAndHolds;
using base::StatusIs;
using testing::HasSubstr;
using testing::Not;
using Request = TestDnsServer::Request;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
constexpr auto kMend = absl::StatusCode::kFailedPrecondition;
constexpr auto kUnavailable = absl::StatusCode::kUnavailable;
constexpr char kSecret[] = "Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyYmE=";
// RFC 8945 §4.2.
constexpr auto kTsig = static_cast<RecordType>(250);

std::shared_ptr<const TsigKey> Key(TsigAlgorithm algorithm = TsigAlgorithm::kHmacSha256) {
  auto key = std::make_shared<TsigKey>();
  key->name = "acme-key";
  key->algorithm = algorithm;
  key->secret = base::Secret(std::string(kSecret));
  return key;
}

TxtChange Change(TxtChange::Kind kind, std::string name, std::string value) {
  TxtChange change;
  change.kind = kind;
  change.name = std::move(name);
  change.value = std::move(value);
  return change;
}

TEST(TsigTest, ParsesAlgorithmsAndRefusesUnknownOnes) {
  EXPECT_THAT(ParseTsigAlgorithm(""), IsOkAndHolds(TsigAlgorithm::kHmacSha256));
  EXPECT_THAT(ParseTsigAlgorithm("HMACSHA256"), IsOkAndHolds(TsigAlgorithm::kHmacSha256));
  EXPECT_THAT(ParseTsigAlgorithm("hmac-sha512."), IsOkAndHolds(TsigAlgorithm::kHmacSha512));
  EXPECT_THAT(ParseTsigAlgorithm("hmac_sha1"), IsOkAndHolds(TsigAlgorithm::kHmacSha1));
  EXPECT_THAT(ParseTsigAlgorithm("hmac-md5"), IsOkAndHolds(TsigAlgorithm::kHmacMd5));
  EXPECT_THAT(ParseTsigAlgorithm("HMAC-MD5.SIG-ALG.REG.INT"),
              IsOkAndHolds(TsigAlgorithm::kHmacMd5));
  EXPECT_THAT(ParseTsigAlgorithm("hmac-sha384"), StatusIs(kInvalid, HasSubstr("hmac-sha256")));
  EXPECT_THAT(ParseTsigAlgorithm("md5"), StatusIs(kInvalid));
}

TEST(TsigTest, ParsesASecretWithoutQuotingIt) {
  CW_ASSERT_OK_AND_ASSIGN(const base::Secret secret,
                          ParseTsigSecret(absl::StrCat("  ", kSecret, "\n")));
  EXPECT_EQ(secret.Reveal(), kSecret);
  EXPECT_THAT(ParseTsigSecret(" \n"), StatusIs(kInvalid, HasSubstr("empty")));
  EXPECT_THAT(ParseTsigSecret("hunter2!"), StatusIs(kInvalid, HasSubstr("not base64")));
  EXPECT_THAT(ParseTsigSecret("hunter2!"), StatusIs(kInvalid, Not(HasSubstr("hunter2"))));
  EXPECT_THAT(ParseTsigSecret(std::string(5000, 'A')), StatusIs(kInvalid, HasSubstr("4096")));
}

// Faults 65 and 76.
TEST(UpdateStatusTest, MapsEveryRcodeToWhatCanBeDone) {
  const struct {
    Rcode rcode;
    absl::StatusCode code;
    const char* text;
  } kCases[] = {
      {Rcode::kServFail, kUnavailable, "log"},
      {Rcode::kRefused, kMend, "allow this TSIG key"},
      {Rcode::kNotAuth, kMend, "not the primary"},
      {Rcode::kNotZone, kMend, "outside the zone"},
      {Rcode::kBadKey, kMend, "key name"},
      {Rcode::kBadSig, kMend, "secret"},
      {Rcode::kBadTrunc, kMend, "secret"},
      {Rcode::kBadTime, kMend, "clock"},
      {Rcode::kFormErr, kMend, "does not accept"},
      {Rcode::kNotImp, kMend, "does not accept"},
      {Rcode::kYxRrset, kMend, "in the way"},
      {static_cast<Rcode>(15), kUnavailable, "RCODE15"},
  };
  for (const auto& test : kCases) {
    const absl::Status status = UpdateStatus(test.rcode, "192.0.2.1:53", "example.test");
    EXPECT_THAT(status, StatusIs(test.code, HasSubstr(test.text)));
    EXPECT_THAT(status, StatusIs(test.code, HasSubstr("192.0.2.1:53")));
    EXPECT_THAT(status, StatusIs(test.code, HasSubstr("example.test")));
    EXPECT_EQ(UpdateRcode(status), test.rcode);
  }
  CW_EXPECT_OK(UpdateStatus(Rcode::kNoError, "s", "z"));
  EXPECT_EQ(UpdateRcode(absl::UnavailableError("x")), std::nullopt);
}

TEST(BuildUpdateTest, WritesChangesByValueInOrder) {
  std::vector<TxtChange> changes = {
      Change(TxtChange::Kind::kAdd, "_acme-challenge.EXAMPLE.test", "new"),
      Change(TxtChange::Kind::kRemove, "_acme-challenge.example.test", "old"),
      Change(TxtChange::Kind::kAdd, "b.example.test", std::string(600, 'v'))};
  changes[0].ttl = 7;
  CW_ASSERT_OK_AND_ASSIGN(const UpdateMessage update,
                          BuildUpdate("example.test", changes, nullptr));
  CW_ASSERT_OK_AND_ASSIGN(const Message message, ParseMessage(update.wire));
  EXPECT_EQ(message.id, update.id);
  EXPECT_FALSE(message.response);
  EXPECT_EQ(message.opcode, 5);
  ASSERT_EQ(message.questions.size(), 1u);
  EXPECT_EQ(message.questions[0].name, "example.test");
  EXPECT_EQ(message.questions[0].type, RecordType::kSoa);
  EXPECT_TRUE(message.answers.empty());
  EXPECT_TRUE(message.additional.empty());
  ASSERT_EQ(message.authority.size(), 3u);
  const Record& add = message.authority[0];
  EXPECT_EQ(add.name, "_acme-challenge.example.test");
  EXPECT_EQ(add.record_class, kClassIn);
  EXPECT_EQ(add.ttl, 7u);
  EXPECT_EQ(std::get<TextData>(add.data).text, "new");
  // Class NONE, with the value: one record goes, not the set.
  const Record& remove = message.authority[1];
  EXPECT_EQ(remove.type, RecordType::kTxt);
  EXPECT_EQ(remove.record_class, 254);
  EXPECT_EQ(remove.ttl, 0u);
  EXPECT_EQ(std::get<RawData>(remove.data).bytes, "\x03old");
  EXPECT_EQ(std::get<TextData>(message.authority[2].data).text, std::string(600, 'v'));
}

TEST(BuildUpdateTest, SignsWithEveryAlgorithm) {
  const std::pair<TsigAlgorithm, std::size_t> kCases[] = {{TsigAlgorithm::kHmacMd5, 16},
                                                          {TsigAlgorithm::kHmacSha1, 20},
                                                          {TsigAlgorithm::kHmacSha256, 32},
                                                          {TsigAlgorithm::kHmacSha512, 64}};
  const std::vector<TxtChange> changes = {Change(TxtChange::Kind::kAdd, "a.test", "v")};
  for (const auto& [algorithm, size] : kCases) {
    CW_ASSERT_OK_AND_ASSIGN(const UpdateMessage update,
                            BuildUpdate("test", changes, Key(algorithm).get()));
    CW_ASSERT_OK_AND_ASSIGN(const Message message, ParseMessage(update.wire));
    ASSERT_EQ(message.additional.size(), 1u);
    EXPECT_EQ(message.additional[0].type, kTsig);
    EXPECT_EQ(message.additional[0].name, "acme-key");
    EXPECT_EQ(update.mac.size(), size + 2);
    EXPECT_THAT(update.wire, Not(HasSubstr(kSecret)));
  }
}

TEST(BuildUpdateTest, RefusesChangesThatCannotBeWritten) {
  auto build = [](TxtChange change) {
    return BuildUpdate("test", {std::move(change)}, nullptr).status();
  };
  EXPECT_THAT(build(Change(TxtChange::Kind::kAdd, "", "v")), StatusIs(kInvalid));
  EXPECT_THAT(build(Change(TxtChange::Kind::kAdd, "a b", "v")), StatusIs(kInvalid));
  EXPECT_THAT(build(Change(TxtChange::Kind::kAdd, "a", std::string(4097, 'v'))),
              StatusIs(kInvalid, HasSubstr("4096")));
  TxtChange change = Change(TxtChange::Kind::kAdd, "a", "v");
  change.ttl = 0x80000000;
  EXPECT_THAT(build(change), StatusIs(kInvalid, HasSubstr("TTL")));
  const std::vector<TxtChange> many(20,
                                    Change(TxtChange::Kind::kAdd, "a", std::string(4000, 'v')));
  EXPECT_THAT(BuildUpdate("test", many, nullptr).status(), StatusIs(kInvalid));
}

// A success that answers `update`, signed by ldns.
std::string SignedReply(const UpdateMessage& update, TsigAlgorithm algorithm) {
  ldns_pkt* reply = ldns_pkt_new();
  ldns_pkt_set_id(reply, update.id);
  ldns_pkt_set_qr(reply, true);
  ldns_pkt_set_opcode(reply, LDNS_PACKET_UPDATE);
  ldns_rr* zone = ldns_rr_new();
  ldns_rr_set_question(zone, true);
  ldns_rr_set_owner(zone, ldns_dname_new_frm_str("test."));
  ldns_rr_set_type(zone, LDNS_RR_TYPE_SOA);
  ldns_rr_set_class(zone, LDNS_RR_CLASS_IN);
  ldns_pkt_push_rr(reply, LDNS_SECTION_QUESTION, zone);
  ldns_rdf* request_mac =
      ldns_rdf_new_frm_data(LDNS_RDF_TYPE_INT16_DATA, update.mac.size(), update.mac.data());
  EXPECT_EQ(
      ldns_pkt_tsig_sign(reply, "acme-key.", kSecret, 300,
                         absl::StrCat(AlgorithmName(algorithm), ".").c_str(), request_mac),
      LDNS_STATUS_OK);
  uint8_t* bytes = nullptr;
  std::size_t size = 0;
  EXPECT_EQ(ldns_pkt2wire(&bytes, reply, &size), LDNS_STATUS_OK);
  std::string wire(reinterpret_cast<const char*>(bytes), size);
  free(bytes);
  ldns_rdf_deep_free(request_mac);
  ldns_pkt_free(reply);
  return wire;
}

TEST(ReadReplyTest, AcceptsSignaturesOfEveryAlgorithmAtTheirTime) {
  const std::vector<TxtChange> changes = {Change(TxtChange::Kind::kAdd, "a.test", "v")};
  for (const TsigAlgorithm algorithm :
       {TsigAlgorithm::kHmacMd5, TsigAlgorithm::kHmacSha1, TsigAlgorithm::kHmacSha256,
        TsigAlgorithm::kHmacSha512}) {
    const auto key = Key(algorithm);
    CW_ASSERT_OK_AND_ASSIGN(const UpdateMessage update,
                            BuildUpdate("test", changes, key.get()));
    const std::string reply = SignedReply(update, algorithm);
    const absl::Time now = absl::Now();
    for (const absl::Duration skew :
         {absl::ZeroDuration(), absl::Seconds(-280), absl::Seconds(280)}) {
      CW_EXPECT_OK(ReadReply(reply, update, key.get(), now + skew).status());
    }
    for (const absl::Duration skew : {absl::Seconds(-320), absl::Seconds(320)}) {
      EXPECT_THAT(ReadReply(reply, update, key.get(), now + skew).status(), StatusIs(kInvalid));
    }
    UpdateMessage other = update;
    other.mac.back() ^= 1;
    EXPECT_THAT(ReadReply(reply, other, key.get(), now).status(), StatusIs(kInvalid));
  }
}

TEST(ReadReplyTest, DoesNotBelieveAChangedOrShortenedSuccess) {
  const auto key = Key();
  const std::vector<TxtChange> changes = {Change(TxtChange::Kind::kAdd, "a.test", "v")};
  CW_ASSERT_OK_AND_ASSIGN(const UpdateMessage update, BuildUpdate("test", changes, key.get()));
  const std::string reply = SignedReply(update, key->algorithm);
  for (std::size_t i = 0; i < reply.size(); ++i) {
    std::string changed = reply;
    changed[i] ^= 1;
    for (const std::string& wire : {changed, reply.substr(0, i)}) {
      const auto read = ReadReply(wire, update, key.get(), absl::Now());
      EXPECT_TRUE(!read.ok() || read->rcode != Rcode::kNoError) << "at " << i;
    }
  }
}

TEST(ReadReplyTest, BelievesASuccessOnlyIfItIsSigned) {
  const auto key = Key();
  const std::vector<TxtChange> changes = {Change(TxtChange::Kind::kAdd, "a.test", "v")};
  CW_ASSERT_OK_AND_ASSIGN(const UpdateMessage update, BuildUpdate("test", changes, key.get()));
  std::string reply("\0\0\xA8\0\0\0\0\0\0\0\0\0", 12);
  reply[0] = static_cast<char>(update.id >> 8);
  reply[1] = static_cast<char>(update.id & 0xFF);
  EXPECT_THAT(ReadReply(reply, update, key.get(), absl::Now()).status(),
              StatusIs(kInvalid, HasSubstr("TSIG")));
  CW_EXPECT_OK(ReadReply(reply, update, nullptr, absl::Now()).status());
  reply[3] = 5;
  CW_ASSERT_OK_AND_ASSIGN(const UpdateReply refused,
                          ReadReply(reply, update, key.get(), absl::Now()));
  EXPECT_EQ(refused.rcode, Rcode::kRefused);
  reply[0] ^= 1;
  EXPECT_THAT(ReadReply(reply, update, key.get(), absl::Now()).status(),
              StatusIs(kInvalid, HasSubstr("no answer")));
  EXPECT_THAT(ReadReply("short", update, key.get(), absl::Now()).status(), StatusIs(kInvalid));
  // The request itself, reflected.
  EXPECT_THAT(ReadReply(update.wire, update, key.get(), absl::Now()).status(),
              StatusIs(kInvalid));
}

class Rfc2136ClientTest : public testing::Test {
 protected:
  Rfc2136ClientTest()
      : pool_(2),
        timers_(runtime::MakeAsioTimers(pool_.executor(), base::Clock::Real())),
        client_(*timers_) {}
  ~Rfc2136ClientTest() override { pool_.Stop(); }

  absl::Status Update(UpdateTarget target, std::vector<TxtChange> changes = {
                                               Change(TxtChange::Kind::kAdd, "a.test", "v")}) {
    return runtime::RunSyncOn(
        pool_.executor(),
        client_.Update(runtime::Context::WithTimeout(base::Clock::Real(), absl::Seconds(20)),
                       std::move(target), std::move(changes)));
  }
  static UpdateTarget Target(std::vector<std::string> servers) {
    UpdateTarget target;
    target.servers = std::move(servers);
    target.zone = "test";
    target.timeout = absl::Seconds(10);
    return target;
  }
  static std::vector<std::string> Rcoded(const Request& request, Rcode rcode) {
    Message message;
    message.rcode = rcode;
    return {TestDnsServer::Reply(request, message)};
  }

  runtime::ThreadPool pool_;
  std::unique_ptr<runtime::Timers> timers_;
  Rfc2136Client client_;
};

TEST_F(Rfc2136ClientTest, SendsOneUdpMessage) {
  const TestDnsServer server([](const Request& r) { return Rcoded(r, Rcode::kNoError); });
  CW_EXPECT_OK(Update(Target({server.address()})));
  EXPECT_EQ(server.udp_requests(), 1);
  EXPECT_EQ(server.tcp_requests(), 0);
}

TEST_F(Rfc2136ClientTest, UsesTcpAloneWhenTold) {
  const TestDnsServer server([](const Request& r) { return Rcoded(r, Rcode::kNoError); });
  UpdateTarget target = Target({server.address()});
  target.tcp_only = true;
  CW_EXPECT_OK(Update(target));
  EXPECT_EQ(server.udp_requests(), 0);
  EXPECT_EQ(server.tcp_requests(), 1);
}

TEST_F(Rfc2136ClientTest, UsesTcpForLargeMessages) {
  const TestDnsServer server([](const Request& r) { return Rcoded(r, Rcode::kNoError); });
  std::vector<TxtChange> changes;
  for (int i = 0; i < 100; ++i) {
    changes.push_back(Change(TxtChange::Kind::kAdd, absl::StrCat("n", i, ".test"), "value"));
  }
  CW_EXPECT_OK(Update(Target({server.address()}), std::move(changes)));
  EXPECT_EQ(server.udp_requests(), 0);
  EXPECT_EQ(server.tcp_requests(), 1);
}

// Fault 66.
TEST_F(Rfc2136ClientTest, FallsBackToTcpOnSilenceAndTruncation) {
  const TestDnsServer silent([](const Request& request) {
    return request.tcp ? Rcoded(request, Rcode::kNoError) : std::vector<std::string>();
  });
  UpdateTarget target = Target({silent.address()});
  target.timeout = absl::Milliseconds(200);
  CW_EXPECT_OK(Update(target));
  const TestDnsServer truncating([](const Request& request) {
    Message message;
    message.truncated = !request.tcp;
    message.rcode = request.tcp ? Rcode::kNoError : Rcode::kServFail;
    return std::vector<std::string>{TestDnsServer::Reply(request, message)};
  });
  CW_EXPECT_OK(Update(Target({truncating.address()})));
  EXPECT_EQ(truncating.tcp_requests(), 1);
}

TEST_F(Rfc2136ClientTest, TriesTheNextServerAfterTroubleButNotAfterARefusal) {
  const TestDnsServer failing([](const Request& r) { return Rcoded(r, Rcode::kServFail); });
  const TestDnsServer refusing([](const Request& r) { return Rcoded(r, Rcode::kRefused); });
  const TestDnsServer good([](const Request& r) { return Rcoded(r, Rcode::kNoError); });
  CW_EXPECT_OK(Update(Target({failing.address(), good.address()})));
  EXPECT_THAT(Update(Target({refusing.address(), good.address()})),
              StatusIs(kMend, HasSubstr(refusing.address())));
  EXPECT_EQ(good.udp_requests(), 1);
  const absl::Status status = Update(Target({failing.address(), failing.address()}));
  EXPECT_THAT(status, StatusIs(kUnavailable, HasSubstr("SERVFAIL")));
  EXPECT_EQ(failing.udp_requests(), 3);
}

// Fault 110.
TEST_F(Rfc2136ClientTest, ARefusalCountsOnlyIfNobodyElseMayHaveMadeTheChange) {
  const TestDnsServer silent([](const Request&) { return std::vector<std::string>(); });
  const TestDnsServer failing([](const Request& r) { return Rcoded(r, Rcode::kServFail); });
  for (const Rcode rcode : {Rcode::kRefused, Rcode::kNotAuth, Rcode::kNotZone}) {
    const TestDnsServer refusing([rcode](const Request& r) { return Rcoded(r, rcode); });
    EXPECT_TRUE(IsUpdateRefused(Update(Target({refusing.address()}))));
    UpdateTarget target = Target({silent.address(), refusing.address()});
    target.timeout = absl::Milliseconds(50);
    const absl::Status status = Update(target);
    EXPECT_EQ(UpdateRcode(status), rcode);
    EXPECT_FALSE(IsUpdateRefused(status));
  }
  EXPECT_FALSE(IsUpdateRefused(Update(Target({failing.address()}))));
  EXPECT_FALSE(IsUpdateRefused(absl::OkStatus()));
}

TEST_F(Rfc2136ClientTest, NamesWhatASilentServerDidOverBothTransports) {
  const TestDnsServer silent([](const Request&) { return std::vector<std::string>(); });
  UpdateTarget target = Target({silent.address()});
  target.timeout = absl::Milliseconds(50);
  const absl::Status status = Update(target);
  EXPECT_THAT(status, StatusIs(kUnavailable, HasSubstr(silent.address() + " over UDP")));
  EXPECT_THAT(status, StatusIs(kUnavailable, HasSubstr(silent.address() + " over TCP")));
}

TEST_F(Rfc2136ClientTest, DoesNotBelieveAnUnsignedSuccessForASignedUpdate) {
  const TestDnsServer server([](const Request& r) { return Rcoded(r, Rcode::kNoError); });
  UpdateTarget target = Target({server.address()});
  target.key = Key();
  target.timeout = absl::Milliseconds(50);
  EXPECT_THAT(Update(target), StatusIs(kUnavailable, HasSubstr("no valid TSIG signature")));
}

TEST_F(Rfc2136ClientTest, DoesNotBelieveAnUnsignedSuccessThatIsCutShort) {
  const TestDnsServer server([](const Request& request) {
    Message message;
    message.truncated = true;
    return std::vector<std::string>{TestDnsServer::Reply(request, message)};
  });
  for (const bool tcp_only : {false, true}) {
    UpdateTarget target = Target({server.address()});
    target.key = Key();
    target.tcp_only = tcp_only;
    EXPECT_THAT(Update(target), StatusIs(kUnavailable, HasSubstr("cut short"))) << tcp_only;
  }
  EXPECT_EQ(server.tcp_requests(), 2);
}

TEST_F(Rfc2136ClientTest, RefusesATargetThatMakesNoSense) {
  EXPECT_THAT(Update(Target({})), StatusIs(kInvalid, HasSubstr("no nameserver")));
  EXPECT_THAT(Update(Target({"ns1.test"})), StatusIs(kInvalid));
  UpdateTarget target = Target({"192.0.2.1"});
  target.zone = "a b";
  EXPECT_THAT(Update(target), StatusIs(kInvalid));
}

}  // namespace
}  // namespace certwright::dns
