#include "gateway/route/route.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace headgate {
namespace {

using ::testing::ElementsAre;

TEST(MethodPathTest, TellsMethodPathsFromOthers) {
  EXPECT_TRUE(IsMethodPath("/package.Service/Method"));
  EXPECT_TRUE(IsMethodPath("/a.b.c_1.Service/_Method"));
  EXPECT_TRUE(IsMethodPath("/Service/Method"));  // No package.

  for (const char* path :
       {"", "/", "a.S/M", "/a.S", "/a.S/", "//M", "/a.S/M/", "/a.S/M/x",
        "/.S/M", "/a..S/M", "/a./M", "/1a.S/M", "/a.S/1M", "/a.S/M.x", "/a b/M",
        "/a.S/M\n", "/a.S/M?x", "/a-b.S/M"}) {
    EXPECT_FALSE(IsMethodPath(path)) << path;
  }
}

Route WithPath(const std::string& path, const std::string& method) {
  Route route;
  route.path = path;
  route.method = method;
  return route;
}

TEST(RouterTest, AnExactPathLeadsToItsMethod) {
  const Router router({WithPath("/chat", "/a.Chat/Join")});
  const auto match = router.Find("/chat");
  ASSERT_TRUE(match);
  EXPECT_EQ(match->method, "/a.Chat/Join");
  EXPECT_EQ(match->route->path, "/chat");
  EXPECT_FALSE(router.Find("/chat/"));
  EXPECT_FALSE(router.Find("/Chat"));
}

TEST(RouterTest, TheFirstOfTwoEqualPathsWins) {
  const Router router({WithPath("/x", "/a.S/One"), WithPath("/x", "/a.S/Two")});
  EXPECT_EQ(router.Find("/x")->method, "/a.S/One");
}

TEST(RouterTest, ARouteWithoutPathServesEveryMethodPath) {
  const Router router({Route{}});
  EXPECT_EQ(router.Find("/a.S/M")->method, "/a.S/M");
  EXPECT_FALSE(router.Find("/a.S"));
  EXPECT_FALSE(router.Find("/"));
}

TEST(RouterTest, WithoutSuchARouteMethodPathsAreNotServed) {
  const Router router({WithPath("/x", "/a.S/M")});
  EXPECT_FALSE(router.Find("/a.S/M"));
}

// The gateway's own services bring their codec along.
TEST(RouterTest, ThePacketServiceIsAPacketRoute) {
  const Router router({Route{}});
  const auto match = router.Find("/headgate.v1.PacketService/Connect");
  ASSERT_TRUE(match);
  EXPECT_EQ(match->route->codec, std::nullopt);
  EXPECT_EQ(match->route->binary_codec, CodecKind::kPacket);
  EXPECT_THAT(
      match->route->allowed_codecs,
      ElementsAre(CodecKind::kPacket, CodecKind::kJson, CodecKind::kProtobuf));
}

TEST(RouterTest, TheMessageServiceIsARawRoute) {
  const Router router({Route{}});
  const auto match = router.Find("/headgate.v1.MessageService/Connect");
  ASSERT_TRUE(match);
  EXPECT_EQ(match->route->codec, CodecKind::kRaw);
}

TEST(RouterTest, OtherMethodsAreNeverPacketsOrPlainMessages) {
  const Router router({Route{}});
  EXPECT_THAT(router.Find("/a.S/M")->route->allowed_codecs,
              ElementsAre(CodecKind::kJson, CodecKind::kProtobuf));
}

// What a route says of its codec stays.
TEST(RouterTest, ACodecThatWasSetIsKept) {
  Route json;
  json.codec = CodecKind::kJson;
  const Router router({json});
  EXPECT_EQ(router.Find("/headgate.v1.MessageService/Connect")->route->codec,
            CodecKind::kJson);
}

}  // namespace
}  // namespace headgate
