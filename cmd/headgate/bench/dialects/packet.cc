#include "gateway/codec/packet.h"

#include <algorithm>
#include <array>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "cmd/headgate/bench/dialect.h"
#include "cmd/headgate/bench/messages.h"

namespace headgate {
namespace {

// Packets, of which a message may hold several. An end packet is no response.
class PacketCounter final : public AnswerCounter {
 public:
  absl::StatusOr<std::size_t> Take(absl::string_view piece, bool end) override {
    std::size_t answers = 0;
    for (;;) {
      const auto skipped = static_cast<std::uint32_t>(
          std::min<std::size_t>(content_left_, piece.size()));
      content_left_ -= skipped;
      piece.remove_prefix(skipped);
      if (content_left_ > 0) break;
      if (head_size_ == kHeadBytes) {  // Here this packet ends.
        head_size_ = 0;
        if (!is_end_packet_) ++answers;
      }
      const std::size_t taken =
          piece.copy(head_.data() + head_size_, kHeadBytes - head_size_);
      head_size_ += static_cast<std::uint8_t>(taken);
      piece.remove_prefix(taken);
      if (head_size_ < kHeadBytes) break;
      const auto header = ParsePacketHeader({head_.data(), kHeadBytes}, {});
      if (!header.ok()) return header.status();
      content_left_ = static_cast<std::uint32_t>(header->content_bytes);
      is_end_packet_ = header->type == kEndPacket;
    }
    // A packet ends with its message at the latest.
    if (end && head_size_ != 0) {
      return absl::InvalidArgumentError("a packet is cut short");
    }
    return answers;
  }

 private:
  static constexpr std::size_t kHeadBytes = 12;

  std::array<char, kHeadBytes> head_ = {};
  std::uint8_t head_size_ = 0;
  std::uint32_t content_left_ = 0;
  bool is_end_packet_ = false;  // The packet whose head was read last.
};

WireMessage PacketWithContent(absl::string_view content) {
  WireMessage message{Opcode::kBinary, {}};
  AppendPacketHeader({kBenchPacketType, kBenchPacketWho, content.size()}, {},
                     message.payload);
  absl::StrAppend(&message.payload, content);
  return message;
}

}  // namespace

const BenchDialect kBenchPacket = {
    .name = "packet",
    .dialect = &kPacketDialect,
    .content = &BenchBytes,
    .wire = &PacketWithContent,
    .counter = []() -> std::unique_ptr<AnswerCounter> {
      return std::make_unique<PacketCounter>();
    }};

}  // namespace headgate
