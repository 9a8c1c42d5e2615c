#ifndef GATEWAY_UPSTREAM_H2_ALARMS_H_
#define GATEWAY_UPSTREAM_H2_ALARMS_H_

#include <chrono>
#include <memory>
#include <optional>

#include <boost/asio/io_context.hpp>

namespace headgate {

// Many points in time on one timer: what waits for none costs nothing.
//
// Thread: the worker's. As long as one is set, the worker has work.
class Alarms {
 public:
  using Clock = std::chrono::steady_clock;

  // Lifetime: has to be cancelled, or to have rung, before it is destroyed.
  class Alarm {
   public:
    // Comes once for each Set, from the worker's loop. It may set and cancel
    // alarms, and destroy any, this one as well.
    virtual void OnAlarm() = 0;

   protected:
    ~Alarm() = default;

   private:
    friend class Alarms;
    std::optional<Clock::time_point> at_;
  };

  explicit Alarms(boost::asio::io_context& worker);
  // No alarm rings after it.
  ~Alarms();
  Alarms(const Alarms&) = delete;
  Alarms& operator=(const Alarms&) = delete;

  // Instead of the time that it was set to before.
  void Set(Alarm& alarm, Clock::time_point at);
  void Cancel(Alarm& alarm);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace headgate

#endif  // GATEWAY_UPSTREAM_H2_ALARMS_H_
