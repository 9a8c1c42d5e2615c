#ifndef CMD_HEADGATE_BENCH_MESSAGES_H_
#define CMD_HEADGATE_BENCH_MESSAGES_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "client/upgrade.h"
#include "client/url.h"
#include "cmd/headgate/bench/dialect.h"

namespace headgate {

// Default contents of messages, with `size` bytes that the sender may choose.

// Bytes that do not repeat soon, so that compression is not flattered.
std::string BenchBytes(std::size_t size);
// Of a type that the demo backend's rooms do not use, for anybody.
inline constexpr std::uint32_t kBenchPacketType = 1;
inline constexpr std::uint32_t kBenchPacketWho = 42;
// A headgate.v1.Packet of those that PacketService/Connect echoes to its
// sender, as protobuf and as JSON.
std::string BenchPacket(std::size_t size);
std::string BenchPacketJson(std::size_t size);
// A headgate.demo.v1.HelloRequest.
std::string BenchGreeting(std::size_t size);
std::string BenchGreetingJson(std::size_t size);

// A binary message of these bytes.
WireMessage BinaryMessage(absl::string_view content);

// Each message, or each body, is one response.
std::unique_ptr<AnswerCounter> MakeMessageCounter();

// The whole request of HTTP/1.1 that a message is.
std::string MakeHttpRequest(const BenchDialect& dialect, const WsUrl& url,
                            const UpgradeHeaders& headers,
                            const WireMessage& message);

}  // namespace headgate

#endif  // CMD_HEADGATE_BENCH_MESSAGES_H_
