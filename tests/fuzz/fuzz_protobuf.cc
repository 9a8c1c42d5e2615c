// The protobuf codec: bytes go through it untouched, both ways. Input: the
// opcode, then the payload.

#include <variant>

#include "gateway/codec/passthrough.h"
#include "tests/codec/events.h"
#include "tests/fuzz/input.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  using namespace headgate;
  FuzzInput input(data, size);
  const Opcode opcode = input.Byte() & 1 ? Opcode::kText : Opcode::kBinary;
  const std::string payload = input.Rest();
  const std::unique_ptr<Codec> codec = MakeProtobufCodec();
  codec->Feed({opcode, payload});
  Decoded decoded = codec->Next();
  if (opcode == Opcode::kText) {
    FUZZ_CHECK(payload.empty() ? std::holds_alternative<HalfClose>(decoded)
                               : std::holds_alternative<Ending>(decoded));
    return 0;
  }
  FUZZ_CHECK(std::get<RequestMessage>(decoded).payload == payload);
  FUZZ_CHECK(std::holds_alternative<NeedInput>(codec->Next()));
  const absl::StatusOr<WireMessage> answer = Encoded(*codec, payload);
  FUZZ_CHECK(answer.ok() && answer->opcode == Opcode::kBinary);
  FUZZ_CHECK(answer->payload == payload);
  return 0;
}
