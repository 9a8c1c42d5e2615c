#include <utility>

#include "absl/strings/str_cat.h"
#include "gateway/codec/json.h"
#include "gateway/codec/json_stream.h"
#include "gateway/codec/json_text.h"
#include "google/api/httpbody.pb.h"

namespace headgate {
namespace {

constexpr char kHttpBody[] = "google.api.HttpBody";
constexpr char kUnknownMediaType[] = "application/octet-stream";

class BoundJsonCodec final : public Codec {
 public:
  BoundJsonCodec(const JsonCodecOptions& options, JsonWire wire,
                 std::shared_ptr<const Schema> schema,
                 const Schema::Method& method, const RequestBinding& binding,
                 absl::string_view media_type, std::string parameters)
      : options_(options),
        wire_(wire),
        schema_(std::move(schema)),
        method_(method),
        body_(binding.body),
        response_body_(binding.response_body),
        media_type_(media_type),
        parameters_(std::move(parameters)),
        form_(FormOf()),
        stream_(options.max_message_bytes, options.json.max_depth) {}

  void Feed(WireMessage message) override {
    if (message.payload.empty()) {
      half_close_ = message.opcode == Opcode::kText;
      return;
    }
    switch (form_) {
      case Form::kNone:
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

  Decoded Next() override {
    if (ending_side_) {
      ending_side_ = false;
      return HalfClose{};
    }
    switch (form_) {
      case Form::kNone:
        return NextOfNone();
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
      return JsonFault(stream_.End(), "",
                       absl::InvalidArgumentError(
                           "the client ended its side inside a JSON text"));
    }
    return NextOfStream();
  }

  bool inside_message() const override {
    return stream_.inside_text() || !collected_.empty();
  }
  std::size_t held_bytes() const override {
    return stream_.held_bytes() + collected_.size() +
           (piece_ ? piece_->size() : 0);
  }

  absl::StatusOr<WireMessage> EncodeAnswer(std::string message) override {
    if (wire_ == JsonWire::kHttp) {
      if (response_body_.empty() && method_.output == kHttpBody) {
        return BytesOf(message);
      }
      if (!response_body_.empty() &&
          schema_->MessageTypeOf(method_.output, response_body_) == kHttpBody) {
        const absl::StatusOr<std::string> body =
            schema_->FieldToProto(method_.output, response_body_, message);
        if (!body.ok()) return body.status();
        return BytesOf(*body);
      }
    }
    absl::StatusOr<std::string> json =
        response_body_.empty()
            ? schema_->ProtoToJson(method_.output, message, options_.json)
            : schema_->FieldToJson(method_.output, response_body_, message,
                                   options_.json);
    if (!json.ok()) return json.status();
    return JsonAnswer(*std::move(json), method_, options_);
  }

  std::optional<WireMessage> EncodeEnd(const Ending& ending) override {
    if (wire_ == JsonWire::kWebSocket &&
        options_.envelope == JsonCodecOptions::Envelope::kNone) {
      return std::nullopt;
    }
    return JsonEnd(ending, *schema_, method_, options_);
  }

 private:
  // What the client's bytes are.
  enum class Form {
    kNone,            // Nothing: the request has no body.
    kJson,            // JSON texts, a message each.
    kCollectedJson,   // One JSON text, which only the half-close ends.
    kCollectedBytes,  // The data of one HttpBody, up to the half-close.
    kPieces,          // The data of an HttpBody each.
  };

  Form FormOf() const {
    if (body_.empty()) return Form::kNone;
    if (wire_ == JsonWire::kWebSocket) return Form::kJson;
    const std::string type = body_ == "*"
                                 ? method_.input
                                 : schema_->MessageTypeOf(method_.input, body_);
    const bool one = TakesOneRequest(method_.kind);
    if (type == kHttpBody) return one ? Form::kCollectedBytes : Form::kPieces;
    // A number has no end of its own, and HTTP may cut a body anywhere.
    return type.empty() && one ? Form::kCollectedJson : Form::kJson;
  }

  Decoded NextOfNone() {
    if (!first_sent_) {
      ending_side_ = true;
      return Request("");
    }
    if (std::exchange(unwanted_, false)) {
      return EndingOf(
          absl::InvalidArgumentError("the request has no body here"));
    }
    // The gateway has half-closed already; the client may, once.
    if (std::exchange(half_close_, false) &&
        std::exchange(client_ended_, true)) {
      return HalfClose{};
    }
    return NeedInput{};
  }

  Decoded NextOfCollected() {
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
      return JsonFault(
          stream_.End(), "",
          absl::InvalidArgumentError("the body ends inside a JSON text"));
    }
    return decoded;
  }

  Decoded NextOfStream() {
    const JsonStream::Event event = stream_.Next();
    if (const auto* text = std::get_if<JsonStream::Text>(&event)) {
      JsonError error;
      absl::StatusOr<std::string> message =
          body_ == "*"
              ? schema_->JsonToProto(method_.input, text->json, options_.json,
                                     error)
              : schema_->FieldFromJson(method_.input, body_, text->json,
                                       options_.json, error);
      if (!message.ok()) return JsonMismatch(stream_, error);
      return Request(*std::move(message));
    }
    if (const auto* fault = std::get_if<JsonStream::Fault>(&event)) {
      return JsonFault(*fault);
    }
    return NeedInput{};
  }

  // The client has ended its side. What takes one request has it by now, or it
  // is what path and query say.
  Decoded NextOfEnd() {
    half_close_ = false;
    if (!first_sent_ && TakesOneRequest(method_.kind)) {
      ending_side_ = true;
      return Request("");
    }
    return HalfClose{};
  }

  // `message`, the first one with what path and query say: protobuf merges what
  // is concatenated.
  Decoded Request(std::string message) {
    if (!std::exchange(first_sent_, true)) message += parameters_;
    return RequestMessage{std::move(message)};
  }

  std::string HttpBodyOf(std::string data) const {
    google::api::HttpBody body;
    body.set_content_type(media_type_);
    body.set_data(std::move(data));
    const std::string message = body.SerializeAsString();
    return body_ == "*"
               ? message
               : schema_->FieldFromProto(method_.input, body_, message);
  }

  static absl::StatusOr<WireMessage> BytesOf(absl::string_view message) {
    google::api::HttpBody body;
    if (!body.ParseFromArray(message.data(),
                             static_cast<int>(message.size()))) {
      return absl::InternalError("the answer is no google.api.HttpBody");
    }
    return WireMessage{
        Opcode::kBinary, std::move(*body.mutable_data()),
        body.content_type().empty() ? kUnknownMediaType : body.content_type()};
  }

  const JsonCodecOptions& options_;
  const JsonWire wire_;
  const std::shared_ptr<const Schema> schema_;
  const Schema::Method& method_;
  const std::string body_;
  const std::string response_body_;
  const std::string media_type_;
  const std::string parameters_;  // Serialized.
  const Form form_;

  JsonStream stream_;
  std::string collected_;
  std::optional<std::string> piece_;
  bool unwanted_ = false;      // The client has sent a body that is none.
  bool first_sent_ = false;    // The first message is out.
  bool half_close_ = false;    // Fed, and not yet seen to.
  bool ending_side_ = false;   // A HalfClose is to follow.
  bool client_ended_ = false;  // kNone: the client has half-closed.
};

}  // namespace

absl::StatusOr<std::unique_ptr<Codec>> MakeBoundJsonCodec(
    const JsonCodecOptions& options, JsonWire wire,
    std::shared_ptr<const Schema> schema, const Schema::Method& method,
    const RequestBinding& binding, absl::string_view media_type) {
  absl::StatusOr<std::string> parameters =
      schema->BindParameters(method.input, binding, options.json);
  if (!parameters.ok()) return parameters.status();
  return std::make_unique<BoundJsonCodec>(options, wire, std::move(schema),
                                          method, binding, media_type,
                                          *std::move(parameters));
}

}  // namespace headgate
