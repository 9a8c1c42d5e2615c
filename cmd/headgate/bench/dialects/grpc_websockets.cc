#include "gateway/codec/grpc_websockets.h"

#include <cstddef>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "cmd/headgate/bench/dialect.h"
#include "cmd/headgate/bench/dialects/framed.h"
#include "cmd/headgate/bench/messages.h"
#include "gateway/base/message_framing.h"

namespace headgate {
namespace {

// The call that a socket of the multiplexed form has, before its messages.
constexpr absl::string_view kCallNumber("\0\0\0\1", 4);
constexpr absl::string_view kPieceOfRequests("\0", 1);

// A message of the socket is a block or one response.
class BlockCounter final : public AnswerCounter {
 public:
  // Each message begins with so many bytes that are not its own.
  explicit BlockCounter(std::size_t prefix_bytes)
      : prefix_bytes_(prefix_bytes) {}

  absl::StatusOr<std::size_t> Take(absl::string_view piece, bool end) override {
    if (position_ <= prefix_bytes_ &&
        prefix_bytes_ < position_ + piece.size()) {
      const auto flags =
          static_cast<unsigned char>(piece[prefix_bytes_ - position_]);
      is_block_ = (flags & kGrpcWebTrailersFlag) != 0;
    }
    position_ += piece.size();
    if (!end) return 0;
    const bool is_short = position_ <= prefix_bytes_;
    position_ = 0;
    if (is_short) {
      return absl::InvalidArgumentError("a message of too few bytes");
    }
    return is_block_ ? 0 : 1;
  }

 private:
  const std::size_t prefix_bytes_;
  std::size_t position_ = 0;  // Within the message.
  bool is_block_ = false;     // Headers or trailers.
};

constexpr absl::string_view kHeaders =
    "content-type: application/grpc-web+proto\r\n";

}  // namespace

const BenchDialect kBenchGrpcWebSockets = {
    .name = "grpc-websockets",
    .dialect = &kGrpcWebSocketsDialect,
    .content = &BenchPacket,
    .wire =
        [](absl::string_view content) {
          return BinaryMessage(absl::StrCat(kPieceOfRequests, Framed(content)));
        },
    .head = [](absl::string_view /*path*/) { return BinaryMessage(kHeaders); },
    .counter = []() -> std::unique_ptr<AnswerCounter> {
      return std::make_unique<BlockCounter>(0);
    }};

const BenchDialect kBenchGrpcWebSocketsMultiplex = {
    .name = "grpc-websockets-multiplex",
    .dialect = &kGrpcWebSocketsMultiplexDialect,
    .content = &BenchPacket,
    .wire =
        [](absl::string_view content) {
          return BinaryMessage(
              absl::StrCat(kCallNumber, kPieceOfRequests, Framed(content)));
        },
    .head =
        [](absl::string_view path) {
          return BinaryMessage(absl::StrCat(
              kCallNumber, kHeaders, "grpc-websockets-path: ", path, "\r\n"));
        },
    .counter = []() -> std::unique_ptr<AnswerCounter> {
      return std::make_unique<BlockCounter>(kCallNumber.size());
    }};

}  // namespace headgate
