#include "gateway/codec/grpc_fields.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace headgate {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

// grpc/grpc doc/PROTOCOL-HTTP2.md, "Status-Message".
TEST(GrpcFieldsTest, OnlyWhatGrpcAsksForIsPercentEncoded) {
  EXPECT_EQ(EncodeStatusMessage("a b/c?d&e=f\"~"), "a b/c?d&e=f\"~");
  EXPECT_EQ(EncodeStatusMessage("100%"), "100%25");
  EXPECT_EQ(EncodeStatusMessage("a\r\nb\x7F"), "a%0D%0Ab%7F");
  EXPECT_EQ(EncodeStatusMessage("\xC3\xA4"), "%C3%A4");
}

// decodeURIComponent throws on what is not UTF-8.
TEST(GrpcFieldsTest, AMessageIsUtf8) {
  EXPECT_EQ(EncodeStatusMessage("a\xFFz"), "a?z");
}

TEST(GrpcFieldsTest, BinaryMetadataIsBase64WithoutPadding) {
  EXPECT_THAT(
      FieldsOf({{"a", "1"}, {"b-bin", "x"}, {"c-bin", ""}}),
      ElementsAre(Pair("a", "1"), Pair("b-bin", "eA"), Pair("c-bin", "")));
}

TEST(GrpcFieldsTest, MetadataThatIsNoFieldIsLeftOut) {
  EXPECT_THAT(FieldsOf({{"a", "\xC3\xA4"}, {"b", "1\r\n2"}, {"C d", "3"}}),
              IsEmpty());
}

TEST(GrpcFieldsTest, TheHeadOfAResponseFramesItself) {
  EXPECT_THAT(ForResponseHead({{"content-length", "3"},
                               {"connection", "close"},
                               {"access-control-allow-origin", "*"},
                               {"grpc-encoding", "br"},
                               {"grpc-status", "5"},
                               {"x", "y"}}),
              ElementsAre(Pair("grpc-status", "5"), Pair("x", "y")));
  EXPECT_THAT(ForResponseHead({{"a", "b"}, {"long", std::string(9000, 'x')}}),
              ElementsAre(Pair("a", "b")));
}

TEST(GrpcFieldsTest, AStatusComesBeforeTheTrailers) {
  EXPECT_THAT(StatusFields({absl::OkStatus(), "", {{"t", "1"}}}),
              ElementsAre(Pair("grpc-status", "0"), Pair("t", "1")));
  EXPECT_THAT(
      StatusFields({absl::NotFoundError("gone"), "\x08\x05", {{"t", "1"}}}),
      ElementsAre(Pair("grpc-status", "5"), Pair("grpc-message", "gone"),
                  Pair("grpc-status-details-bin", "CAU"), Pair("t", "1")));
}

TEST(GrpcFieldsTest, LinesEndAsInHttp) {
  EXPECT_EQ(FieldLines({{"a", "1"}, {"b", ""}}), "a: 1\r\nb: \r\n");
  EXPECT_EQ(FieldLines({}), "");
}

}  // namespace
}  // namespace headgate
