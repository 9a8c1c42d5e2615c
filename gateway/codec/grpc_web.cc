#include "gateway/codec/grpc_web.h"

#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gateway/codec/base64_stream.h"
#include "gateway/codec/dialect.h"
#include "gateway/codec/grpc_fields.h"
#include "gateway/codec/message_format.h"
#include "gateway/codec/message_frames.h"

namespace headgate {
namespace {

// Clients know these names, without parameters.
constexpr absl::string_view kWebBinaryTypes[] = {"application/grpc-web+proto",
                                                 "application/grpc-web"};
constexpr absl::string_view kWebJsonTypes[] = {"application/grpc-web+json"};
constexpr absl::string_view kWebTextTypes[] = {
    "application/grpc-web-text+proto", "application/grpc-web-text"};
constexpr absl::string_view kWebTextJsonTypes[] = {
    "application/grpc-web-text+json"};

// Responses that wait may share one write.
constexpr std::size_t kJoinedWebBytes = 16 * 1024;

std::string TrailerBlock(const CallEnd& end) {
  std::string lines = FieldLines(StatusFields(end));
  const MessagePrefix prefix =
      MakeMessagePrefix(kGrpcWebTrailersFlag, lines.size());
  lines.insert(0, prefix.data(), prefix.size());
  return lines;
}

// The response of a call whose status is known before its first message. Some
// clients look for a failure in the header fields alone and others in the body
// alone, but fault a status OK in the header fields.
WholeResponse WholeFailure(absl::string_view media_type, bool is_text,
                           FieldList metadata, const CallEnd& end) {
  WholeResponse response;
  response.head.fields.emplace_back("Content-Type", media_type);
  response.head.metadata = std::move(metadata);
  FieldList trailers = ForResponseHead(StatusFields(end));
  std::move(trailers.begin(), trailers.end(),
            std::back_inserter(response.head.metadata));
  response.head.is_whole = true;
  response.body = TrailerBlock(end);
  if (is_text) response.body = absl::Base64Escape(response.body);
  return response;
}

class GrpcWebCodec final : public Codec {
 public:
  struct Form {
    bool is_text_in;
    bool is_text_out;
    absl::string_view media_type;  // Of the response.
    Compression compression_in;
    Compression compression_out;
  };

  GrpcWebCodec(const Form& form, MessageFormat format,
               std::optional<MethodKind> kind, std::size_t max_message_bytes)
      : form_(form),
        format_(std::move(format)),
        takes_one_request_(kind && TakesOneRequest(*kind)),
        gives_one_response_(kind && GivesOneAnswer(*kind)),
        frames_(max_message_bytes, form.compression_in) {}

  void Fail(Ending fault) { fault_ = std::move(fault); }

  void Feed(WireMessage piece) override {
    if (piece.payload.empty()) {
      body_ended_ = true;
      return;
    }
    if (!form_.is_text_in) return frames_.Feed(std::move(piece.payload));
    std::string bytes;
    const absl::Status decoded = base64_.Feed(piece.payload, bytes);
    // What came before the fault is served first.
    if (!decoded.ok()) Fail(EndingOf(decoded));
    frames_.Feed(std::move(bytes));
  }

  Decoded Next() override {
    if (format_.waits()) return format_.Again();
    Decoded next = frames_.Next();
    if (auto* message = std::get_if<RequestMessage>(&next)) {
      has_request_ = true;
      return format_.Request(std::move(message->payload));
    }
    if (!std::holds_alternative<NeedInput>(next)) return next;
    if (fault_) return *std::exchange(fault_, std::nullopt);
    if (!std::exchange(body_ended_, false)) return NeedInput{};
    if (frames_.inside_message() || !base64_.complete()) {
      return EndingOf(
          absl::InvalidArgumentError("the body ends inside a message"));
    }
    if (takes_one_request_ && !has_request_) {
      return EndingOf(absl::InvalidArgumentError(
          "the body has no message, and the method takes one"));
    }
    return HalfClose{};
  }

  bool inside_message() const override {
    return frames_.inside_message() || !base64_.complete();
  }
  std::size_t held_bytes() const override {
    return frames_.held_bytes() + format_.held_bytes() + held_.size();
  }

  void EncodeHead(const Metadata& headers, Outgoing& out) override {
    metadata_ = ForResponseHead(FieldsOf(headers));
    if (!gives_one_response_) SendHead(out);
  }

  absl::Status EncodeMessage(std::string&& message, Outgoing& out) override {
    absl::StatusOr<std::string> bytes = format_.Response(std::move(message));
    if (!bytes.ok()) return bytes.status();
    std::string frame =
        Armored(FrameMessage(*std::move(bytes), form_.compression_out));
    if (gives_one_response_) {
      held_ = std::move(frame);
      return absl::OkStatus();
    }
    if (!has_head_) SendHead(out);
    has_sent_message_ = true;
    out.Data({Opcode::kBinary, std::move(frame)});
    return absl::OkStatus();
  }

  void EncodeEnd(const Ending& ending, Outgoing& out) override {
    const bool has_begun = has_sent_message_ || out.head_is_sent();
    if (!ending.end.status.ok() && !has_begun) {
      WholeResponse response = WholeFailure(form_.media_type, form_.is_text_out,
                                            std::move(metadata_), ending.end);
      if (absl::IsUnimplemented(ending.end.status)) {
        response.head.fields.emplace_back("Grpc-Accept-Encoding", "gzip");
      }
      out.Head(std::move(response.head));
      out.Data({Opcode::kBinary, std::move(response.body)});
      return out.End({ending});
    }
    if (!has_head_) SendHead(out);
    out.Data({Opcode::kBinary,
              std::move(held_) + Armored(TrailerBlock(ending.end))});
    out.End({ending});
  }

  std::size_t coalesce_bytes() const override { return kJoinedWebBytes; }

 private:
  void SendHead(Outgoing& out) {
    has_head_ = true;
    OutHead head;
    head.fields.emplace_back("Content-Type", form_.media_type);
    if (form_.compression_out == Compression::kGzip) {
      head.fields.emplace_back("Grpc-Encoding", "gzip");
    }
    head.metadata = metadata_;
    head.is_whole = gives_one_response_;
    out.Head(std::move(head));
  }

  std::string Armored(std::string bytes) const {
    return form_.is_text_out ? absl::Base64Escape(bytes) : std::move(bytes);
  }

  const Form form_;
  MessageFormat format_;
  const bool takes_one_request_;
  const bool gives_one_response_;

  MessageFrames frames_;
  Base64Stream base64_;
  bool has_request_ = false;
  bool body_ended_ = false;
  std::optional<Ending> fault_;

  FieldList metadata_;  // The backend's initial.
  bool has_head_ = false;
  bool has_sent_message_ = false;
  std::string held_;  // The one response, until the status is known.
};

// A client may ask for the other form in its Accept header.
bool IsTextWanted(const BodyFormat& body, bool is_text) {
  const std::string accept = absl::AsciiStrToLower(body.accept);
  return absl::StrContains(accept, "application/grpc-web-text") ||
         (is_text && !absl::StrContains(accept, "application/grpc-web"));
}

absl::string_view MediaTypeOf(bool is_text, bool is_json) {
  if (is_json) return is_text ? kWebTextJsonTypes[0] : kWebJsonTypes[0];
  return is_text ? kWebTextTypes[0] : kWebBinaryTypes[0];
}

absl::StatusOr<std::unique_ptr<Codec>> MakeGrpcWeb(const CodecInputs& inputs,
                                                   bool is_text, bool is_json) {
  const bool is_text_out = IsTextWanted(inputs.body, is_text);
  const Compression compression_in = CompressionOf(inputs.body.encoding);
  const GrpcWebCodec::Form form = {
      .is_text_in = is_text,
      .is_text_out = is_text_out,
      .media_type = MediaTypeOf(is_text_out, is_json),
      .compression_in = compression_in == Compression::kUnknown
                            ? Compression::kNone
                            : compression_in,
      .compression_out =
          inputs.body.accepts_gzip ? Compression::kGzip : Compression::kNone};
  auto codec = std::make_unique<GrpcWebCodec>(
      form, is_json ? MessageFormat::Json(inputs) : MessageFormat::Protobuf(),
      inputs.method != nullptr ? std::make_optional(inputs.method->kind)
                               : std::nullopt,
      inputs.json.max_message_bytes);
  if (compression_in == Compression::kUnknown) {
    codec->Fail(UnknownCompression(inputs.body.encoding));
  }
  return codec;
}

bool TakesMetadata(const CodecInputs&) { return true; }

}  // namespace

constinit const Dialect kGrpcWebDialect = {
    .name = "grpc-web",
    .token = kWebBinaryTypes[1],
    .on = Dialect::On::kHttp,
    .wants_metadata = TakesMetadata,
    .make =
        [](const CodecInputs& inputs) {
          return MakeGrpcWeb(inputs, false, false);
        },
    .media_types = kWebBinaryTypes,
    .encoding_header = "Grpc-Encoding",
    .accept_encoding_header = "Grpc-Accept-Encoding",
    .failure =
        [](const CallEnd& end) {
          return WholeFailure(kWebBinaryTypes[0], false, {}, end);
        },
};

constinit const Dialect kGrpcWebJsonDialect = {
    .name = "grpc-web",
    .token = kWebJsonTypes[0],
    .on = Dialect::On::kHttp,
    .needs_descriptor = true,
    .wants_metadata = TakesMetadata,
    .make =
        [](const CodecInputs& inputs) {
          return MakeGrpcWeb(inputs, false, true);
        },
    .media_types = kWebJsonTypes,
    .encoding_header = "Grpc-Encoding",
    .accept_encoding_header = "Grpc-Accept-Encoding",
    .failure =
        [](const CallEnd& end) {
          return WholeFailure(kWebJsonTypes[0], false, {}, end);
        },
};

constinit const Dialect kGrpcWebTextDialect = {
    .name = "grpc-web",
    .token = kWebTextTypes[1],
    .on = Dialect::On::kHttp,
    .wants_metadata = TakesMetadata,
    .make =
        [](const CodecInputs& inputs) {
          return MakeGrpcWeb(inputs, true, false);
        },
    .media_types = kWebTextTypes,
    .encoding_header = "Grpc-Encoding",
    .accept_encoding_header = "Grpc-Accept-Encoding",
    .failure =
        [](const CallEnd& end) {
          return WholeFailure(kWebTextTypes[0], true, {}, end);
        },
};

constinit const Dialect kGrpcWebTextJsonDialect = {
    .name = "grpc-web",
    .token = kWebTextJsonTypes[0],
    .on = Dialect::On::kHttp,
    .needs_descriptor = true,
    .wants_metadata = TakesMetadata,
    .make =
        [](const CodecInputs& inputs) {
          return MakeGrpcWeb(inputs, true, true);
        },
    .media_types = kWebTextJsonTypes,
    .encoding_header = "Grpc-Encoding",
    .accept_encoding_header = "Grpc-Accept-Encoding",
    .failure =
        [](const CallEnd& end) {
          return WholeFailure(kWebTextJsonTypes[0], true, {}, end);
        },
};

}  // namespace headgate
