#include "gateway/server/reachability.h"

namespace headgate {
namespace {

// The longest pause between two attempts to connect, and an attempt.
constexpr absl::Duration kReconnectTime = absl::Seconds(2);

}  // namespace

void Reachability::OnConnectionState(ConnectionState state, absl::Time now) {
  switch (state) {
    case ConnectionState::kNone:
      return;
    case ConnectionState::kFailing:
      if (now >= overruled_until_) state_ = State::kNoConnection;
      return;
    case ConnectionState::kUp:
      // A connection to a proxy says nothing about the backend behind it.
      if (!wants_probe()) state_ = State::kReachable;
      overruled_until_ = absl::InfinitePast();
      return;
  }
}

void Reachability::OnServed(absl::Time now) {
  if (state_ == State::kNoConnection) overruled_until_ = now + kReconnectTime;
  state_ = State::kReachable;
}

void Reachability::OnUnavailable() {
  if (state_ == State::kReachable) state_ = State::kDoubtful;
}

void Reachability::OnProbed(ProbeResult result) {
  // Meanwhile a call or the connection may have told more.
  if (!wants_probe()) return;
  switch (result) {
    case ProbeResult::kAnswered:
      state_ = State::kReachable;
      return;
    case ProbeResult::kUnavailable:
      state_ = State::kRefusing;
      return;
    case ProbeResult::kSilent:
      return;
  }
}

std::optional<bool> Reachability::reachable() const {
  switch (state_) {
    case State::kUnknown:
      return std::nullopt;
    case State::kReachable:
    case State::kDoubtful:
      return true;
    case State::kNoConnection:
    case State::kRefusing:
      break;
  }
  return false;
}

}  // namespace headgate
