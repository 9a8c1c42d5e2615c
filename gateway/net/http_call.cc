#include "gateway/net/http_call.h"

#include <utility>

namespace headgate {

absl::Status HttpCall::Open(Admission admission,
                            HttpTransport::Options options) {
  auto exchange = std::make_unique<HttpTransport>(std::move(options), link_);
  session_ = host_.OpenSession(std::move(admission.session), *exchange);
  if (session_ == nullptr) {
    return absl::UnavailableError("the configuration has changed");
  }
  exchange_ = std::move(exchange);
  return absl::OkStatus();
}

void HttpCall::Start(std::unique_ptr<Place> place) {
  place_ = std::move(place);
  exchange_->Start(std::move(session_), host_.now());
}

const Session* HttpCall::session() const {
  return exchange_ == nullptr ? nullptr : exchange_->session();
}

void HttpCall::OnFirstAnswer() {
  if (session() != nullptr) host_.FirstAnswer(*session());
}

void HttpCall::CloseForMemory(absl::Time now, absl::Duration patience) {
  if (cut_off_at_) return;
  cut_off_at_ = now + patience;
  exchange_->CloseForMemory();
}

bool HttpCall::is_cut_off(absl::Time now) const {
  return cut_off_at_ && now >= *cut_off_at_;
}

std::size_t HttpCall::held_bytes() const {
  return exchange_ == nullptr ? 0 : exchange_->held_bytes();
}

void HttpCall::Lose(TransportEnd::Cause cause) {
  if (exchange_ == nullptr) return;
  exchange_->OnLost({cause, CloseCode::kAbnormal, ""});
  End();
}

void HttpCall::End() {
  if (exchange_ == nullptr) return;
  if (session() != nullptr) host_.SessionEnded(*session());
  exchange_.reset();
  place_.reset();
  cut_off_at_.reset();
}

}  // namespace headgate
