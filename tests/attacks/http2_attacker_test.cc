#include "tests/attacks/http2_attacker.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace certwright::attacks {
namespace {

using testing::Field;
using testing::Optional;

// RFC 7541, appendix C.1.
TEST(HpackTest, IntegersAreThoseOfTheRfc) {
  EXPECT_EQ(HpackInteger(10, 5, 0), "\x0a");
  EXPECT_EQ(HpackInteger(1337, 5, 0), "\x1f\x9a\x0a");
  EXPECT_EQ(HpackInteger(42, 8, 0), "\x2a");
  EXPECT_EQ(HpackInteger(1337, 5, 0, /*padding=*/0), HpackInteger(1337, 5, 0));
}

TEST(HpackTest, TheDecoderReadsWhatIsWritten) {
  HpackDecoder decoder;
  const auto is = [](const std::string& name, const std::string& value) {
    return testing::AllOf(Field(&Header::name, name), Field(&Header::value, value));
  };
  // The index is of ":method: POST"; 62 is the newest of the dynamic table.
  EXPECT_THAT(decoder.Decode(TableSizeUpdate(100) + IndexedField(3) + Literal("a", "b") +
                             LiteralIndexed("c", std::string(200, 'd'))),
              Optional(testing::ElementsAre(is(":method", "POST"), is("a", "b"),
                                            is("c", std::string(200, 'd')))));
  EXPECT_THAT(decoder.Decode(LiteralIndexed("e", "f") + IndexedField(62)),
              Optional(testing::ElementsAre(is("e", "f"), is("e", "f"))));
  EXPECT_EQ(decoder.Decode(IndexedField(100)), std::nullopt);
}

TEST(FrameTest, FramesAreThoseOfTheRfc) {
  EXPECT_EQ(Serialize({FrameType::kRstStream, 0, 3, Number32(8)}),
            std::string("\0\0\4\3\0\0\0\0\3\0\0\0\10", 13));
  EXPECT_EQ(Serialize(SettingsFrame({{kInitialWindowSize, 65'536}})),
            std::string("\0\0\6\4\0\0\0\0\0\0\4\0\1\0\0", 15));
}

TEST(FrameTest, MessagesHaveTheirLengthOrAnother) {
  EXPECT_EQ(GrpcMessage("ab"), std::string("\0\0\0\0\2ab", 7));
  EXPECT_EQ(GrpcMessage("ab", 256), std::string("\0\0\0\1\0ab", 7));
}

}  // namespace
}  // namespace certwright::attacks
