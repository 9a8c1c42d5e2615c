#include "gateway/codec/grpc.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "gateway/codec/dialect.h"
#include "gateway/codec/grpc_fields.h"
#include "gateway/codec/message_frames.h"

namespace headgate {
namespace {

constexpr absl::string_view kGrpcTypes[] = {"application/grpc",
                                            "application/grpc+proto"};

// Responses that wait may share one write.
constexpr std::size_t kJoinedGrpcBytes = 16 * 1024;

OutHead GrpcHead() {
  OutHead head;
  head.fields.emplace_back("Content-Type", kGrpcTypes[0]);
  head.fields.emplace_back("Grpc-Accept-Encoding", "identity,gzip");
  return head;
}

WholeResponse TrailersOnly(const CallEnd& end) {
  WholeResponse response;
  response.head = GrpcHead();
  response.head.is_whole = true;
  response.head.metadata = StatusFields(end);
  return response;
}

class GrpcCodec final : public Codec {
 public:
  GrpcCodec(std::size_t max_message_bytes, Compression in, Compression out)
      : frames_(max_message_bytes, in), compression_out_(out) {}

  void Fail(Ending fault) { fault_ = std::move(fault); }

  void Feed(WireMessage piece) override {
    if (piece.payload.empty()) {
      body_ended_ = true;
    } else {
      frames_.Feed(std::move(piece.payload));
    }
  }

  Decoded Next() override {
    if (fault_) return *std::exchange(fault_, std::nullopt);
    Decoded next = frames_.Next();
    if (!std::holds_alternative<NeedInput>(next) || !body_ended_) return next;
    body_ended_ = false;
    if (frames_.inside_message()) {
      return EndingOf(
          absl::InvalidArgumentError("the body ends inside a message"));
    }
    return HalfClose{};
  }

  bool inside_message() const override { return frames_.inside_message(); }
  std::size_t held_bytes() const override { return frames_.held_bytes(); }

  void EncodeHead(const Metadata& headers, Outgoing& out) override {
    SendHead(FieldsOf(headers), out);
  }

  absl::Status EncodeMessage(std::string&& message, Outgoing& out) override {
    if (!has_head_) SendHead({}, out);
    out.Data(
        {Opcode::kBinary, FrameMessage(std::move(message), compression_out_)});
    return absl::OkStatus();
  }

  void EncodeEnd(const Ending& ending, Outgoing& out) override {
    if (has_head_) return out.End({ending, StatusFields(ending.end)});
    out.Head(TrailersOnly(ending.end).head);
    out.End({ending});
  }

  std::size_t coalesce_bytes() const override { return kJoinedGrpcBytes; }

 private:
  void SendHead(FieldList metadata, Outgoing& out) {
    has_head_ = true;
    OutHead head = GrpcHead();
    if (compression_out_ == Compression::kGzip) {
      head.fields.emplace_back("Grpc-Encoding", "gzip");
    }
    head.metadata = std::move(metadata);
    out.Head(std::move(head));
  }

  MessageFrames frames_;
  const Compression compression_out_;
  bool body_ended_ = false;
  bool has_head_ = false;
  std::optional<Ending> fault_;
};

// A client that compresses its messages gets compressed responses where it
// takes them, as servers of gRPC do it; another pays nothing for what it could
// take.
absl::StatusOr<std::unique_ptr<Codec>> MakeGrpc(const CodecInputs& inputs) {
  const Compression in = CompressionOf(inputs.body.encoding);
  const bool compresses = in == Compression::kGzip && inputs.body.accepts_gzip;
  auto codec = std::make_unique<GrpcCodec>(
      inputs.json.max_message_bytes,
      in == Compression::kUnknown ? Compression::kNone : in,
      compresses ? Compression::kGzip : Compression::kNone);
  if (in == Compression::kUnknown) {
    codec->Fail(UnknownCompression(inputs.body.encoding));
  }
  return codec;
}

}  // namespace

constinit const Dialect kGrpcDialect = {
    .name = "grpc",
    .token = kGrpcTypes[0],
    .on = Dialect::On::kHttp,
    .wants_metadata = [](const CodecInputs&) { return true; },
    .make = MakeGrpc,
    .media_types = kGrpcTypes,
    .needs_http2 = true,
    .encoding_header = "Grpc-Encoding",
    .accept_encoding_header = "Grpc-Accept-Encoding",
    .failure = TrailersOnly,
};

}  // namespace headgate
