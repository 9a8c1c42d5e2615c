#include "gateway/codec/json_requests.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "google/api/httpbody.pb.h"

namespace headgate {
namespace {

Ending UnwantedBody() {
  return EndingOf(absl::InvalidArgumentError("the request has no body here"));
}

}  // namespace

absl::StatusOr<std::unique_ptr<JsonRequests>> JsonRequests::Make(
    const JsonCodecOptions& options, HttpBodies bodies,
    std::shared_ptr<const Schema> schema, const Schema::Method& method,
    const RequestBinding& binding, absl::string_view media_type) {
  absl::StatusOr<std::string> parameters =
      schema->BindParameters(method.input, binding, options.json);
  if (!parameters.ok()) return parameters.status();
  return std::unique_ptr<JsonRequests>(
      new JsonRequests(options, bodies, std::move(schema), method, binding.body,
                       media_type, *std::move(parameters)));
}

JsonRequests::JsonRequests(const JsonCodecOptions& options, HttpBodies bodies,
                           std::shared_ptr<const Schema> schema,
                           const Schema::Method& method, std::string body,
                           absl::string_view media_type, std::string parameters)
    : options_(options),
      schema_(std::move(schema)),
      method_(method),
      body_(std::move(body)),
      media_type_(media_type),
      parameters_(std::move(parameters)),
      form_(FormOf(bodies)),
      stream_(options.max_message_bytes, options.json.max_depth) {}

JsonRequests::Form JsonRequests::FormOf(HttpBodies bodies) const {
  const bool websocket = bodies == HttpBodies::kJson;
  if (body_.empty()) return websocket ? Form::kNone : Form::kEmptyBody;
  if (websocket) return Form::kJson;
  const std::string type = body_ == "*"
                               ? method_.input
                               : schema_->MessageTypeOf(method_.input, body_);
  const bool one = TakesOneRequest(method_.kind);
  if (type == kHttpBodyType) return one ? Form::kCollectedBytes : Form::kPieces;
  // A number has no end of its own, and HTTP may cut a body anywhere.
  return type.empty() && one ? Form::kCollectedJson : Form::kJson;
}

void JsonRequests::Feed(WireMessage message) {
  if (message.payload.empty()) {
    half_close_ = message.opcode == Opcode::kText;
    return;
  }
  switch (form_) {
    case Form::kNone:
    case Form::kEmptyBody:
      unwanted_ =
          options_.json.unknown_fields == JsonOptions::UnknownFields::kReject;
      break;
    case Form::kCollectedJson:
    case Form::kCollectedBytes:
      collected_ += message.payload;
      break;
    case Form::kPieces:
      piece_ = std::move(message.payload);
      break;
    case Form::kJson:
      stream_.Feed(std::move(message.payload));
      break;
  }
}

Decoded JsonRequests::Next() {
  if (ending_side_) {
    ending_side_ = false;
    return HalfClose{};
  }
  switch (form_) {
    case Form::kNone:
      return NextOfNone();
    case Form::kEmptyBody:
      return NextOfEmptyBody();
    case Form::kCollectedJson:
    case Form::kCollectedBytes:
      return NextOfCollected();
    case Form::kPieces:
      if (piece_) return Request(HttpBodyOf(*std::exchange(piece_, {})));
      if (half_close_) return NextOfEnd();
      return NeedInput{};
    case Form::kJson:
      break;
  }
  if (half_close_) {
    if (!stream_.inside_text()) return NextOfEnd();
    half_close_ = false;
    return JsonFault(stream_.End(),
                     absl::InvalidArgumentError(
                         "the client ended its side inside a JSON text"));
  }
  return NextOfStream();
}

Decoded JsonRequests::NextOfNone() {
  if (!first_sent_) {
    ending_side_ = true;
    return Request("");
  }
  if (std::exchange(unwanted_, false)) return UnwantedBody();
  // The gateway has half-closed already; the client may, once.
  if (std::exchange(half_close_, false) && std::exchange(client_ended_, true)) {
    return HalfClose{};
  }
  return NeedInput{};
}

// A call whose body may be wrong has not begun.
Decoded JsonRequests::NextOfEmptyBody() {
  if (std::exchange(unwanted_, false)) return UnwantedBody();
  if (first_sent_ || !std::exchange(half_close_, false)) return NeedInput{};
  ending_side_ = true;
  return Request("");
}

Decoded JsonRequests::NextOfCollected() {
  if (collected_.size() > options_.max_message_bytes) {
    return Ending{CloseCode::kMessageTooBig,
                  CallEnd{absl::ResourceExhaustedError(absl::StrCat(
                              "a body longer than max_message_bytes (",
                              options_.max_message_bytes, ")")),
                          ""}};
  }
  if (!half_close_) return NeedInput{};
  if (first_sent_) return NextOfEnd();
  if (form_ == Form::kCollectedBytes) {
    half_close_ = false;
    ending_side_ = true;
    return Request(HttpBodyOf(std::exchange(collected_, "")));
  }
  if (!collected_.empty()) stream_.Feed(std::exchange(collected_, ""));
  Decoded decoded = NextOfStream();
  if (std::holds_alternative<NeedInput>(decoded)) {
    if (!stream_.inside_text()) return NextOfEnd();
    half_close_ = false;
    return JsonFault(stream_.End(), absl::InvalidArgumentError(
                                        "the body ends inside a JSON text"));
  }
  return decoded;
}

Decoded JsonRequests::NextOfStream() {
  if (waiting_) return Text(*std::exchange(waiting_, std::nullopt));
  const JsonStream::Event event = stream_.Next();
  if (const auto* text = std::get_if<JsonStream::Text>(&event)) {
    return Text(text->json);
  }
  if (const auto* fault = std::get_if<JsonStream::Fault>(&event)) {
    return JsonFault(*fault);
  }
  return NeedInput{};
}

Decoded JsonRequests::Text(absl::string_view json) {
  JsonError error;
  absl::StatusOr<std::string> message =
      body_ == "*"
          ? schema_->JsonToProto(method_.input, json, options_.json, error)
          : schema_->FieldFromJson(method_.input, body_, json, options_.json,
                                   error);
  if (message.ok()) return Request(*std::move(message));
  if (!type_wait_.IsFor(error)) return JsonMismatch(stream_, error);
  waiting_ = json;
  return NeedType{type_wait_.type()};
}

// The client has ended its side. What takes one request has it by now, or it
// is what path and query say.
Decoded JsonRequests::NextOfEnd() {
  half_close_ = false;
  if (!first_sent_ && TakesOneRequest(method_.kind)) {
    ending_side_ = true;
    return Request("");
  }
  return HalfClose{};
}

// `message`, the first one with what path and query say.
Decoded JsonRequests::Request(std::string message) {
  if (std::exchange(first_sent_, true)) {
    return RequestMessage{std::move(message)};
  }
  return RequestMessage{
      schema_->MergeParameters(method_.input, std::move(message), parameters_)};
}

std::string JsonRequests::HttpBodyOf(std::string data) const {
  google::api::HttpBody body;
  body.set_content_type(media_type_);
  body.set_data(std::move(data));
  const std::string message = body.SerializeAsString();
  return body_ == "*" ? message
                      : schema_->FieldFromProto(method_.input, body_, message);
}

}  // namespace headgate
