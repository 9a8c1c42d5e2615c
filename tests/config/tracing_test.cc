#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "gateway/config/collector_url.h"
#include "tests/config/parse.h"

namespace headgate {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string UrlFault(const std::string& url) {
  return std::string(ParseCollectorUrl(url).status().message());
}

TEST(TracingTest, IsOffUnlessItIsConfigured) {
  EXPECT_FALSE(Parse("threads: 1")->tracing);
  const auto settings = Parse("tracing: {}");
  ASSERT_TRUE(settings.ok()) << settings.status();
  ASSERT_TRUE(settings->tracing);
  EXPECT_EQ(settings->tracing->endpoint, "http://127.0.0.1:4318/v1/traces");
  EXPECT_EQ(settings->tracing->sample_ratio, 0.01);
  EXPECT_EQ(settings->tracing->service_name, "headgate");
}

TEST(TracingTest, EachKeySetsItsMember) {
  const auto settings = Parse(
      "tracing: {endpoint: \"http://c:1/t\", sample_ratio: 1, "
      "service_name: edge}");
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_EQ(settings->tracing->endpoint, "http://c:1/t");
  EXPECT_EQ(settings->tracing->sample_ratio, 1);
  EXPECT_EQ(settings->tracing->service_name, "edge");
}

TEST(TracingTest, ARatioIsANumberFrom0To1) {
  for (const char* ratio : {"-0.1", "1.01", "nan", "inf", "1%", "often"}) {
    EXPECT_THAT(
        std::string(Parse(absl::StrCat("tracing: {sample_ratio: ", ratio, "}"))
                        .status()
                        .message()),
        HasSubstr("tracing.sample_ratio: must be a number from 0 to 1"))
        << ratio;
  }
}

TEST(TracingTest, AnEndpointThatIsNoUrlIsRefused) {
  EXPECT_THAT(std::string(Parse("tracing: {endpoint: \"https://c/v1/traces\"}")
                              .status()
                              .message()),
              HasSubstr("tracing.endpoint: must be an http:// URL; TLS to a "
                        "collector is not supported"));
  for (const char* url :
       {"c:4318", "ftp://c", "http://", "http:///v1", "http://c:0/",
        "http://c:x/", "http://c:70000/", "http://user@c/", "http://c/a b",
        "http://c/#x", "http://*:4318/", "http://c?x", "http://:4318/"}) {
    EXPECT_THAT(UrlFault(url), StartsWith("must be a URL such as")) << url;
  }
}

TEST(TracingTest, AUrlIsTakenApart) {
  const auto url = ParseCollectorUrl("http://collector:4318/v1/traces?a=b");
  ASSERT_TRUE(url.ok()) << url.status();
  EXPECT_EQ(url->host, "collector");
  EXPECT_EQ(url->port, "4318");
  EXPECT_EQ(url->authority, "collector:4318");
  EXPECT_EQ(url->target, "/v1/traces?a=b");
  const auto plain = ParseCollectorUrl("http://[::1]");
  ASSERT_TRUE(plain.ok()) << plain.status();
  EXPECT_EQ(plain->host, "::1");
  EXPECT_EQ(plain->port, "80");
  EXPECT_EQ(plain->authority, "[::1]");
  EXPECT_EQ(plain->target, "/");
}

}  // namespace
}  // namespace headgate
