#include "gateway/admin/metrics_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace headgate {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// A line of its own.
auto HasLine(const std::string& line) {
  return HasSubstr(absl::StrCat("\n", line, "\n"));
}

TEST(MetricsTextTest, WhatNeverHappenedIsZeroFromTheStart) {
  const std::string text = MetricsText({});
  EXPECT_THAT(text, HasLine("headgate_handshakes_refused_total{reason="
                            "\"origin\"} 0"));
  EXPECT_THAT(text, HasLine("headgate_handshakes_refused_total{reason="
                            "\"host\"} 0"));
  EXPECT_THAT(text, HasLine("headgate_limits_hit_total{limit=\"max_age\"} 0"));
  EXPECT_THAT(text, HasLine("headgate_buffered_bytes{direction=\"in\"} 0"));
  EXPECT_THAT(text, HasLine("headgate_config_last_reload_successful 1"));
  EXPECT_THAT(text, HasLine("headgate_ready 0"));
  EXPECT_THAT(text, HasLine("# TYPE headgate_calls_total counter"));
  EXPECT_THAT(text, HasLine("headgate_log_lines_dropped_total 0"));
}

TEST(MetricsTextTest, SamplesHaveTheirLabels) {
  MetricsSource source;
  Stats& stats = source.stats;
  stats.routes["/chat"].open = 2;
  stats.calls[{"up", "/s/m", "NOT_FOUND"}] = 3;
  stats.closes[{"/chat", 4005, "closed-by-gateway"}] = 4;
  stats.traffic[{"json", "in"}] = {5, 60};
  stats.refused["origin"] = 7;
  stats.limits["max_age"] = 8;
  stats.upstreams["up"] = {.known = true, .reachable = true, .connections = 2};
  stats.upstreams["new"] = {};
  stats.listeners["*:443"].certificate_expiry = 1800000000;
  stats.listeners["*:443"].tls_12 = {3, 4};
  stats.listeners["*:443"].tls_13 = {5, 6};
  stats.listeners["*:80"].accepted = 9;
  source.readiness.ready = true;
  source.draining = true;
  stats.workers[1].silence = 6;
  stats.call_durations[{"up", "/s/m", "OK"}].duration.Observe(0.02);
  source.log_lines_dropped = 10;
  stats.spans_exported = 12;
  stats.spans_failed = 13;
  stats.spans_dropped = 14;
  stats.taps = 2;
  stats.tap_events_dropped = 11;
  const std::string text = MetricsText(source);
  for (
      const char* line :
      {R"(headgate_sessions{route="/chat"} 2)",
       R"(headgate_calls_total{upstream="up",method="/s/m",code="NOT_FOUND"} 3)",
       R"(headgate_sessions_closed_total{route="/chat",close_code="4005",cause="closed-by-gateway"} 4)",
       R"(headgate_messages_total{codec="json",dialect="json",direction="in"} 5)",
       R"(headgate_message_bytes_total{codec="json",dialect="json",direction="in"} 60)",
       R"(headgate_handshakes_refused_total{reason="origin"} 7)",
       R"(headgate_limits_hit_total{limit="max_age"} 8)",
       R"(headgate_upstream_reachable{upstream="up"} 1)",
       R"(headgate_connections_accepted_total{listener="*:80"} 9)",
       R"(headgate_certificate_expiry_timestamp_seconds{listener="*:443"} 1800000000)",
       R"(headgate_tls_handshakes_total{listener="*:443",resumed="true",version="1.2"} 4)",
       R"(headgate_tls_handshakes_total{listener="*:443",resumed="false",version="1.3"} 5)",
       R"(headgate_worker_silence_seconds{worker="1"} 6)",
       R"(headgate_call_duration_seconds_bucket{upstream="up",method="/s/m",code="OK",le="0.01"} 0)",
       R"(headgate_call_duration_seconds_bucket{upstream="up",method="/s/m",code="OK",le="0.025"} 1)",
       R"(headgate_worker_lag_seconds_count{worker="1"} 0)",
       "headgate_log_lines_dropped_total 10",
       "headgate_ready 1",
       "headgate_draining 1",
       R"(headgate_spans_total{outcome="exported"} 12)",
       R"(headgate_spans_total{outcome="failed"} 13)",
       R"(headgate_spans_total{outcome="dropped"} 14)",
       "headgate_taps 2",
       "headgate_tap_events_dropped_total 11"}) {
    EXPECT_THAT(text, HasLine(line));
  }
  // What is not known is not told.
  EXPECT_THAT(text, Not(HasSubstr(R"(reachable{upstream="new"})")));
  EXPECT_THAT(text, Not(HasSubstr(R"(_seconds{listener="*:80"})")));
}

// A reason that has no place in the lists is still counted.
TEST(MetricsTextTest, HubsAreThereWhereTheyAre) {
  EXPECT_THAT(MetricsText({}), Not(HasSubstr("headgate_hub_")));
  MetricsSource source;
  source.stats.hubs["/r"].sessions = 2;
  HubCounts& counts = source.stats.hubs["/r"].counts;
  counts.messages = 3;
  counts.dropped = 1;
  counts.CountCommand(4, absl::OkStatus());
  counts.CountCommand(4, absl::NotFoundError(""));
  counts.CountCommand(0, absl::UnimplementedError(""));
  counts.fanout.Observe(0.002);
  Stats::PerHub before;
  before.counts.dropped = 3;
  before.counts.CountCommand(4, absl::OkStatus());
  source.stats.hubs["/r"].Add(before);
  source.stats.hub_pinned_bytes = 7;
  Stats other;
  other.hub_pinned_bytes = 2;
  source.stats.Merge(other);
  source.stats.hub_api_requests[{"Publish", "OK"}] = 5;
  source.stats.hub_api_requests[{"Publish", "PERMISSION_DENIED"}] = 2;
  source.stats.hub_api_requests[{"Publish", "UNAUTHENTICATED"}] = 1;
  source.stats.hub_api_requests[{"Close", "OK"}] = 0;
  const std::string text = MetricsText(source);
  EXPECT_THAT(text, HasLine("headgate_hub_sessions{route=\"/r\"} 2"));
  EXPECT_THAT(
      text,
      HasLine("headgate_hub_events_total{route=\"/r\",kind=\"message\"} 3"));
  EXPECT_THAT(text, HasLine("headgate_hub_dropped_total{route=\"/r\"} 4"));
  EXPECT_THAT(text, HasLine("headgate_hub_pinned_bytes 9"));
  EXPECT_THAT(text, HasLine("headgate_hub_api_requests_total{method="
                            "\"Publish\",code=\"OK\"} 5"));
  for (
      const char* line :
      {R"(headgate_hub_api_denied_total{method="Publish"} 3)",
       R"(headgate_hub_api_denied_total{method="Close"} 0)",
       R"(headgate_hub_commands_total{route="/r",kind="send",outcome="ok"} 2)",
       R"(headgate_hub_commands_total{route="/r",kind="send",outcome="not_found"} 1)",
       R"(headgate_hub_commands_total{route="/r",kind="unknown",outcome="failed"} 1)",
       R"(headgate_hub_publications_total{route="/r",source="api"} 0)",
       R"(headgate_hub_fanout_seconds_bucket{route="/r",le="0.0025"} 1)"}) {
    EXPECT_THAT(text, HasLine(line));
  }
  EXPECT_THAT(text, Not(HasSubstr("kind=\"\"")));
}

TEST(MetricsTextTest, NoCountIsLost) {
  MetricsSource source;
  source.stats.refused["new_reason"] = 1;
  source.stats.limits["new_limit"] = 2;
  const std::string text = MetricsText(source);
  EXPECT_THAT(text, HasLine("headgate_handshakes_refused_total{reason="
                            "\"new_reason\"} 1"));
  EXPECT_THAT(text, HasLine("headgate_limits_hit_total{limit="
                            "\"new_limit\"} 2"));
}

// Names from the configuration may have anything in them; a line stays a line.
TEST(MetricsTextTest, LabelsAreEscaped) {
  MetricsSource source;
  source.stats.routes["/a\"b\\c\nd"].open = 1;
  EXPECT_THAT(MetricsText(source),
              HasLine(R"(headgate_sessions{route="/a\"b\\c\nd"} 1)"));
}

// Prometheus wants the counts of buckets cumulative, and the last one infinite.
TEST(MetricsTextTest, BucketsAreCumulative) {
  MetricsSource source;
  for (const double seconds : {0.0005, 0.002, 0.002, 100.0}) {
    source.stats.ping_rtt.Observe(seconds);
  }
  const std::string text = MetricsText(source);
  EXPECT_THAT(text, HasLine(R"(headgate_ping_seconds_bucket{le="0.001"} 1)"));
  EXPECT_THAT(text, HasLine(R"(headgate_ping_seconds_bucket{le="0.0025"} 3)"));
  EXPECT_THAT(text, HasLine(R"(headgate_ping_seconds_bucket{le="+Inf"} 4)"));
  EXPECT_THAT(text, HasLine("headgate_ping_seconds_count 4"));
}

TEST(StatsTest, MergingAddsAndNeverForgets) {
  Stats a, b;
  a.routes["/"].opened = 1;
  b.routes["/"].opened = 2;
  b.routes["/x"].opened = 4;
  a.traffic[{"json", "in"}] = {1, 10};
  b.traffic[{"json", "in"}] = {2, 20};
  a.call_durations[{"up", "/s/m", "OK"}].duration.Observe(1);
  b.call_durations[{"up", "/s/m", "OK"}].duration.Observe(2);
  b.workers[1].lag.Observe(3);
  a.upstreams["up"] = {.known = true, .reachable = true, .connections = 1};
  b.upstreams["up"] = {.known = false, .reachable = false, .connections = 1};
  b.reloads_failed = 1;
  b.last_reload_ok = false;
  a.Merge(b);
  EXPECT_EQ(a.routes["/"].opened, 3u);
  EXPECT_EQ(a.routes["/x"].opened, 4u);
  EXPECT_EQ((a.traffic[{"json", "in"}].bytes), 30u);
  EXPECT_TRUE(a.upstreams["up"].reachable);
  EXPECT_EQ(a.upstreams["up"].connections, 2u);
  EXPECT_EQ((a.call_durations.at({"up", "/s/m", "OK"}).duration.sum()), 3);
  EXPECT_EQ(a.workers.at(1).lag.sum(), 3);
  EXPECT_EQ(a.reloads_failed, 1u);
  EXPECT_FALSE(a.last_reload_ok);
}

}  // namespace
}  // namespace headgate
