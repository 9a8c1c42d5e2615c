#include "gateway/upstream/h2/header_values.h"

#include <string>

#include <gmock/gmock.h>

namespace headgate {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

// grpc/grpc doc/PROTOCOL-HTTP2.md: TimeoutValue is at most eight digits.
TEST(HeaderValuesTest, TimeoutHasTheFinestUnitThatHoldsIt) {
  EXPECT_EQ(EncodeTimeout(absl::Nanoseconds(1)), "1n");
  EXPECT_EQ(EncodeTimeout(absl::Milliseconds(99)), "99000000n");
  EXPECT_EQ(EncodeTimeout(absl::Milliseconds(100)), "100000u");
  EXPECT_EQ(EncodeTimeout(absl::Seconds(99)), "99000000u");
  EXPECT_EQ(EncodeTimeout(absl::Seconds(100)), "100000m");
  EXPECT_EQ(EncodeTimeout(absl::Hours(24)), "86400000m");
  EXPECT_EQ(EncodeTimeout(absl::Hours(24 * 365)), "31536000S");
  EXPECT_EQ(EncodeTimeout(absl::Hours(100'000)), "6000000M");
  EXPECT_EQ(EncodeTimeout(absl::Hours(99'999'999)), "99999999H");
}

TEST(HeaderValuesTest, TimeoutIsRoundedUpAndNeverNone) {
  EXPECT_EQ(EncodeTimeout(absl::Seconds(100) + absl::Nanoseconds(1)),
            "100001m");
  EXPECT_EQ(EncodeTimeout(absl::ZeroDuration()), "1n");
  EXPECT_EQ(EncodeTimeout(-absl::Seconds(1)), "1n");
  EXPECT_EQ(EncodeTimeout(absl::InfiniteDuration()), "99999999H");
}

TEST(HeaderValuesTest, StatusMessageIsPercentDecoded) {
  EXPECT_EQ(DecodeStatusMessage("plain"), "plain");
  EXPECT_EQ(DecodeStatusMessage("%C3%A4%0a%25"), "ä\n%");
}

// "Decoders must not error; they may keep what is malformed."
TEST(HeaderValuesTest, WhatIsNotPercentEncodedStays) {
  EXPECT_EQ(DecodeStatusMessage("100% %zz %4"), "100% %zz %4");
  EXPECT_EQ(DecodeStatusMessage("%"), "%");
  EXPECT_EQ(DecodeStatusMessage("%%41"), "%A");
}

TEST(HeaderValuesTest, BinaryValuesAreBase64WithoutPadding) {
  EXPECT_EQ(EncodeBinaryValue(""), "");
  EXPECT_EQ(EncodeBinaryValue("a"), "YQ");
  EXPECT_EQ(EncodeBinaryValue("ab"), "YWI");
  EXPECT_EQ(EncodeBinaryValue("abc"), "YWJj");
  EXPECT_EQ(EncodeBinaryValue("\xFB\xFF"), "+/8");
}

TEST(HeaderValuesTest, BinaryMetadataIsTakenPaddedOrNotAndJoined) {
  Metadata metadata;
  AppendMetadata("a-bin", "YQ,YQ==, YWI", metadata);
  AppendMetadata("b-bin", "", metadata);
  AppendMetadata("c", "x, y", metadata);
  EXPECT_THAT(metadata, ElementsAre(Pair("a-bin", "a"), Pair("a-bin", "a"),
                                    Pair("a-bin", "ab"), Pair("b-bin", ""),
                                    Pair("c", "x, y")));
}

TEST(HeaderValuesTest, WhatIsNotBase64IsLeftOut) {
  Metadata metadata;
  AppendMetadata("a-bin", "*", metadata);
  AppendMetadata("a-bin", "Y", metadata);
  EXPECT_THAT(metadata, IsEmpty());
}

TEST(HeaderValuesTest, FieldsOfTheProtocolAreReserved) {
  for (const char* name : {"", ":path", "te", "content-type", "grpc-status",
                           "grpc-anything", "user-agent", "host"}) {
    EXPECT_TRUE(IsReservedHeader(name)) << name;
  }
  for (const char* name : {"authorization", "x-te", "grpc", "cookie"}) {
    EXPECT_FALSE(IsReservedHeader(name)) << name;
  }
}

}  // namespace
}  // namespace headgate
