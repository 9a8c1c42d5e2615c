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

std::optional<SampledTrace> Sample(double ratio, Metadata&& metadata) {
  return headgate::Sample(ratio, metadata);
}

TEST(SampleTest, TheClientsFlagDecidesWhateverTheRatio) {
  for (const char* flags : {"01", "03"}) {
    const auto trace = Sample(0, FromClient(flags));
    ASSERT_TRUE(trace) << flags;
    EXPECT_EQ(trace->trace_id, kTrace);
    EXPECT_EQ(trace->parent_id, "00f067aa0ba902b7");
  }
  EXPECT_FALSE(Sample(1, FromClient("00")));
  EXPECT_FALSE(Sample(1, FromClient("02")));
}

TEST(SampleTest, OfATraceOfTheGatewaysTheRatioDecidesByItsId) {
  // The last 56 bits are 2^48, 1/256 of their range.
  const std::string session = "ffffffffffffffffff01000000000000";
  EXPECT_FALSE(Sample(0, FromGateway(session)));
  EXPECT_FALSE(Sample(1.0 / 256, FromGateway(session)));
  const auto trace = Sample(1.01 / 256, FromGateway(session));
  ASSERT_TRUE(trace);
  EXPECT_EQ(trace->trace_id, session);
  EXPECT_EQ(trace->parent_id, "");
  EXPECT_TRUE(Sample(1, FromGateway("0123456789abcdefffffffffffffffff")));
}

// Otherwise a backend would begin spans whose parent nobody knows.
TEST(SampleTest, ATraceOfTheGatewaysThatIsNotSampledSaysSo) {
  Metadata metadata = FromGateway(kSession);
  const std::string sampled = metadata[0].second;
  EXPECT_TRUE(headgate::Sample(1, metadata));
  EXPECT_EQ(metadata[0].second, sampled);
  EXPECT_FALSE(headgate::Sample(0, metadata));
  EXPECT_EQ(metadata[0].second, sampled.substr(0, sampled.size() - 2) + "00");
  Metadata client = FromClient("01");
  const Metadata before = client;
  headgate::Sample(0, client);
  EXPECT_EQ(client, before);
}

TEST(SampleTest, MetadataWithoutATraceIsNotSampled) {
  EXPECT_FALSE(Sample(1, Metadata{}));
  EXPECT_FALSE(Sample(1, Metadata{{"traceparent", "00"}}));
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
