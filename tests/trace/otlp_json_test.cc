#include "gateway/trace/otlp_json.h"

#include <string>

#include <gtest/gtest.h>
#include <boost/json.hpp>

namespace headgate {
namespace {

namespace json = boost::json;

Span Example() {
  Span span;
  span.trace_id = "4bf92f3577b34da6a3ce929d0e0e4736";
  span.span_id = "1111111111111111";
  span.parent_id = "00f067aa0ba902b7";
  span.method = "demo.v1.Hello/Say";
  span.route = "/hello";
  span.client = "192.0.2.1";
  span.start = absl::FromUnixNanos(1700000000000000001);
  span.end = absl::FromUnixNanos(1700000000250000002);
  return span;
}

json::value SpanOf(const Span& span) {
  const json::value body = json::parse(OtlpJson({&span, 1}, "edge"));
  return body.at("resourceSpans")
      .at(0)
      .at("scopeSpans")
      .at(0)
      .at("spans")
      .at(0);
}

TEST(OtlpJsonTest, ASpanHasTheShapeOfTheSpecification) {
  EXPECT_EQ(SpanOf(Example()), json::parse(R"({
    "traceId": "4bf92f3577b34da6a3ce929d0e0e4736",
    "spanId": "1111111111111111",
    "parentSpanId": "00f067aa0ba902b7",
    "name": "demo.v1.Hello/Say",
    "kind": 2,
    "startTimeUnixNano": "1700000000000000001",
    "endTimeUnixNano": "1700000000250000002",
    "attributes": [
      {"key": "rpc.system", "value": {"stringValue": "grpc"}},
      {"key": "rpc.service", "value": {"stringValue": "demo.v1.Hello"}},
      {"key": "rpc.method", "value": {"stringValue": "Say"}},
      {"key": "rpc.grpc.status_code", "value": {"intValue": "0"}},
      {"key": "http.route", "value": {"stringValue": "/hello"}},
      {"key": "client.address", "value": {"stringValue": "192.0.2.1"}}],
    "status": {}})"));
}

TEST(OtlpJsonTest, TheServiceIsTheResource) {
  const Span span = Example();
  const json::value body = json::parse(OtlpJson({&span, 1}, "edge"));
  EXPECT_EQ(
      body.at("resourceSpans").at(0).at("resource").at("attributes").at(0),
      json::parse(
          R"({"key": "service.name", "value": {"stringValue": "edge"}})"));
}

TEST(OtlpJsonTest, ASpanWithoutAParentHasNone) {
  Span span = Example();
  span.parent_id = "";
  EXPECT_FALSE(SpanOf(span).as_object().contains("parentSpanId"));
}

TEST(OtlpJsonTest, AFailureIsAnErrorWithItsMessage) {
  Span span = Example();
  span.code = absl::StatusCode::kNotFound;
  span.message = "no \"such\" thing";
  const json::value to = SpanOf(span);
  EXPECT_EQ(to.at("status"),
            json::parse(R"({"code": 2, "message": "no \"such\" thing"})"));
  EXPECT_EQ(to.at("attributes").at(3).at("value").at("intValue"), "5");
}

TEST(OtlpJsonTest, BytesThatAreNotUtf8AreReplaced) {
  Span span = Example();
  span.code = absl::StatusCode::kInternal;
  span.message =
      "a\xff"
      "b";
  EXPECT_EQ(SpanOf(span).at("status").at("message"), "a?b");
}

}  // namespace
}  // namespace headgate
