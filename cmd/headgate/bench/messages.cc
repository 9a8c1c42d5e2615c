#include "cmd/headgate/bench/messages.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "gateway/base/varint.h"
#include "headgate/v1/packet.pb.h"

namespace headgate {
namespace {

class MessageCounter final : public AnswerCounter {
 public:
  absl::StatusOr<std::size_t> Take(absl::string_view /*piece*/,
                                   bool end) override {
    return end ? 1 : 0;
  }
};

}  // namespace

std::string BenchBytes(std::size_t size) {
  std::string content(size, '\0');
  std::uint32_t state = 0x9E3779B9;
  for (char& byte : content) {
    state = state * 1664525 + 1013904223;
    byte = static_cast<char>(state >> 24);
  }
  return content;
}

std::string BenchPacket(std::size_t size) {
  v1::Packet packet;
  packet.set_type(kBenchPacketType);
  packet.set_who(kBenchPacketWho);
  packet.set_content(BenchBytes(size));
  return packet.SerializeAsString();
}

std::string BenchPacketJson(std::size_t size) {
  return absl::StrCat("{\"type\":", kBenchPacketType, ",\"content\":\"",
                      absl::Base64Escape(BenchBytes(size)), "\"}");
}

std::string BenchGreeting(std::size_t size) {
  std::string message = "\x0a";  // HelloRequest.greeting
  AppendVarint(size, message);
  return message.append(size, 'x');
}

std::string BenchGreetingJson(std::size_t size) {
  return absl::StrCat("{\"greeting\":\"", std::string(size, 'x'), "\"}");
}

WireMessage BinaryMessage(absl::string_view content) {
  return {Opcode::kBinary, std::string(content)};
}

std::unique_ptr<AnswerCounter> MakeMessageCounter() {
  return std::make_unique<MessageCounter>();
}

std::string MakeHttpRequest(const BenchDialect& dialect, const WsUrl& url,
                            const UpgradeHeaders& headers,
                            const WireMessage& message) {
  std::string request = absl::StrCat(
      "POST ", url.target, " HTTP/1.1\r\nHost: ", url.authority,
      "\r\nUser-Agent: headgate-bench\r\nContent-Type: ", dialect.media_type,
      "\r\nContent-Length: ", message.payload.size(), "\r\n");
  for (const auto& [name, value] : headers.headers) {
    absl::StrAppend(&request, name, ": ", value, "\r\n");
  }
  absl::StrAppend(&request, "\r\n", message.payload);
  return request;
}

}  // namespace headgate
