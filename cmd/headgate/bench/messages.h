#ifndef CMD_HEADGATE_BENCH_MESSAGES_H_
#define CMD_HEADGATE_BENCH_MESSAGES_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "client/upgrade.h"
#include "client/url.h"
#include "gateway/codec/dialect.h"

namespace headgate {

// The message that headgate.v1.PacketService/Connect echoes to its sender, as
// the codec has it, with `size` bytes of content. With raw, those bytes.
WireMessage MakeBenchMessage(const Dialect* codec, std::size_t size);

// A message of the user's own: the bytes as they are; with packet the content
// of a packet, with json a line, whose end is added.
WireMessage MakeOwnMessage(const Dialect* codec, absl::string_view content);

// The whole request of HTTP/1.1 that a message is, with a codec that is on
// HTTP.
std::string MakeHttpRequest(const Dialect* codec, const WsUrl& url,
                            const UpgradeHeaders& headers,
                            const WireMessage& message);

// What a connection sends before its messages; absent: the dialect has nothing.
std::optional<WireMessage> MakeBenchHead(const Dialect* codec);

// Counts the answers in what a peer sends: packets, lines of JSON, messages of
// grpc-websockets, or whole WebSocket messages.
//
// Thread: one at a time.
class AnswerCounter {
 public:
  explicit AnswerCounter(const Dialect* codec) : codec_(codec) {}

  // How many answers end with this piece of a message; `end` with the last
  // piece of one. nullopt when the message is not what the codec has. An end
  // packet is no answer.
  std::optional<std::size_t> Take(absl::string_view piece, bool end);

 private:
  static constexpr std::size_t kHeadBytes = 12;

  std::optional<std::size_t> TakePackets(absl::string_view piece, bool end);
  std::size_t TakeLines(absl::string_view piece, bool end);
  std::size_t TakeGrpcWeb(absl::string_view piece, bool end);

  const Dialect* codec_;
  bool in_line_ = false;
  bool in_block_ = false;    // Of headers or trailers,
  bool in_message_ = false;  // or of anything, of grpc-websockets.
  std::array<char, kHeadBytes> head_ = {};
  std::uint8_t head_size_ = 0;
  std::uint32_t content_left_ = 0;
  bool is_end_packet_ = false;  // The packet whose head was read last.
};

}  // namespace headgate

#endif  // CMD_HEADGATE_BENCH_MESSAGES_H_
