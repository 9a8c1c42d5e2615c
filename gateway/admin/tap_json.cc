#include "gateway/admin/tap_json.h"

#include <cstddef>
#include <memory>
#include <string>

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>

#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "gateway/admin/tap_redaction.h"
#include "gateway/base/utf8.h"
#include "gateway/codec/packet.h"
#include "gateway/codec/protobuf_wire.h"
#include "gateway/hub/client_frames.h"

namespace headgate {
namespace {

namespace json = boost::json;

// A message has as many packets as fit in TapLimits::max_payload_bytes.
constexpr int kMostDepth = 8;

std::string Described(absl::string_view what, std::size_t bytes) {
  return absl::StrCat("<", what, " ", bytes, ">");
}

absl::string_view EventName(TapEvent::Kind kind) {
  switch (kind) {
    case TapEvent::Kind::kOpened:
      return "opened";
    case TapEvent::Kind::kRequest:
      return "request";
    case TapEvent::Kind::kResponse:
      return "response";
    case TapEvent::Kind::kEnded:
      break;
  }
  return "ended";
}

json::value BytesJson(absl::string_view bytes, TapContent content) {
  if (content == TapContent::kRedacted) {
    return json::string(Described("bytes", bytes.size()));
  }
  return json::string(absl::Base64Escape(bytes));
}

json::value TextJson(absl::string_view text, TapContent content) {
  if (content == TapContent::kRedacted) {
    return json::string(Described("text", text.size()));
  }
  return json::string(ToUtf8(text));
}

// How an event's message is to be read. `schema`: null: its type is not known.
struct MessageType {
  const Schema* schema = nullptr;
  std::string name;
};

MessageType TypeOf(const TapEvent& event, const Schema* schema) {
  const std::string& path =
      event.method.empty() ? event.session->method : event.method;
  // The gateway's own services are always known.
  static const std::shared_ptr<const Schema>& own =
      *new std::shared_ptr<const Schema>(Schema::BuiltIn());
  const Schema::Method* method = own->FindMethod(path);
  if (method != nullptr) {
    schema = own.get();
  } else if (schema != nullptr) {
    method = schema->FindMethod(path);
  }
  if (method == nullptr) return {};
  const bool is_request = event.kind == TapEvent::Kind::kRequest;
  return {schema, is_request ? method->input : method->output};
}

// Lines of JSON, or a piece of them.
json::value JsonTextJson(absl::string_view text, TapContent content,
                         const MessageType& type) {
  json::error_code error;
  json::value value =
      json::parse(json::string_view(text.data(), text.size()), error);
  if (error) return TextJson(text, content);
  if (content != TapContent::kRedacted) return value;
  return Redacted(value, type.schema, type.name);
}

bool IsContainer(std::uint32_t type, const PacketOptions& options) {
  if (type == kContainerPacket) return true;
  for (const std::uint32_t other : options.container_types) {
    if (type == other) return true;
  }
  return false;
}

json::value PacketsJson(absl::string_view message, std::size_t from,
                        std::size_t end, const PacketOptions& options,
                        TapContent content, int depth) {
  json::array packets;
  while (from < end) {
    const absl::StatusOr<FramedPacket> packet =
        FindPacket(message, from, end, options);
    if (!packet.ok()) {
      packets.push_back(
          json::object{{"fault", ToUtf8(packet.status().message())}});
      break;
    }
    json::object object = {{"type", packet->header.type},
                           {"who", packet->header.who}};
    if (IsContainer(packet->header.type, options) && depth < kMostDepth) {
      object["packets"] = PacketsJson(message, packet->content, packet->end,
                                      options, content, depth + 1);
    } else {
      object["content"] = BytesJson(
          message.substr(packet->content, packet->header.content_bytes),
          content);
    }
    packets.push_back(std::move(object));
    from = packet->end;
  }
  return packets;
}

// A serialized message of the call.
json::value MessageJson(const TapEvent& event, TapContent content,
                        const Schema* schema) {
  const MessageType type = TypeOf(event, schema);
  if (type.schema == nullptr) return BytesJson(event.payload, content);
  const absl::StatusOr<std::string> text = type.schema->ProtoToJson(
      type.name, event.payload, event.session->route->json.json);
  if (!text.ok()) return BytesJson(event.payload, content);
  return JsonTextJson(*text, content, type);
}

json::value ContentJson(const TapEvent& event, TapContent content,
                        const Schema* schema) {
  if (event.form == TapEvent::Form::kMessage) {
    return MessageJson(event, content, schema);
  }
  if (event.opcode == Opcode::kText) {
    return event.codec == &kRawDialect
               ? TextJson(event.payload, content)
               : JsonTextJson(event.payload, content, TypeOf(event, schema));
  }
  if (event.codec == &kPacketDialect) {
    return PacketsJson(event.payload, 0, event.payload.size(),
                       event.session->route->packet, content, /*depth=*/1);
  }
  if (event.codec == &kJsonDialect) {
    return JsonTextJson(event.payload, content, TypeOf(event, schema));
  }
  if (event.codec == &kProtobufDialect || event.codec == nullptr) {
    return MessageJson(event, content, schema);
  }
  return BytesJson(event.payload, content);
}

// Whether the message may contain a token: frames of hub clients can, in either
// direction (headgate/v1/hub_client.proto).
bool MayHaveToken(const TapEvent& event) {
  const bool is_request = event.kind == TapEvent::Kind::kRequest;
  if (!is_request && event.kind != TapEvent::Kind::kResponse) return false;
  if (event.codec == &kHubJsonDialect) {
    if (!is_request) return absl::StrContains(event.payload, "\"resumeToken\"");
    // A part of a frame may be that of a token. Names may be escaped.
    json::error_code error;
    json::parse(json::string_view(event.payload.data(), event.payload.size()),
                error);
    return error || absl::StrContains(event.payload, "token") ||
           absl::StrContains(event.payload, "resume") ||
           absl::StrContains(event.payload, "\\u");
  }
  if (event.codec != &kHubProtobufDialect) return false;
  return MayHoldCredential(event.payload, is_request);
}

// Puts the JSON form of a serialized message of the call, where it is known.
void PutText(const TapEvent& event, const Schema* schema,
             json::object& object) {
  const MessageType type = TypeOf(event, schema);
  if (type.schema == nullptr) return;
  const absl::StatusOr<std::string> text = type.schema->ProtoToJson(
      type.name, event.payload, event.session->route->json.json);
  if (text.ok()) object["text"] = *text;
}

void PutMessage(const TapEvent& event, TapContent content, const Schema* schema,
                json::object& object) {
  const bool is_wire = event.form == TapEvent::Form::kWire;
  if (is_wire) {
    object["opcode"] = event.opcode == Opcode::kText ? "text" : "binary";
  }
  object["bytes"] = event.bytes;
  // In every codec of the gateway's own but raw.
  const bool is_half_close =
      event.bytes == 0 && event.kind == TapEvent::Kind::kRequest &&
      event.opcode == Opcode::kText && event.codec != &kRawDialect;
  if (is_half_close && (content != TapContent::kRaw || !is_wire)) {
    object["half_close"] = true;
  } else if (!event.has_payload ||
             (content == TapContent::kRaw && MayHaveToken(event))) {
    object["truncated"] = true;
  } else if (content != TapContent::kRaw) {
    object["message"] = ContentJson(
        event, MayHaveToken(event) ? TapContent::kRedacted : content, schema);
  } else if (is_wire && event.opcode == Opcode::kText) {
    object["text"] = event.payload;
  } else {
    if (!is_wire) PutText(event, schema, object);
    object["base64"] = absl::Base64Escape(event.payload);
  }
}

}  // namespace

json::object TapJson(const TapEvent& event, TapContent content,
                     const Schema* schema) {
  const TapSession& session = *event.session;
  const std::string& method =
      event.method.empty() ? session.method : event.method;
  json::object object = {
      {"at", absl::FormatTime("%Y-%m-%dT%H:%M:%E6SZ", event.at.wall,
                              absl::UTCTimeZone())},
      {"event", std::string(EventName(event.kind))},
      {"session", session.id},
      {"route", RouteName(*session.route)}};
  if (!method.empty()) {
    object["method"] = ToUtf8(absl::StripPrefix(method, "/"));
  }
  if (event.codec != nullptr) object["codec"] = std::string(event.codec->name);
  switch (event.kind) {
    case TapEvent::Kind::kOpened:
      object["peer"] = session.peer;
      object["upstream"] = session.route->upstream;
      if (!session.path.empty()) object["path"] = ToUtf8(session.path);
      if (session.chosen != nullptr) {
        object[session.chosen->on == Dialect::On::kWebSocket ? "subprotocol"
                                                             : "media_type"] =
            std::string(session.chosen->token);
      }
      break;
    case TapEvent::Kind::kEnded:
      object["close"] = static_cast<int>(event.close);
      object["by"] = event.by_gateway ? "gateway" : "client";
      object["status"] = absl::StatusCodeToString(event.status.code());
      // A backend's message may quote what it was sent.
      if (!event.status.message().empty()) {
        object["reason"] = TextJson(event.status.message(), content);
      }
      break;
    case TapEvent::Kind::kRequest:
    case TapEvent::Kind::kResponse:
      PutMessage(event, content, schema, object);
      break;
  }
  return object;
}

}  // namespace headgate
