#include "gateway/hub/stream_form.h"

#include <utility>

#include <google/rpc/status.pb.h>

#include "absl/strings/str_cat.h"
#include "gateway/base/status.h"
#include "gateway/base/utf8.h"
#include "gateway/codec/protobuf_wire.h"
#include "gateway/hub/decoder.h"
#include "gateway/route/plan.h"

namespace headgate {
namespace {

absl::Status NotOfTheForm(absl::string_view what) {
  return absl::InternalError(
      absl::StrCat("the backend's message is not a headgate.v1.", what));
}

bool Parse(google::protobuf::MessageLite& message, absl::string_view bytes) {
  return message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
}

void AppendNumberField(std::uint32_t number, std::uint64_t value,
                       std::string& out) {
  if (value == 0) return;
  AppendVarint(WireTag(number, WireType::kVarint), out);
  AppendVarint(value, out);
}

class BatchForm final : public StreamForm {
 public:
  bool Append(std::uint64_t seq, Who who, absl::string_view body,
              std::string& message) override {
    // The fields of headgate.v1.Event and FromGateway.
    constexpr std::uint32_t kSeq = 1;
    constexpr std::uint32_t kWho = 2;
    constexpr std::uint32_t kEvents = WireTag(1, WireType::kBytes);
    const std::size_t bytes = (seq == 0 ? 0 : 1 + VarintSize(seq)) +
                              (who == 0 ? 0 : 1 + VarintSize(who)) +
                              body.size();
    AppendVarint(kEvents, message);
    AppendVarint(bytes, message);
    AppendNumberField(kSeq, seq, message);
    AppendNumberField(kWho, who, message);
    message.append(body.data(), body.size());
    return true;
  }

  void Feed(std::string message) override {
    message_ = std::move(message);
    commands_.emplace(message_);
  }

  absl::StatusOr<std::optional<v1::Command>> Next() override {
    constexpr std::uint32_t kCommands = WireTag(1, WireType::kBytes);
    WireField field;
    while (commands_ && commands_->Next(field)) {
      if (field.tag != kCommands) continue;
      v1::Command command;
      if (!Parse(command, field.bytes)) return NotOfTheForm("Command");
      return std::optional<v1::Command>(std::move(command));
    }
    const bool is_ok = !commands_ || commands_->ok();
    Clear();
    if (!is_ok) return NotOfTheForm("ToGateway");
    return std::optional<v1::Command>();
  }

  void Clear() override {
    commands_.reset();
    message_.clear();
  }

 private:
  std::string message_;
  std::optional<WireReader> commands_;  // Over message_.
};

// The fields of headgate.v1.Packet.
constexpr std::uint32_t kTypeField = 1;
constexpr std::uint32_t kWhoField = 2;
constexpr std::uint32_t kContentField = 3;
constexpr std::uint32_t kPacketsField = 4;

class PacketForm final : public StreamForm {
 public:
  PacketForm(std::uint32_t packet_type, HubRoster& roster)
      : packet_type_(packet_type), roster_(roster) {}

  bool Append(std::uint64_t /*seq*/, Who who, absl::string_view body,
              std::string& message) override {
    WireField kind;
    if (!WireReader(body).Next(kind)) return true;
    switch (static_cast<v1::Event::KindCase>(kind.tag >> 3)) {
      case v1::Event::kHello:
        return AppendWhole(kHelloPacket, who, kind.bytes, message);
      case v1::Event::kJoined:
        return AppendWhole(kJoinedPacket, who, kind.bytes, message);
      case v1::Event::kLeft:
        return AppendWhole(kLeftPacket, who, kind.bytes, message);
      case v1::Event::kMessage:
        return AppendContents(who, kind.bytes, message);
      default:
        return true;
    }
  }

  void Feed(std::string message) override {
    message_ = std::move(message);
    state_ = State::kFed;
  }

  absl::StatusOr<std::optional<v1::Command>> Next() override {
    if (state_ == State::kFed) return Begin();
    WireField field;
    while (state_ == State::kContents && packets_->Next(field)) {
      if (field.tag != WireTag(kPacketsField, WireType::kBytes)) continue;
      return Deliver(field.bytes);
    }
    Clear();
    return std::optional<v1::Command>();
  }

  void Clear() override {
    state_ = State::kEmpty;
    packets_.reset();
    audience_.Clear();
    message_.clear();
  }

 private:
  enum class State {
    kEmpty,
    kFed,       // Nothing of message_ was read.
    kContents,  // Packets of a container follow.
  };
  using Command = absl::StatusOr<std::optional<v1::Command>>;

  bool AppendWhole(std::uint32_t type, Who who, absl::string_view content,
                   std::string& message) {
    if (!message.empty()) return false;
    AppendNumberField(kTypeField, type, message);
    AppendNumberField(kWhoField, who, message);
    AppendBytesField(kContentField, content, message);
    contents_of_ = 0;
    return true;
  }

  // Packets of one session that follow each other share a message.
  bool AppendContents(Who who, absl::string_view client_message,
                      std::string& message) {
    if (message.empty()) {
      AppendNumberField(kTypeField, kContentsPacket, message);
      AppendNumberField(kWhoField, who, message);
      contents_of_ = who;
    } else if (contents_of_ != who) {
      return false;
    }
    // headgate.v1.ClientMessage holds a Payload, that one of its kinds.
    WireField payload;
    WireField kind;
    if (!WireReader(client_message).Next(payload) ||
        !WireReader(payload.bytes).Next(kind)) {
      return true;
    }
    if (kind.tag >> 3 == v1::Payload::kPacketFieldNumber) {
      AppendBytesField(kPacketsField, kind.bytes, message);
      return true;
    }
    std::string packet;
    AppendNumberField(kTypeField, packet_type_, packet);
    AppendBytesField(kContentField, kind.bytes, packet);
    AppendBytesField(kPacketsField, packet, message);
    return true;
  }

  // Reads all but the packets of a container.
  Command Begin() {
    std::uint64_t type = 0;
    std::uint64_t who = 0;
    absl::string_view content;
    WireReader reader(message_);
    WireField field;
    while (reader.Next(field)) {
      if (field.tag == WireTag(kTypeField, WireType::kVarint)) {
        type = field.value;
      } else if (field.tag == WireTag(kWhoField, WireType::kVarint)) {
        who = field.value;
      } else if (field.tag == WireTag(kContentField, WireType::kBytes)) {
        content = field.bytes;
      }
    }
    if (!reader.ok()) return Fail("Packet");
    type_ = static_cast<std::uint32_t>(type);
    who_ = static_cast<Who>(who);
    packets_.emplace(message_);
    state_ = State::kContents;
    switch (type_) {
      case kContentsPacket:
        return Next();
      case kOthersPacket:
        ExceptSender();
        return Next();
      case kGroupPacket:
        return BeginGroup();
      default:
        break;
    }
    Command command = Whole(content);
    Clear();
    return command;
  }

  Command BeginGroup() {
    WireField field;
    while (packets_->Next(field)) {
      if (field.tag != WireTag(kPacketsField, WireType::kBytes)) continue;
      v1::Packet name;
      if (!Parse(name, field.bytes)) return Fail("Packet");
      if (!IsUtf8(name.content())) return Fail("Packet with a group's name");
      audience_.add_groups(name.content());
      ExceptSender();
      return Next();
    }
    return Next();
  }

  void ExceptSender() {
    if (who_ != 0) audience_.add_except_whos(who_);
  }

  // The command of a packet that is not a container.
  Command Whole(absl::string_view content) {
    v1::Command command;
    switch (type_) {
      case kAcceptPacket:
        if (!Parse(*command.mutable_accept(), content)) return Fail("Accept");
        command.mutable_accept()->set_who(who_);
        break;
      case kClosePacket:
        return End(content);
      case kJoinPacket:
      case kLeavePacket:
        if (!IsUtf8(content)) return Fail("Packet with a group's name");
        if (type_ == kJoinPacket) {
          command.mutable_join()->add_whos(who_);
          command.mutable_join()->add_groups(std::string(content));
        } else {
          command.mutable_leave()->add_whos(who_);
          command.mutable_leave()->add_groups(std::string(content));
        }
        break;
      default:
        break;  // Not known.
    }
    return std::optional<v1::Command>(std::move(command));
  }

  // Reject for a session that asks, else Close.
  Command End(absl::string_view content) {
    v1::Command command;
    google::rpc::Status status;
    if (!Parse(status, content)) return Fail("Packet with a status");
    const HubRecord* record = roster_.Find(who_);
    if (record != nullptr && record->phase == HubRecord::Phase::kAsking) {
      command.mutable_reject()->set_who(who_);
      *command.mutable_reject()->mutable_status() = std::move(status);
      return std::optional<v1::Command>(std::move(command));
    }
    constexpr std::uint32_t kFirstStatusCode = 4000;
    v1::Close& close = *command.mutable_close();
    close.mutable_to()->add_whos(who_);
    close.set_reason(status.message());
    if (const absl::StatusCode code = StatusCodeFromWire(status.code());
        code != absl::StatusCode::kOk) {
      close.set_code(kFirstStatusCode + static_cast<std::uint32_t>(code));
    }
    return std::optional<v1::Command>(std::move(command));
  }

  // One packet of a container.
  Command Deliver(absl::string_view packet) {
    v1::Command command;
    v1::Payload* payload;
    if (type_ == kContentsPacket) {
      command.mutable_send()->set_who(who_);
      payload = command.mutable_send()->mutable_payload();
    } else {
      *command.mutable_broadcast()->mutable_to() = audience_;
      payload = command.mutable_broadcast()->mutable_payload();
    }
    if (!Parse(*payload->mutable_packet(), packet)) return Fail("Packet");
    return std::optional<v1::Command>(std::move(command));
  }

  absl::Status Fail(absl::string_view what) {
    Clear();
    return NotOfTheForm(what);
  }

  static bool IsUtf8(absl::string_view text) {
    return ValidUtf8Prefix(text) == text.size();
  }

  const std::uint32_t packet_type_;
  HubRoster& roster_;
  Who contents_of_ = 0;  // The message begins with this session's packets.

  State state_ = State::kEmpty;
  std::string message_;
  std::uint32_t type_ = 0;
  Who who_ = 0;
  std::optional<WireReader> packets_;  // Over message_.
  v1::Audience audience_;              // Of what the container holds.
};

}  // namespace

std::unique_ptr<StreamForm> MakeBatchForm() {
  return std::make_unique<BatchForm>();
}

std::unique_ptr<StreamForm> MakePacketForm(std::uint32_t packet_type,
                                           HubRoster& roster) {
  return std::make_unique<PacketForm>(packet_type, roster);
}

std::unique_ptr<StreamForm> MakeStreamForm(const HubTarget& target,
                                           HubRoster& roster) {
  if (target.method == kPacketMethod) {
    return MakePacketForm(target.packet_type, roster);
  }
  return MakeBatchForm();
}

}  // namespace headgate
