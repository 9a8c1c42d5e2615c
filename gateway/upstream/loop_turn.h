#ifndef GATEWAY_UPSTREAM_LOOP_TURN_H_
#define GATEWAY_UPSTREAM_LOOP_TURN_H_

#include <functional>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include "gateway/base/turn.h"

namespace headgate {

// The Turn of an io_context, which must not run any more once it is destroyed.
class LoopTurn final : public Turn {
 public:
  explicit LoopTurn(boost::asio::io_context& loop,
                    std::function<Clock::time_point()> now = Clock::now)
      : Turn([this, &loop] { boost::asio::post(loop, [this] { OnWoken(); }); },
             std::move(now)) {}
};

}  // namespace headgate

#endif  // GATEWAY_UPSTREAM_LOOP_TURN_H_
