// The grpc-websockets codec. Input: the headers' length and the headers, then
// the messages' lengths and the stream that they are pieces of. What the
// client says must not depend on where the pieces end, and what is said is
// never longer than the limits.

#include <string>
#include <variant>
#include <vector>

#include "gateway/codec/grpc_websockets.h"
#include "tests/codec/events.h"
#include "tests/fuzz/input.h"

namespace headgate {
namespace {

constexpr GrpcWebSocketsLimits kLimits = {256, 1024};

WireMessage Piece(absl::string_view bytes) {
  return Binary(absl::StrCat(absl::string_view("\0", 1), bytes));
}

std::vector<std::string> Heard(const std::string& head,
                               const std::vector<std::string>& pieces,
                               WireMessage last) {
  const std::unique_ptr<Codec> codec = MakeGrpcWebSocketsCodec(kLimits);
  std::vector<WireMessage> messages = {Binary(head)};
  for (const std::string& piece : pieces) messages.push_back(Piece(piece));
  messages.push_back(std::move(last));
  const std::vector<std::string> log =
      Hear(*codec, std::move(messages), [](const std::string& payload) {
        FUZZ_CHECK(payload.size() <= kLimits.max_message_bytes);
        return absl::CEscape(payload);
      });
  FUZZ_CHECK(codec->held_bytes() <= 256 * 1024);
  return log;
}

}  // namespace
}  // namespace headgate

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  headgate::FuzzInput input(data, size);
  const std::string head = input.Bytes(input.Byte());
  const headgate::WireMessage last = {
      input.Byte() & 1 ? headgate::Opcode::kText : headgate::Opcode::kBinary,
      input.Bytes(input.Byte() % 4)};
  std::vector<std::string> pieces;
  while (!input.empty()) pieces.push_back(input.Bytes(1 + input.Byte()));
  std::vector<std::string> bytes;
  for (const std::string& piece : pieces) {
    for (const char c : piece) bytes.emplace_back(1, c);
  }
  FUZZ_CHECK(headgate::Heard(head, pieces, last) ==
             headgate::Heard(head, bytes, last));
  return 0;
}
