#include "gateway/trace/span.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gateway/http/header_rules.h"

namespace headgate {
namespace {

constexpr char kTrace[] = "4bf92f3577b34da6a3ce929d0e0e4736";
constexpr char kSession[] = "0123456789abcdef8080000000000000";

Metadata FromClient(const std::string& flags) {
  return {{"traceparent",
           "00-" + std::string(kTrace) + "-00f067aa0ba902b7-" + flags},
          {"x-headgate-session", kSession}};
}

Metadata FromGateway(const std::string& session) {
  return {{"traceparent", OwnTraceparent(session)},
          {"x-headgate-session", session}};
}

TEST(SampleTest, TheClientsFlagDecidesWhateverTheRatio) {
  for (const char* flags : {"01", "03"}) {
    const auto trace = Sample(FromClient(flags), 0);
    ASSERT_TRUE(trace) << flags;
    EXPECT_EQ(trace->trace_id, kTrace);
    EXPECT_EQ(trace->parent_id, "00f067aa0ba902b7");
  }
  EXPECT_FALSE(Sample(FromClient("00"), 1));
  EXPECT_FALSE(Sample(FromClient("02"), 1));
}

TEST(SampleTest, OfATraceOfTheGatewaysTheRatioDecidesByItsId) {
  // The last 56 bits are 2^48, 1/256 of their range.
  const std::string session = "ffffffffffffffffff01000000000000";
  EXPECT_FALSE(Sample(FromGateway(session), 0));
  EXPECT_FALSE(Sample(FromGateway(session), 1.0 / 256));
  const auto trace = Sample(FromGateway(session), 1.01 / 256);
  ASSERT_TRUE(trace);
  EXPECT_EQ(trace->trace_id, session);
  EXPECT_EQ(trace->parent_id, "");
  EXPECT_TRUE(Sample(FromGateway("0123456789abcdefffffffffffffffff"), 1));
}

TEST(SampleTest, MetadataWithoutATraceIsNotSampled) {
  EXPECT_FALSE(Sample({}, 1));
  EXPECT_FALSE(Sample({{"traceparent", "00"}}, 1));
}

TEST(SetParentTest, TheSpanTakesTheParentsPlace) {
  Metadata metadata = FromClient("01");
  SetParent(kTrace, "1111111111111111", metadata);
  EXPECT_EQ(metadata[0].second,
            "00-4bf92f3577b34da6a3ce929d0e0e4736-1111111111111111-01");
  EXPECT_EQ(metadata[1].second, kSession);
}

}  // namespace
}  // namespace headgate
