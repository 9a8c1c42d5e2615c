// The packet codec. Input: a byte of options, the type of a container, the
// depth, the limit; then messages, each a length of two bytes and so many
// bytes. What is decoded must be what protobuf itself would write, and encode
// to the same bytes again; an answer must mean what protobuf says it means.

#include <variant>

#include "absl/strings/match.h"
#include "gateway/codec/packet.h"
#include "headgate/v1/packet.pb.h"
#include "tests/codec/events.h"
#include "tests/fuzz/input.h"

namespace headgate {
namespace {

PacketOptions ReadOptions(FuzzInput& input) {
  PacketOptions options;
  const std::uint8_t bits = input.Byte();
  if (bits & 1) options.order = PacketOptions::Order::kTypeWhoLength;
  if (bits & 2) options.endian = PacketOptions::Endian::kLittle;
  if (bits & 4) options.length_counts = PacketOptions::LengthCounts::kPacket;
  options.container_types = {input.Byte()};
  options.max_depth = 1 + input.Byte() % 8;
  options.max_packet_bytes = 1 + input.Byte() * 16;
  return options;
}

void DecodeAndEncodeAgain(const PacketOptions& options,
                          const std::string& message) {
  const std::unique_ptr<Codec> codec = MakePacketCodec(options);
  codec->Feed({Opcode::kBinary, message});
  std::string again;
  for (;;) {
    Decoded decoded = codec->Next();
    if (std::holds_alternative<NeedInput>(decoded)) {
      FUZZ_CHECK(again == message);
      return;
    }
    if (auto* ending = std::get_if<Ending>(&decoded)) {
      FUZZ_CHECK(ending->close == CloseCode::kProtocolError);
      FUZZ_CHECK(absl::StartsWith(message, again));
      return;
    }
    if (std::holds_alternative<HalfClose>(decoded)) {
      // What its `who` was is not told.
      again += message.substr(again.size(), kPacketHeaderBytes);
      continue;
    }
    const std::string& request = std::get<RequestMessage>(decoded).payload;
    v1::Packet packet;
    FUZZ_CHECK(packet.ParseFromString(request));
    FUZZ_CHECK(packet.SerializeAsString() == request);
    const absl::StatusOr<WireMessage> wire = Encoded(*codec, request);
    FUZZ_CHECK(wire.ok());
    again += wire->payload;
  }
}

void EncodeAndDecodeAgain(const PacketOptions& options,
                          const std::string& answer) {
  const std::unique_ptr<Codec> codec = MakePacketCodec(options);
  absl::StatusOr<WireMessage> wire = Encoded(*codec, answer);
  if (!wire.ok()) return;
  v1::Packet packet;
  FUZZ_CHECK(packet.ParseFromString(answer));
  packet.DiscardUnknownFields();
  codec->Feed(*std::move(wire));
  Decoded decoded = codec->Next();
  FUZZ_CHECK(std::holds_alternative<RequestMessage>(decoded));
  FUZZ_CHECK(std::get<RequestMessage>(decoded).payload ==
             packet.SerializeAsString());
  FUZZ_CHECK(std::holds_alternative<NeedInput>(codec->Next()));
}

}  // namespace
}  // namespace headgate

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  headgate::FuzzInput input(data, size);
  const headgate::PacketOptions options = headgate::ReadOptions(input);
  do {
    const std::size_t high = input.Byte();
    const std::string message = input.Bytes(high << 8 | input.Byte());
    headgate::DecodeAndEncodeAgain(options, message);
    headgate::EncodeAndDecodeAgain(options, message);
  } while (!input.empty());
  return 0;
}
