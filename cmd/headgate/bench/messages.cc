#include "cmd/headgate/bench/messages.h"

#include <algorithm>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gateway/base/message_framing.h"
#include "gateway/base/varint.h"
#include "gateway/codec/connect.h"
#include "gateway/codec/grpc_web.h"
#include "gateway/codec/grpc_websockets.h"
#include "gateway/codec/packet.h"
#include "headgate/v1/packet.pb.h"

namespace headgate {
namespace {

// A type that the demo backend's rooms do not use, and anybody.
constexpr std::uint32_t kType = 1;
constexpr std::uint32_t kWho = 42;

// Bytes that do not repeat soon, so that what compresses is not flattered.
std::string Content(std::size_t size) {
  std::string content(size, '\0');
  std::uint32_t state = 0x9E3779B9;
  for (char& byte : content) {
    state = state * 1664525 + 1013904223;
    byte = static_cast<char>(state >> 24);
  }
  return content;
}

WireMessage PacketMessage(absl::string_view content) {
  WireMessage message{Opcode::kBinary, {}};
  AppendPacketHeader({kType, kWho, content.size()}, {}, message.payload);
  absl::StrAppend(&message.payload, content);
  return message;
}

std::string Framed(absl::string_view content) {
  const MessagePrefix prefix = MakeMessagePrefix(0, content.size());
  return absl::StrCat(absl::string_view(prefix.data(), prefix.size()), content);
}

// A message of the call in one of the socket.
WireMessage GrpcWebMessage(absl::string_view content) {
  return {Opcode::kBinary,
          absl::StrCat(absl::string_view("\0", 1), Framed(content))};
}

}  // namespace

WireMessage MakeBenchMessage(const Dialect* codec, std::size_t size) {
  std::string content = Content(size);
  if (codec == &kPacketDialect) return PacketMessage(content);
  if (codec == &kJsonDialect) {
    return {Opcode::kText, absl::StrCat("{\"type\":", kType, ",\"content\":\"",
                                        absl::Base64Escape(content), "\"}\n")};
  }
  if (codec == &kProtobufDialect || codec == &kGrpcWebSocketsDialect) {
    v1::Packet packet;
    packet.set_type(kType);
    packet.set_who(kWho);
    packet.set_content(std::move(content));
    return codec == &kProtobufDialect
               ? WireMessage{Opcode::kBinary, packet.SerializeAsString()}
               : GrpcWebMessage(packet.SerializeAsString());
  }
  if (codec->on == Dialect::On::kHttp) {
    std::string message = "\x0a";  // HelloRequest.greeting
    AppendVarint(size, message);
    return MakeOwnMessage(codec, message.append(size, 'x'));
  }
  return {Opcode::kBinary, std::move(content)};
}

WireMessage MakeOwnMessage(const Dialect* codec, absl::string_view content) {
  if (codec == &kPacketDialect) return PacketMessage(content);
  if (codec == &kJsonDialect) {
    return {Opcode::kText, absl::EndsWith(content, "\n")
                               ? std::string(content)
                               : absl::StrCat(content, "\n")};
  }
  if (codec == &kGrpcWebSocketsDialect) return GrpcWebMessage(content);
  if (codec == &kGrpcWebDialect) return {Opcode::kBinary, Framed(content)};
  return {Opcode::kBinary, std::string(content)};
}

std::string MakeHttpRequest(const Dialect* codec, const WsUrl& url,
                            const UpgradeHeaders& headers,
                            const WireMessage& message) {
  std::string request =
      absl::StrCat("POST ", url.target, " HTTP/1.1\r\nHost: ", url.authority,
                   "\r\nUser-Agent: headgate-bench\r\nContent-Type: ",
                   codec->media_types.front(),
                   "\r\nContent-Length: ", message.payload.size(), "\r\n");
  for (const auto& [name, value] : headers.headers) {
    absl::StrAppend(&request, name, ": ", value, "\r\n");
  }
  absl::StrAppend(&request, "\r\n", message.payload);
  return request;
}

std::optional<WireMessage> MakeBenchHead(const Dialect* codec) {
  if (codec != &kGrpcWebSocketsDialect) return std::nullopt;
  return WireMessage{Opcode::kBinary,
                     "content-type: application/grpc-web+proto\r\n"};
}

std::optional<std::size_t> AnswerCounter::Take(absl::string_view piece,
                                               bool end) {
  if (codec_ == &kPacketDialect) return TakePackets(piece, end);
  if (codec_ == &kJsonDialect) return TakeLines(piece, end);
  if (codec_ == &kGrpcWebSocketsDialect) return TakeGrpcWeb(piece, end);
  return end ? 1 : 0;
}

std::size_t AnswerCounter::TakeGrpcWeb(absl::string_view piece, bool end) {
  if (!in_message_ && !piece.empty()) {
    in_message_ = true;
    in_block_ =
        (static_cast<unsigned char>(piece[0]) & kGrpcWebTrailersFlag) != 0;
  }
  if (!end) return 0;
  in_message_ = false;
  return in_block_ ? 0 : 1;
}

std::optional<std::size_t> AnswerCounter::TakePackets(absl::string_view piece,
                                                      bool end) {
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
    if (!header.ok()) return std::nullopt;
    content_left_ = static_cast<std::uint32_t>(header->content_bytes);
    is_end_packet_ = header->type == kEndPacket;
  }
  // A packet ends with its message at the latest.
  if (end && head_size_ != 0) return std::nullopt;
  return answers;
}

std::size_t AnswerCounter::TakeLines(absl::string_view piece, bool end) {
  std::size_t answers = 0;
  while (!piece.empty()) {
    const std::size_t newline = piece.find('\n');
    if (newline == absl::string_view::npos) {
      in_line_ = true;
      break;
    }
    if (in_line_ || newline > 0) ++answers;
    in_line_ = false;
    piece.remove_prefix(newline + 1);
  }
  if (end && in_line_) {
    in_line_ = false;
    ++answers;
  }
  return answers;
}

}  // namespace headgate
