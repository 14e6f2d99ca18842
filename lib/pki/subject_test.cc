#include "lib/pki/subject.h"

#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "gtest/gtest.h"
#include "lib/base/status_matchers.h"

namespace certwright::pki {
namespace {

using base::StatusIs;
using testing::AllOf;
using testing::HasSubstr;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

const std::string kControls[] = {
    std::string(1, '\0'), "\n", "\r", "\t", "\x1b", "\x7f", "\xc2\x80", "\xc2\x85", "\xc2\x9f"};

// A subject with `text` in its O, as nothing here makes one.
std::string WithInO(const std::string& text) {
  const std::string place(text.size(), '@');
  return absl::StrReplaceAll(*EncodeLiteralSubject(absl::StrCat("CN=x,O=a", place, "b")),
                             {{place, text}});
}

std::string Hex(absl::string_view text) {
  absl::StatusOr<std::string> der = EncodeLiteralSubject(text);
  return der.ok() ? absl::BytesToHexString(*der) : der.status().ToString();
}

TEST(SubjectTest, PartsSurviveTheRoundTrip) {
  Subject subject;
  subject.common_name = "www.example.com";
  subject.organizations = {"A", "B"};
  subject.countries = {"DE"};
  subject.serial_number = "42";
  CW_ASSERT_OK_AND_ASSIGN(std::string der, EncodeSubject(subject));
  CW_ASSERT_OK_AND_ASSIGN(Subject again, DecodeSubject(der));
  EXPECT_EQ(again, subject);
}

TEST(SubjectTest, NoPartsAreTheEmptyName) {
  CW_ASSERT_OK_AND_ASSIGN(std::string der, EncodeSubject({}));
  EXPECT_EQ(der, std::string("\x30\x00", 2));
  EXPECT_THAT(DecodeSubject(der + "x"), StatusIs(kInvalid));
  EXPECT_THAT(DecodeSubject("nonsense"), StatusIs(kInvalid));
}

TEST(LiteralSubjectTest, LastRelativeNameIsEncodedFirst) {
  // DC as IA5String (RFC 4519 §2.4), CN as UTF8String.
  EXPECT_EQ(Hex("CN=ab,DC=com"),
            "3022"
            "31133011"
            "060a0992268993f22c64011916"
            "03636f6d"
            "310b3009"
            "06035504030c02"
            "6162");
}

TEST(LiteralSubjectTest, PlusJoinsPartsIntoOneRelativeName) {
  CW_ASSERT_OK_AND_ASSIGN(std::string joined, EncodeLiteralSubject("CN=x,OU=a+L=b,C=DE"));
  CW_ASSERT_OK_AND_ASSIGN(std::string apart, EncodeLiteralSubject("CN=x,OU=a,L=b,C=DE"));
  EXPECT_NE(joined, apart);
  // DER sorts what a SET OF holds, so the order of writing does not matter.
  EXPECT_EQ(Hex("CN=x,L=b+OU=a,C=DE"), absl::BytesToHexString(joined));
  CW_ASSERT_OK_AND_ASSIGN(Subject subject, DecodeSubject(joined));
  EXPECT_EQ(subject.organizational_units, std::vector<std::string>{"a"});
  EXPECT_EQ(subject.localities, std::vector<std::string>{"b"});
}

TEST(LiteralSubjectTest, EveryTypeIsKnown) {
  CW_ASSERT_OK_AND_ASSIGN(
      std::string der,
      EncodeLiteralSubject("cn=a,C=DE,O=o,Ou=u,L=l,ST=s,street=Road 1,POSTALCODE=1,"
                           "serialNumber=7,DC=example,UID=jo,1.2.3.4=own,2.5.4.12=Title"));
  CW_ASSERT_OK_AND_ASSIGN(Subject subject, DecodeSubject(der));
  EXPECT_EQ(subject.common_name, "a");
  EXPECT_EQ(subject.street_addresses, std::vector<std::string>{"Road 1"});
  EXPECT_EQ(subject.postal_codes, std::vector<std::string>{"1"});
  EXPECT_EQ(subject.serial_number, "7");
  EXPECT_EQ(Hex("2.5.4.3=a"), Hex("CN=a"));
}

// Fault 118.
TEST(SubjectTest, ControlCharactersAreRefusedWhereverTheyStand) {
  for (const std::string& control : kControls) {
    Subject subject;
    subject.common_name = control;
    EXPECT_THAT(EncodeSubject(subject), StatusIs(kInvalid, HasSubstr("common name")));
    for (auto part : {&Subject::organizations, &Subject::localities, &Subject::provinces}) {
      Subject other;
      other.*part = {"a", absl::StrCat("b", control)};
      EXPECT_THAT(CheckSubject(other), StatusIs(kInvalid)) << absl::CHexEscape(control);
    }
    EXPECT_THAT(DecodeSubject(WithInO(control)),
                StatusIs(kInvalid, HasSubstr("subject's O has a control character")));
  }
  EXPECT_THAT(EncodeLiteralSubject("CN=a\\0Ab"), StatusIs(kInvalid, HasSubstr("(CN)")));
  EXPECT_THAT(EncodeLiteralSubject("1.2.3.4=a\\7F"), StatusIs(kInvalid));
  Subject plain;
  plain.common_name = "K\xc3\xb6ln \xe2\x82\xac\xc2\xa0 ~";
  CW_EXPECT_OK(CheckSubject(plain));
}

TEST(SubjectTest, EveryAttributeIsListedWhateverItsTypeAndPlace) {
  CW_ASSERT_OK_AND_ASSIGN(const std::string der,
                          EncodeLiteralSubject("CN=K\\C3\\B6ln,OU=a+1.2.3.4=b,O=y,O=x"));
  CW_ASSERT_OK_AND_ASSIGN(const std::vector<SubjectAttribute> attributes,
                          SubjectAttributesOf(der));
  EXPECT_THAT(attributes, testing::UnorderedElementsAreArray(
                              std::vector<SubjectAttribute>{{"2.5.4.10", "x"},
                                                            {"2.5.4.10", "y"},
                                                            {"2.5.4.11", "a"},
                                                            {"1.2.3.4", "b"},
                                                            {"2.5.4.3", "K\xc3\xb6ln"}}));
}

TEST(SubjectTest, AttributesThatAreNoPlainTextAreNamed) {
  for (const std::string& control : kControls) {
    EXPECT_THAT(SubjectAttributesOf(WithInO(control)),
                StatusIs(kInvalid, HasSubstr("subject's O is no plain text")));
  }
  EXPECT_THAT(SubjectAttributesOf("no DER"), StatusIs(kInvalid, HasSubstr("no DER")));
}

TEST(LiteralSubjectTest, EscapesStandForCharacters) {
  for (auto [text, value] : {std::pair{R"(CN=a\,b\+c\"d\\e\<f\>g\;h)", R"(a,b+c"d\e<f>g;h)"},
                             {R"(CN=a\2Cb)", "a,b"},
                             {R"(CN=\#a\=b)", "#a=b"},
                             {R"(CN=\ a\ )", " a "},
                             {R"(CN=K\C3\B6ln)", "K\xc3\xb6ln"},
                             {"CN=K\xc3\xb6ln", "K\xc3\xb6ln"},
                             {"CN=a=b c#d", "a=b c#d"},
                             {"O=x, CN=a b", "a b"}}) {
    CW_ASSERT_OK_AND_ASSIGN(std::string der, EncodeLiteralSubject(text));
    EXPECT_EQ(DecodeSubject(der)->common_name, value) << text;
  }
}

TEST(LiteralSubjectTest, SaysWhichPartBreaksWhichRule) {
  for (auto [text, part, rule] : std::vector<std::tuple<std::string, std::string, std::string>>{
           {"", "part 1", "no \"=\""},
           {"CN=a,", "part 2", "no \"=\""},
           {"CN=a,foo", "part 2", "no \"=\""},
           {"CN=a,E=x", "part 2", "type \"E\""},
           {"CN=a,1.x=b", "part 2", "type \"1.x\""},
           {"CN=a,3.1=b", "part 2", "type \"3.1\""},
           {"CN=a,O=", "part 2 (O)", "no value"},
           {"CN=#0403", "part 1 (CN)", "#hex"},
           {"CN= a", "part 1 (CN)", "space first"},
           {"CN=a ,O=b", "part 1 (CN)", "space last"},
           {"CN=a;O=b", "part 1 (CN)", "without a \"\\\""},
           {"CN=\"a\"", "part 1 (CN)", "without a \"\\\""},
           {"CN=a\\", "part 1 (CN)", "two hex digits"},
           {"CN=a\\4", "part 1 (CN)", "two hex digits"},
           {"CN=a\\xy", "part 1 (CN)", "two hex digits"},
           {"CN=\\ff", "part 1 (CN)", "UTF-8"},
           {"CN=a\\00b", "part 1 (CN)", "NUL"},
           {"O=a,C=DEU", "part 2 (C)", "too long"},
           {"OU=a+OU=b", "part 2 (OU)", "same type"},
           {"CN=a,CN=b", "subject", "more than one common name"},
       }) {
    EXPECT_THAT(EncodeLiteralSubject(text),
                StatusIs(kInvalid, AllOf(HasSubstr(part), HasSubstr(rule))))
        << text;
  }
}

TEST(LiteralSubjectTest, SizesAreCapped) {
  EXPECT_THAT(EncodeLiteralSubject("CN=" + std::string(4096, 'a')),
              StatusIs(kInvalid, HasSubstr("4096")));
  CW_EXPECT_OK(EncodeLiteralSubject(absl::StrJoin(std::vector<std::string>(64, "O=a"), ",")));
  EXPECT_THAT(EncodeLiteralSubject(absl::StrJoin(std::vector<std::string>(65, "O=a"), ",")),
              StatusIs(kInvalid, HasSubstr("more than 64 parts")));
}

}  // namespace
}  // namespace certwright::pki
