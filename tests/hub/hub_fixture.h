#ifndef TESTS_HUB_HUB_FIXTURE_H_
#define TESTS_HUB_HUB_FIXTURE_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <google/protobuf/text_format.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gateway/hub/hub.h"
#include "tests/testing/fake_upstream.h"

namespace headgate {

// One hub of two workers. The backend is the test; what the hub hands to the
// workers is in `told_`.
class HubTest : public ::testing::Test, private HubHost {
 protected:
  Hub& Make() {
    Hub::Options options;
    options.target = target_;
    options.route = "/r";
    options.gateway = "g";
    options.incarnation = "i";
    options.workers = 2;
    options.patterns = patterns_;
    HubHost& host = *this;
    hub_ = std::make_unique<Hub>(std::move(options), upstream_, host);
    return *hub_;
  }

  // --- What workers do ---

  void Report(Who who, decltype(HubEvent::what) what) {
    HubEvents events;
    events.events.push_back({who, std::move(what)});
    hub_->OnEvents((who - 1) % 2, std::move(events));
    Turn();
  }
  void Join(Who who, bool asks = false) {
    auto arrival = std::make_unique<HubArrival>();
    arrival->session = absl::StrCat("s", who);
    arrival->opened_at = now_;
    arrival->asks = asks;
    arrival->metadata = {{"k", "v"}};
    arrival->variables = {{"room", "5"}};
    Report(who, std::move(arrival));
  }
  void Wait(Who who, HubWait wait) {
    HubEvents events;
    events.waits.emplace_back(who, wait);
    hub_->OnEvents((who - 1) % 2, std::move(events));
    Turn();
  }
  // An event with a body that only the test understands.
  void Say(Who who) { Report(who, HubEventBody{"\x4a\x02\x08\x07"}); }
  // A client's message, an empty payload.
  void SayMessage(Who who) {
    Report(who, HubEventBody{std::string("\x2a\x02\x0a\x00", 4)});
  }
  void Leave(Who who) { Report(who, HubDeparture{}); }

  // --- What the backend does ---

  testing::FakeUpstream::Call& call() {
    return upstream_.call(upstream_.call_count() - 1);
  }
  void Written() {
    call().observer().OnWritten();
    Turn();
  }
  // Takes everything that the hub has to send.
  void WriteAll() {
    while (call().writing()) Written();
  }
  void Command(const std::string& commands) {
    v1::ToGateway message;
    ASSERT_TRUE(
        google::protobuf::TextFormat::ParseFromString(commands, &message));
    call().observer().OnMessage(message.SerializeAsString());
    Turn();
  }
  void End(absl::Status status) {
    call().observer().OnDone({std::move(status), ""});
    Turn();
  }

  void Turn() {
    while (std::exchange(flush_, false)) hub_->Flush();
  }
  void Pass(absl::Duration time) {
    now_ += time;
    hub_->OnTick();
    Turn();
  }

  // The events that the current stream has carried, short.
  std::vector<std::string> Events() {
    std::vector<std::string> events;
    for (const std::string& written : call().written()) {
      v1::FromGateway batch;
      EXPECT_TRUE(batch.ParseFromString(written));
      for (const v1::Event& event : batch.events()) {
        events.push_back(Describe(event));
      }
    }
    return events;
  }

  static std::string Describe(const v1::Event& event) {
    const std::string number = absl::StrCat(event.seq(), ":");
    switch (event.kind_case()) {
      case v1::Event::kGroupRequest:
        return absl::StrCat(number, "asks for ", event.group_request().group(),
                            ", request ", event.group_request().request());
      case v1::Event::kTokenRefresh:
        return absl::StrCat(number, "token ",
                            event.token_refresh().authorization());
      case v1::Event::kSessionResumed:
        return absl::StrCat(
            number, "resumed ", event.session_resumed().previous_session(),
            event.session_resumed().recovered() ? " recovered" : "");
      case v1::Event::kHello:
        return absl::StrCat(number, "hello ", event.hello().incarnation(),
                            event.hello().resumes() ? " resumes" : "");
      case v1::Event::kJoined:
        return absl::StrCat(number, "joined ", event.who(),
                            event.joined().asks() ? " asks" : "",
                            event.joined().resumed() ? " resumed" : "");
      case v1::Event::kLeft:
        return absl::StrCat(number, "left ", event.who());
      case v1::Event::kSent:
        return absl::StrCat(number, "sent ", event.sent().command());
      case v1::Event::kDraining:
        return absl::StrCat(number, "draining ",
                            event.draining().deadline().seconds());
      case v1::Event::kReplayed:
        return absl::StrCat(number, "replayed ", event.replayed().sessions());
      case v1::Event::kFailed:
        return absl::StrCat("failed ", event.failed().command(), " ",
                            event.failed().status().code());
      default:
        return absl::StrCat(number, "event ", event.who(),
                            event.message().redelivered() ? " again" : "");
    }
  }

  // --- HubHost ---

  absl::Time now() override { return now_ += passes_; }
  Moment clock() override { return {now_, now_}; }
  void FlushSoon() override { flush_ = true; }
  void GoOnNext() override { go_on_ = true; }
  const Schema* schema() override { return nullptr; }
  HubEngine* engine() override { return engine_; }
  const ResumeKeys* resume_keys() override { return resume_keys_.get(); }
  void EndResumed(const std::string& session) override {
    ended_.push_back(session);
    hub_->EndReplaced(session);
  }
  void OnStreamUp(std::size_t, bool, std::size_t) override {}
  void OnStreamDown(std::size_t, const absl::Status&, std::size_t) override {}
  void OnAbandoned(std::size_t, const absl::Status&, std::size_t) override {}
  void HandOver(std::size_t worker, HubCommands commands) override {
    for (const HubCredit& credit : commands.credit) {
      credited_ += credit.bytes;
      shared_credited_ += credit.shared_bytes;
    }
    for (const auto& command : commands.commands) {
      if (const auto* deliver = std::get_if<HubDeliver>(&command)) {
        report_ = deliver->report;
        delivered_.push_back(*deliver);
      }
      if (const auto* close = std::get_if<HubClose>(&command)) {
        reasons_.push_back(close->ending.end.status.message().size());
      } else if (const auto* refuse = std::get_if<HubRefuse>(&command)) {
        reasons_.push_back(refuse->status.message().size());
      }
      told_.push_back(absl::StrCat(
          "w", worker, " ",
          std::visit([](const auto& kind) { return Show(kind); }, command)));
    }
    if (takes_) {
      HubEvents done;
      done.cost_done = commands.cost;
      hub_->OnEvents(worker, std::move(done));
    } else {
      held_ += commands.cost;
    }
  }
  static std::string Show(const HubAdmit& admit) {
    return absl::StrCat("admit ", admit.who);
  }
  static std::string Show(const HubRefuse& refuse) {
    return absl::StrCat("refuse ", refuse.who, " ",
                        absl::StatusCodeToString(refuse.status.code()));
  }
  static std::string Show(const HubDeliver& deliver) {
    return absl::StrCat("deliver ", absl::StrJoin(deliver.whos, "+"), " ",
                        deliver.frame->payload);
  }
  static std::string Show(const HubExpire& expire) {
    return absl::StrCat("expire ", expire.who, " ",
                        absl::ToUnixSeconds(expire.at));
  }
  static std::string Show(const HubClose& close) {
    return absl::StrCat("close ", absl::StrJoin(close.whos, "+"), " ",
                        static_cast<int>(close.ending.close));
  }

  testing::Log log_;
  testing::FakeUpstream upstream_{log_};
  HubTarget target_;
  GroupPatterns patterns_;
  absl::Time now_ = absl::UnixEpoch();
  absl::Duration passes_;
  bool flush_ = false;
  bool go_on_ = false;
  bool takes_ = true;  // Workers are done with commands at once.
  std::size_t held_ = 0;
  std::size_t credited_ = 0;         // To sessions,
  std::size_t shared_credited_ = 0;  // and to their workers.
  HubEngine* engine_ = nullptr;
  std::unique_ptr<ResumeKeys> resume_keys_;
  std::vector<std::string> ended_;  // Sessions that were resumed.
  std::vector<std::string> told_;
  std::vector<std::size_t> reasons_;  // Their lengths.
  HubReport report_;                  // Of the last delivery.
  std::vector<HubDeliver> delivered_;
  std::unique_ptr<Hub> hub_;
};

}  // namespace headgate

#endif  // TESTS_HUB_HUB_FIXTURE_H_
