#include "gateway/trace/otlp_json.h"

#include <utility>

#include <boost/json.hpp>

#include "absl/strings/str_cat.h"
#include "gateway/base/utf8.h"
#include "gateway/base/version.h"

namespace headgate {
namespace {

namespace json = boost::json;

constexpr int kServer = 2;  // SpanKind
constexpr int kError = 2;   // Status.StatusCode

json::string Text(absl::string_view text) {
  const std::string valid = ToUtf8(text);
  return json::string(valid.data(), valid.size());
}

void Add(json::array& attributes, absl::string_view key,
         absl::string_view value) {
  attributes.push_back({{"key", Text(key)},
                        {"value", json::object{{"stringValue", Text(value)}}}});
}

json::array AttributesOf(const Span& span) {
  json::array attributes;
  const absl::string_view method = span.method;
  const std::size_t slash = method.rfind('/');
  Add(attributes, "rpc.system", "grpc");
  if (slash != absl::string_view::npos) {
    Add(attributes, "rpc.service", method.substr(0, slash));
    Add(attributes, "rpc.method", method.substr(slash + 1));
  }
  // OTLP's JSON has integers of 64 bits in a string.
  attributes.push_back(
      {{"key", "rpc.grpc.status_code"},
       {"value", json::object{{"intValue",
                               absl::StrCat(static_cast<int>(span.code))}}}});
  if (!span.route.empty()) Add(attributes, "http.route", span.route);
  if (!span.client.empty()) Add(attributes, "client.address", span.client);
  return attributes;
}

json::object SpanJson(const Span& span) {
  json::object to;
  to["traceId"] = Text(span.trace_id);
  to["spanId"] = Text(span.span_id);
  if (!span.parent_id.empty()) to["parentSpanId"] = Text(span.parent_id);
  to["name"] = Text(span.method);
  to["kind"] = kServer;
  to["startTimeUnixNano"] = absl::StrCat(absl::ToUnixNanos(span.start));
  to["endTimeUnixNano"] = absl::StrCat(absl::ToUnixNanos(span.end));
  to["attributes"] = AttributesOf(span);
  json::object status;
  if (span.code != absl::StatusCode::kOk) {
    status["code"] = kError;
    status["message"] = Text(span.message);
  }
  to["status"] = std::move(status);
  return to;
}

}  // namespace

std::string OtlpJson(absl::Span<const Span> spans,
                     absl::string_view service_name) {
  json::array list;
  for (const Span& span : spans) list.push_back(SpanJson(span));
  json::array resource;
  Add(resource, "service.name", service_name);
  Add(resource, "service.version", kVersion);
  const json::object scope = {{"name", "headgate"}, {"version", kVersion}};
  json::object scope_spans = {{"scope", scope}};
  scope_spans["spans"] = std::move(list);
  json::object resource_spans;
  resource_spans["resource"] =
      json::object{{"attributes", std::move(resource)}};
  resource_spans["scopeSpans"] = json::array{std::move(scope_spans)};
  json::object body;
  body["resourceSpans"] = json::array{std::move(resource_spans)};
  return json::serialize(body);
}

}  // namespace headgate
