#include "gateway/base/metadata.h"

#include <gtest/gtest.h>

namespace headgate {
namespace {

// grpc/grpc doc/PROTOCOL-HTTP2.md: Header-Name -> 1*( %x30-39 / %x61-7A / "_" /
// "-" / ".").
TEST(MetadataTest, KeyIsLowerCaseLettersDigitsAndThreeMarks) {
  for (const char* key : {"a", "x-request-id", "token-bin", "a.b_c-9", "0"}) {
    EXPECT_TRUE(IsMetadataKey(key)) << key;
  }
  for (const char* key : {"", "X-Request-Id", ":path", "a b", "a\n",
                          "sch\xC3\xB6n", "a,b", "-bin"}) {
    EXPECT_FALSE(IsMetadataKey(key)) << key;
  }
}

// ASCII-Value -> 1*( %x20-%x7E ); a NUL, a line break or a byte of UTF-8 would
// make gRPC refuse the call.
TEST(MetadataTest, ValueIsPrintableAscii) {
  EXPECT_TRUE(IsMetadataValue(""));
  EXPECT_TRUE(IsMetadataValue(" all of it, from \x20 to ~ "));
  EXPECT_FALSE(IsMetadataValue("a\r\nb"));
  EXPECT_FALSE(IsMetadataValue("tab\t"));
  EXPECT_FALSE(IsMetadataValue("\x7F"));
  EXPECT_FALSE(IsMetadataValue("sch\xC3\xB6n"));
  EXPECT_FALSE(IsMetadataValue(absl::string_view("\0", 1)));
}

// RFC 9113 section 10.5.1: 32 bytes for each field besides its own.
TEST(MetadataTest, HeaderListIsCountedAsHttp2Does) {
  EXPECT_EQ(HeaderListBytes({}), 0u);
  EXPECT_EQ(HeaderListBytes({{"ab", "cde"}}), 37u);
  EXPECT_EQ(HeaderListBytes({{"ab", ""}, {"ab", ""}}), 68u);
  EXPECT_EQ(HeaderListBytes({{"a-bin", std::string(4, '\0')}}), 32u + 5 + 8);
}

}  // namespace
}  // namespace headgate
