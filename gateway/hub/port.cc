#include "gateway/hub/port.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <variant>

namespace headgate {

namespace {

// What the end of a session costs besides, as bytes that are sent.
constexpr std::size_t kClosingCost = 16 * 1024;

}  // namespace

HubCodec HubCodecOf(const Dialect& dialect) {
  if (&dialect == &kPacketDialect) return HubCodec::kPacket;
  if (&dialect == &kJsonDialect) return HubCodec::kJson;
  if (&dialect == &kProtobufDialect) return HubCodec::kProtobuf;
  if (&dialect == &kHubJsonDialect) return HubCodec::kHubJson;
  if (&dialect == &kHubProtobufDialect) return HubCodec::kHubProtobuf;
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
PinnedFrames& HubMember::pinned() { return *port_->pinned_; }
SlicedQueue* HubMember::slices() { return port_->slices_; }

bool HubMember::has_room() const {
  return unsent_bytes_ < port_->target_.session_events_bytes &&
         port_->has_room();
}

bool HubMember::MaySay() {
  const bool may = has_room();
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

void HubMember::Ask(HubRequest request) {
  if (departed_) return;
  const std::size_t cost = request.bytes + kHubEventCost;
  unsent_bytes_ += cost;
  port_->unsent_bytes_ += cost;
  port_->Add({who_, std::move(request)});
}

void HubMember::CountDropped(std::uint64_t messages) {
  if (messages == 0) return;
  port_->events_.dropped += messages;
  port_->Wake();
}

void HubMember::Wait(HubWait wait) {
  if (departed_) return;
  port_->events_.waits.emplace_back(who_, wait);
  port_->Wake();
}

// Without a word of its own: the next batch has it.
void HubMember::CountSend() { ++port_->events_.sends; }

void HubMember::Depart(HubDeparture departure) {
  if (std::exchange(departed_, true)) return;
  port_->Add({who_, std::move(departure)});
}

// --- The port ---

HubPort::HubPort(HubTarget target, HubForm form, std::size_t worker,
                 std::size_t workers, std::function<void()> wake,
                 SlicedQueue* slices, std::shared_ptr<PinnedFrames> pinned)
    : target_(std::move(target)),
      form_(std::move(form)),
      worker_(worker),
      workers_(workers),
      wake_(std::move(wake)),
      slices_(slices),
      pinned_(pinned != nullptr ? std::move(pinned)
                                : std::make_shared<PinnedFrames>()),
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

void HubPort::Take(HubCommands commands) {
  for (const HubCredit& credit : commands.credit) Return(credit);
  taken_.push_back(std::move(commands));
}

void HubPort::Count(std::size_t cost) {
  slice_left_ -= std::min(slice_left_, cost);
  cost_since_look_ += cost;
  if (cost_since_look_ < kCostPerLook) return;
  cost_since_look_ = 0;
  if (*is_over_ != nullptr && (*is_over_)()) slice_left_ = 0;
}

bool HubPort::ApplySlice(const std::function<bool()>& is_over) {
  slice_left_ = kSliceCost;
  is_over_ = &is_over;
  while (!taken_.empty()) {
    const HubCommands& batch = taken_.front();
    for (; next_command_ < batch.commands.size(); ++next_command_) {
      const bool is_done =
          slice_left_ > 0 &&
          std::visit([this](const auto& kind) { return Run(kind); },
                     batch.commands[next_command_]);
      pinned_->Check();
      if (!is_done) {
        Resume();
        return true;
      }
      next_who_ = 0;
    }
    if (batch.cost > 0) {
      events_.cost_done += batch.cost;
      Wake();
    }
    if (batch.published_at < absl::InfiniteFuture()) {
      OnPublished(batch.published_at);
    }
    next_command_ = 0;
    taken_.pop_front();
  }
  Resume();
  return false;
}

template <typename Reach>
bool HubPort::ForEach(const std::vector<Who>& whos, std::size_t bytes,
                      Reach reach) {
  const std::size_t cost = kReceiverCost + bytes;
  while (next_who_ < whos.size()) {
    if (slice_left_ == 0) return false;
    Count(cost);
    HubMember* member = Find(whos[next_who_++]);
    if (member != nullptr && member->observer_ != nullptr) {
      reach(*member->observer_);
    }
  }
  return true;
}

bool HubPort::Run(const HubAdmit& admit) {
  Count(kReceiverCost);
  HubMember* member = Find(admit.who);
  if (member == nullptr || member->verdict_ == nullptr) return true;
  std::exchange(member->verdict_, nullptr)(absl::OkStatus());
  member = Find(admit.who);
  if (member == nullptr || member->observer_ == nullptr) return true;
  if (admit.expires_at < absl::InfiniteFuture()) {
    member->observer_->OnHubExpiry(admit.expires_at);
  }
  if (admit.greeting == nullptr) return true;
  ws::SharedFrame frame(frames_, admit.greeting->opcode,
                        admit.greeting->payload);
  member->observer_->OnHubGreeting(frame);
  return true;
}

bool HubPort::Run(const HubRefuse& refuse) {
  Count(kReceiverCost);
  HubMember* member = Find(refuse.who);
  if (member == nullptr || member->verdict_ == nullptr) return true;
  HubDeparture departure;
  departure.reason = std::string(refuse.status.message());
  departure.cause = refuse.cause;
  member->Depart(std::move(departure));
  std::exchange(member->verdict_, nullptr)(refuse.status);
  return true;
}

bool HubPort::Run(const HubDeliver& deliver) {
  ws::SharedFrame frame(frames_, deliver.frame->opcode, deliver.frame->payload);
  return ForEach(deliver.whos, deliver.frame->payload.size(),
                 [&](HubMemberObserver& observer) {
                   if (deliver.is_answer) return observer.OnHubAnswer(frame);
                   observer.OnHubFrame(frame, deliver);
                 });
}

bool HubPort::Run(const HubClose& close) {
  std::optional<ws::SharedFrame> farewell;
  std::size_t bytes = kClosingCost;
  if (close.farewell != nullptr) {
    farewell.emplace(frames_, close.farewell->opcode, close.farewell->payload);
    bytes += close.farewell->payload.size();
  }
  return ForEach(close.whos, bytes, [&](HubMemberObserver& observer) {
    observer.OnHubClose(close, farewell ? &*farewell : nullptr);
  });
}

bool HubPort::Run(const HubExpire& expire) {
  Count(kReceiverCost);
  HubMember* member = Find(expire.who);
  if (member != nullptr && member->observer_ != nullptr) {
    member->observer_->OnHubExpiry(expire.at);
  }
  return true;
}

void HubPort::Return(const HubCredit& credit) {
  unsent_bytes_ -= std::min(unsent_bytes_, credit.shared_bytes);
  HubMember* member = Find(credit.who);
  if (member == nullptr) return;
  member->unsent_bytes_ -= std::min(member->unsent_bytes_, credit.bytes);
}

void HubPort::OnPublished(absl::Time published_at) {
  if (slices_ == nullptr) return;
  if (marked_.empty()) {
    marked_.push_back(published_at);
    slices_->Add(sent_mark_);
  } else {
    unmarked_.push_back(published_at);
  }
}

void HubPort::OnSentMark() {
  const absl::Time now = slices_->now();
  for (const absl::Time published_at : marked_) {
    events_.fanouts.push_back(now - published_at);
  }
  marked_ = std::exchange(unmarked_, {});
  if (!marked_.empty()) slices_->Add(sent_mark_);
  Wake();
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
