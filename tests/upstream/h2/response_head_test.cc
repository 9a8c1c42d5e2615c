#include "gateway/upstream/h2/response_head.h"

#include <nghttp2/nghttp2.h>

#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>

namespace headgate {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

HeaderBlock Block(
    const std::vector<std::pair<std::string, std::string>>& fields,
    MetadataDelivery delivery = MetadataDelivery::kDropped) {
  HeaderBlock block(delivery);
  for (const auto& [name, value] : fields) {
    block.Add(name, value);
  }
  return block;
}

TEST(ResponseHeadTest, HeadOfGrpcIsTaken) {
  for (const char* type : {"application/grpc", "application/grpc+proto",
                           "application/grpc; charset=x"}) {
    EXPECT_TRUE(
        Block({{":status", "200"}, {"content-type", type}}).CheckHead().ok());
  }
}

// grpc/grpc doc/http-grpc-status-mapping.md.
TEST(ResponseHeadTest, HttpStatusIsTranslated) {
  const std::pair<const char*, absl::StatusCode> kTable[] = {
      {"400", absl::StatusCode::kInternal},
      {"401", absl::StatusCode::kUnauthenticated},
      {"403", absl::StatusCode::kPermissionDenied},
      {"404", absl::StatusCode::kUnimplemented},
      {"429", absl::StatusCode::kUnavailable},
      {"502", absl::StatusCode::kUnavailable},
      {"503", absl::StatusCode::kUnavailable},
      {"504", absl::StatusCode::kUnavailable},
      {"204", absl::StatusCode::kUnknown},
      {"302", absl::StatusCode::kUnknown},
      {"500", absl::StatusCode::kUnknown},
  };
  for (const auto& [status, code] : kTable) {
    HeaderBlock block =
        Block({{":status", status}, {"content-type", "text/html"}});
    EXPECT_EQ(block.CheckHead().code(), code) << status;
    EXPECT_EQ(block.TakeEnd(false).status.code(), code) << status;
  }
}

TEST(ResponseHeadTest, StatusOfGrpcWinsOverHttps) {
  const CallEnd end = Block({{":status", "503"},
                             {"grpc-status", "5"},
                             {"grpc-message", "no%20room"}})
                          .TakeEnd(false);
  EXPECT_EQ(end.status, absl::NotFoundError("no room"));
}

TEST(ResponseHeadTest, OtherContentTypesAreNamed) {
  const absl::Status status =
      Block({{":status", "200"}, {"content-type", "text/html\xFF"}})
          .CheckHead();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnknown);
  EXPECT_THAT(std::string(status.message()), HasSubstr("text/html"));
  EXPECT_EQ(Block({{":status", "200"}}).CheckHead().code(),
            absl::StatusCode::kUnknown);
}

TEST(ResponseHeadTest, TrailersTellTheStatusAndItsDetails) {
  const CallEnd end =
      Block({{"grpc-status", "9"}, {"grpc-status-details-bin", "YQ"}})
          .TakeEnd(true);
  EXPECT_EQ(end.status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(end.details, "a");
}

TEST(ResponseHeadTest, TrailersWithoutAStatusAreUnknown) {
  EXPECT_EQ(Block({{"x", "y"}}).TakeEnd(true).status.code(),
            absl::StatusCode::kUnknown);
}

TEST(ResponseHeadTest, StatusThatIsNoNumberIsUnknown) {
  for (const char* value : {"", "x", "-1", "17", "99999999999"}) {
    EXPECT_EQ(Block({{"grpc-status", value}}).TakeEnd(true).status.code(),
              absl::StatusCode::kUnknown)
        << value;
  }
}

// The last one could turn a failure into OK.
TEST(ResponseHeadTest, SeveralStatusesAreAFaultOfTheBackend) {
  for (const char* second : {"0", "5"}) {
    const CallEnd end =
        Block({{"grpc-status", "5"}, {"grpc-status", second}}).TakeEnd(true);
    EXPECT_EQ(end.status.code(), absl::StatusCode::kInternal);
    EXPECT_THAT(std::string(end.status.message()), HasSubstr("more than one"));
  }
}

TEST(ResponseHeadTest, MetadataIsKeptOnlyWhereItIsWanted) {
  const std::vector<std::pair<std::string, std::string>> fields = {
      {":status", "200"},
      {"content-type", "application/grpc"},
      {"grpc-foo", "x"},
      {"x-a", "1"},
      {"x-b-bin", "YQ"}};
  EXPECT_THAT(Block(fields).TakeMetadata(), IsEmpty());
  EXPECT_THAT(Block(fields, MetadataDelivery::kDelivered).TakeMetadata(),
              ElementsAre(Pair("x-a", "1"), Pair("x-b-bin", "a")));
}

// Dropped fields count as well (RFC 9113 section 6.5.2).
TEST(ResponseHeadTest, FieldsAreCountedAndNotKeptBeyondTheLimit) {
  HeaderBlock block(MetadataDelivery::kDelivered);
  const std::size_t most = kMaxHeaderListBytes / 33;
  for (std::size_t i = 0; i < most; ++i) block.Add("x", "");
  EXPECT_EQ(block.bytes(), 33 * most);
  EXPECT_FALSE(block.is_too_long());
  block.Add("y", "");
  block.Add("z", std::string(1000, 'x'));
  EXPECT_EQ(block.bytes(), 33 * most + 33 + 1033);
  EXPECT_TRUE(block.is_too_long());
  EXPECT_THAT(block.TakeMetadata(), ::testing::SizeIs(most));
}

// grpc/grpc doc/PROTOCOL-HTTP2.md, "Errors".
TEST(ResponseHeadTest, ResetIsTranslated) {
  const std::pair<std::uint32_t, absl::StatusCode> kTable[] = {
      {NGHTTP2_NO_ERROR, absl::StatusCode::kInternal},
      {NGHTTP2_PROTOCOL_ERROR, absl::StatusCode::kInternal},
      {NGHTTP2_INTERNAL_ERROR, absl::StatusCode::kInternal},
      {NGHTTP2_REFUSED_STREAM, absl::StatusCode::kUnavailable},
      {NGHTTP2_CANCEL, absl::StatusCode::kCancelled},
      {NGHTTP2_ENHANCE_YOUR_CALM, absl::StatusCode::kResourceExhausted},
      {NGHTTP2_INADEQUATE_SECURITY, absl::StatusCode::kPermissionDenied},
      {0xFFFF'FFFF, absl::StatusCode::kUnknown},
  };
  for (const auto& [error_code, code] : kTable) {
    EXPECT_EQ(StatusForReset(error_code).code(), code) << error_code;
  }
}

}  // namespace
}  // namespace headgate
