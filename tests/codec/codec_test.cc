#include "gateway/codec/codec.h"

#include <gtest/gtest.h>

namespace headgate {
namespace {

TEST(CodecTest, EachKindHasItsNameAndSubprotocol) {
  const struct {
    CodecKind kind;
    const char* name;
    const char* subprotocol;
  } table[] = {
      {CodecKind::kPacket, "packet", "headgate.packet.v1"},
      {CodecKind::kJson, "json", "headgate.json.v1"},
      {CodecKind::kProtobuf, "protobuf", "headgate.protobuf.v1"},
      {CodecKind::kRaw, "raw", "headgate.raw.v1"},
  };
  for (const auto& row : table) {
    EXPECT_EQ(CodecName(row.kind), row.name);
    EXPECT_EQ(SubprotocolOf(row.kind), row.subprotocol);
    EXPECT_EQ(CodecFromName(row.name), row.kind);
    EXPECT_EQ(CodecFromSubprotocol(row.subprotocol), row.kind);
  }
}

// RFC 6455 section 11.5 leaves subprotocols to be compared exactly.
TEST(CodecTest, OtherNamesAreNoCodec) {
  for (const char* name : {"", "Packet", "auto", "headgate.packet.v1"}) {
    EXPECT_EQ(CodecFromName(name), std::nullopt) << name;
  }
  for (const char* name : {"", "packet", "headgate.packet.v2", "Bearer",
                           "HEADGATE.PACKET.V1", "headgate.packet.v1 "}) {
    EXPECT_EQ(CodecFromSubprotocol(name), std::nullopt) << name;
  }
}

}  // namespace
}  // namespace headgate
