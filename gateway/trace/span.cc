#include "gateway/trace/span.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "gateway/http/header_rules.h"

namespace headgate {
namespace {

// The length of a valid traceparent of version 00.
constexpr std::size_t kTraceparentSize = 55;

absl::string_view ValueOf(const Metadata& metadata, absl::string_view key) {
  const auto found =
      std::find_if(metadata.begin(), metadata.end(),
                   [key](const auto& entry) { return entry.first == key; });
  return found == metadata.end() ? absl::string_view()
                                 : absl::string_view(found->second);
}

void SetTraceparent(const std::string& value, Metadata& metadata) {
  for (auto& [key, old] : metadata) {
    if (key == "traceparent") old = value;
  }
}

// The last 56 bits of a trace's ID are random (W3C Trace Context Level 2,
// section 2.2.4.1; OpenTelemetry's TraceIdRatioBased).
bool IsChosen(absl::string_view trace_id, double ratio) {
  // A double is exact up to 2^53.
  constexpr double kRange = 1ull << 52;
  std::uint64_t number = 0;
  return absl::SimpleHexAtoi(trace_id.substr(trace_id.size() - 14), &number) &&
         static_cast<double>(number >> 4) < ratio * kRange;
}

}  // namespace

std::size_t Span::bytes() const {
  return sizeof(Span) + trace_id.size() + span_id.size() + parent_id.size() +
         method.size() + route.size() + client.size() + message.size();
}

std::optional<SampledTrace> Sample(double ratio, Metadata& metadata) {
  const absl::string_view parent = ValueOf(metadata, "traceparent");
  if (parent.size() < kTraceparentSize) return std::nullopt;
  const absl::string_view trace_id = parent.substr(3, 32);
  if (parent == OwnTraceparent(ValueOf(metadata, "x-headgate-session"))) {
    if (!IsChosen(trace_id, ratio)) {
      SetTraceparent(absl::StrCat(parent.substr(0, 53), "00"), metadata);
      return std::nullopt;
    }
    return SampledTrace{std::string(trace_id), ""};
  }
  std::uint32_t flags = 0;
  if (!absl::SimpleHexAtoi(parent.substr(53, 2), &flags) || (flags & 1) == 0) {
    return std::nullopt;
  }
  return SampledTrace{std::string(trace_id),
                      std::string(parent.substr(36, 16))};
}

void SetParent(absl::string_view trace_id, absl::string_view span_id,
               Metadata& metadata) {
  SetTraceparent(absl::StrCat("00-", trace_id, "-", span_id, "-01"), metadata);
}

}  // namespace headgate
