#ifndef TESTS_SESSION_MULTIPLEX_FIXTURE_H_
#define TESTS_SESSION_MULTIPLEX_FIXTURE_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gateway/codec/packet.h"
#include "gateway/codec/protobuf_wire.h"
#include "gateway/session/packet_session.h"
#include "tests/session/hello.h"
#include "tests/testing/fake_schema_source.h"
#include "tests/testing/fake_transport.h"
#include "tests/testing/fake_upstream.h"
#include "tests/testing/turn_clock.h"

namespace headgate {

// A session with several calls. The log shows a message for the client as its
// packets: "ws 1#42 answer, end#42 NOT_FOUND gone" are an answer of the call
// 42, whose type is 1, and its status.
class MultiplexFixture : public ::testing::Test {
 protected:
  // Types of packets; the descriptors know but the last four methods.
  static constexpr std::uint32_t kTalk = 1;
  static constexpr std::uint32_t kWalk = 2;
  static constexpr std::uint32_t kUnary = 11;
  static constexpr std::uint32_t kReplies = 12;
  static constexpr std::uint32_t kGreetings = 13;
  static constexpr std::uint32_t kBidi = 14;

  MultiplexFixture() {
    route_->target = MethodTable{};
    table().methods = {{kTalk, "/s/Talk"},
                       {kWalk, "/s/Walk"},
                       {kUnary, kSayHello},
                       {kReplies, kLotsOfReplies},
                       {kGreetings, kLotsOfGreetings},
                       {kBidi, kBidiHello}};
    schemas_->schema = HelloSchema();
  }

  PacketSession& Start() {
    SessionRequest request;
    request.id = "id";
    request.route = route_;
    request.metadata = {{"x-player", "ann"}};
    request.timeout = absl::Seconds(7);
    session_.emplace(std::move(request),
                     std::make_shared<const SessionContext>(
                         SessionContext{limits_, upstream_, schemas_, nullptr,
                                        nullptr, nullptr, context_turn_}),
                     transport_);
    session_->Start(now_);
    return *session_;
  }

  std::string Packet(std::uint32_t type, std::uint32_t who,
                     const std::string& content = "") const {
    std::string packet;
    AppendPacketHeader({type, who, content.size()}, route_->packet, packet);
    return packet + content;
  }
  std::string End(std::uint32_t who) const { return Packet(kEndPacket, who); }

  // What the client sends; several packets are one message.
  void Send(std::string packets) {
    session_->OnMessage({Opcode::kBinary, std::move(packets)});
  }
  void Text(std::string payload) {
    session_->OnMessage({Opcode::kText, std::move(payload)});
  }

  void Violate() {
    session_->OnViolation(
        Ending{
            CloseCode::kProtocolError,
            CallEnd{absl::InvalidArgumentError("a reserved bit is set"), ""}},
        {now_, now_ + absl::Seconds(5)});
  }

  // The backend's side of the call that was started as number `index`.
  UpstreamCallObserver& backend(std::size_t index) {
    return upstream_->call(index).observer();
  }

  // The gateway stops, and the backends have nothing more to say.
  void Drain() {
    TellToDrain();
    now_ += absl::Milliseconds(100);
    session_->OnTick(now_);
  }
  void TellToDrain() {
    session_->Drain(
        {now_, now_ + absl::Seconds(10), "the gateway is shutting down"});
  }

  // As long as one task should in an iteration of the event loop.
  void WorkLong() { turn_clock_.WorkLong(turn_); }

  // What happened since the last look.
  testing::Log Steps() { return std::exchange(log_, {}); }

  std::string Describe(const std::string& message) const {
    std::vector<std::string> packets;
    for (std::size_t at = 0; at < message.size();) {
      const absl::StatusOr<FramedPacket> found =
          FindPacket(message, at, message.size(), route_->packet);
      if (!found.ok()) return std::string(found.status().message());
      const std::string content =
          message.substr(found->content, found->header.content_bytes);
      const std::uint32_t who = found->header.who;
      packets.push_back(
          found->header.type == kEndPacket
              ? absl::StrCat("end#", who, " ", Status(content))
              : absl::StrCat(found->header.type, "#", who, " ", content));
      at = found->end;
    }
    return absl::StrJoin(packets, ", ");
  }

  testing::Log log_;
  const std::shared_ptr<testing::FakeUpstream> upstream_ =
      std::make_shared<testing::FakeUpstream>(log_);
  const std::shared_ptr<testing::FakeSchemaSource> schemas_ =
      std::make_shared<testing::FakeSchemaSource>();
  MethodTable& table() { return std::get<MethodTable>(route_->target); }

  const std::shared_ptr<Route> route_ = std::make_shared<Route>();
  testing::FakeTransport transport_{
      log_, [this](const std::string& message) { return Describe(message); }};
  testing::TurnClock turn_clock_;
  Turn turn_{[] {}, turn_clock_.now()};
  Turn* context_turn_ = nullptr;  // Set by those who care for the time.
  SessionLimits limits_;
  absl::Time now_ = absl::UnixEpoch();
  std::optional<PacketSession> session_;

 private:
  // A serialized google.rpc.Status as "NOT_FOUND gone".
  static std::string Status(const std::string& rpc_status) {
    int code = 0;
    std::string message;
    WireReader reader(rpc_status);
    WireField field;
    while (reader.Next(field)) {
      if (field.tag == WireTag(1, WireType::kVarint)) {
        code = static_cast<int>(field.value);
      } else if (field.tag == WireTag(2, WireType::kBytes)) {
        message = absl::StrCat(" ", field.bytes);
      }
    }
    EXPECT_TRUE(reader.ok()) << "not a google.rpc.Status";
    return absl::StrCat(
        absl::StatusCodeToString(static_cast<absl::StatusCode>(code)), message);
  }
};

}  // namespace headgate

#endif  // TESTS_SESSION_MULTIPLEX_FIXTURE_H_
