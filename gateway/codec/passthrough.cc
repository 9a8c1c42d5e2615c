#include "gateway/codec/passthrough.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gateway/base/utf8.h"
#include "gateway/codec/dialect.h"
#include "gateway/codec/protobuf_wire.h"

namespace headgate {
namespace {

class ProtobufCodec final : public Codec {
 public:
  void Feed(WireMessage message) override { message_ = std::move(message); }
  std::size_t held_bytes() const override {
    return message_ ? message_->payload.size() : 0;
  }

  Decoded Next() override {
    if (!message_) return NeedInput{};
    WireMessage message = *std::exchange(message_, std::nullopt);
    if (message.opcode == Opcode::kText) {
      return DecodeTextOfBinaryCodec(kProtobufDialect.name, message.payload);
    }
    return RequestMessage{std::move(message.payload)};
  }

  absl::Status EncodeMessage(std::string&& message, Outgoing& out) override {
    out.Data({Opcode::kBinary, std::move(message)});
    return absl::OkStatus();
  }

 private:
  std::optional<WireMessage> message_;
};

// The fields of headgate.v1.Message.
constexpr std::uint32_t kTextTag = WireTag(1, WireType::kBytes);
constexpr std::uint32_t kBinaryTag = WireTag(2, WireType::kBytes);

class RawCodec final : public Codec {
 public:
  void Feed(WireMessage message) override { message_ = std::move(message); }
  std::size_t held_bytes() const override {
    return message_ ? message_->payload.size() : 0;
  }

  Decoded Next() override {
    if (!message_) return NeedInput{};
    const WireMessage message = *std::exchange(message_, std::nullopt);
    const std::string& payload = message.payload;
    RequestMessage request;
    request.payload.reserve(1 + VarintSize(payload.size()) + payload.size());
    AppendVarint(message.opcode == Opcode::kText ? kTextTag : kBinaryTag,
                 request.payload);
    AppendVarint(payload.size(), request.payload);
    request.payload += payload;
    return request;
  }

  absl::Status EncodeMessage(std::string&& message, Outgoing& out) override {
    WireReader reader(message);
    WireField field;
    std::optional<Opcode> opcode;
    absl::string_view payload;
    // Of a oneof the last member on the wire counts.
    while (reader.Next(field)) {
      if (field.tag != kTextTag && field.tag != kBinaryTag) continue;
      opcode = field.tag == kTextTag ? Opcode::kText : Opcode::kBinary;
      payload = field.bytes;
    }
    if (!reader.ok()) {
      return absl::InternalError("answer: not a headgate.v1.Message");
    }
    if (!opcode) {
      return absl::InternalError("answer: neither text nor binary is set");
    }
    // A text frame that is not UTF-8 would make the client fail the connection
    // (RFC 6455 section 8.1).
    if (opcode == Opcode::kText) {
      const std::size_t valid = ValidUtf8Prefix(payload);
      if (valid != payload.size()) {
        return absl::InternalError(
            absl::StrCat("answer: text: not UTF-8 at byte ", valid));
      }
    }
    out.Data({*opcode, std::string(payload)});
    return absl::OkStatus();
  }

 private:
  std::optional<WireMessage> message_;
};

}  // namespace

std::unique_ptr<Codec> MakeProtobufCodec() {
  return std::make_unique<ProtobufCodec>();
}

std::unique_ptr<Codec> MakeRawCodec() { return std::make_unique<RawCodec>(); }

constinit const Dialect kProtobufDialect = {
    .name = "protobuf",
    .token = "headgate.protobuf.v1",
    .make = [](const CodecInputs&) -> absl::StatusOr<std::unique_ptr<Codec>> {
      return MakeProtobufCodec();
    },
};

constinit const Dialect kRawDialect = {
    .name = "raw",
    .token = "headgate.raw.v1",
    .make = [](const CodecInputs&) -> absl::StatusOr<std::unique_ptr<Codec>> {
      return MakeRawCodec();
    },
};

}  // namespace headgate
