#include "gateway/route/plan.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "absl/algorithm/container.h"
#include "gateway/route/path_template.h"

namespace headgate {
namespace {

bool HasVariables(const Route& route) {
  if (route.path_template.empty()) return false;
  const auto path_template = PathTemplate::Parse(route.path_template);
  return path_template.ok() && !path_template->variables.empty();
}

void PlanTarget(const PathMethod&, RoutePlan& plan) {
  plan.method_from = RoutePlan::MethodFrom::kPath;
}

void PlanTarget(const ServicePath&, RoutePlan& plan) {
  plan.method_from = RoutePlan::MethodFrom::kPath;
}

void PlanTarget(const FixedMethod& fixed, RoutePlan& plan) {
  plan.method_from = RoutePlan::MethodFrom::kRoute;
  plan.longest_method_bytes = fixed.method.size();
}

void PlanTarget(const HttpRuleSet&, RoutePlan& plan) {
  plan.method_from = RoutePlan::MethodFrom::kHttpRules;
  plan.serves_http = true;
  // Path and query are part of the request.
  plan.only_because = "http_rules";
  plan.allowed_codecs = {&kJsonDialect};
}

void PlanTarget(const MethodTable& table, RoutePlan& plan) {
  plan.method_from = RoutePlan::MethodFrom::kPacketType;
  plan.binds_variables = false;  // There is no one first message.
  plan.only_because = "packet.methods";
  plan.allowed_codecs = {&kPacketDialect};
  for (const auto& [type, method] : table.methods) {
    plan.longest_method_bytes =
        std::max(plan.longest_method_bytes, method.size());
  }
}

void PlanTarget(const HubTarget& hub, RoutePlan& plan) {
  plan.method_from = RoutePlan::MethodFrom::kRoute;
  plan.longest_method_bytes = hub.method.size();
  plan.is_hub = true;
}

bool Allows(const Route& route, absl::string_view dialect) {
  return route.dialects.empty() ||
         absl::c_linear_search(route.dialects, dialect);
}

// Where one method is called, which the route or the path names.
void PlanHttpDialects(const Route& route, RoutePlan& plan) {
  using MethodFrom = RoutePlan::MethodFrom;
  if (plan.method_from != MethodFrom::kRoute &&
      plan.method_from != MethodFrom::kPath) {
    return;
  }
  for (const Dialect* dialect : Dialects()) {
    if (!dialect->media_types.empty() && Allows(route, dialect->name)) {
      plan.http_dialects.push_back(dialect);
    }
  }
}

// Those that name a method and say nothing of the route's own codecs.
void PlanWebSocketDialects(const Route& route, RoutePlan& plan) {
  for (const Dialect* dialect : Dialects()) {
    if (dialect->on == Dialect::On::kWebSocket &&
        dialect->head == Dialect::Head::kFirstMessage &&
        Allows(route, dialect->name)) {
      plan.websocket_dialects.push_back(dialect);
    }
  }
}

// What clients of `method` speak where the route says nothing.
void PlanCodecsOf(absl::string_view method, RoutePlan& plan) {
  plan.allowed_codecs = {&kJsonDialect, &kProtobufDialect};
  if (method == kPacketMethod) {
    plan.binary_codec = &kPacketDialect;
    plan.allowed_codecs.insert(plan.allowed_codecs.begin(), &kPacketDialect);
  } else if (method == kMessageMethod) {
    // Plain messages can be of any form, so there is nothing to guess by.
    plan.codec = &kRawDialect;
    plan.allowed_codecs.insert(plan.allowed_codecs.begin(), &kRawDialect);
  }
}

// Frames in JSON and in protobuf are served where plain messages are.
void AddHubDialects(RoutePlan& plan) {
  for (const auto& [plain, framed] :
       {std::pair(&kJsonDialect, &kHubJsonDialect),
        std::pair(&kProtobufDialect, &kHubProtobufDialect)}) {
    if (absl::c_linear_search(plan.allowed_codecs, plain)) {
      plan.allowed_codecs.push_back(framed);
    }
  }
}

}  // namespace

bool RoutePlan::MaySpeak(const Dialect* dialect) const {
  return (serves_own_codecs &&
          absl::c_linear_search(allowed_codecs, dialect)) ||
         absl::c_linear_search(websocket_dialects, dialect);
}

RoutePlan PlanRoute(const Route& route, absl::string_view method) {
  RoutePlan plan;
  plan.binds_variables = HasVariables(route);
  std::visit([&](const auto& target) { PlanTarget(target, plan); },
             route.target);
  if (plan.is_hub) {
    // Each message is passed on as one, so variables go to the backend beside
    // them; and a session gets messages before its client has sent any.
    plan.binds_variables = false;
    plan.codec = plan.binary_codec =
        std::get<HubTarget>(route.target).method == kPacketMethod
            ? &kPacketDialect
            : &kRawDialect;
    plan.allowed_codecs = {&kRawDialect, &kPacketDialect, &kJsonDialect,
                           &kProtobufDialect};
  }
  if (plan.binds_variables && plan.only_because.empty()) {
    plan.only_because = "a template with variables";
    plan.allowed_codecs = {&kJsonDialect};
  }
  if (!plan.only_because.empty()) {
    plan.codec = plan.binary_codec = plan.allowed_codecs[0];
    return plan;
  }
  if (!plan.is_hub) {
    plan.serves_own_codecs = Allows(route, kOwnCodecs);
    PlanHttpDialects(route, plan);
    PlanWebSocketDialects(route, plan);
  }
  const auto* fixed = std::get_if<FixedMethod>(&route.target);
  if (plan.is_hub) {
    // Planned above.
  } else if (fixed != nullptr) {
    PlanCodecsOf(fixed->method, plan);
  } else if (!route.path.empty()) {
    PlanCodecsOf(route.path, plan);
  } else {
    // What a route allows itself is not widened by what a request calls.
    PlanCodecsOf(route.allowed_codecs.empty() ? method : "", plan);
  }
  if (route.codec != nullptr) plan.codec = route.codec;
  if (route.binary_codec != nullptr) plan.binary_codec = route.binary_codec;
  if (!route.allowed_codecs.empty()) {
    plan.allowed_codecs = route.allowed_codecs;
  } else if (route.codec != nullptr &&
             !absl::c_linear_search(plan.allowed_codecs, route.codec)) {
    plan.allowed_codecs.insert(plan.allowed_codecs.begin(), route.codec);
  }
  if (plan.is_hub) AddHubDialects(plan);
  return plan;
}

}  // namespace headgate
