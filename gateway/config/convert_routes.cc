#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "gateway/config/convert.h"

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

void PacketFrom(const pb::Packet& from, const std::string& field,
                const FieldConverter& convert, PacketOptions& packet) {
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
  convert.Size(field + ".max_packet_bytes", from.has_max_packet_bytes(),
               from.max_packet_bytes(), packet.max_packet_bytes);
  packet.container_types.assign(from.container_types().begin(),
                                from.container_types().end());
  convert.Number(field + ".max_depth", from.has_max_depth(), from.max_depth(),
                 packet.max_depth);
  if (from.has_coalesce()) {
    packet.coalesce = from.coalesce() ? PacketOptions::Coalesce::kOn
                                      : PacketOptions::Coalesce::kOff;
  }
  if (!from.methods().empty()) return;
  const auto needs_methods = [&](absl::string_view member, bool has) {
    if (!has) return;
    convert.faults().Add(absl::StrCat(field, member),
                         "means nothing without packet.methods");
  };
  needs_methods(".content", from.has_content());
  needs_methods(".max_calls", from.has_max_calls());
  needs_methods(".call_window", from.has_call_window());
}

MethodTable MethodTableFrom(const pb::Packet& from, const std::string& field,
                            const FieldConverter& convert) {
  MethodTable to;
  for (const auto& [type, method] : from.methods()) {
    to.methods.emplace(type, WithSlash(method));
  }
  Choose(from.content(),
         {{pb::Packet::CONTENT_PROTOBUF, PacketContent::kProtobuf},
          {pb::Packet::CONTENT_JSON, PacketContent::kJson}},
         to.content);
  convert.Number(field + ".max_calls", from.has_max_calls(), from.max_calls(),
                 to.max_calls);
  convert.Size(field + ".call_window", from.has_call_window(),
               from.call_window(), to.call_window_bytes);
  return to;
}

// What is called. Of several the first one counts, besides the fault.
Target TargetFrom(const pb::Route& from, const std::string& field,
                  const FieldConverter& convert) {
  std::vector<absl::string_view> set;
  if (from.has_method()) set.push_back("method");
  if (from.has_service()) set.push_back("service");
  if (from.http_rules()) set.push_back("http_rules");
  if (!from.packet().methods().empty()) set.push_back("packet.methods");
  if (set.size() > 1) {
    convert.faults().Add(field,
                         absl::StrCat("has ", absl::StrJoin(set, " and "),
                                      "; it may have one of them"));
  }
  HttpRuleSet rules;
  convert.Text(absl::StrCat(field, ".method_override"),
               from.has_method_override(), from.method_override(),
               rules.method_override);
  if (!rules.method_override.empty() && !from.http_rules()) {
    convert.faults().Add(absl::StrCat(field, ".method_override"),
                         "means nothing without http_rules");
  }
  FixedMethod fixed;
  convert.Text(absl::StrCat(field, ".method"), from.has_method(),
               WithSlash(from.method()), fixed.method);
  ServicePath path;
  convert.Text(absl::StrCat(field, ".service"), from.has_service(),
               WithSlash(from.service()), path.service);
  if (!fixed.method.empty()) return fixed;
  if (!path.service.empty()) return path;
  if (from.http_rules()) return rules;
  if (!from.packet().methods().empty()) {
    return MethodTableFrom(from.packet(), absl::StrCat(field, ".packet"),
                           convert);
  }
  return PathMethod{};
}

void JsonFrom(const pb::Json& from, const std::string& field,
              const FieldConverter& convert, JsonCodecOptions& to) {
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
          {pb::Json::ENVELOPE_RESULT, Options::Envelope::kResult}},
         to.envelope);
  Choose(from.error_shape(),
         {{pb::Json::ERROR_SHAPE_GRPC_GATEWAY_V2,
           Options::ErrorShape::kGrpcGatewayV2},
          {pb::Json::ERROR_SHAPE_GRPC_GATEWAY_V1,
           Options::ErrorShape::kGrpcGatewayV1}},
         to.error_shape);
  convert.Number(field + ".max_depth", from.has_max_depth(), from.max_depth(),
                 to.json.max_depth);
}

}  // namespace

Route RouteFrom(const pb::Route& from, const std::string& field,
                const Route& base, const FieldConverter& convert) {
  Route to = base;
  const auto text = [&](absl::string_view member, bool has,
                        const std::string& value, std::string& setting) {
    convert.Text(absl::StrCat(field, member), has, value, setting);
  };
  for (const std::string& host : from.hosts()) {
    to.hosts.push_back(absl::AsciiStrToLower(host));
  }
  text(".path", from.has_path(), from.path(), to.path);
  text(".prefix", from.has_prefix(), from.prefix(), to.prefix);
  to.strip_prefix = from.strip_prefix();
  text(".template", from.has_template_(), from.template_(), to.path_template);
  text(".upstream", from.has_upstream(), from.upstream(), to.upstream);
  if (!from.has_upstream() && to.upstream.empty()) {
    convert.faults().Add(
        field + ".upstream",
        "is missing, and there are several upstreams, none named 'default'",
        "upstreams");
  }
  to.target = TargetFrom(from, field, convert);
  PacketFrom(from.packet(), field + ".packet", convert, to.packet);
  JsonFrom(from.json(), field + ".json", convert, to.json);
  CodecsFrom(from, to);

  text(".token_cookie", from.has_token_cookie(), from.token_cookie(),
       to.token_cookie);
  text(".token_query", from.has_token_query(), from.token_query(),
       to.token_query);
  for (const std::string& name : from.forward_headers()) {
    to.forward_headers.push_back(absl::AsciiStrToLower(name));
  }
  convert.DurationOrNone(field + ".deadline", from.has_deadline(),
                         from.deadline(), to.deadline);
  convert.Size(field + ".max_message_bytes", from.has_max_message_bytes(),
               from.max_message_bytes(), to.max_message_bytes);
  to.json.max_message_bytes = to.max_message_bytes;
  to.refusals = RefusalsFrom(from.refusals(), to.refusals);
  convert.Number(field + ".max_sessions", from.has_max_sessions(),
                 from.max_sessions(), to.max_sessions);
  RatesFrom(from, field, convert, to);
  convert.DurationOrNone(field + ".idle_timeout", from.has_idle_timeout(),
                         from.idle_timeout(), to.idle_timeout);
  convert.DurationOrNone(field + ".max_age", from.has_max_age(), from.max_age(),
                         to.max_age);
  return to;
}

}  // namespace headgate
