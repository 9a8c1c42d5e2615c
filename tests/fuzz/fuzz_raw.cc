// The raw codec. Input: the opcode, then the payload. What the backend sees
// must be what protobuf itself would write, and give the same message again; an
// answer must mean what protobuf says it means.

#include <variant>

#include "gateway/base/utf8.h"
#include "gateway/codec/passthrough.h"
#include "headgate/v1/message.pb.h"
#include "tests/codec/events.h"
#include "tests/fuzz/input.h"

namespace headgate {
namespace {

void ThereAndBack(Opcode opcode, const std::string& payload) {
  const std::unique_ptr<Codec> codec = MakeRawCodec();
  codec->Feed({opcode, payload});
  Decoded decoded = codec->Next();
  const std::string& request = std::get<RequestMessage>(decoded).payload;
  FUZZ_CHECK(std::holds_alternative<NeedInput>(codec->Next()));
  const absl::StatusOr<WireMessage> answer = Encoded(*codec, request);
  if (opcode == Opcode::kText && !IsUtf8(payload)) {
    FUZZ_CHECK(absl::IsInternal(answer.status()));
    return;
  }
  v1::Message message;
  FUZZ_CHECK(message.ParseFromString(request));
  FUZZ_CHECK(message.SerializeAsString() == request);
  FUZZ_CHECK(answer.ok());
  FUZZ_CHECK(answer->opcode == opcode && answer->payload == payload);
}

void Answer(const std::string& bytes) {
  const absl::StatusOr<WireMessage> answer = Encoded(*MakeRawCodec(), bytes);
  if (!answer.ok()) return;
  v1::Message message;
  // Protobuf looks at every text on the wire, the codec at the one that counts.
  if (!message.ParseFromString(bytes)) return;
  FUZZ_CHECK(message.kind_case() == (answer->opcode == Opcode::kText
                                         ? v1::Message::kText
                                         : v1::Message::kBinary));
  FUZZ_CHECK(answer->payload ==
             (message.has_text() ? message.text() : message.binary()));
}

}  // namespace
}  // namespace headgate

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  headgate::FuzzInput input(data, size);
  const headgate::Opcode opcode =
      input.Byte() & 1 ? headgate::Opcode::kText : headgate::Opcode::kBinary;
  const std::string payload = input.Rest();
  headgate::ThereAndBack(opcode, payload);
  headgate::Answer(payload);
  return 0;
}
