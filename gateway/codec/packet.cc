#include "gateway/codec/packet.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "gateway/codec/dialect.h"
#include "gateway/codec/protobuf_wire.h"

namespace headgate {
namespace {

// The fields of headgate.v1.Packet. Each tag is one byte on the wire.
constexpr std::uint32_t kTypeTag = WireTag(1, WireType::kVarint);
constexpr std::uint32_t kWhoTag = WireTag(2, WireType::kVarint);
constexpr std::uint32_t kContentTag = WireTag(3, WireType::kBytes);
constexpr std::uint32_t kPacketsTag = WireTag(4, WireType::kBytes);

std::uint32_t LoadU32(const char* from, PacketOptions::Endian endian) {
  std::uint32_t value = 0;
  for (int i = 0; i < 4; ++i) {
    const int at = endian == PacketOptions::Endian::kBig ? i : 3 - i;
    value = value << 8 | static_cast<unsigned char>(from[at]);
  }
  return value;
}

void StoreU32(std::uint32_t value, PacketOptions::Endian endian, char* to) {
  for (int i = 0; i < 4; ++i) {
    const int at = endian == PacketOptions::Endian::kBig ? 3 - i : i;
    to[at] = static_cast<char>(value & 0xFF);
    value >>= 8;
  }
}

// Where the fields stand in the header.
struct HeaderLayout {
  explicit HeaderLayout(const PacketOptions& options)
      : length(options.order == PacketOptions::Order::kTypeLengthWho ? 4 : 8),
        who(options.order == PacketOptions::Order::kTypeLengthWho ? 8 : 4) {}
  std::size_t type = 0;
  std::size_t length;
  std::size_t who;
};

// What `length` counts besides the content.
std::uint64_t CountedHeader(const PacketOptions& options) {
  return options.length_counts == PacketOptions::LengthCounts::kPacket
             ? kPacketHeaderBytes
             : 0;
}

void StoreHeader(const PacketHeader& header, const PacketOptions& options,
                 char* to) {
  const HeaderLayout layout(options);
  const std::uint64_t length = header.content_bytes + CountedHeader(options);
  StoreU32(header.type, options.endian, to + layout.type);
  StoreU32(static_cast<std::uint32_t>(length), options.endian,
           to + layout.length);
  StoreU32(header.who, options.endian, to + layout.who);
}

bool IsContainer(std::uint32_t type, const PacketOptions& options) {
  return type == kContainerPacket ||
         std::find(options.container_types.begin(),
                   options.container_types.end(),
                   type) != options.container_types.end();
}

// The fields of a Packet, without its `packets`. proto3 leaves out what has
// its default value.
std::size_t ScalarFieldsSize(const PacketHeader& header) {
  return (header.type == 0 ? 0 : 1 + VarintSize(header.type)) +
         (header.who == 0 ? 0 : 1 + VarintSize(header.who));
}

std::size_t BytesFieldSize(std::size_t bytes) {
  return 1 + VarintSize(bytes) + bytes;
}

// Translates one packet of a client's WebSocket message, with all that is
// nested in it, to a serialized headgate.v1.Packet. In protobuf the size of a
// message stands before it, so a first pass checks everything and notes the
// sizes of the containers, and a second one writes.
class PacketReader {
 public:
  PacketReader(absl::string_view message, const PacketOptions& options)
      : message_(message), options_(options) {}

  using Packet = FramedPacket;

  // Reads and checks the packet at `offset`, what is nested in it excepted.
  // `end` is where the container ends, or the message; `depth` the packet's
  // own, from 1.
  absl::StatusOr<Packet> ReadPacket(std::size_t offset, std::size_t end,
                                    int depth) const {
    if (depth > options_.max_depth) {
      return PacketFault(offset,
                         absl::StrCat("depth: nested deeper than max_depth (",
                                      options_.max_depth, ")"));
    }
    const absl::StatusOr<Packet> packet =
        FindPacket(message_, offset, end, options_);
    if (!packet.ok()) return packet.status();
    const PacketHeader* const header = &packet->header;
    if (header->type == kEndPacket) {
      if (depth > 1) {
        return PacketFault(offset, "type: an end packet inside a container");
      }
      if (header->content_bytes != 0) {
        return PacketFault(offset, "length: an end packet with content");
      }
    } else if (header->content_bytes == 0 &&
               IsContainer(header->type, options_)) {
      return PacketFault(offset, "length: an empty container");
    }
    return packet;
  }

  // `packet`, which ReadPacket has found at depth 1, as a headgate.v1.Packet.
  absl::StatusOr<std::string> Translate(const Packet& packet) {
    absl::StatusOr<std::size_t> size = Measure(packet, 1);
    if (!size.ok()) return size.status();
    std::string out;
    out.reserve(*size);
    Write(packet, out);
    return out;
  }

 private:
  static std::size_t PlainSize(const Packet& packet) {
    const std::size_t content = packet.header.content_bytes;
    return ScalarFieldsSize(packet.header) +
           (content == 0 ? 0 : BytesFieldSize(content));
  }

  // The serialized size of `packet`; notes it, if it is a container's, in the
  // order in which Write will ask for it.
  absl::StatusOr<std::size_t> Measure(const Packet& packet, int depth) {
    if (!IsContainer(packet.header.type, options_)) return PlainSize(packet);
    const std::size_t slot = container_sizes_.size();
    container_sizes_.push_back(0);
    std::size_t size = ScalarFieldsSize(packet.header);
    for (std::size_t at = packet.content; at < packet.end;) {
      const absl::StatusOr<Packet> inner =
          ReadPacket(at, packet.end, depth + 1);
      if (!inner.ok()) return inner.status();
      const absl::StatusOr<std::size_t> inner_size = Measure(*inner, depth + 1);
      if (!inner_size.ok()) return inner_size.status();
      size += BytesFieldSize(*inner_size);
      at = inner->end;
    }
    container_sizes_[slot] = size;
    return size;
  }

  // Requires: Measure has gone over `packet`.
  void Write(const Packet& packet, std::string& out) {
    if (packet.header.type != 0) {
      AppendVarint(kTypeTag, out);
      AppendVarint(packet.header.type, out);
    }
    if (packet.header.who != 0) {
      AppendVarint(kWhoTag, out);
      AppendVarint(packet.header.who, out);
    }
    if (!IsContainer(packet.header.type, options_)) {
      if (packet.header.content_bytes == 0) return;
      AppendVarint(kContentTag, out);
      AppendVarint(packet.header.content_bytes, out);
      out.append(message_.data() + packet.content, packet.header.content_bytes);
      return;
    }
    ++containers_written_;
    for (std::size_t at = packet.content; at < packet.end;) {
      const PacketHeader header =
          *ParsePacketHeader(message_.substr(at), options_);
      const std::size_t content = at + kPacketHeaderBytes;
      const Packet inner{header, content, content + header.content_bytes};
      AppendVarint(kPacketsTag, out);
      AppendVarint(IsContainer(header.type, options_)
                       ? container_sizes_[containers_written_]
                       : PlainSize(inner),
                   out);
      Write(inner, out);
      at = inner.end;
    }
  }

  const absl::string_view message_;
  const PacketOptions& options_;
  // Of the containers in the order of their headers.
  std::vector<std::size_t> container_sizes_;
  std::size_t containers_written_ = 0;
};

// Translates a serialized headgate.v1.Packet of the backend's to the wire.
class PacketWriter {
 public:
  explicit PacketWriter(const PacketOptions& options) : options_(options) {}

  absl::StatusOr<std::string> Translate(absl::string_view bytes) const {
    const absl::StatusOr<std::uint64_t> content = Measure(bytes, 1);
    if (!content.ok()) return Annotate(content.status(), "answer");
    std::string out;
    out.reserve(kPacketHeaderBytes + *content);
    Write(bytes, out);
    return out;
  }

 private:
  struct Fields {
    PacketHeader header;  // content_bytes is not known here.
    absl::string_view content;
    bool has_packets = false;
  };

  // All but the `packets` themselves. Fields stand in any order, and of a
  // field that should be there once the last one counts.
  static absl::StatusOr<Fields> ReadFields(absl::string_view bytes) {
    Fields fields;
    WireReader reader(bytes);
    WireField field;
    while (reader.Next(field)) {
      switch (field.tag) {
        case kTypeTag:
          fields.header.type = static_cast<std::uint32_t>(field.value);
          break;
        case kWhoTag:
          fields.header.who = static_cast<std::uint32_t>(field.value);
          break;
        case kContentTag:
          fields.content = field.bytes;
          break;
        case kPacketsTag:
          fields.has_packets = true;
          break;
        default:  // A field that this version does not know.
          break;
      }
    }
    if (!reader.ok()) {
      return absl::InternalError("encoding: not a headgate.v1.Packet");
    }
    return fields;
  }

  absl::Status CheckContentBytes(std::uint64_t bytes) const {
    if (bytes >
        std::numeric_limits<std::uint32_t>::max() - CountedHeader(options_)) {
      return absl::InternalError(
          absl::StrCat("content: ", bytes, " bytes do not fit a length"));
    }
    if (bytes > options_.max_packet_bytes) {
      return absl::ResourceExhaustedError(
          absl::StrCat("content: ", bytes, " bytes are over max_packet_bytes (",
                       options_.max_packet_bytes, ")"));
    }
    return absl::OkStatus();
  }

  // Checks `bytes` and what is nested in it; returns the length of its content
  // on the wire.
  absl::StatusOr<std::uint64_t> Measure(absl::string_view bytes,
                                        int depth) const {
    if (depth > options_.max_depth) {
      return absl::InternalError(absl::StrCat(
          "depth: nested deeper than max_depth (", options_.max_depth, ")"));
    }
    const absl::StatusOr<Fields> fields = ReadFields(bytes);
    if (!fields.ok()) return fields.status();
    const std::uint32_t type = fields->header.type;
    if (type == kEndPacket) {
      return absl::InternalError(
          "type: 0xFFFFFFFF is reserved for the end packet");
    }
    std::uint64_t content = fields->content.size();
    if (IsContainer(type, options_)) {
      if (content != 0) {
        return absl::InternalError(absl::StrFormat(
            "content: type 0x%X is a container, which has packets", type));
      }
      if (!fields->has_packets) {
        return absl::InternalError(absl::StrFormat(
            "packets: type 0x%X is a container, but has none", type));
      }
      const absl::StatusOr<std::uint64_t> nested = MeasureNested(bytes, depth);
      if (!nested.ok()) return nested.status();
      content = *nested;
    } else if (fields->has_packets) {
      return absl::InternalError(
          absl::StrFormat("packets: type 0x%X is not a container", type));
    }
    if (absl::Status status = CheckContentBytes(content); !status.ok()) {
      return status;
    }
    return content;
  }

  absl::StatusOr<std::uint64_t> MeasureNested(absl::string_view bytes,
                                              int depth) const {
    std::uint64_t sum = 0;
    std::size_t index = 0;
    WireReader reader(bytes);
    WireField field;
    while (reader.Next(field)) {
      if (field.tag != kPacketsTag) continue;
      const absl::StatusOr<std::uint64_t> content =
          Measure(field.bytes, depth + 1);
      if (!content.ok()) {
        return absl::Status(
            content.status().code(),
            absl::StrCat("packets[", index, "].", content.status().message()));
      }
      sum += kPacketHeaderBytes + *content;
      ++index;
    }
    return sum;
  }

  // Requires: Measure has accepted `bytes`.
  void Write(absl::string_view bytes, std::string& out) const {
    const Fields fields = *ReadFields(bytes);
    const std::size_t start = out.size();
    PacketHeader header = fields.header;
    header.content_bytes = fields.content.size();
    AppendPacketHeader(header, options_, out);
    out.append(fields.content.data(), fields.content.size());
    if (!fields.has_packets) return;

    WireReader reader(bytes);
    WireField field;
    while (reader.Next(field)) {
      if (field.tag == kPacketsTag) Write(field.bytes, out);
    }
    // The length is known only now.
    header.content_bytes = out.size() - start - kPacketHeaderBytes;
    StoreHeader(header, options_, out.data() + start);
  }

  const PacketOptions& options_;
};

class PacketCodec final : public Codec {
 public:
  explicit PacketCodec(const PacketOptions& options) : options_(options) {}

  std::size_t held_bytes() const override {
    return message_ ? message_->payload.size() : 0;
  }

  void Feed(WireMessage message) override {
    message_ = std::move(message);
    offset_ = 0;
  }

  Decoded Next() override {
    if (!message_) return NeedInput{};
    const std::string& payload = message_->payload;
    if (message_->opcode == Opcode::kText) {
      Decoded decoded = DecodeTextOfBinaryCodec(kPacketDialect.name, payload);
      message_.reset();
      return decoded;
    }
    if (offset_ > 0 && offset_ == payload.size()) {
      message_.reset();
      return NeedInput{};
    }

    PacketReader reader(payload, options_);
    const absl::StatusOr<PacketReader::Packet> packet =
        reader.ReadPacket(offset_, payload.size(), 1);
    if (!packet.ok()) return EndingOfFault(packet.status());
    offset_ = packet->end;
    if (packet->header.type == kEndPacket) return HalfClose{};
    absl::StatusOr<std::string> request = reader.Translate(*packet);
    if (!request.ok()) return EndingOfFault(request.status());
    return RequestMessage{*std::move(request)};
  }

  absl::Status EncodeMessage(std::string&& message, Outgoing& out) override {
    absl::StatusOr<std::string> wire =
        PacketWriter(options_).Translate(message);
    if (!wire.ok()) return wire.status();
    out.Data({Opcode::kBinary, *std::move(wire)});
    return absl::OkStatus();
  }

  void EncodeEnd(const Ending& ending, Outgoing& out) override {
    const std::string status = SerializeRpcStatus(ending.end);
    WireMessage message{Opcode::kBinary, ""};
    message.payload.reserve(kPacketHeaderBytes + status.size());
    AppendPacketHeader({kEndPacket, 0, status.size()}, options_,
                       message.payload);
    message.payload += status;
    out.Data(std::move(message));
    out.End({ending});
  }

  std::size_t coalesce_bytes() const override {
    return options_.coalesce == PacketOptions::Coalesce::kOn
               ? options_.coalesce_bytes
               : 0;
  }

 private:
  static Ending EndingOfFault(absl::Status status) {
    return Ending{CloseCode::kProtocolError, {std::move(status), ""}};
  }

  const PacketOptions& options_;
  std::optional<WireMessage> message_;
  std::size_t offset_ = 0;  // Of the next packet in the message.
};

}  // namespace

void AppendPacketHeader(const PacketHeader& header,
                        const PacketOptions& options, std::string& out) {
  char bytes[kPacketHeaderBytes];
  StoreHeader(header, options, bytes);
  out.append(bytes, sizeof bytes);
}

absl::StatusOr<PacketHeader> ParsePacketHeader(absl::string_view bytes,
                                               const PacketOptions& options) {
  if (bytes.size() < kPacketHeaderBytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        "header: ", bytes.size(), " bytes instead of ", kPacketHeaderBytes));
  }
  const HeaderLayout layout(options);
  const std::uint64_t length =
      LoadU32(bytes.data() + layout.length, options.endian);
  const std::uint64_t counted = CountedHeader(options);
  if (length < counted) {
    return absl::InvalidArgumentError(absl::StrCat(
        "length: ", length, " is less than the header's ", counted));
  }
  PacketHeader header;
  header.type = LoadU32(bytes.data() + layout.type, options.endian);
  header.who = LoadU32(bytes.data() + layout.who, options.endian);
  header.content_bytes = length - counted;
  return header;
}

absl::Status PacketFault(std::size_t offset, absl::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat("packet at offset ", offset, ": ", what));
}

absl::StatusOr<FramedPacket> FindPacket(absl::string_view message,
                                        std::size_t offset, std::size_t end,
                                        const PacketOptions& options) {
  const absl::StatusOr<PacketHeader> header =
      ParsePacketHeader(message.substr(offset, end - offset), options);
  if (!header.ok()) return PacketFault(offset, header.status().message());
  if (header->content_bytes > options.max_packet_bytes) {
    return PacketFault(offset, absl::StrCat("length: ", header->content_bytes,
                                            " is over max_packet_bytes (",
                                            options.max_packet_bytes, ")"));
  }
  const std::size_t content = offset + kPacketHeaderBytes;
  if (header->content_bytes > end - content) {
    return PacketFault(offset, absl::StrCat("length: ", header->content_bytes,
                                            " bytes of content, but only ",
                                            end - content, " are there"));
  }
  return FramedPacket{*header, content, content + header->content_bytes};
}

std::unique_ptr<Codec> MakePacketCodec(const PacketOptions& options) {
  return std::make_unique<PacketCodec>(options);
}

constinit const Dialect kPacketDialect = {
    .name = "packet",
    .token = "headgate.packet.v1",
    .make = [](const CodecInputs& inputs)
        -> absl::StatusOr<std::unique_ptr<Codec>> {
      return MakePacketCodec(inputs.packet);
    },
};

}  // namespace headgate
