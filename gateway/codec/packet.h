#ifndef GATEWAY_CODEC_PACKET_H_
#define GATEWAY_CODEC_PACKET_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "gateway/codec/codec.h"

namespace headgate {

struct Dialect;

// The wire format of packets: a 12-byte header (type, length, who) and the
// content. Sizes in bytes.
struct PacketOptions {
  enum class Order { kTypeLengthWho, kTypeWhoLength };
  enum class Endian { kBig, kLittle };
  // What `length` counts: the content, or the header as well.
  enum class LengthCounts { kContent, kPacket };
  enum class Coalesce { kOn, kOff };

  Order order = Order::kTypeLengthWho;
  Endian endian = Endian::kBig;
  LengthCounts length_counts = LengthCounts::kContent;
  // The longest content of a packet, a container's included.
  std::size_t max_packet_bytes = 1024 * 1024;
  // Types, besides kContainerPacket, whose content is packets.
  std::vector<std::uint32_t> container_types;
  // How deep packets nest; a packet that is in no container is at depth 1.
  int max_depth = 8;
  Coalesce coalesce = Coalesce::kOn;
  // The longest WebSocket message that joined answers make.
  std::size_t coalesce_bytes = 64 * 1024;
};

inline constexpr std::size_t kPacketHeaderBytes = 12;
// The packet whose content is packets, whatever the route says.
inline constexpr std::uint32_t kContainerPacket = 0xFFFFFFFE;
// From the client: half-close. From the gateway: the final status, its content
// a serialized google.rpc.Status.
inline constexpr std::uint32_t kEndPacket = 0xFFFFFFFF;

struct PacketHeader {
  std::uint32_t type = 0;
  std::uint32_t who = 0;
  std::uint64_t content_bytes = 0;
};

// Appends the header as `options` has it.
// Requires: header.content_bytes fits the wire (u32, less the header when
// length_counts is kPacket).
void AppendPacketHeader(const PacketHeader& header,
                        const PacketOptions& options, std::string& out);

// Reads the header at the start of `bytes`. Fails with INVALID_ARGUMENT when
// there are fewer than 12 bytes or `length` counts the packet and is less
// than 12; whether the content is all there is for the caller to see.
absl::StatusOr<PacketHeader> ParsePacketHeader(absl::string_view bytes,
                                               const PacketOptions& options);

// A packet within a message: its header, and where its content is.
struct FramedPacket {
  PacketHeader header;
  std::size_t content = 0;  // Offset in the message.
  std::size_t end = 0;
};

// The packet at `offset` of a message, whose container, or the message itself,
// goes up to `end`. INVALID_ARGUMENT says what is wrong with its header or
// length: "packet at offset 12: length: 70000 is over max_packet_bytes
// (65536)".
absl::StatusOr<FramedPacket> FindPacket(absl::string_view message,
                                        std::size_t offset, std::size_t end,
                                        const PacketOptions& options);

// Such a fault of the packet at `offset`.
absl::Status PacketFault(std::size_t offset, absl::string_view what);

extern const Dialect kPacketDialect;

// Binary WebSocket messages of whole packets <-> serialized
// headgate.v1.Packet messages. `options` must outlive the codec.
std::unique_ptr<Codec> MakePacketCodec(const PacketOptions& options);

}  // namespace headgate

#endif  // GATEWAY_CODEC_PACKET_H_
