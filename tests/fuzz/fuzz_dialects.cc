// The codecs of gRPC-Web and Connect. Input: the dialect, the method, a byte of
// options; then the body, whose pieces must say the same as the whole. What it
// holds must also pass as a response.

#include <algorithm>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gateway/codec/dialect.h"
#include "headgate/demo/v1/echo.pb.h"
#include "headgate/demo/v1/hello.pb.h"
#include "tests/fuzz/input.h"

namespace headgate {
namespace {

template <typename Message>
google::protobuf::FileDescriptorProto FileOf() {
  google::protobuf::FileDescriptorProto file;
  Message::descriptor()->file()->CopyTo(&file);
  return file;
}

const std::shared_ptr<const Schema>& DemoSchema() {
  static const auto& schema = *new std::shared_ptr<const Schema>([] {
    std::vector<std::string> warnings;
    std::shared_ptr<const Schema> built = Schema::Build(
        {FileOf<demo::v1::FailRequest>(), FileOf<demo::v1::HelloRequest>()},
        &warnings);
    FUZZ_CHECK(warnings.empty());
    return built;
  }());
  return schema;
}

// What the client says, its body in pieces of `size` bytes; of a fault only
// that it is one, for a text has as many places as pieces.
std::string Hear(Codec& codec, const std::string& body, std::size_t size) {
  std::string log;
  const auto next = [&] {
    for (;;) {
      Decoded decoded = codec.Next();
      if (std::holds_alternative<NeedInput>(decoded)) return true;
      if (const auto* request = std::get_if<RequestMessage>(&decoded)) {
        absl::StrAppend(&log, "request ", request->payload, "\n");
      } else if (std::holds_alternative<HalfClose>(decoded)) {
        log += "half-close\n";
      } else {
        const Ending& ending = std::get<Ending>(decoded);
        absl::StrAppend(&log, "close ", static_cast<int>(ending.close));
        return false;
      }
    }
  };
  if (!next()) return log;
  for (std::size_t at = 0; at < body.size(); at += size) {
    codec.Feed({Opcode::kText, body.substr(at, size)});
    if (!next()) return log;
    FUZZ_CHECK(codec.held_bytes() <= 64 * 1024);
  }
  codec.Feed({Opcode::kText, ""});
  next();
  return log;
}

void Respond(Codec& codec, const std::string& bytes, std::uint8_t code) {
  Outgoing out{Watermarks()};
  codec.EncodeHead({{"key", bytes}, {"key-bin", bytes}}, out);
  if (codec.EncodeMessage(std::string(bytes), out).ok()) {
    FUZZ_CHECK(out.bytes() <= 64 * 1024);
  }
  const absl::Status status(static_cast<absl::StatusCode>(code % 17), bytes);
  codec.EncodeEnd(EndingOf(CallEnd{status, bytes, {{"t", bytes}}}), out);
  FUZZ_CHECK(out.has_head() && out.end() != nullptr);
}

}  // namespace
}  // namespace headgate

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  using namespace headgate;
  FuzzInput input(data, size);
  std::vector<const Dialect*> dialects;
  for (const Dialect* dialect : Dialects()) {
    if (!dialect->media_types.empty()) dialects.push_back(dialect);
  }
  const Dialect& dialect = *dialects[input.Byte() % dialects.size()];
  const std::vector<const Schema::Method*> methods = DemoSchema()->methods();
  const Schema::Method* method = methods[input.Byte() % methods.size()];
  const std::uint8_t options = input.Byte();

  const PacketOptions packet;
  JsonCodecOptions json;
  json.max_message_bytes = 8 * 1024;
  BodyFormat format;
  if (options & 1) format.encoding = "gzip";
  format.accepts_gzip = (options & 2) != 0;
  const bool has_descriptor = dialect.needs_descriptor || (options & 4) == 0;
  const CodecInputs inputs = {.packet = packet,
                              .json = json,
                              .schema = has_descriptor ? DemoSchema() : nullptr,
                              .method = has_descriptor ? method : nullptr,
                              .body = format};
  const std::string body = input.Rest();
  const std::string whole = Hear(**dialect.make(inputs), body, body.size() + 1);
  for (const std::size_t piece : {1, 3, 7}) {
    FUZZ_CHECK(Hear(**dialect.make(inputs), body, piece) == whole);
  }
  Respond(**dialect.make(inputs), body, options);
  return 0;
}
