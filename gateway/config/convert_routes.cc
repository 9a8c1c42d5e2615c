#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "gateway/config/convert.h"
#include "gateway/route/plan.h"

namespace headgate {
namespace {

namespace pb = config::v1;

// "package.Service/Method" as the path of a request.
std::string WithSlash(const std::string& name) {
  if (name.empty()) return name;
  return absl::StrCat("/", absl::StripPrefix(name, "/"));
}

// `value`: the name of an enumerator. Null for auto, and where the file says
// nothing.
const Dialect* DialectFrom(absl::string_view value, absl::string_view prefix) {
  return FindDialect(absl::AsciiStrToLower(absl::StripPrefix(value, prefix)));
}

const Dialect* DialectFrom(pb::Codec codec) {
  return DialectFrom(pb::Codec_Name(codec), "CODEC_");
}

void CodecsFrom(const pb::Route& from, Route& to) {
  to.codec = DialectFrom(pb::CodecOrAuto_Name(from.codec()), "CODEC_OR_AUTO_");
  to.binary_codec = DialectFrom(from.binary_codec());
  for (const int codec : from.allowed_codecs()) {
    const Dialect* dialect = DialectFrom(static_cast<pb::Codec>(codec));
    to.allowed_codecs.push_back(dialect != nullptr ? dialect : &kJsonDialect);
  }
}

void DialectsFrom(const pb::Route& from, Route& to) {
  for (const int dialect : from.dialects()) {
    const std::string& name =
        pb::Dialect_Name(static_cast<pb::Dialect>(dialect));
    to.dialects.push_back(absl::StrReplaceAll(
        absl::AsciiStrToLower(absl::StripPrefix(name, "DIALECT_")),
        {{"_", "-"}}));
  }
}

void PacketFrom(const pb::Packet& from, const Section& section,
                PacketOptions& packet) {
  section.Read(TableOf<PacketOptions>(), packet);
  Choose(from.order(),
         {{pb::Packet::ORDER_TYPE_LENGTH_WHO,
           PacketOptions::Order::kTypeLengthWho},
          {pb::Packet::ORDER_TYPE_WHO_LENGTH,
           PacketOptions::Order::kTypeWhoLength}},
         packet.order);
  Choose(from.endian(),
         {{pb::Packet::ENDIAN_BIG, PacketOptions::Endian::kBig},
          {pb::Packet::ENDIAN_LITTLE, PacketOptions::Endian::kLittle}},
         packet.endian);
  Choose(from.length_counts(),
         {{pb::Packet::LENGTH_COUNTS_CONTENT,
           PacketOptions::LengthCounts::kContent},
          {pb::Packet::LENGTH_COUNTS_PACKET,
           PacketOptions::LengthCounts::kPacket}},
         packet.length_counts);
  packet.container_types.assign(from.container_types().begin(),
                                from.container_types().end());
  if (from.has_coalesce()) {
    packet.coalesce = from.coalesce() ? PacketOptions::Coalesce::kOn
                                      : PacketOptions::Coalesce::kOff;
  }
  if (!from.methods().empty()) return;
  for (const absl::string_view key : {"content", "max_calls", "call_window"}) {
    if (!section.Has(key)) continue;
    section.AddFault(key, "means nothing without packet.methods");
  }
}

MethodTable MethodTableFrom(const pb::Packet& from, const Section& section) {
  MethodTable to;
  section.Read(TableOf<MethodTable>(), to);
  for (const auto& [type, method] : from.methods()) {
    to.methods.emplace(type, WithSlash(method));
  }
  Choose(from.content(),
         {{pb::Packet::CONTENT_PROTOBUF, PacketContent::kProtobuf},
          {pb::Packet::CONTENT_JSON, PacketContent::kJson}},
         to.content);
  return to;
}

HubTarget HubFrom(const pb::Hub& from, const Section& section) {
  HubTarget to;
  section.Read(TableOf<HubTarget>(), to);
  if (from.has_method()) to.method = WithSlash(from.method());
  if (from.has_packet_type()) to.packet_type = from.packet_type();
  to.groups.assign(from.groups().begin(), from.groups().end());
  to.client_join.assign(from.client_join().begin(), from.client_join().end());
  to.client_join_ask.assign(from.client_join_ask().begin(),
                            from.client_join_ask().end());
  to.client_publish.assign(from.client_publish().begin(),
                           from.client_publish().end());
  Choose(from.admission(),
         {{pb::Hub::ADMISSION_ASK, HubTarget::Admission::kAsk},
          {pb::Hub::ADMISSION_OPEN, HubTarget::Admission::kOpen}},
         to.admission);
  Choose(from.streams(),
         {{pb::Hub::STREAMS_ONE, HubTarget::Streams::kOne},
          {pb::Hub::STREAMS_PER_WORKER, HubTarget::Streams::kPerWorker}},
         to.streams);
  Choose(from.on_backend_loss(),
         {{pb::Hub::ON_BACKEND_LOSS_HOLD, HubTarget::OnBackendLoss::kHold},
          {pb::Hub::ON_BACKEND_LOSS_CLOSE, HubTarget::OnBackendLoss::kClose}},
         to.on_backend_loss);
  Choose(from.delivery(),
         {{pb::Hub::DELIVERY_AT_MOST_ONCE, HubTarget::Delivery::kAtMostOnce},
          {pb::Hub::DELIVERY_AT_LEAST_ONCE, HubTarget::Delivery::kAtLeastOnce}},
         to.delivery);
  if (to.delivery == HubTarget::Delivery::kAtLeastOnce &&
      to.method == kPacketMethod) {
    section.AddFault("delivery",
                     "packets cannot be acknowledged: at-least-once needs "
                     "another method");
  }
  if (!to.client_join_ask.empty() && to.method == kPacketMethod) {
    section.AddFault(
        "client_join_ask",
        "packets cannot ask: client_join_ask needs another method");
  }
  static constexpr Binding<HubTarget> kBuffers[] = {
      {"events", &HubTarget::events_bytes},
      {"session_events", &HubTarget::session_events_bytes}};
  section.Below("buffers", from.buffers()).Read<HubTarget>(kBuffers, to);
  static constexpr Binding<HubTarget> kEvents[] = {
      {"pong", &HubTarget::reports_pongs}};
  section.Below("events", from.events()).Read<HubTarget>(kEvents, to);
  section.Below("slow", from.slow())
      .Read(TableOf<SlowClientSettings>(), to.slow);
  to.slow.policy = SlowPolicyFrom(from.slow().policy());
  return to;
}

// What is called. Of several the first one counts, besides the fault.
Target TargetFrom(const pb::Route& from, const Section& section) {
  std::vector<absl::string_view> set;
  if (from.has_method()) set.push_back("method");
  if (from.has_service()) set.push_back("service");
  if (from.http_rules()) set.push_back("http_rules");
  if (!from.packet().methods().empty()) set.push_back("packet.methods");
  if (from.has_hub()) set.push_back("hub");
  if (set.size() > 1) {
    section.AddFault("", absl::StrCat("has ", absl::StrJoin(set, " and "),
                                      "; it may have one of them"));
  }
  static constexpr Binding<HttpRuleSet> kRules[] = {
      {"method_override", &HttpRuleSet::method_override}};
  static constexpr Binding<FixedMethod> kFixed[] = {
      {"method", &FixedMethod::method}};
  static constexpr Binding<ServicePath> kPath[] = {
      {"service", &ServicePath::service}};
  HttpRuleSet rules;
  section.Read<HttpRuleSet>(kRules, rules);
  if (!rules.method_override.empty() && !from.http_rules()) {
    section.AddFault("method_override", "means nothing without http_rules");
  }
  FixedMethod fixed;
  section.Read<FixedMethod>(kFixed, fixed);
  fixed.method = WithSlash(fixed.method);
  ServicePath path;
  section.Read<ServicePath>(kPath, path);
  path.service = WithSlash(path.service);
  if (!fixed.method.empty()) return fixed;
  if (!path.service.empty()) return path;
  if (from.http_rules()) return rules;
  if (!from.packet().methods().empty()) {
    return MethodTableFrom(from.packet(),
                           section.Below("packet", from.packet()));
  }
  if (from.has_hub()) {
    return HubFrom(from.hub(), section.Below("hub", from.hub()));
  }
  return PathMethod{};
}

void TokenFrom(const pb::Token& from, const Section& section, TokenRule& to) {
  section.Read(TableOf<TokenRule>(), to);
  Choose(from.expiry(),
         {{pb::Token::EXPIRY_IGNORE, TokenRule::Expiry::kIgnored},
          {pb::Token::EXPIRY_CLOSE, TokenRule::Expiry::kCloses}},
         to.expiry);
  if (to.expiry == TokenRule::Expiry::kIgnored && section.Has("leeway")) {
    section.AddFault("leeway", "means nothing without expiry: close");
  }
}

void JsonFrom(const pb::Json& from, const Section& section,
              JsonCodecOptions& to) {
  using Options = JsonCodecOptions;
  Choose(from.field_names(),
         {{pb::Json::FIELD_NAMES_JSON, JsonOptions::FieldNames::kJson},
          {pb::Json::FIELD_NAMES_PROTO, JsonOptions::FieldNames::kProto}},
         to.json.field_names);
  Choose(from.unpopulated(),
         {{pb::Json::UNPOPULATED_OMIT, JsonOptions::Unpopulated::kOmit},
          {pb::Json::UNPOPULATED_EMIT, JsonOptions::Unpopulated::kEmit}},
         to.json.unpopulated);
  Choose(from.enums(),
         {{pb::Json::ENUMS_NAME, JsonOptions::Enums::kName},
          {pb::Json::ENUMS_NUMBER, JsonOptions::Enums::kNumber}},
         to.json.enums);
  Choose(
      from.unknown_fields(),
      {{pb::Json::UNKNOWN_FIELDS_REJECT, JsonOptions::UnknownFields::kReject},
       {pb::Json::UNKNOWN_FIELDS_IGNORE, JsonOptions::UnknownFields::kIgnore}},
      to.json.unknown_fields);
  Choose(from.envelope(),
         {{pb::Json::ENVELOPE_NONE, Options::Envelope::kNone},
          {pb::Json::ENVELOPE_RESULT, Options::Envelope::kResult},
          {pb::Json::ENVELOPE_STATUS, Options::Envelope::kStatus}},
         to.envelope);
  Choose(from.error_shape(),
         {{pb::Json::ERROR_SHAPE_GRPC_GATEWAY_V2,
           Options::ErrorShape::kGrpcGatewayV2},
          {pb::Json::ERROR_SHAPE_GRPC_GATEWAY_V1,
           Options::ErrorShape::kGrpcGatewayV1}},
         to.error_shape);
  static constexpr Binding<JsonOptions> kTable[] = {
      {"max_depth", &JsonOptions::max_depth}};
  section.Read<JsonOptions>(kTable, to.json);
}

}  // namespace

SlowClientSettings::Policy SlowPolicyFrom(pb::SlowClients::Policy from) {
  using Policy = SlowClientSettings::Policy;
  Policy policy = Policy::kDisconnect;
  Choose(from,
         {{pb::SlowClients::POLICY_DISCONNECT, Policy::kDisconnect},
          {pb::SlowClients::POLICY_DROP_OLDEST, Policy::kDropOldest},
          {pb::SlowClients::POLICY_KEEP_LATEST, Policy::kKeepLatest},
          {pb::SlowClients::POLICY_BLOCK, Policy::kBlock}},
         policy);
  return policy;
}

Route RouteFrom(const pb::Route& from, const Section& section,
                const Route& base) {
  Route to = base;
  section.Read(TableOf<Route>(), to);
  if (!from.has_upstream() && to.upstream.empty()) {
    section.AddFault(
        "upstream",
        "is missing, and there are several upstreams, none named 'default'",
        "upstreams");
  }
  for (const std::string& host : from.hosts()) {
    to.hosts.push_back(absl::AsciiStrToLower(host));
  }
  to.target = TargetFrom(from, section);
  DialectsFrom(from, to);
  PacketFrom(from.packet(), section.Below("packet", from.packet()), to.packet);
  JsonFrom(from.json(), section.Below("json", from.json()), to.json);
  CodecsFrom(from, to);
  TokenFrom(from.token(), section.Below("token", from.token()), to.token);
  for (const std::string& name : from.forward_headers()) {
    to.forward_headers.push_back(absl::AsciiStrToLower(name));
  }
  to.json.max_message_bytes = to.max_message_bytes;
  to.refusals = RefusalsFrom(from.refusals(), to.refusals);
  RatesFrom(from, section, to);
  return to;
}

}  // namespace headgate
