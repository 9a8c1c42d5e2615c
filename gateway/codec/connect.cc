#include "gateway/codec/connect.h"

#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gateway/base/gzip.h"
#include "gateway/codec/connect_error.h"
#include "gateway/codec/dialect.h"
#include "gateway/codec/grpc_fields.h"
#include "gateway/codec/json_failure.h"
#include "gateway/codec/message_format.h"
#include "gateway/codec/message_frames.h"

namespace headgate {
namespace {

constexpr absl::string_view kConnectJsonTypes[] = {"application/json"};
constexpr absl::string_view kConnectProtoTypes[] = {"application/proto"};
constexpr absl::string_view kConnectStreamJsonTypes[] = {
    "application/connect+json"};
constexpr absl::string_view kConnectStreamProtoTypes[] = {
    "application/connect+proto"};

// Responses that wait may share one write.
constexpr std::size_t kJoinedStreamBytes = 16 * 1024;

// A request that is refused for what the method is, with the HTTP status and
// the field that say so.
struct Misuse {
  int http_status;
  std::pair<std::string, std::string> field;
  absl::Status status;
};

// What is wrong with calling the method in this form.
std::optional<Misuse> MisuseOf(const CodecInputs& inputs, bool is_stream) {
  const Schema::Method* method = inputs.method;
  if (inputs.body.message &&
      (method == nullptr || !method->has_no_side_effects)) {
    return Misuse{405,
                  {"Allow", "POST"},
                  absl::UnimplementedError(
                      "a GET is for methods with idempotency_level = "
                      "NO_SIDE_EFFECTS")};
  }
  if (method == nullptr || is_stream == (method->kind != MethodKind::kUnary)) {
    return std::nullopt;
  }
  const char* unary = "application/json, application/proto";
  const char* stream = "application/connect+json, application/connect+proto";
  return Misuse{
      415,
      {"Accept-Post", is_stream ? unary : stream},
      absl::UnimplementedError(absl::StrCat(
          "the method is ", is_stream ? "" : "not ",
          "unary: its content types are ", is_stream ? unary : stream))};
}

// The fields of both metadata in the head of a unary call's response.
FieldList UnaryMetadata(FieldList headers, const Metadata& trailers) {
  for (auto& [name, value] : ForResponseHead(FieldsOf(trailers))) {
    headers.emplace_back(absl::StrCat("trailer-", name), value);
  }
  return headers;
}

WholeResponse UnaryFailure(FieldList metadata, const CallEnd& end,
                           const Schema* schema, const JsonOptions& options) {
  WholeResponse response;
  response.head.http_status = HttpStatusFor(end.status.code());
  response.head.fields.emplace_back("Content-Type", kConnectJsonTypes[0]);
  response.head.metadata = UnaryMetadata(std::move(metadata), end.trailers);
  response.head.is_whole = true;
  response.body = ConnectError(end, schema, options);
  return response;
}

// The block that ends a stream.
std::string EndOfStream(const CallEnd& end, const Schema* schema,
                        const JsonOptions& options) {
  std::string json = "{";
  if (!end.status.ok()) {
    absl::StrAppend(&json, "\"error\":", ConnectError(end, schema, options));
  }
  if (!end.trailers.empty()) {
    absl::StrAppend(&json, json.size() > 1 ? "," : "",
                    "\"metadata\":", JsonMetadata(end.trailers));
  }
  json += "}";
  const MessagePrefix prefix = MakeMessagePrefix(kConnectEndFlag, json.size());
  json.insert(0, prefix.data(), prefix.size());
  return json;
}

WholeResponse StreamFailure(absl::string_view media_type, const CallEnd& end) {
  WholeResponse response;
  response.head.fields.emplace_back("Content-Type", media_type);
  response.head.is_whole = true;
  response.body = EndOfStream(end, nullptr, {});
  return response;
}

MessageFormat FormatOf(const CodecInputs& inputs, bool is_json) {
  return is_json ? MessageFormat::Json(inputs) : MessageFormat::Protobuf();
}

class ConnectUnaryCodec final : public Codec {
 public:
  ConnectUnaryCodec(const CodecInputs& inputs, bool is_json)
      : options_(inputs.json),
        format_(FormatOf(inputs, is_json)),
        schema_(inputs.schema),
        encoding_(inputs.body.encoding),
        accepts_gzip_(inputs.body.accepts_gzip),
        is_get_(inputs.body.message.has_value()),
        misuse_(MisuseOf(inputs, false)),
        body_(inputs.body.message.value_or("")) {}

  void Feed(WireMessage piece) override {
    if (piece.payload.empty()) {
      state_ = State::kComplete;
    } else if (!is_get_) {
      body_ += piece.payload;
    }
  }

  Decoded Next() override {
    if (format_.waits()) return format_.Again();
    switch (state_) {
      case State::kBody:
        if (misuse_) return Fault(EndingOf(misuse_->status));
        if (CompressionOf(encoding_) == Compression::kUnknown) {
          return Fault(UnknownCompression(encoding_));
        }
        if (body_.size() > options_.max_message_bytes) {
          return Fault(MessageTooBig(options_.max_message_bytes));
        }
        return NeedInput{};
      case State::kComplete:
        state_ = State::kRequested;
        return Request();
      case State::kRequested:
        state_ = State::kOver;
        return HalfClose{};
      case State::kOver:
        break;
    }
    return NeedInput{};
  }

  bool inside_message() const override { return state_ == State::kBody; }
  std::size_t held_bytes() const override {
    return body_.size() + format_.held_bytes() + response_.size();
  }

  void EncodeHead(const Metadata& headers, Outgoing&) override {
    metadata_ = ForResponseHead(FieldsOf(headers));
  }

  absl::Status EncodeMessage(std::string&& message, Outgoing&) override {
    if (has_response_) {
      return absl::InternalError(
          "the backend sent a second response, and the call is unary");
    }
    absl::StatusOr<std::string> bytes = format_.Response(std::move(message));
    if (!bytes.ok()) return bytes.status();
    response_ = *std::move(bytes);
    has_response_ = true;
    return absl::OkStatus();
  }

  void EncodeEnd(const Ending& ending, Outgoing& out) override {
    WholeResponse response =
        ending.end.status.ok() ? Success(ending.end)
                               : UnaryFailure(std::move(metadata_), ending.end,
                                              schema_.get(), options_.json);
    if (misuse_) {
      response.head.http_status = misuse_->http_status;
      response.head.fields.push_back(misuse_->field);
    } else if (CompressionOf(encoding_) == Compression::kUnknown) {
      response.head.fields.emplace_back("Accept-Encoding", "gzip");
    }
    out.Head(std::move(response.head));
    if (!response.body.empty()) {
      out.Data({Opcode::kBinary, std::move(response.body)});
    }
    out.End({ending});
  }

 private:
  enum class State {
    kBody,       // The rest of the body is to come.
    kComplete,   // It is there, and not decoded.
    kRequested,  // It was returned; the half-close follows.
    kOver,
  };

  Decoded Fault(Ending ending) {
    state_ = State::kOver;
    return ending;
  }

  Decoded Request() {
    if (CompressionOf(encoding_) == Compression::kNone) {
      return format_.Request(std::exchange(body_, ""));
    }
    const std::size_t max_bytes = options_.max_message_bytes;
    absl::StatusOr<std::string> plain =
        GzipDecompress(std::exchange(body_, ""), max_bytes);
    if (plain.ok()) return format_.Request(*std::move(plain));
    return Fault(absl::IsResourceExhausted(plain.status())
                     ? MessageTooBig(max_bytes)
                     : EndingOf(absl::InvalidArgumentError(
                           "the body is not valid gzip")));
  }

  WholeResponse Success(const CallEnd& end) {
    WholeResponse response;
    response.head.is_whole = true;
    response.head.fields.emplace_back(
        "Content-Type",
        format_.is_json() ? kConnectJsonTypes[0] : kConnectProtoTypes[0]);
    response.head.metadata = UnaryMetadata(std::move(metadata_), end.trailers);
    response.body = std::move(response_);
    if (is_get_) response.head.fields.emplace_back("Vary", "Accept-Encoding");
    if (accepts_gzip_ && CompressIfItPays(response.body)) {
      response.head.fields.emplace_back("Content-Encoding", "gzip");
    }
    return response;
  }

  const JsonCodecOptions& options_;
  MessageFormat format_;
  const std::shared_ptr<const Schema> schema_;
  const std::string encoding_;
  const bool accepts_gzip_;
  const bool is_get_;
  const std::optional<Misuse> misuse_;

  State state_ = State::kBody;
  std::string body_;

  FieldList metadata_;  // The backend's initial.
  bool has_response_ = false;
  std::string response_;
};

class ConnectStreamCodec final : public Codec {
 public:
  ConnectStreamCodec(const CodecInputs& inputs, bool is_json)
      : options_(inputs.json.json),
        format_(FormatOf(inputs, is_json)),
        schema_(inputs.schema),
        encoding_(inputs.body.encoding),
        compression_out_(inputs.body.accepts_gzip ? Compression::kGzip
                                                  : Compression::kNone),
        takes_one_request_(inputs.method != nullptr &&
                           TakesOneRequest(inputs.method->kind)),
        misuse_(MisuseOf(inputs, true)),
        frames_(inputs.json.max_message_bytes,
                CompressionOf(encoding_) == Compression::kGzip
                    ? Compression::kGzip
                    : Compression::kNone) {}

  void Feed(WireMessage piece) override {
    if (piece.payload.empty()) {
      body_ended_ = true;
    } else {
      frames_.Feed(std::move(piece.payload));
    }
  }

  Decoded Next() override {
    if (misuse_) return EndingOf(misuse_->status);
    if (CompressionOf(encoding_) == Compression::kUnknown) {
      return UnknownCompression(encoding_);
    }
    if (format_.waits()) return format_.Again();
    Decoded next = frames_.Next();
    if (auto* message = std::get_if<RequestMessage>(&next)) {
      has_request_ = true;
      return format_.Request(std::move(message->payload));
    }
    if (!std::holds_alternative<NeedInput>(next) ||
        !std::exchange(body_ended_, false)) {
      return next;
    }
    if (frames_.inside_message()) {
      return EndingOf(
          absl::InvalidArgumentError("the body ends inside a message"));
    }
    if (takes_one_request_ && !has_request_) {
      return EndingOf(absl::InvalidArgumentError(
          "the body has no message, and the method takes one"));
    }
    return HalfClose{};
  }

  bool inside_message() const override { return frames_.inside_message(); }
  std::size_t held_bytes() const override {
    return frames_.held_bytes() + format_.held_bytes();
  }

  void EncodeHead(const Metadata& headers, Outgoing& out) override {
    metadata_ = ForResponseHead(FieldsOf(headers));
    SendHead(out);
  }

  absl::Status EncodeMessage(std::string&& message, Outgoing& out) override {
    absl::StatusOr<std::string> bytes = format_.Response(std::move(message));
    if (!bytes.ok()) return bytes.status();
    if (!has_head_) SendHead(out);
    out.Data(
        {Opcode::kBinary, FrameMessage(*std::move(bytes), compression_out_)});
    return absl::OkStatus();
  }

  void EncodeEnd(const Ending& ending, Outgoing& out) override {
    if (misuse_) {
      WholeResponse response = UnaryFailure({}, ending.end, nullptr, options_);
      response.head.http_status = misuse_->http_status;
      response.head.fields.push_back(misuse_->field);
      out.Head(std::move(response.head));
      out.Data({Opcode::kBinary, std::move(response.body)});
      return out.End({ending});
    }
    if (!has_head_) SendHead(out);
    out.Data(
        {Opcode::kBinary, EndOfStream(ending.end, schema_.get(), options_)});
    out.End({ending});
  }

  std::size_t coalesce_bytes() const override { return kJoinedStreamBytes; }

 private:
  void SendHead(Outgoing& out) {
    has_head_ = true;
    OutHead head;
    head.fields.emplace_back("Content-Type", format_.is_json()
                                                 ? kConnectStreamJsonTypes[0]
                                                 : kConnectStreamProtoTypes[0]);
    if (compression_out_ == Compression::kGzip) {
      head.fields.emplace_back("Connect-Content-Encoding", "gzip");
    }
    head.fields.emplace_back("Connect-Accept-Encoding", "gzip");
    head.metadata = metadata_;
    out.Head(std::move(head));
  }

  const JsonOptions& options_;
  MessageFormat format_;
  const std::shared_ptr<const Schema> schema_;
  const std::string encoding_;
  const Compression compression_out_;
  const bool takes_one_request_;
  const std::optional<Misuse> misuse_;

  MessageFrames frames_;
  bool has_request_ = false;
  bool body_ended_ = false;

  FieldList metadata_;  // The backend's initial.
  bool has_head_ = false;
};

template <typename ConnectCodec, bool is_json>
absl::StatusOr<std::unique_ptr<Codec>> MakeConnect(const CodecInputs& inputs) {
  return std::make_unique<ConnectCodec>(inputs, is_json);
}

bool HasPlaceForMetadata(const CodecInputs&) { return true; }

WholeResponse FailureOfUnary(const CallEnd& end) {
  return UnaryFailure({}, end, nullptr, {});
}

}  // namespace

constinit const Dialect kConnectJsonDialect = {
    .name = "connect",
    .token = kConnectJsonTypes[0],
    .on = Dialect::On::kHttp,
    .needs_descriptor = true,
    .wants_metadata = HasPlaceForMetadata,
    .make = MakeConnect<ConnectUnaryCodec, true>,
    .media_types = kConnectJsonTypes,
    .encoding_header = "Content-Encoding",
    .accept_encoding_header = "Accept-Encoding",
    .failure = FailureOfUnary,
};

constinit const Dialect kConnectProtoDialect = {
    .name = "connect",
    .token = kConnectProtoTypes[0],
    .on = Dialect::On::kHttp,
    .wants_metadata = HasPlaceForMetadata,
    .make = MakeConnect<ConnectUnaryCodec, false>,
    .media_types = kConnectProtoTypes,
    .encoding_header = "Content-Encoding",
    .accept_encoding_header = "Accept-Encoding",
    .failure = FailureOfUnary,
};

constinit const Dialect kConnectStreamJsonDialect = {
    .name = "connect",
    .token = kConnectStreamJsonTypes[0],
    .on = Dialect::On::kHttp,
    .needs_descriptor = true,
    .wants_metadata = HasPlaceForMetadata,
    .make = MakeConnect<ConnectStreamCodec, true>,
    .media_types = kConnectStreamJsonTypes,
    .encoding_header = "Connect-Content-Encoding",
    .accept_encoding_header = "Connect-Accept-Encoding",
    .failure =
        [](const CallEnd& end) {
          return StreamFailure(kConnectStreamJsonTypes[0], end);
        },
};

constinit const Dialect kConnectStreamProtoDialect = {
    .name = "connect",
    .token = kConnectStreamProtoTypes[0],
    .on = Dialect::On::kHttp,
    .wants_metadata = HasPlaceForMetadata,
    .make = MakeConnect<ConnectStreamCodec, false>,
    .media_types = kConnectStreamProtoTypes,
    .encoding_header = "Connect-Content-Encoding",
    .accept_encoding_header = "Connect-Accept-Encoding",
    .failure =
        [](const CallEnd& end) {
          return StreamFailure(kConnectStreamProtoTypes[0], end);
        },
};

}  // namespace headgate
