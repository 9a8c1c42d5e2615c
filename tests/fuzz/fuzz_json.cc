// The JSON codec. Input: a byte of options, the method, a seed for the pieces,
// the limit; then the bytes. As pieces they must say the same as at once; taken
// as an answer or as the details of a failure they must give JSON.

#include <boost/json/parse.hpp>
#include <iostream>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gateway/codec/json.h"
#include "headgate/demo/v1/echo.pb.h"
#include "headgate/demo/v1/hello.pb.h"
#include "headgate/v1/packet.pb.h"
#include "tests/codec/events.h"
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
    std::shared_ptr<const Schema> built =
        Schema::Build({FileOf<demo::v1::FailRequest>(),
                       FileOf<demo::v1::HelloRequest>(), FileOf<v1::Packet>()},
                      &warnings);
    FUZZ_CHECK(warnings.empty());
    return built;
  }());
  return schema;
}

JsonCodecOptions ReadOptions(FuzzInput& input) {
  JsonCodecOptions options;
  const std::uint8_t bits = input.Byte();
  if (bits & 1) options.json.field_names = JsonOptions::FieldNames::kProto;
  if (bits & 2) options.json.unpopulated = JsonOptions::Unpopulated::kEmit;
  if (bits & 4) options.json.enums = JsonOptions::Enums::kNumber;
  if (bits & 8) {
    options.json.unknown_fields = JsonOptions::UnknownFields::kIgnore;
  }
  if (bits & 16) options.envelope = JsonCodecOptions::Envelope::kResult;
  if (bits & 32) {
    options.error_shape = JsonCodecOptions::ErrorShape::kGrpcGatewayV1;
  }
  return options;
}

// Cuts `bytes` at places that `seed` makes up. A number at the top level ends
// with its piece, so there is no cut inside of what could be one.
std::vector<std::string> Pieces(const std::string& bytes, std::uint8_t seed) {
  std::vector<std::string> pieces;
  std::uint32_t random = seed;
  std::size_t start = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    random = random * 1664525 + 1013904223;
    const bool last = i + 1 == bytes.size();
    const bool cut =
        (random >> 24) % (1 + seed / 32) == 0 &&
        std::string("+-.0123456789eE").find(bytes[i]) == std::string::npos;
    if (!cut && !last) continue;
    pieces.push_back(bytes.substr(start, i + 1 - start));
    start = i + 1;
  }
  return pieces;
}

std::vector<std::string> Hear(Codec& codec,
                              const std::vector<std::string>& pieces) {
  std::vector<std::string> log;
  const auto next = [&] {
    for (;;) {
      Decoded decoded = codec.Next();
      if (std::holds_alternative<NeedInput>(decoded)) return true;
      if (auto* request = std::get_if<RequestMessage>(&decoded)) {
        log.push_back(absl::StrCat("request ", request->payload));
      } else if (std::holds_alternative<HalfClose>(decoded)) {
        log.push_back("half-close");
      } else {
        const Ending& ending = std::get<Ending>(decoded);
        log.push_back(absl::StrCat(static_cast<int>(ending.close), " ",
                                   ending.end.status.message()));
        return false;
      }
    }
  };
  for (const std::string& piece : pieces) {
    codec.Feed({Opcode::kBinary, piece});
    if (!next()) return log;
  }
  codec.Feed({Opcode::kText, ""});
  next();
  return log;
}

void CheckJson(const std::string& text) {
  boost::json::error_code error;
  boost::json::parse_options options;
  options.max_depth = 1000;
  boost::json::parse({text.data(), text.size()}, error, {}, options);
  FUZZ_CHECK(!error);
}

}  // namespace
}  // namespace headgate

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  using namespace headgate;
  FuzzInput input(data, size);
  JsonCodecOptions options = ReadOptions(input);
  const std::vector<const Schema::Method*> methods = DemoSchema()->methods();
  const Schema::Method& method = *methods[input.Byte() % methods.size()];
  const std::uint8_t seed = input.Byte();
  options.max_message_bytes = 1 + input.Byte() * 16;
  const std::string bytes = input.Rest();

  const auto make = [&] {
    return MakeJsonCodec(options, options.envelope, DemoSchema(), method);
  };
  const std::vector<std::string> whole = Hear(*make(), {bytes});
  const std::vector<std::string> pieces = Hear(*make(), Pieces(bytes, seed));
  if (pieces != whole) {
    for (const std::string& event : whole) std::cerr << event << '\n';
    std::cerr << "-- in pieces:\n";
    for (const std::string& event : pieces) std::cerr << event << '\n';
  }
  FUZZ_CHECK(pieces == whole);

  const absl::StatusOr<WireMessage> answer = Encoded(*make(), bytes);
  if (answer.ok()) CheckJson(answer->payload);
  const CallEnd end{absl::NotFoundError(bytes), bytes};
  if (const auto message = EncodedEnd(*make(), EndingOf(end))) {
    CheckJson(message->payload);
  }
  return 0;
}
