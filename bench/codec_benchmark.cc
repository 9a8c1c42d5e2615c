// What a message costs in the codecs: a client's message taken apart, a
// backend's answer encoded; JSON to protobuf and back; the queue between them.
// The sizes are those of the payload, bytes.

#include <iterator>
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
#include "google/protobuf/text_format.h"
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
  Outgoing out{Watermarks()};
  for (auto _ : state) {
    if (!codec.EncodeMessage(std::string(answer), out).ok()) {
      return state.SkipWithError("the response is refused");
    }
    benchmark::DoNotOptimize(out.TakeMessage(0));
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
  static const JsonCodecOptions options;
  return MakeJsonCodec(
      options, options.envelope, schema,
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

// The conversion alone, by what messages hold.
constexpr char kKinds[] = R"pb(
  name: "kinds.proto"
  package: "kinds"
  syntax: "proto3"
  dependency: "google/protobuf/any.proto"
  dependency: "google/protobuf/duration.proto"
  dependency: "google/protobuf/struct.proto"
  dependency: "google/protobuf/timestamp.proto"
  dependency: "google/protobuf/wrappers.proto"
  message_type {
    name: "Kinds"
    field { name: "id" number: 1 type: TYPE_INT64 label: LABEL_OPTIONAL }
    field { name: "name" number: 2 type: TYPE_STRING label: LABEL_OPTIONAL }
    field { name: "ready" number: 3 type: TYPE_BOOL label: LABEL_OPTIONAL }
    field { name: "counts" number: 4 type: TYPE_INT32 label: LABEL_REPEATED }
    field {
      name: "children"
      number: 5
      type: TYPE_MESSAGE
      label: LABEL_REPEATED
      type_name: ".kinds.Kinds"
    }
    field { name: "x" number: 6 type: TYPE_DOUBLE label: LABEL_OPTIONAL }
    field { name: "ys" number: 7 type: TYPE_FLOAT label: LABEL_REPEATED }
    field {
      name: "labels"
      number: 8
      type: TYPE_MESSAGE
      label: LABEL_REPEATED
      type_name: ".kinds.Kinds.LabelsEntry"
    }
    field {
      name: "created"
      number: 9
      type: TYPE_MESSAGE
      label: LABEL_OPTIONAL
      type_name: ".google.protobuf.Timestamp"
    }
    field {
      name: "took"
      number: 10
      type: TYPE_MESSAGE
      label: LABEL_OPTIONAL
      type_name: ".google.protobuf.Duration"
    }
    field {
      name: "size"
      number: 11
      type: TYPE_MESSAGE
      label: LABEL_OPTIONAL
      type_name: ".google.protobuf.Int64Value"
    }
    field {
      name: "extra"
      number: 12
      type: TYPE_MESSAGE
      label: LABEL_OPTIONAL
      type_name: ".google.protobuf.Struct"
    }
    field {
      name: "detail"
      number: 13
      type: TYPE_MESSAGE
      label: LABEL_OPTIONAL
      type_name: ".google.protobuf.Any"
    }
    nested_type {
      name: "LabelsEntry"
      field { name: "key" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
      field { name: "value" number: 2 type: TYPE_STRING label: LABEL_OPTIONAL }
      options { map_entry: true }
    }
  }
)pb";

struct Kind {
  const char* name;
  const char* json;
};
constexpr Kind kKindsOfJson[] = {
    {"plain",
     R"({"id":"123456789","name":"a name","ready":true,"counts":[1,2,300],)"
     R"("children":[{"id":"1","name":"one"},{"id":"2","name":"two"}]})"},
    {"floats", R"({"x":0.125,"ys":[1.5,-2.25,3.1415927,1e-05,100000,0.1]})"},
    {"map",
     R"({"labels":{"app":"web","zone":"eu-1","tier":"front","team":"blue"}})"},
    {"times", R"({"created":"2026-11-30T12:34:56.789Z","took":"1.500s"})"},
    {"wrapper", R"({"size":"123456789"})"},
    {"struct", R"({"extra":{"a":[1,true,null],"b":{"c":"text"},"d":"more"}})"},
    {"any", R"({"detail":{"@type":"type.googleapis.com/kinds.Kinds","id":"1",)"
            R"("name":"one"}})"},
};
constexpr char kKindsType[] = "kinds.Kinds";

std::shared_ptr<const Schema> KindsSchema() {
  google::protobuf::FileDescriptorProto file;
  google::protobuf::TextFormat::ParseFromString(kKinds, &file);
  std::vector<std::string> warnings;
  return Schema::Build({file}, &warnings);
}

void KindFromJson(benchmark::State& state) {
  const Kind& kind = kKindsOfJson[state.range(0)];
  const auto schema = KindsSchema();
  JsonError error;
  for (auto _ : state) {
    auto message = schema->JsonToProto(kKindsType, kind.json, {}, error);
    if (!message.ok()) return state.SkipWithError("refused");
    benchmark::DoNotOptimize(message);
  }
  state.SetLabel(kind.name);
}
BENCHMARK(KindFromJson)->DenseRange(0, std::size(kKindsOfJson) - 1);

void KindToJson(benchmark::State& state, const JsonOptions& options) {
  const Kind& kind = kKindsOfJson[state.range(0)];
  const auto schema = KindsSchema();
  JsonError error;
  const auto message = schema->JsonToProto(kKindsType, kind.json, {}, error);
  if (!message.ok()) return state.SkipWithError("refused");
  for (auto _ : state) {
    auto json = schema->ProtoToJson(kKindsType, *message, options);
    if (!json.ok()) return state.SkipWithError("refused");
    benchmark::DoNotOptimize(json);
  }
  state.SetLabel(kind.name);
}
BENCHMARK_CAPTURE(KindToJson, omit, JsonOptions())
    ->DenseRange(0, std::size(kKindsOfJson) - 1);
BENCHMARK_CAPTURE(KindToJson, emit,
                  JsonOptions{JsonOptions::FieldNames::kJson,
                              JsonOptions::Unpopulated::kEmit})
    ->Arg(0);

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
