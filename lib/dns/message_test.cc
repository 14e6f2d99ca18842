#include "lib/dns/message.h"

#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "lib/base/status_matchers.h"
#include "lib/dns/message_builder.h"

namespace certwright::dns {
namespace {

using base::StatusIs;
using testing::HasSubstr;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

// A header with these counts, for an authoritative answer.
std::string Header(int questions, int answers, int authority = 0, int additional = 0) {
  std::string header("\x12\x34\x84\x00", 4);
  for (const int count : {questions, answers, authority, additional}) {
    header.push_back('\0');
    header.push_back(static_cast<char>(count));
  }
  return header;
}

// The fixed fields of a record and its data, behind whatever name.
std::string Fields(int type, absl::string_view data) {
  std::string fields = {
      static_cast<char>(type >> 8), static_cast<char>(type), 0, 1, 0, 0, 0, 60};
  fields.push_back(static_cast<char>(data.size() >> 8));
  fields.push_back(static_cast<char>(data.size()));
  return absl::StrCat(fields, data);
}

template <typename Data>
Record MakeRecord(absl::string_view name, RecordType type, Data data) {
  Record record;
  record.name = std::string(name);
  record.type = type;
  record.ttl = 300;
  record.data = std::move(data);
  return record;
}

TEST(FindRecordTest, TakesRecordsOfClassInternetOnly) {
  Record chaos = MakeRecord("a.test", RecordType::kTxt, RawData{"x"});
  chaos.record_class = 3;
  Record none = chaos;
  none.record_class = 254;
  const Record other_name = MakeRecord("b.test", RecordType::kTxt, TextData{"b"});
  const Record other_type = MakeRecord("a.test", RecordType::kCname, NameData{"b.test"});
  std::vector<Record> section = {chaos, none, other_name, other_type};
  EXPECT_EQ(FindRecord(section, "a.test", RecordType::kTxt), nullptr);
  section.push_back(MakeRecord("a.test", RecordType::kTxt, TextData{"a"}));
  EXPECT_EQ(FindRecord(section, "a.test", RecordType::kTxt), &section.back());
}

TEST(ParseMessageTest, ReadsBackWhatWasWrittenOfEveryType) {
  Message message;
  message.id = 0xBEEF;
  message.response = message.authoritative = message.recursion_desired = true;
  message.recursion_available = message.authentic_data = message.truncated = true;
  message.rcode = Rcode::kNxDomain;
  message.opcode = 5;
  Question question;
  question.name = "example.test";
  question.type = RecordType::kTxt;
  message.questions = {question};
  SoaData soa;
  soa.primary = "ns1.example.test";
  soa.mailbox = "hostmaster.example.test";
  soa.serial = 4000000000;
  soa.minimum = 60;
  CaaData caa;
  caa.flags = 128;
  caa.tag = "issuewild";
  caa.value = "ca.example; accounturi=x";
  const std::string long_text(600, 'x');
  message.answers = {
      MakeRecord("a.test", RecordType::kA, AddressData{"192.0.2.7"}),
      MakeRecord("a.test", RecordType::kAaaa, AddressData{"2001:db8::7"}),
      MakeRecord("a.test", RecordType::kTxt, TextData{long_text}),
      MakeRecord("a.test", RecordType::kTxt, TextData{""}),
      MakeRecord("a.test", RecordType::kCname, NameData{"b.test"}),
      MakeRecord("a.test", RecordType::kCaa, caa),
      MakeRecord("a.test", static_cast<RecordType>(99), RawData{"\x01\x02"}),
  };
  message.authority = {MakeRecord("", RecordType::kNs, NameData{""}),
                       MakeRecord("example.test", RecordType::kSoa, soa)};
  CW_ASSERT_OK_AND_ASSIGN(const Message parsed, ParseMessage(BuildMessage(message)));
  EXPECT_EQ(parsed.id, 0xBEEF);
  EXPECT_TRUE(parsed.response && parsed.authoritative && parsed.truncated);
  EXPECT_TRUE(parsed.recursion_desired && parsed.recursion_available && parsed.authentic_data);
  EXPECT_EQ(parsed.rcode, Rcode::kNxDomain);
  EXPECT_EQ(parsed.opcode, 5);
  ASSERT_EQ(parsed.questions.size(), 1u);
  EXPECT_EQ(parsed.questions[0].name, "example.test");
  EXPECT_EQ(parsed.questions[0].type, RecordType::kTxt);
  ASSERT_EQ(parsed.answers.size(), message.answers.size());
  for (std::size_t i = 0; i < parsed.answers.size(); ++i) {
    EXPECT_EQ(parsed.answers[i].data, message.answers[i].data) << i;
    EXPECT_EQ(parsed.answers[i].name, "a.test");
    EXPECT_EQ(parsed.answers[i].ttl, 300u);
  }
  ASSERT_EQ(parsed.authority.size(), 2u);
  EXPECT_EQ(parsed.authority[0].name, "");
  EXPECT_EQ(parsed.authority[0].data, message.authority[0].data);
  EXPECT_EQ(parsed.authority[1].data, message.authority[1].data);
}

// What Knot 3.2 answered to a question for the SOA record of a name that does not exist.
TEST(ParseMessageTest, ReadsACompressedPacketOfARealServer) {
  const std::string packet = absl::HexStringToBytes(
      "1a2b840300010000000100010f5f61636d652d6368616c6c656e6765016e076578616d706c6504746573"
      "740000060001c01e000600010000003c0026026e73c01e0a686f73746d6173746572c01e000000010000"
      "0e1000000258000151800000003c00002904d0000000000000");
  CW_ASSERT_OK_AND_ASSIGN(const Message message, ParseMessage(packet));
  EXPECT_EQ(message.rcode, Rcode::kNxDomain);
  EXPECT_TRUE(message.authoritative);
  const Record* soa = FindRecord(message.authority, "example.test", RecordType::kSoa);
  ASSERT_NE(soa, nullptr);
  EXPECT_EQ(std::get<SoaData>(soa->data).primary, "ns.example.test");
  EXPECT_EQ(std::get<SoaData>(soa->data).mailbox, "hostmaster.example.test");
  EXPECT_EQ(std::get<SoaData>(soa->data).expire, 86400u);
}

// Fault 72.
TEST(ParseMessageTest, JoinsTheStringsOfATxtRecord) {
  const std::string packet = absl::StrCat(Header(0, 1), BuildName("t.test"),
                                          Fields(16,
                                                 "\x03"
                                                 "abc"
                                                 "\x02"
                                                 "de"));
  CW_ASSERT_OK_AND_ASSIGN(const Message message, ParseMessage(packet));
  EXPECT_EQ(std::get<TextData>(message.answers[0].data).text, "abcde");
}

TEST(ParseMessageTest, EscapesWhatWouldMakeANameAmbiguous) {
  std::string packet = absl::StrCat(Header(0, 1),
                                    std::string("\x05"
                                                "A.b\\\x01"
                                                "\x01"
                                                "C",
                                                8),
                                    std::string(1, '\0'), Fields(99, ""));
  CW_ASSERT_OK_AND_ASSIGN(const Message message, ParseMessage(packet));
  EXPECT_EQ(message.answers[0].name, "a\\046b\\092\\001.c");
}

TEST(ParseMessageTest, ExtendsTheRcodeWithTheOptRecord) {
  std::string opt = Fields(41, "");
  opt[4] = 1;
  CW_ASSERT_OK_AND_ASSIGN(
      const Message message,
      ParseMessage(absl::StrCat(Header(0, 0, 0, 1), std::string(1, '\0'), opt)));
  EXPECT_EQ(message.rcode, Rcode::kBadSig);
}

TEST(ParseMessageTest, RefusesPointersThatLoopOrGoForward) {
  // To itself, to the next octet, and two that point at each other.
  for (const std::string& name : {std::string("\xC0\x0C", 2), std::string("\xC0\x0E", 2),
                                  std::string("\x01"
                                              "a\xC0\x0C",
                                              4)}) {
    EXPECT_THAT(ParseMessage(absl::StrCat(Header(0, 1), name, Fields(99, ""))),
                StatusIs(kInvalid, HasSubstr("compression pointer")));
  }
}

TEST(ParseMessageTest, RefusesANameThatPointersMakeTooLong) {
  // Five names of 60 octets, each ending in a pointer to the one before.
  std::string packet = Header(0, 5);
  std::size_t previous = 0;
  for (int i = 0; i < 5; ++i) {
    const std::size_t start = packet.size();
    packet += absl::StrCat("\x3B", std::string(59, 'a'));
    if (i == 0) {
      packet.push_back('\0');
    } else {
      packet.push_back(static_cast<char>(0xC0 | previous >> 8));
      packet.push_back(static_cast<char>(previous & 0xFF));
    }
    packet += Fields(99, "");
    previous = start;
  }
  EXPECT_THAT(ParseMessage(packet), StatusIs(kInvalid, HasSubstr("255")));
}

TEST(ParseMessageTest, TakesANameOf255OctetsAndNoLongerOne) {
  const std::string label(63, 'a');
  const std::string longest =
      absl::StrCat(label, ".", label, ".", label, ".", std::string(61, 'b'));
  const auto parse = [](const std::string& name) {
    return ParseMessage(absl::StrCat(Header(0, 1), BuildName(name), Fields(99, "")));
  };
  CW_ASSERT_OK_AND_ASSIGN(const Message message, parse(longest));
  EXPECT_EQ(message.answers[0].name, longest);
  EXPECT_THAT(parse(longest + "b"), StatusIs(kInvalid, HasSubstr("255")));
}

TEST(ParseMessageTest, RefusesRecordsWhoseDataDoesNotFitTheirType) {
  const struct {
    int type;
    std::string data;
  } kCases[] = {
      {1, "abc"},    // A of three octets.
      {1, "abcde"},  // A of five.
      {28, "abcd"},  // AAAA of four.
      {16, ""},      // TXT without a string.
      {16,
       "\x05"
       "abc"},  // TXT string longer than the data.
      {2,
       "\x05"
       "abc"},  // NS label longer than the data.
      {2, std::string("\x01"
                      "a\0x",
                      4)},              // NS with octets after the name.
      {6, std::string("\0\0\0\0", 4)},  // SOA cut short.
      {257, std::string("\0\0", 2)},    // CAA without a tag.
      {257, std::string("\0\x09"
                        "issue",
                        7)},  // CAA tag longer than the data.
  };
  for (const auto& test : kCases) {
    EXPECT_THAT(
        ParseMessage(absl::StrCat(Header(0, 1), BuildName("t"), Fields(test.type, test.data))),
        StatusIs(kInvalid))
        << test.type << " " << absl::CHexEscape(test.data);
  }
}

TEST(ParseMessageTest, RefusesEveryPrefixOfAMessageAndWhatGoesOnAfterIt) {
  Message message;
  message.response = true;
  message.questions.emplace_back().name = "a.test";
  message.answers = {MakeRecord("a.test", RecordType::kTxt, TextData{"value"}),
                     MakeRecord("a.test", RecordType::kNs, NameData{"ns.test"})};
  const std::string packet = BuildMessage(message);
  CW_ASSERT_OK(ParseMessage(packet));
  for (std::size_t size = 0; size < packet.size(); ++size) {
    EXPECT_THAT(ParseMessage(packet.substr(0, size)), StatusIs(kInvalid)) << size;
  }
  EXPECT_THAT(ParseMessage(packet + "x"), StatusIs(kInvalid, HasSubstr("goes on")));
  EXPECT_THAT(ParseMessage(std::string(65536, '\0')), StatusIs(kInvalid, HasSubstr("65535")));
}

TEST(FindRecordTest, FindsByNameAndType) {
  const std::vector<Record> records = {
      MakeRecord("a.test", RecordType::kTxt, TextData{"1"}),
      MakeRecord("b.test", RecordType::kTxt, TextData{"2"}),
  };
  EXPECT_EQ(FindRecord(records, "b.test", RecordType::kTxt), &records[1]);
  EXPECT_EQ(FindRecord(records, "b.test", RecordType::kA), nullptr);
}

TEST(NamesTest, NameUnknownNumbersToo) {
  EXPECT_EQ(TypeName(RecordType::kCaa), "CAA");
  EXPECT_EQ(TypeName(static_cast<RecordType>(99)), "TYPE99");
  EXPECT_EQ(RcodeName(Rcode::kRefused), "REFUSED");
  EXPECT_EQ(RcodeName(Rcode::kBadTime), "BADTIME");
  EXPECT_EQ(RcodeName(static_cast<Rcode>(12)), "RCODE12");
}

}  // namespace
}  // namespace certwright::dns
