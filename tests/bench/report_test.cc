#include "cmd/headgate/bench/report.h"

#include <memory>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace headgate {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pair;

// What a run of two seconds may have found.
BenchResult Sample() {
  BenchResult result;
  result.url = "ws://127.0.0.1:8080/packets";
  result.codec = "packet";
  result.connections = 4;
  result.in_flight = 2;
  result.size = 64;
  result.seconds = 2;
  result.counts.messages = 1000;
  result.counts.bytes_sent = 82000;
  result.counts.bytes_received = 78000;
  // Exact, as they are below 2 µs.
  result.counts.latency.Add(500, 500);
  result.counts.latency.Add(1000, 400);
  result.counts.latency.Add(1500, 99);
  result.counts.latency.Add(2000);
  result.client_cpu = {0.001, 0.002};
  return result;
}

TEST(ReportJsonTest, ClosedLoop) {
  EXPECT_EQ(ReportJson(Sample()),
            R"({"url":"ws://127.0.0.1:8080/packets","codec":"packet",)"
            R"("connections":4,"in_flight":2,"rate":null,"size":64,)"
            R"("duration_seconds":2.000000,"messages":1000,)"
            R"("messages_per_second":500.000,"errors":{},"connect_failures":0,)"
            R"("late":0,"unanswered":0,"unsent":0,)"
            R"("latency_us":{"min":0.500,"mean":0.800,"p50":0.500,"p90":1.000,)"
            R"("p99":1.500,"p999":1.500,"max":2.000},)"
            R"("bytes_sent":82000,"bytes_received":78000,)"
            R"("client_cpu_us_per_message":{"user":1.000,"system":2.000,)"
            R"("total":3.000}})");
}

TEST(ReportJsonTest, OpenLoopWithProcessAndIdleConnections) {
  BenchResult result = Sample();
  result.rate = 600;
  result.counts.late = 7;
  result.counts.unanswered = 8;
  result.counts.unsent = 9;
  result.process = {42, {0.01, 0.03}, 1000000, 2000000};
  result.idle = {100, 819200};
  const std::string json = ReportJson(result);
  EXPECT_THAT(json, HasSubstr(R"("rate":600.000,)"));
  EXPECT_THAT(json, HasSubstr(R"("late":7,"unanswered":8,"unsent":9,)"));
  EXPECT_THAT(
      json,
      HasSubstr(R"("process":{"pid":42,"cpu_us_per_message":{"user":10.000,)"
                R"("system":30.000,"total":40.000},"cpu_seconds":0.040,)"
                R"("rss_bytes_before":1000000,"rss_bytes":2000000},)"
                R"("idle":{"connections":100,)"
                R"("rss_bytes_per_connection":8192.000,"cpu_share":0.020}})"));
}

TEST(ReportJsonTest, WithoutAProcessIdleConnectionsHaveNoCost) {
  BenchResult result = Sample();
  result.idle = {100, std::nullopt};
  EXPECT_THAT(
      ReportJson(result),
      HasSubstr(R"("idle":{"connections":100,)"
                R"("rss_bytes_per_connection":null,"cpu_share":null})"));
}

TEST(ReportJsonTest, ErrorsAreCountedByReason) {
  BenchResult result = Sample();
  result.counts.connect_failures = 2;
  result.counts.errors.Add("closed 1008: \"too fast\"", 3);
  EXPECT_FALSE(result.ok());
  const std::string json = ReportJson(result);
  EXPECT_THAT(json, HasSubstr(R"("errors":{"closed 1008: \"too fast\"":3},)"));
  EXPECT_THAT(json, HasSubstr(R"("connect_failures":2,)"));
}

TEST(ReportJsonTest, NothingMeasuredIsZeros) {
  const std::string json = ReportJson(BenchResult());
  EXPECT_THAT(json, HasSubstr(R"("messages_per_second":0.000)"));
  EXPECT_THAT(json, HasSubstr(R"("p50":0.000)"));
  EXPECT_THAT(json, HasSubstr(R"("total":0.000)"));
  EXPECT_THAT(json, Not(HasSubstr(":nan")));
}

TEST(ReportTextTest, ClosedLoop) {
  EXPECT_EQ(ReportText(Sample()),
            "messages    1000 in 2.00 s: 500 a second\n"
            "latency     p50 0 us  p90 1  p99 2  p99.9 2  max 2\n"
            "bytes       82000 sent, 78000 received\n"
            "bench       3.00 us a message (user 1.00, system 2.00)\n");
}

TEST(ReportTextTest, OpenLoopWithProcessAndIdleConnections) {
  BenchResult result = Sample();
  result.rate = 600;
  result.process = {42, {0.01, 0.03}, 1048576, 2097152};
  result.idle = {100, 819200};
  const std::string text = ReportText(result);
  EXPECT_THAT(text, HasSubstr("asked for   600 a second; 0 sent late, 0 "
                              "without an answer, 0 not sent\n"));
  EXPECT_THAT(text,
              HasSubstr("pid 42      40.00 us a message (user 10.00, system "
                        "30.00); 2% of a processor; 2.0 MiB, 1.0 before\n"));
  EXPECT_THAT(text, HasSubstr("idle        100 connections; 8.0 KiB of the "
                              "process for each\n"));
}

TEST(ReportFailuresTest, TellsTheMostFrequentFirstAndNotAll) {
  BenchResult result;
  EXPECT_EQ(ReportFailures(result), "");
  for (int i = 1; i <= 7; ++i) {
    result.counts.errors.Add(absl::StrCat("reason ", i), i);
  }
  result.counts.errors.Add("with\nnewline", 100);
  EXPECT_EQ(ReportFailures(result),
            "headgate bench: 100 x with\\x0anewline\n"
            "headgate bench: 7 x reason 7\n"
            "headgate bench: 6 x reason 6\n"
            "headgate bench: 5 x reason 5\n"
            "headgate bench: 4 x reason 4\n"
            "headgate bench: and 3 more reasons\n");
}

TEST(FailuresTest, AddUp) {
  Failures failures;
  failures.Add("a");
  failures.Add("b", 2);
  Failures others;
  others.Add("a", 3);
  failures.Merge(others);
  EXPECT_THAT(failures.counts(), ElementsAre(Pair("a", 4u), Pair("b", 2u)));
}

// A peer may say something else each time.
TEST(FailuresTest, DoNotGrowWithoutEnd) {
  Failures failures;
  for (int i = 0; i < 1000; ++i) failures.Add(absl::StrCat(i));
  EXPECT_EQ(failures.counts().size(), Failures::kMaxReasons + 1);
  EXPECT_EQ(failures.counts().at("other reasons"),
            1000 - Failures::kMaxReasons);
}

TEST(LoadCountsTest, MergedIsTheSumOfBoth) {
  LoadCounts sum;
  LoadCounts one;
  one.messages = 1;
  one.bytes_sent = 2;
  one.bytes_received = 3;
  one.late = 4;
  one.unanswered = 5;
  one.unsent = 6;
  one.connect_failures = 7;
  one.latency.Add(8);
  one.errors.Add("x");
  one.codec_declined = true;
  sum.Merge(one);
  sum.Merge(one);
  EXPECT_EQ(sum.messages, 2u);
  EXPECT_EQ(sum.bytes_sent, 4u);
  EXPECT_EQ(sum.bytes_received, 6u);
  EXPECT_EQ(sum.late, 8u);
  EXPECT_EQ(sum.unanswered, 10u);
  EXPECT_EQ(sum.unsent, 12u);
  EXPECT_EQ(sum.connect_failures, 14u);
  EXPECT_EQ(sum.latency.count(), 2u);
  EXPECT_EQ(sum.errors.counts().at("x"), 2u);
  EXPECT_TRUE(sum.codec_declined);
}

}  // namespace
}  // namespace headgate
