// What a message costs in the codecs: a client's message taken apart, a
// backend's answer encoded; JSON to protobuf and back; the queue between them.
// The sizes are those of the payload, bytes.

#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "benchmark/benchmark.h"
#include "gateway/base/watermark_queue.h"
#include "gateway/codec/json.h"
#include "gateway/codec/packet.h"
#include "gateway/codec/passthrough.h"
#include "gateway/schema/schema.h"
#include "google/protobuf/descriptor.pb.h"
#include "headgate/demo/v1/hello.pb.h"
#include "headgate/v1/packet.pb.h"

namespace headgate {
namespace {

// Feeds `message` to the codec again and again, each time until it wants more.
void Decode(benchmark::State& state, Codec& codec, const WireMessage& message) {
  for (auto _ : state) {
    codec.Feed(message);
    while (true) {
      Decoded decoded = codec.Next();
      if (std::holds_alternative<NeedInput>(decoded)) break;
      if (std::holds_alternative<Ending>(decoded)) {
        return state.SkipWithError("the message is refused");
      }
      benchmark::DoNotOptimize(decoded);
    }
  }
  state.SetBytesProcessed(
      static_cast<std::int64_t>(state.iterations() * message.payload.size()));
}

void Encode(benchmark::State& state, Codec& codec, const std::string& answer) {
  for (auto _ : state) {
    absl::StatusOr<WireMessage> message = codec.EncodeAnswer(answer);
    if (!message.ok()) return state.SkipWithError("the answer is refused");
    benchmark::DoNotOptimize(message);
  }
  state.SetBytesProcessed(
      static_cast<std::int64_t>(state.iterations() * answer.size()));
}

std::string Payload(const benchmark::State& state) {
  return std::string(static_cast<std::size_t>(state.range(0)), 'x');
}

// `count` packets in one WebSocket message.
std::string Packets(const std::string& content, int count) {
  std::string message;
  for (int i = 0; i < count; ++i) {
    AppendPacketHeader({7, 42, static_cast<std::uint32_t>(content.size())},
                       PacketOptions(), message);
    message += content;
  }
  return message;
}

void PacketDecode(benchmark::State& state) {
  const auto codec = MakePacketCodec(PacketOptions());
  Decode(state, *codec, {Opcode::kBinary, Packets(Payload(state), 1)});
}
BENCHMARK(PacketDecode)->Arg(64)->Arg(4096);

// What clients that join packets gain.
void PacketDecodeTen(benchmark::State& state) {
  const auto codec = MakePacketCodec(PacketOptions());
  Decode(state, *codec, {Opcode::kBinary, Packets(Payload(state), 10)});
}
BENCHMARK(PacketDecodeTen)->Arg(64);

void PacketEncode(benchmark::State& state) {
  v1::Packet packet;
  packet.set_type(7);
  packet.set_who(42);
  packet.set_content(Payload(state));
  const auto codec = MakePacketCodec(PacketOptions());
  Encode(state, *codec, packet.SerializeAsString());
}
BENCHMARK(PacketEncode)->Arg(64)->Arg(4096);

void ProtobufDecode(benchmark::State& state) {
  const auto codec = MakeProtobufCodec();
  Decode(state, *codec, {Opcode::kBinary, Payload(state)});
}
BENCHMARK(ProtobufDecode)->Arg(64)->Arg(4096);

void RawDecode(benchmark::State& state) {
  const auto codec = MakeRawCodec();
  Decode(state, *codec, {Opcode::kBinary, Payload(state)});
}
BENCHMARK(RawDecode)->Arg(64)->Arg(4096);

std::shared_ptr<const Schema> HelloSchema() {
  google::protobuf::FileDescriptorProto file;
  demo::v1::HelloRequest::descriptor()->file()->CopyTo(&file);
  std::vector<std::string> warnings;
  return Schema::Build({file}, &warnings);
}

std::unique_ptr<Codec> HelloCodec(const std::shared_ptr<const Schema>& schema) {
  return MakeJsonCodec(
      JsonCodecOptions(), schema,
      *schema->FindMethod("/headgate.demo.v1.HelloService/BidiHello"));
}

void JsonDecode(benchmark::State& state) {
  const auto codec = HelloCodec(HelloSchema());
  Decode(state, *codec,
         {Opcode::kText, "{\"greeting\":\"" + Payload(state) + "\"}"});
}
BENCHMARK(JsonDecode)->Arg(64)->Arg(4096);

void JsonEncode(benchmark::State& state) {
  demo::v1::HelloResponse response;
  response.set_reply(Payload(state));
  const auto codec = HelloCodec(HelloSchema());
  Encode(state, *codec, response.SerializeAsString());
}
BENCHMARK(JsonEncode)->Arg(64)->Arg(4096);

// A message in and out of the queue, with so many that wait.
void Queue(benchmark::State& state) {
  WatermarkQueue<WireMessage> queue(Watermarks{});
  const auto push = [&queue] {
    queue.Push({Opcode::kBinary, std::string(64, 'x')}, 64);
  };
  for (int i = 0; i < state.range(0); ++i) push();
  for (auto _ : state) {
    push();
    benchmark::DoNotOptimize(queue.Pop());
  }
}
BENCHMARK(Queue)->Arg(0)->Arg(1000);

}  // namespace
}  // namespace headgate
