#include "gateway/hub/client_frames.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gateway/base/utf8.h"
#include "gateway/base/varint.h"
#include "gateway/codec/json_failure.h"
#include "gateway/codec/protobuf_wire.h"
#include "gateway/hub/decoder.h"
#include "gateway/hub/known_fields.h"
#include "google/protobuf/duration.pb.h"
#include "google/rpc/status.pb.h"
#include "headgate/v1/packet.pb.h"

namespace headgate {
namespace {

using ClientFrame = v1::HubClientFrame;
using ServerFrame = v1::HubServerFrame;

// --- JSON from the client ---

// One for each thread, as a Schema is for one.
const Schema& FrameSchema() {
  static const std::shared_ptr<const Schema>& built =
      *new std::shared_ptr<const Schema>([] {
        std::vector<google::protobuf::FileDescriptorProto> files(5);
        ClientFrame::descriptor()->file()->CopyTo(&files[0]);
        v1::Payload::descriptor()->file()->CopyTo(&files[1]);
        v1::Packet::descriptor()->file()->CopyTo(&files[2]);
        google::rpc::Status::descriptor()->file()->CopyTo(&files[3]);
        google::protobuf::Duration::descriptor()->file()->CopyTo(&files[4]);
        std::vector<std::string> warnings;
        return Schema::Build(std::move(files), &warnings);
      }());
  thread_local const std::shared_ptr<const Schema> share = Schema::Share(built);
  return *share;
}

bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

// Walks over well-formed JSON.
class JsonWalk {
 public:
  JsonWalk(absl::string_view json, std::size_t at) : json_(json), at_(at) {}

  std::size_t at() const { return at_; }
  char SkipSpace() {
    while (at_ < json_.size() && IsSpace(json_[at_])) ++at_;
    return at_ < json_.size() ? json_[at_] : '\0';
  }
  void SkipByte() { ++at_; }
  // At its first byte.
  void SkipValue() {
    std::size_t depth = 0;
    do {
      const char c = SkipSpace();
      if (c == '"') {
        SkipString();
      } else if (c == '{' || c == '[') {
        ++depth;
        ++at_;
      } else if (c == '}' || c == ']') {
        --depth;
        ++at_;
      } else if (c == ',' || c == ':') {
        ++at_;
      } else {
        SkipWord();
      }
    } while (depth > 0 && at_ < json_.size());
  }
  void SkipString() {
    for (++at_; at_ < json_.size() && json_[at_] != '"'; ++at_) {
      if (json_[at_] == '\\') ++at_;
    }
    ++at_;
  }

 private:
  void SkipWord() {
    constexpr absl::string_view kEnds = ",:]}\" \t\n\r";
    ++at_;
    while (at_ < json_.size() && kEnds.find(json_[at_]) == kEnds.npos) ++at_;
  }

  const absl::string_view json_;
  std::size_t at_;
};

struct Span {
  std::size_t begin;
  std::size_t end;
};

// Appends where the values of `payload` are in the object at `at`; with
// `publish` also those within that member.
void FindPayloads(absl::string_view json, std::size_t at, bool is_frame,
                  std::vector<Span>& found) {
  JsonWalk walk(json, at);
  if (walk.SkipSpace() != '{') return;
  walk.SkipByte();
  while (walk.SkipSpace() == '"') {
    const std::size_t key_begin = walk.at();
    walk.SkipString();
    const absl::string_view key = json.substr(key_begin, walk.at() - key_begin);
    walk.SkipSpace();
    walk.SkipByte();  // The colon.
    walk.SkipSpace();
    const std::size_t begin = walk.at();
    walk.SkipValue();
    if (key == "\"payload\"") found.push_back({begin, walk.at()});
    if (is_frame && key == "\"publish\"") {
      FindPayloads(json, begin, false, found);
    }
    if (walk.SkipSpace() == ',') walk.SkipByte();
  }
}

const v1::Payload* PayloadOf(const ClientFrame& frame) {
  if (frame.has_payload()) return &frame.payload();
  if (frame.publish().has_payload()) return &frame.publish().payload();
  return nullptr;
}

// --- JSON to the client: the proto3 mapping, defaults left out ---

class JsonObject {
 public:
  void Text(absl::string_view key, absl::string_view value) {
    if (!value.empty()) Member(key, JsonString(value));
  }
  void Number(absl::string_view key, std::uint32_t value) {
    if (value != 0) Member(key, absl::StrCat(value));
  }
  // 64 bits are strings.
  void Offset(absl::string_view key, std::uint64_t value) {
    if (value != 0) Member(key, absl::StrCat("\"", value, "\""));
  }
  void Flag(absl::string_view key, bool value) {
    if (value) Member(key, "true");
  }
  void Member(absl::string_view key, absl::string_view json) {
    absl::StrAppend(&json_, json_.empty() ? "" : ",", "\"", key, "\":", json);
  }
  std::string Take() const { return absl::StrCat("{", json_, "}"); }

 private:
  std::string json_;
};

// In whole seconds: a client that is early loses nothing.
void SetExpiry(absl::Duration expires_in, google::protobuf::Duration& to) {
  constexpr std::int64_t kMost = 315'576'000'000;  // Of its definition.
  to.set_seconds(
      std::clamp<std::int64_t>(absl::ToInt64Seconds(expires_in), 0, kMost));
}

std::string ToJson(const google::protobuf::Duration& duration) {
  return absl::StrCat("\"", duration.seconds(), "s\"");
}

void SetStatus(const absl::Status& status, google::rpc::Status& to) {
  to.set_code(static_cast<int>(status.code()));
  to.set_message(ToUtf8(status.message()));
}

std::string ToJson(const google::rpc::Status& status) {
  JsonObject json;
  json.Number("code", static_cast<std::uint32_t>(status.code()));
  json.Text("message", status.message());
  return json.Take();
}

std::string ToJson(const ServerFrame::Joined& joined) {
  JsonObject json;
  json.Text("group", joined.group());
  if (joined.has_position()) {
    JsonObject position;
    position.Text("epoch", joined.position().epoch());
    position.Offset("offset", joined.position().offset());
    json.Member("position", position.Take());
  }
  json.Flag("recovered", joined.recovered());
  json.Number("missed", joined.missed());
  return json.Take();
}

std::string ToJson(const ServerFrame::Gap& gap) {
  JsonObject json;
  json.Text("group", gap.group());
  json.Offset("after", gap.after());
  json.Offset("before", gap.before());
  return json.Take();
}

std::string ToJson(const ServerFrame& frame) {
  JsonObject json;
  json.Number("id", frame.id());
  switch (frame.kind_case()) {
    case ServerFrame::kWelcome: {
      JsonObject welcome;
      welcome.Text("session", frame.welcome().session());
      welcome.Text("resumeToken", frame.welcome().resume_token());
      welcome.Flag("resumed", frame.welcome().resumed());
      if (frame.welcome().has_expires_in()) {
        welcome.Member("expiresIn", ToJson(frame.welcome().expires_in()));
      }
      json.Member("welcome", welcome.Take());
      break;
    }
    case ServerFrame::kJoined:
      json.Member("joined", ToJson(frame.joined()));
      break;
    case ServerFrame::kGap:
      json.Member("gap", ToJson(frame.gap()));
      break;
    case ServerFrame::kLeft:
      json.Member("left", JsonString(frame.left()));
      break;
    case ServerFrame::kError:
      json.Member("error", ToJson(frame.error()));
      break;
    case ServerFrame::kExpiresIn:
      json.Member("expiresIn", ToJson(frame.expires_in()));
      break;
    case ServerFrame::kEnd:
      json.Member("end", ToJson(frame.end()));
      break;
    case ServerFrame::kOk:
      json.Flag("ok", frame.ok());
      break;
    case ServerFrame::kResumeToken:
      json.Text("resumeToken", frame.resume_token());
      break;
    case ServerFrame::kDelivery:  // EncodeDelivery has it.
    case ServerFrame::KIND_NOT_SET:
      break;
  }
  return json.Take();
}

bool WelcomeHasToken(absl::string_view welcome) {
  WireReader reader(welcome);
  WireField field;
  while (reader.Next(field)) {
    if (field.tag >> 3 == ServerFrame::Welcome::kResumeTokenFieldNumber) {
      return true;
    }
  }
  return !reader.ok();
}

}  // namespace

absl::StatusOr<ClientFrame> ParseClientFrame(absl::string_view bytes) {
  ClientFrame frame;
  if (!frame.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return absl::InvalidArgumentError(
        "the message is not a headgate.v1.HubClientFrame");
  }
  if (absl::Status known = CheckKnown(frame); !known.ok()) return known;
  // Nested as deep as it may be here it would be too deep for the backend,
  // which gets it in two messages more.
  const v1::Payload* payload = PayloadOf(frame);
  if (payload != nullptr && payload->packet().packets_size() > 0) {
    return absl::InvalidArgumentError(
        "payload.packet: a packet with packets in it");
  }
  return frame;
}

absl::StatusOr<JsonClientFrame> ParseJsonClientFrame(absl::string_view json,
                                                     const JsonOptions& options,
                                                     JsonError& error) {
  std::vector<Span> payloads;
  FindPayloads(json, 0, true, payloads);
  // Of the schema's point of view a payload is an empty message.
  std::string rest;
  std::size_t copied = 0;
  // Where the rest goes on behind a payload, and how much was left out before.
  std::vector<std::pair<std::size_t, std::size_t>> omitted;
  for (const Span& span : payloads) {
    absl::StrAppend(&rest, json.substr(copied, span.begin - copied), "{}");
    copied = span.end;
    omitted.emplace_back(rest.size(), copied - rest.size());
  }
  absl::StrAppend(&rest, json.substr(copied));
  JsonOptions strict;
  strict.max_depth = options.max_depth;
  JsonClientFrame parsed;
  absl::StatusOr<std::string> bytes = FrameSchema().JsonToProto(
      ClientFrame::descriptor()->full_name(), rest, strict, error);
  if (!bytes.ok()) {
    std::size_t shift = 0;
    for (const auto& [at, bytes_before] : omitted) {
      if (error.offset >= at) shift = bytes_before;
    }
    error.offset += shift;
    return bytes.status();
  }
  if (!parsed.frame.ParseFromString(*bytes)) {
    error.message = error.message_for_log = "is not a frame";
    return absl::InvalidArgumentError(error.message);
  }
  if (PayloadOf(parsed.frame) == nullptr) return parsed;
  if (payloads.empty()) {  // The name of the member is escaped.
    error.message = error.message_for_log =
        "payload: its name must be written without escapes";
    return absl::InvalidArgumentError(error.message);
  }
  const Span& span = payloads.front();
  parsed.payload = json.substr(span.begin, span.end - span.begin);
  return parsed;
}

bool MayHoldCredential(absl::string_view frame, bool is_from_client) {
  WireReader reader(frame);
  WireField field;
  while (reader.Next(field)) {
    const std::uint32_t number = field.tag >> 3;
    if (is_from_client) {
      if (number == ClientFrame::kTokenFieldNumber ||
          number == ClientFrame::kResumeFieldNumber) {
        return true;
      }
    } else if (number == ServerFrame::kResumeTokenFieldNumber ||
               (number == ServerFrame::kWelcomeFieldNumber &&
                WelcomeHasToken(field.bytes))) {
      return true;
    }
  }
  return !reader.ok();
}

WireMessage EncodeServerFrame(const ServerFrame& frame, HubCodec codec) {
  if (codec == HubCodec::kHubJson) return {Opcode::kText, ToJson(frame)};
  return {Opcode::kBinary, frame.SerializeAsString()};
}

WireMessage EncodeDelivery(absl::string_view payload, absl::string_view group,
                           std::uint64_t offset, HubCodec codec) {
  if (codec == HubCodec::kHubJson) {
    JsonObject delivery;
    delivery.Member("payload", payload);
    delivery.Text("group", group);
    delivery.Offset("offset", offset);
    JsonObject frame;
    frame.Member("delivery", delivery.Take());
    return {Opcode::kText, frame.Take()};
  }
  std::string delivery;
  AppendBytesField(ServerFrame::Delivery::kPayloadFieldNumber, payload,
                   delivery);
  if (!group.empty()) {
    AppendBytesField(ServerFrame::Delivery::kGroupFieldNumber, group, delivery);
  }
  if (offset != 0) {
    AppendVarint(ServerFrame::Delivery::kOffsetFieldNumber << 3, delivery);
    AppendVarint(offset, delivery);
  }
  std::string frame;
  AppendBytesField(ServerFrame::kDeliveryFieldNumber, delivery, frame);
  return {Opcode::kBinary, std::move(frame)};
}

ServerFrame WelcomeFrame(const std::string& session,
                         absl::Duration expires_in) {
  ServerFrame frame;
  ServerFrame::Welcome& welcome = *frame.mutable_welcome();
  welcome.set_session(session);
  if (expires_in < absl::InfiniteDuration()) {
    SetExpiry(expires_in, *welcome.mutable_expires_in());
  }
  return frame;
}

ServerFrame ExpiryFrame(absl::Duration expires_in) {
  ServerFrame frame;
  SetExpiry(expires_in, *frame.mutable_expires_in());
  return frame;
}

ServerFrame EndFrame(const absl::Status& status) {
  ServerFrame frame;
  SetStatus(status, *frame.mutable_end());
  return frame;
}

ServerFrame FailureFrame(std::uint32_t id, const absl::Status& status) {
  ServerFrame frame;
  frame.set_id(id);
  SetStatus(status, *frame.mutable_error());
  return frame;
}

ServerFrame OkFrame(std::uint32_t id) {
  ServerFrame frame;
  frame.set_id(id);
  frame.set_ok(true);
  return frame;
}

}  // namespace headgate
