#include "gateway/codec/grpc_websockets.h"

#include <algorithm>
#include <cassert>
#include <cstdint>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "gateway/base/gzip.h"
#include "gateway/base/message_framing.h"
#include "gateway/codec/dialect.h"
#include "gateway/codec/grpc_fields.h"

namespace headgate {
namespace {

// The first byte of a message behind the headers.
constexpr char kData = 0;
constexpr char kEndOfRequests = 1;

constexpr absl::string_view kContentType = "application/grpc-web+proto";

Ending HeadFault(absl::string_view what) {
  return GrpcWebFault(absl::InvalidArgumentError(
      absl::StrCat("the headers of the call: ", what)));
}

Ending TooLong(absl::Status status) {
  return {CloseCode::kMessageTooBig, {std::move(status), ""}};
}

// RFC 9110 section 5.6.2, as far as it separates a name from what is none.
bool IsFieldName(absl::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return absl::ascii_isgraph(c) && c != ':' && c != '"' && c != '(' &&
           c != ')' && c != ',';
  });
}

bool IsFieldValue(absl::string_view value) {
  return std::none_of(value.begin(), value.end(), [](char c) {
    return absl::ascii_iscntrl(c) && c != '\t';
  });
}

// gRPC-Web's other content types, text and JSON, are those of HTTP.
bool IsContentType(absl::string_view value) {
  const absl::string_view type =
      absl::StripAsciiWhitespace(value.substr(0, value.find(';')));
  return absl::EqualsIgnoreCase(type, kContentType) ||
         absl::EqualsIgnoreCase(type, "application/grpc-web") ||
         absl::EqualsIgnoreCase(type, "application/grpc+proto") ||
         absl::EqualsIgnoreCase(type, "application/grpc");
}

std::string Block(const FieldList& fields) {
  const std::string lines = FieldLines(fields);
  const MessagePrefix prefix =
      MakeMessagePrefix(kGrpcWebTrailersFlag, lines.size());
  return absl::StrCat(absl::string_view(prefix.data(), prefix.size()), lines);
}

class GrpcWebSocketsCodec final : public Codec {
 public:
  explicit GrpcWebSocketsCodec(const GrpcWebSocketsLimits& limits)
      : limits_(limits), reader_(limits.max_message_bytes) {}

  void Feed(WireMessage message) override {
    message_ = std::move(message);
    taken_ = 0;
  }
  std::size_t held_bytes() const override {
    return (message_ ? message_->payload.size() : 0) + reader_.held_bytes();
  }
  // The headers are the beginning of all messages.
  bool inside_message() const override {
    return !has_head_ || reader_.in_message();
  }

  Decoded Next() override {
    if (!message_) return NeedInput{};
    if (message_->opcode == Opcode::kText) {
      return Ending{CloseCode::kUnsupportedData,
                    {absl::InvalidArgumentError(
                         "text message: grpc-websockets has binary ones only"),
                     ""}};
    }
    if (!has_head_) return NextHead();
    if (taken_ == 0) {
      if (std::optional<Decoded> control = TakeControlByte()) {
        return *std::move(control);
      }
    }
    return NextMessage();
  }

  void EncodeHead(const Metadata& headers, Outgoing& out) override {
    SendHead(headers, out);
  }

  absl::Status EncodeMessage(std::string&& message, Outgoing& out) override {
    if (!is_head_sent_) SendHead({}, out);
    const MessagePrefix prefix = MakeMessagePrefix(0, message.size());
    message.insert(0, prefix.data(), prefix.size());
    out.Data({Opcode::kBinary, std::move(message)});
    return absl::OkStatus();
  }

  // Headers come first in any case: clients take the first block for them.
  void EncodeEnd(const Ending& ending, Outgoing& out) override {
    if (!is_head_sent_) SendHead({}, out);
    out.Data({Opcode::kBinary, GrpcWebTrailerBlock(ending.end)});
    out.End({ending});
  }

 private:
  void SendHead(const Metadata& headers, Outgoing& out) {
    is_head_sent_ = true;
    out.Data({Opcode::kBinary, GrpcWebHeaderBlock(headers)});
  }

  Decoded NextHead() {
    has_head_ = true;
    const WireMessage message = *std::exchange(message_, std::nullopt);
    std::variant<InBandHead, Ending> head =
        ParseGrpcWebHead(message.payload, limits_.max_head_bytes);
    if (auto* fault = std::get_if<Ending>(&head)) return std::move(*fault);
    std::variant<GrpcEncoding, Ending> encoding =
        GrpcEncodingOf(std::get<InBandHead>(head));
    if (auto* fault = std::get_if<Ending>(&encoding)) return std::move(*fault);
    encoding_ = std::get<GrpcEncoding>(encoding);
    return std::get<InBandHead>(std::move(head));
  }

  // What the first byte means; absent: a piece of a message follows it.
  std::optional<Decoded> TakeControlByte() {
    const std::string& payload = message_->payload;
    if (payload.empty()) {
      return GrpcWebFault(absl::InvalidArgumentError("empty message"));
    }
    if (payload[0] == kData) {
      taken_ = 1;
      return std::nullopt;
    }
    if (payload[0] != kEndOfRequests) {
      return GrpcWebFault(absl::InvalidArgumentError(
          absl::StrCat("a message begins with ",
                       static_cast<int>(static_cast<unsigned char>(payload[0])),
                       ", neither 0 nor 1")));
    }
    if (payload.size() > 1) {
      return GrpcWebFault(
          absl::InvalidArgumentError("bytes behind the half-close"));
    }
    if (reader_.in_message()) {
      return GrpcWebFault(
          absl::InvalidArgumentError("half-close within a message"));
    }
    message_.reset();
    return HalfClose{};
  }

  // The next message of the call in the rest of this one.
  Decoded NextMessage() {
    if (IsOneMessage()) {
      std::string payload = std::move(message_->payload);
      message_.reset();
      payload.erase(0, 1 + kMessagePrefixBytes);
      return RequestMessage{std::move(payload)};
    }
    const absl::string_view rest =
        absl::string_view(message_->payload).substr(taken_);
    const absl::StatusOr<std::size_t> taken = reader_.Feed(rest);
    if (!taken.ok()) {
      return absl::IsResourceExhausted(taken.status())
                 ? TooLong(taken.status())
                 : GrpcWebFault(taken.status());
    }
    taken_ += *taken;
    if (taken_ == message_->payload.size()) message_.reset();
    if (!reader_.complete()) return NeedInput{};
    if (!reader_.compressed()) return RequestMessage{reader_.Take()};
    return Decompressed(reader_.Take());
  }

  // Whether the message holds one message of the call, whole and not
  // compressed, as those of all clients known do: it need not be copied.
  bool IsOneMessage() const {
    const std::string& payload = message_->payload;
    if (taken_ != 1 || reader_.in_message() ||
        payload.size() < 1 + kMessagePrefixBytes ||
        payload.size() - 1 - kMessagePrefixBytes > limits_.max_message_bytes) {
      return false;
    }
    const MessagePrefix whole =
        MakeMessagePrefix(0, payload.size() - 1 - kMessagePrefixBytes);
    return std::equal(whole.begin(), whole.end(), payload.begin() + 1);
  }

  Decoded Decompressed(std::string bytes) const {
    if (encoding_ != GrpcEncoding::kGzip) {
      return GrpcWebFault(
          absl::InternalError("a compressed message without a grpc-encoding"));
    }
    absl::StatusOr<std::string> message =
        GzipDecompress(bytes, limits_.max_message_bytes);
    if (message.ok()) return RequestMessage{*std::move(message)};
    return absl::IsResourceExhausted(message.status())
               ? TooLong(message.status())
               : GrpcWebFault(message.status());
  }

  const GrpcWebSocketsLimits limits_;
  std::optional<WireMessage> message_;  // Fed, and not done with.
  std::size_t taken_ = 0;               // Of its payload, bytes.
  MessageReader reader_;
  bool has_head_ = false;
  GrpcEncoding encoding_ = GrpcEncoding::kIdentity;
  bool is_head_sent_ = false;
};

}  // namespace

Ending GrpcWebFault(absl::Status status) {
  return {CloseCode::kProtocolError, {std::move(status), ""}};
}

// RFC 9112 section 5. The last line need not end, and an empty one may end all.
std::variant<InBandHead, Ending> ParseGrpcWebHead(absl::string_view lines,
                                                  std::size_t max_bytes) {
  if (lines.size() > max_bytes) {
    return EndingOf(absl::ResourceExhaustedError(
        absl::StrCat("the headers of the call have ", lines.size(),
                     " bytes, max_metadata_bytes is ", max_bytes)));
  }
  InBandHead head;
  while (!lines.empty()) {
    const std::size_t end = lines.find('\n');
    absl::string_view line = lines.substr(0, end);
    lines.remove_prefix(end == absl::string_view::npos ? lines.size()
                                                       : end + 1);
    absl::ConsumeSuffix(&line, "\r");
    if (line.empty()) {
      if (lines.empty()) break;
      return HeadFault("an empty line between them");
    }
    const std::size_t colon = line.find(':');
    const absl::string_view name = line.substr(0, colon);
    if (colon == absl::string_view::npos || !IsFieldName(name)) {
      return HeadFault("a line is not NAME: VALUE");
    }
    const absl::string_view value =
        absl::StripAsciiWhitespace(line.substr(colon + 1));
    if (!IsFieldValue(value)) {
      return HeadFault(absl::StrCat(name, " has a control character"));
    }
    if (absl::EqualsIgnoreCase(name, "content-type") && !IsContentType(value)) {
      return HeadFault(absl::StrCat("content-type must be ", kContentType));
    }
    head.fields.emplace_back(name, value);
  }
  return head;
}

// grpc/grpc doc/compression.md.
std::variant<GrpcEncoding, Ending> GrpcEncodingOf(const InBandHead& head) {
  GrpcEncoding encoding = GrpcEncoding::kIdentity;
  for (const auto& [name, value] : head.fields) {
    if (!absl::EqualsIgnoreCase(name, "grpc-encoding")) continue;
    if (absl::EqualsIgnoreCase(value, "gzip")) {
      encoding = GrpcEncoding::kGzip;
    } else if (absl::EqualsIgnoreCase(value, "identity")) {
      encoding = GrpcEncoding::kIdentity;
    } else {
      return EndingOf(absl::UnimplementedError(
          "the message encoding is not supported; identity and gzip are"));
    }
  }
  return encoding;
}

std::string GrpcWebHeaderBlock(const Metadata& headers) {
  FieldList fields = FieldsOf(headers);
  fields.emplace(fields.begin(), "content-type", kContentType);
  return Block(fields);
}

std::string GrpcWebTrailerBlock(const CallEnd& end) {
  return Block(StatusFields(end));
}

std::unique_ptr<Codec> MakeGrpcWebSocketsCodec(
    const GrpcWebSocketsLimits& limits) {
  return std::make_unique<GrpcWebSocketsCodec>(limits);
}

namespace {

absl::StatusOr<std::unique_ptr<Codec>> MakeFrom(const CodecInputs& inputs) {
  return MakeGrpcWebSocketsCodec(
      {inputs.max_head_bytes, inputs.max_message_bytes});
}

}  // namespace

constinit const Dialect kGrpcWebSocketsDialect = {
    .name = "grpc-websockets",
    .token = "grpc-websockets",
    .head = Dialect::Head::kFirstMessage,
    .wants_metadata = [](const CodecInputs&) { return true; },
    .make = MakeFrom,
};

constinit const Dialect kGrpcWebSocketsMultiplexDialect = {
    .name = "grpc-websockets-multiplex",
    .token = "grpc-websockets-multiplex",
    .head = Dialect::Head::kFirstMessage,
    .calls = Dialect::Calls::kMany,
    .wants_metadata = [](const CodecInputs&) { return true; },
    .make = MakeFrom,
};

}  // namespace headgate
