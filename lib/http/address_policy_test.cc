#include "lib/http/address_policy.h"

#include <ostream>

#include "gtest/gtest.h"

namespace certwright::http {

void PrintTo(AddressClass value, std::ostream* out) {
  static constexpr const char* kNames[] = {"public", "loopback", "private", "reserved",
                                           "invalid"};
  *out << kNames[static_cast<int>(value)];
}

namespace {

struct Case {
  const char* ip;
  AddressClass want;
};

class AddressPolicyTest : public testing::TestWithParam<Case> {};

TEST_P(AddressPolicyTest, ClassifiesAsItsBlockSays) {
  EXPECT_EQ(Classify(GetParam().ip), GetParam().want) << GetParam().ip;
}

constexpr Case kCases[] = {
    {"8.8.8.8", AddressClass::kPublic},
    {"1.1.1.1", AddressClass::kPublic},
    {"100.63.255.255", AddressClass::kPublic},
    {"100.128.0.0", AddressClass::kPublic},
    {"172.15.255.255", AddressClass::kPublic},
    {"172.32.0.0", AddressClass::kPublic},
    {"192.0.1.0", AddressClass::kPublic},
    {"223.255.255.255", AddressClass::kPublic},
    {"2606:4700::1111", AddressClass::kPublic},
    {"2001:4860:4860::8888", AddressClass::kPublic},
    {"::ffff:8.8.8.8", AddressClass::kPublic},
    {"64:ff9b::808:808", AddressClass::kPublic},
    {"2002:808:808::1", AddressClass::kPublic},
    {"127.0.0.1", AddressClass::kLoopback},
    {"127.255.255.255", AddressClass::kLoopback},
    {"::1", AddressClass::kLoopback},
    {"::ffff:127.0.0.1", AddressClass::kLoopback},
    {"::127.0.0.1", AddressClass::kLoopback},
    {"64:ff9b::7f00:1", AddressClass::kLoopback},
    {"10.0.0.0", AddressClass::kPrivate},
    {"10.255.255.255", AddressClass::kPrivate},
    {"172.16.0.1", AddressClass::kPrivate},
    {"172.31.255.255", AddressClass::kPrivate},
    {"192.168.1.1", AddressClass::kPrivate},
    {"169.254.169.254", AddressClass::kPrivate},
    {"100.64.0.1", AddressClass::kPrivate},
    {"100.127.255.255", AddressClass::kPrivate},
    {"::ffff:10.1.2.3", AddressClass::kPrivate},
    {"2002:a01:203::1", AddressClass::kPrivate},
    {"fd00:ec2::254", AddressClass::kPrivate},
    {"fc00::1", AddressClass::kPrivate},
    {"fe80::1", AddressClass::kPrivate},
    {"fe80::1%lo", AddressClass::kPrivate},
    {"febf::1", AddressClass::kPrivate},
    {"fec0::1", AddressClass::kPrivate},
    {"64:ff9b:1::1", AddressClass::kPrivate},
    {"0.0.0.0", AddressClass::kReserved},
    {"::", AddressClass::kReserved},
    {"192.0.2.1", AddressClass::kReserved},
    {"198.18.0.1", AddressClass::kReserved},
    {"198.19.255.255", AddressClass::kReserved},
    {"198.51.100.7", AddressClass::kReserved},
    {"203.0.113.7", AddressClass::kReserved},
    {"224.0.0.1", AddressClass::kReserved},
    {"239.255.255.250", AddressClass::kReserved},
    {"255.255.255.255", AddressClass::kReserved},
    {"ff02::1", AddressClass::kReserved},
    {"2001:db8::1", AddressClass::kReserved},
    {"2001::1", AddressClass::kReserved},
    {"3fff::1", AddressClass::kReserved},
    {"4000::1", AddressClass::kReserved},
    {"100::1", AddressClass::kReserved},
    {"", AddressClass::kInvalid},
    {"example.com", AddressClass::kInvalid},
    {"1.2.3", AddressClass::kInvalid},
    {"1.2.3.4.5", AddressClass::kInvalid},
    {"127.1", AddressClass::kInvalid},
    {"0x7f.0.0.1", AddressClass::kInvalid},
    {"[::1]", AddressClass::kInvalid},
    {"8.8.8.8:80", AddressClass::kInvalid},
};

INSTANTIATE_TEST_SUITE_P(Blocks, AddressPolicyTest, testing::ValuesIn(kCases));

}  // namespace
}  // namespace certwright::http
