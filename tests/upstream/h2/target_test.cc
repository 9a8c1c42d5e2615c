#include "gateway/upstream/h2/target.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>

namespace headgate {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<std::string> Parsed(const std::string& text) {
  const auto target = ParseH2Target(text);
  EXPECT_TRUE(target.ok()) << text;
  std::vector<std::string> endpoints;
  if (!target.ok()) return endpoints;
  for (const H2Endpoint& endpoint : target->endpoints) {
    endpoints.push_back(FormatEndpoint(endpoint));
  }
  return endpoints;
}

// grpc/grpc doc/naming.md.
TEST(H2TargetTest, AddressesNeedNoLookUp) {
  EXPECT_THAT(Parsed("127.0.0.1:50051"), ElementsAre("127.0.0.1:50051"));
  EXPECT_THAT(Parsed("[::1]:1"), ElementsAre("[::1]:1"));
  EXPECT_THAT(Parsed("dns:///10.0.0.1:80"), ElementsAre("10.0.0.1:80"));
  EXPECT_THAT(Parsed("ipv4:10.0.0.1:80,10.0.0.2:81"),
              ElementsAre("10.0.0.1:80", "10.0.0.2:81"));
  EXPECT_THAT(Parsed("ipv6:[::1]:80,[::2]:81"),
              ElementsAre("[::1]:80", "[::2]:81"));
}

TEST(H2TargetTest, NamesAreLookedUp) {
  for (const char* text : {"chat.internal:80", "dns:chat.internal:80",
                           "dns:///chat.internal:80"}) {
    const auto target = ParseH2Target(text);
    ASSERT_TRUE(target.ok()) << text;
    EXPECT_THAT(target->endpoints, IsEmpty());
    EXPECT_EQ(target->host, "chat.internal");
    EXPECT_EQ(target->port, "80");
    EXPECT_EQ(target->authority, "chat.internal:80");
  }
}

TEST(H2TargetTest, PortIs443UnlessNamed) {
  EXPECT_EQ(ParseH2Target("chat")->port, "443");
  EXPECT_THAT(Parsed("10.0.0.1"), ElementsAre("10.0.0.1:443"));
}

TEST(H2TargetTest, SocketFilesAreTargets) {
  EXPECT_THAT(Parsed("unix:/run/x"), ElementsAre("unix:/run/x"));
  EXPECT_THAT(Parsed("unix:///run/x"), ElementsAre("unix:/run/x"));
  EXPECT_THAT(Parsed("unix:run/x"), ElementsAre("unix:run/x"));
  EXPECT_THAT(Parsed("unix-abstract:x"), ElementsAre("unix-abstract:x"));
  EXPECT_EQ(ParseH2Target("unix:/run/x")->authority, "localhost");
}

TEST(H2TargetTest, WhatIsNoTargetIsSaid) {
  for (const std::string& text :
       {std::string(), std::string(":80"), std::string("a:b"),
        std::string("a:0"), std::string("a:65536"), std::string("a:1:2"),
        std::string("[::1"), std::string("[::1]80"), std::string("unix:"),
        "unix:/" + std::string(200, 'x'), std::string("ipv4:"),
        std::string("ipv4:name:80"), std::string("ipv4:1.2.3.4:80,"),
        std::string("nowhere:///%%%"), std::string("a b:80")}) {
    EXPECT_EQ(ParseH2Target(text).status().code(),
              absl::StatusCode::kInvalidArgument)
        << text;
  }
}

}  // namespace
}  // namespace headgate
