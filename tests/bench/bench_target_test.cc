#include <string>
#include <variant>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cmd/headgate/bench/target.h"

namespace headgate {
namespace {

using ::testing::HasSubstr;

TEST(BenchTargetTest, WebSocketUrlsAreThoseOfDial) {
  const auto target = ParseBenchTarget("ws://a:1/x?y=z");
  ASSERT_TRUE(target.ok()) << target.status();
  EXPECT_EQ(std::get<WsUrl>(*target).target, "/x?y=z");
  const auto secured = ParseBenchTarget("wss://a/");
  ASSERT_TRUE(secured.ok()) << secured.status();
  EXPECT_EQ(std::get<WsUrl>(*secured).security, WsUrl::Security::kTls);
  const auto file = ParseBenchTarget("ws+unix:/run/a.sock:/x");
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(std::get<WsUrl>(*file).socket, "/run/a.sock");
}

TEST(BenchTargetTest, GrpcUrlsNameServerAndMethod) {
  const auto target = ParseBenchTarget("GRPC://[::1]:50051/a.B/C");
  ASSERT_TRUE(target.ok()) << target.status();
  EXPECT_EQ(std::get<GrpcTarget>(*target).address, "[::1]:50051");
  EXPECT_EQ(std::get<GrpcTarget>(*target).method, "/a.B/C");
}

TEST(BenchTargetTest, RefusesOtherGrpcUrls) {
  for (const char* url :
       {"grpc://", "grpc://a/b.C/D", "grpc://a:1", "grpc://a:1/",
        "grpc://a:1/b", "grpc://a:1/b/", "grpc://a:1//b", "grpc://a:1/b/c/d",
        "grpc://a:1/b/c?d", "grpc://a:0/b/c", "grpc://u@a:1/b/c"}) {
    EXPECT_THAT(std::string(ParseBenchTarget(url).status().message()),
                HasSubstr("must be grpc://HOST:PORT/package.Service/Method"))
        << url;
  }
}

TEST(BenchTargetTest, HttpUrlsAreOfMethods) {
  const auto target = ParseBenchTarget("http://a:1/p.S/M");
  ASSERT_TRUE(target.ok()) << target.status();
  EXPECT_EQ(std::get<HttpMethodTarget>(*target).url.authority, "a:1");
  EXPECT_EQ(std::get<HttpMethodTarget>(*target).url.target, "/p.S/M");
  EXPECT_THAT(std::string(ParseBenchTarget("http://").status().message()),
              HasSubstr("must be http://HOST[:PORT]/PATH"));
}

TEST(BenchTargetTest, HttpsIsTheSameWithTls) {
  const auto target = ParseBenchTarget("https://a/p.S/M");
  ASSERT_TRUE(target.ok()) << target.status();
  const WsUrl& url = std::get<HttpMethodTarget>(*target).url;
  EXPECT_EQ(url.security, WsUrl::Security::kTls);
  EXPECT_EQ(url.port, "443");
}

TEST(BenchTargetTest, RefusesOtherSchemes) {
  EXPECT_EQ(ParseBenchTarget("ftp://a/").status().message(),
            "'ftp://a/': must start with ws://, wss://, ws+unix:, http://, "
            "https:// or grpc://");
}

}  // namespace
}  // namespace headgate
