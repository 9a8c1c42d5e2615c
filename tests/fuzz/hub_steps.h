#ifndef TESTS_FUZZ_HUB_STEPS_H_
#define TESTS_FUZZ_HUB_STEPS_H_

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/string_view.h"
#include "gateway/base/utf8.h"
#include "gateway/hub/decoder.h"
#include "gateway/hub/hub.h"
#include "gateway/hub/stream_form.h"
#include "gateway/route/plan.h"
#include "tests/fuzz/input.h"
#include "tests/testing/fake_upstream.h"

namespace headgate {

inline constexpr Who kSessions = 8;
inline constexpr std::size_t kWorkers = 2;

class FuzzHubHost final : public HubHost {
 public:
  absl::Time now() override { return now_; }
  Moment clock() override { return {now_, now_}; }
  void FlushSoon() override { flush_ = true; }
  void GoOnNext() override { go_on_ = true; }
  const Schema* schema() override { return nullptr; }
  const ResumeKeys* resume_keys() override { return &keys_; }
  void EndResumed(const std::string& session) override {
    resumed_.push_back(session);
  }
  void OnStreamUp(std::size_t, bool, std::size_t) override {}
  void OnStreamDown(std::size_t, const absl::Status&, std::size_t) override {}
  void OnAbandoned(std::size_t, const absl::Status&, std::size_t) override {}
  void HandOver(std::size_t worker, HubCommands commands) override {
    cost_[worker] += commands.cost;
    for (const auto& command : commands.commands) {
      if (const auto* deliver = std::get_if<HubDeliver>(&command)) {
        for (const Who who : deliver->whos) {
          FUZZ_CHECK((who - 1) % kWorkers == worker);
          FUZZ_CHECK(deliver->frame != nullptr);
        }
      }
    }
  }

  const ResumeKeys keys_{{std::string(kResumeKeyBytes, 'k')}};
  std::vector<std::string> resumed_;  // The hub is to end them.
  absl::Time now_ = absl::UnixEpoch();
  bool flush_ = false;
  bool go_on_ = false;
  std::size_t cost_[kWorkers] = {};
};

// A hub between a hostile backend and hostile clients. Input: steps, each a
// byte for what happens, a byte for the session, and bytes of its own: a
// message of the client's, or of the backend's stream as it is on the wire.
// Whatever comes, what is on the stream can be parsed, nothing follows the Left
// of a session, and commands reach the worker that has the session.
class FuzzHub {
 public:
  // `method`: of the stream, which decides on its form.
  FuzzHub(FuzzInput& input, absl::string_view method)
      : input_(input), has_packets_(method == kPacketMethod) {
    Hub::Options options;
    options.target.method = std::string(method);
    options.target.hold = absl::Seconds(3);
    options.target.max_groups = 4;
    options.target.groups = {"all", "r:{v}"};
    options.target.client_join = {"r:*"};
    options.target.client_publish = {"all", "r:*"};
    options.form.packet.max_packet_bytes = 256;
    options.form.max_message_bytes = 256;
    options.workers = kWorkers;
    form_ = options.form;
    HubHost& host = host_;
    hub_ = std::make_unique<Hub>(std::move(options), upstream_, host);
    for (Who i = 0; i < kSessions; ++i) {
      decoders_.push_back(MakeHubDecoder(CodecOf(i), form_));
    }
  }

  void Step() {
    const std::uint8_t what = input_.Byte();
    const Who slot = input_.Byte() % kSessions;
    switch (what % 8) {
      case 0:
        Arrive(slot, (what & 8) != 0);
        break;
      case 1:
        Say(slot);
        break;
      case 2:
        if (whos_.contains(slot)) Report(whos_[slot], HubDeparture{});
        whos_.erase(slot);
        break;
      case 3:
      case 4:
        if (Stream() != nullptr && Stream()->reading()) {
          Stream()->observer().OnMessage(input_.Bytes(input_.Byte() * 4));
        }
        break;
      case 5:
        if (Stream() != nullptr && Stream()->writing()) {
          Stream()->observer().OnWritten();
        }
        break;
      case 6:
        if (Stream() != nullptr && what >= 0x80) {
          Stream()->observer().OnDone(
              {absl::UnavailableError("the stream is lost"), ""});
        }
        break;
      case 7:
        host_.now_ += absl::Milliseconds(100 * (1 + slot));
        hub_->OnTick();
        Credit();
        break;
    }
    Flush();
  }

  // Runs the steps of the input.
  void Run() {
    for (int step = 0; step < 500 && !input_.empty(); ++step) Step();
    Check();
  }

 private:
  static HubCodec CodecOf(Who slot) {
    return static_cast<HubCodec>(slot % kHubCodecs);
  }

  void Check() const {
    std::map<Who, int> lefts;
    for (std::size_t i = 0; i < upstream_.call_count(); ++i) {
      for (const std::string& written : upstream_.call(i).written()) {
        if (has_packets_) {
          CheckPacket(written, lefts);
        } else {
          CheckBatch(written, lefts);
        }
      }
    }
  }

  static void CheckBatch(const std::string& written,
                         std::map<Who, int>& lefts) {
    v1::FromGateway batch;
    FUZZ_CHECK(batch.ParseFromString(written));
    for (const v1::Event& event : batch.events()) {
      FUZZ_CHECK(event.kind_case() != v1::Event::KIND_NOT_SET);
      if (event.who() == 0) continue;
      FUZZ_CHECK(lefts[event.who()] == 0);
      lefts[event.who()] += event.has_left() ? 1 : 0;
    }
  }

  static void CheckPacket(const std::string& written,
                          std::map<Who, int>& lefts) {
    v1::Packet packet;
    FUZZ_CHECK(packet.ParseFromString(written));
    FUZZ_CHECK((packet.type() == kHelloPacket) == (packet.who() == 0));
    FUZZ_CHECK(lefts[packet.who()] == 0);
    switch (packet.type()) {
      case kHelloPacket:
        FUZZ_CHECK(v1::Hello().ParseFromString(packet.content()));
        break;
      case kJoinedPacket:
        FUZZ_CHECK(v1::Joined().ParseFromString(packet.content()));
        break;
      case kLeftPacket:
        FUZZ_CHECK(v1::Left().ParseFromString(packet.content()));
        ++lefts[packet.who()];
        break;
      default:
        FUZZ_CHECK(packet.type() == kContentsPacket);
        FUZZ_CHECK(packet.packets_size() > 0);
    }
  }

  // Null: there is none, or it has ended.
  testing::FakeUpstream::Call* Stream() {
    if (upstream_.call_count() == 0) return nullptr;
    auto& call = upstream_.call(upstream_.call_count() - 1);
    return call.alive() ? &call : nullptr;
  }

  void Report(Who who, decltype(HubEvent::what) what) {
    HubEvents events;
    events.events.push_back({who, std::move(what)});
    hub_->OnEvents((who - 1) % kWorkers, std::move(events));
  }

  void Arrive(Who slot, bool asks) {
    if (whos_.contains(slot)) return;
    const Who who = ++last_who_;
    whos_[slot] = who;
    auto arrival = std::make_unique<HubArrival>();
    arrival->session = std::to_string(who);
    arrival->codec = CodecOf(slot);
    arrival->asks = asks;
    arrival->opened_at = host_.now_;
    arrival->variables = {{"v", input_.Bytes(input_.Byte() % 8)}};
    Report(who, std::move(arrival));
  }

  void Say(Who slot) {
    std::unique_ptr<HubDecoder>& decoder = decoders_[slot];
    const Opcode opcode = input_.Byte() % 2 ? Opcode::kText : Opcode::kBinary;
    std::string message = input_.Bytes(input_.Byte());
    // The transport refuses texts that are not UTF-8.
    if (opcode == Opcode::kText) {
      message.resize(ValidUtf8Prefix(message));
    }
    decoder->Feed({opcode, std::move(message)});
    for (;;) {
      HubDecoder::Event event = decoder->Next();
      if (std::holds_alternative<NeedInput>(event)) return;
      if (std::holds_alternative<Ending>(event)) {
        decoder = MakeHubDecoder(CodecOf(slot), form_);
        return;
      }
      if (!whos_.contains(slot)) continue;
      if (auto* request = std::get_if<HubRequest>(&event)) {
        PutToken(*request->frame);
        Report(whos_[slot], std::move(*request));
      } else if (auto* body = std::get_if<HubEventBody>(&event)) {
        Report(whos_[slot], std::move(*body));
      }
    }
  }

  // A resume token of one byte stands for that of a session, which no input
  // could have by itself.
  void PutToken(v1::HubClientFrame& frame) {
    if (!frame.has_resume()) return;
    std::string& token = *frame.mutable_resume()->mutable_resume_token();
    if (token.size() != 1) return;
    const Who who = static_cast<unsigned char>(token[0]) % (last_who_ + 1);
    token = host_.keys_.Issue({std::to_string(who), {}}, {},
                              host_.now_ + absl::Minutes(1));
  }

  void Credit() {
    for (std::size_t worker = 0; worker < kWorkers; ++worker) {
      HubEvents done;
      done.cost_done = std::exchange(host_.cost_[worker], 0);
      hub_->OnEvents(worker, std::move(done));
    }
  }

  void Flush() {
    for (const std::string& session : std::exchange(host_.resumed_, {})) {
      hub_->EndReplaced(session);
    }
    while (std::exchange(host_.flush_, false)) hub_->Flush();
    if (std::exchange(host_.go_on_, false)) hub_->GoOn();
  }

  FuzzInput& input_;
  const bool has_packets_;
  testing::Log log_;
  mutable testing::FakeUpstream upstream_{log_};
  FuzzHubHost host_;
  HubForm form_;
  std::unique_ptr<Hub> hub_;
  std::vector<std::unique_ptr<HubDecoder>> decoders_;
  std::map<Who, Who> whos_;  // By slot.
  Who last_who_ = 0;
};

}  // namespace headgate

#endif  // TESTS_FUZZ_HUB_STEPS_H_
