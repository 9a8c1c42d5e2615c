#include "gateway/session/tap.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace headgate {
namespace {

// The same for an id in every process (FNV-1a), so that several gateways sample
// alike.
std::uint32_t HashOf(absl::string_view id) {
  std::uint32_t hash = 2166136261u;
  for (const char c : id) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 16777619u;
  }
  return hash;
}

// RFC 3986 section 2.3: what is not unreserved is percent-encoded.
std::string PathSegment(absl::string_view text) {
  std::string segment;
  for (const char c : text) {
    if (absl::ascii_isalnum(c) || absl::StrContains("-._~", c)) {
      segment += c;
    } else {
      absl::StrAppend(
          &segment, "%",
          absl::Hex(static_cast<unsigned char>(c), absl::kZeroPad2));
    }
  }
  return segment;
}

bool CallsMethod(const SessionRequest& request, const std::string& method) {
  const auto* table = std::get_if<MethodTable>(&request.route->target);
  if (table == nullptr) return request.method == method;
  return std::any_of(table->methods.begin(), table->methods.end(),
                     [&](const auto& row) { return row.second == method; });
}

}  // namespace

bool TapFilter::Matches(const SessionRequest& request) const {
  if (!id.empty() && request.id != id) return false;
  if (!method.empty() && !CallsMethod(request, method)) return false;
  if (!route.empty() && RouteName(*request.route) != route) return false;
  return sample <= 1 || HashOf(request.id) % sample == 0;
}

void SessionTaps::Add(std::shared_ptr<TapSink> sink) {
  sinks_.push_back(std::move(sink));
  ++generation_;
}

void SessionTaps::Remove(const TapSink* sink) {
  std::erase_if(sinks_, [sink](const std::shared_ptr<TapSink>& other) {
    return other.get() == sink;
  });
  ++generation_;
}

TapEvent::Form TappedForm(const Dialect* codec) {
  return codec == nullptr || absl::StartsWith(codec->token, "headgate.")
             ? TapEvent::Form::kWire
             : TapEvent::Form::kMessage;
}

void TappedSession::Offer(const SessionTaps& taps,
                          const SessionRequest& request, TapEvent event,
                          absl::string_view payload) {
  if (generation_ != taps.generation()) {
    generation_ = taps.generation();
    wanted_by_.clear();
    for (const std::shared_ptr<TapSink>& sink : taps.sinks()) {
      if (sink->filter().Matches(request)) wanted_by_.push_back(sink);
    }
    if (!wanted_by_.empty() && session_ == nullptr) {
      session_ = std::make_shared<const TapSession>(
          TapSession{request.id, request.peer, request.route, request.method,
                     PathOf(request), request.codec});
    }
  }
  if (wanted_by_.empty()) return;
  event.session = session_;
  event.bytes = payload.size();
  for (const std::shared_ptr<TapSink>& sink : wanted_by_) {
    sink->Offer(event, payload);
  }
}

std::string PathOf(const SessionRequest& request) {
  const Route& route = *request.route;
  if (!route.path.empty()) return route.path;
  if (std::holds_alternative<HttpRuleSet>(route.target)) return "";
  if (!route.path_template.empty()) {
    std::string path = route.path_template;
    for (const Parameter& variable : request.variables) {
      path = absl::StrReplaceAll(path, {{absl::StrCat("{", variable.field, "}"),
                                         PathSegment(variable.value)}});
    }
    return absl::StrContains(path, '{') ? "" : path;
  }
  if (std::holds_alternative<PathMethod>(route.target)) {
    return route.prefix.empty() || route.prefix == "/"
               ? request.method
               : absl::StrCat(route.prefix, request.method);
  }
  if (std::holds_alternative<ServicePath>(route.target)) {
    return absl::StrCat(route.prefix == "/" ? "" : route.prefix, "/",
                        absl::string_view(request.method)
                            .substr(request.method.rfind('/') + 1));
  }
  return route.prefix;  // Any path below it.
}

}  // namespace headgate
