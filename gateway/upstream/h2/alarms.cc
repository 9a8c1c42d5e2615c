#include "gateway/upstream/h2/alarms.h"

#include <functional>
#include <set>
#include <utility>

#include <boost/asio/basic_waitable_timer.hpp>

namespace headgate {

// Shared with the timer's handler, which may come after the end of Alarms.
struct Alarms::State {
  explicit State(boost::asio::io_context& worker) : timer(worker) {}

  using Entry = std::pair<Clock::time_point, Alarm*>;
  using Timer =
      boost::asio::basic_waitable_timer<Clock, boost::asio::wait_traits<Clock>,
                                        boost::asio::io_context::executor_type>;

  static void Arm(const std::shared_ptr<State>& self) {
    if (self->alarms.empty()) {
      if (self->armed_for) self->timer.cancel();
      self->armed_for.reset();
      return;
    }
    const Clock::time_point at = self->alarms.begin()->first;
    // A timer that goes off too early is set anew then.
    if (self->armed_for && *self->armed_for <= at) return;
    self->armed_for = at;
    self->timer.expires_at(at);
    self->timer.async_wait([self](boost::system::error_code error) {
      if (!error && self->armed_for) Ring(self);
    });
  }

  static void Ring(const std::shared_ptr<State>& self) {
    const Clock::time_point now = Clock::now();
    if (now < *self->armed_for) return;  // Set anew while this was under way.
    self->armed_for.reset();
    while (!self->alarms.empty() && self->alarms.begin()->first <= now) {
      Alarm* const alarm = self->alarms.begin()->second;
      self->alarms.erase(self->alarms.begin());
      alarm->at_.reset();
      alarm->OnAlarm();
    }
    Arm(self);
  }

  Timer timer;
  std::set<Entry> alarms;
  std::optional<Clock::time_point> armed_for;
};

Alarms::Alarms(boost::asio::io_context& worker)
    : state_(std::make_shared<State>(worker)) {}

Alarms::~Alarms() {
  state_->alarms.clear();
  State::Arm(state_);
}

void Alarms::Set(Alarm& alarm, Clock::time_point at) {
  if (alarm.at_) state_->alarms.erase({*alarm.at_, &alarm});
  alarm.at_ = at;
  state_->alarms.insert({at, &alarm});
  State::Arm(state_);
}

void Alarms::Cancel(Alarm& alarm) {
  if (!alarm.at_) return;
  state_->alarms.erase({*alarm.at_, &alarm});
  alarm.at_.reset();
  State::Arm(state_);
}

}  // namespace headgate
