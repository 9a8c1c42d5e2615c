#include "gateway/hub/port.h"

#include <algorithm>
#include <limits>
#include <variant>

namespace headgate {

HubCodec HubCodecOf(const Dialect& dialect) {
  if (&dialect == &kPacketDialect) return HubCodec::kPacket;
  if (&dialect == &kJsonDialect) return HubCodec::kJson;
  if (&dialect == &kProtobufDialect) return HubCodec::kProtobuf;
  return HubCodec::kRaw;
}

// --- A member ---

HubMember::~HubMember() {
  if (!departed_) Depart({});
  port_->members_.erase(who_);
}

const HubTarget& HubMember::target() const { return port_->target_; }
const HubForm& HubMember::form() const { return port_->form_; }
ws::FrameStore& HubMember::frames() { return port_->frames_; }
SlicedQueue* HubMember::slices() { return port_->slices_; }

bool HubMember::MaySay() {
  const bool may =
      unsent_bytes_ < port_->target_.session_events_bytes && port_->has_room();
  if (!may && !waits_) {
    waits_ = true;
    port_->waiting_.push_back(who_);
  }
  return may;
}

void HubMember::Say(HubEventBody event) {
  if (departed_) return;
  const std::size_t cost = event.bytes.size() + kHubEventCost;
  unsent_bytes_ += cost;
  port_->unsent_bytes_ += cost;
  port_->Add({who_, std::move(event)});
}

void HubMember::Depart(HubDeparture departure) {
  if (std::exchange(departed_, true)) return;
  port_->Add({who_, std::move(departure)});
}

// --- The port ---

HubPort::HubPort(HubTarget target, HubForm form, std::size_t worker,
                 std::size_t workers, std::function<void()> wake,
                 SlicedQueue* slices)
    : target_(std::move(target)),
      form_(std::move(form)),
      worker_(worker),
      workers_(workers),
      wake_(std::move(wake)),
      slices_(slices),
      max_unsent_bytes_(target_.events_bytes / workers) {}

std::unique_ptr<HubMember> HubPort::Join(std::shared_ptr<HubPort> port,
                                         HubArrival arrival,
                                         HubMember::Verdict verdict) {
  HubPort& self = *port;
  const std::uint64_t number = self.next_ * self.workers_ + self.worker_ + 1;
  if (number > std::numeric_limits<Who>::max()) return nullptr;
  ++self.next_;
  const Who who = static_cast<Who>(number);
  auto member = std::unique_ptr<HubMember>(
      new HubMember(std::move(port), who, arrival.codec, std::move(verdict)));
  self.members_.emplace(who, member.get());
  self.Add({who, std::make_unique<HubArrival>(std::move(arrival))});
  return member;
}

HubMember* HubPort::Find(Who who) const {
  const auto found = members_.find(who);
  return found == members_.end() ? nullptr : found->second;
}

void HubPort::Add(HubEvent event) {
  events_.events.push_back(std::move(event));
  Wake();
}

void HubPort::Wake() {
  if (!std::exchange(woken_, true)) wake_();
}

HubEvents HubPort::TakeEvents() {
  woken_ = false;
  return std::exchange(events_, {});
}

void HubPort::Apply(HubCommands commands) {
  for (const HubCredit& credit : commands.credit) Return(credit);
  for (const auto& command : commands.commands) {
    std::visit([this](const auto& kind) { Run(kind); }, command);
  }
  Resume();
  if (commands.cost == 0) return;
  events_.cost_done += commands.cost;
  Wake();
}

void HubPort::Run(const HubAdmit& admit) {
  HubMember* member = Find(admit.who);
  if (member == nullptr || member->verdict_ == nullptr) return;
  std::exchange(member->verdict_, nullptr)(absl::OkStatus());
  if (admit.greeting == nullptr) return;
  member = Find(admit.who);
  if (member == nullptr || member->observer_ == nullptr) return;
  ws::SharedFrame frame(frames_, admit.greeting->opcode,
                        admit.greeting->payload);
  member->observer_->OnHubFrame(frame, "", true);
}

void HubPort::Run(const HubRefuse& refuse) {
  HubMember* member = Find(refuse.who);
  if (member == nullptr || member->verdict_ == nullptr) return;
  HubDeparture departure;
  departure.reason = std::string(refuse.status.message());
  departure.cause = refuse.cause;
  member->Depart(std::move(departure));
  std::exchange(member->verdict_, nullptr)(refuse.status);
}

void HubPort::Run(const HubDeliver& deliver) {
  ws::SharedFrame frame(frames_, deliver.frame->opcode, deliver.frame->payload);
  for (const Who who : deliver.whos) {
    HubMember* member = Find(who);
    if (member == nullptr || member->observer_ == nullptr) continue;
    member->observer_->OnHubFrame(frame, deliver.key, false);
  }
}

void HubPort::Run(const HubClose& close) {
  for (const Who who : close.whos) {
    HubMember* member = Find(who);
    if (member == nullptr || member->observer_ == nullptr) continue;
    member->observer_->OnHubClose(close);
  }
}

void HubPort::Return(const HubCredit& credit) {
  unsent_bytes_ -= std::min(unsent_bytes_, credit.bytes);
  HubMember* member = Find(credit.who);
  if (member == nullptr) return;
  member->unsent_bytes_ -= std::min(member->unsent_bytes_, credit.bytes);
}

void HubPort::Resume() {
  for (std::size_t left = waiting_.size(); left > 0 && has_room(); --left) {
    const Who who = waiting_.front();
    waiting_.pop_front();
    HubMember* member = Find(who);
    if (member == nullptr) continue;
    if (member->unsent_bytes_ >= target_.session_events_bytes / 2) {
      waiting_.push_back(who);  // Still, by its own limit.
      continue;
    }
    member->waits_ = false;
    if (member->observer_ != nullptr) member->observer_->OnHubWritable();
  }
}

}  // namespace headgate
