#include "gateway/server/server.h"

#include <chrono>
#include <functional>
#include <memory>
#include <thread>
#include <utility>

#include <gtest/gtest.h>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

namespace headgate {
namespace {

class ServerTest : public ::testing::Test {
 protected:
  ServerTest() {
    Settings settings;
    settings.listeners.resize(1);
    settings.listeners[0].address = "127.0.0.1:0";
    settings.admin[0].enabled = false;
    settings.threads = 1;
    auto server = Server::Start(std::move(settings), control_);
    EXPECT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }

  // Has `act` happen in the very turn of the loop in which a timer of the
  // server is due `after` now: before that timer's handler, and too late to
  // cancel it.
  void ActAsATimerExpires(std::chrono::milliseconds after,
                          const std::function<void()>& act) {
    const std::chrono::milliseconds margin(50);
    boost::asio::steady_timer timer(control_, after - margin);
    timer.async_wait([&](boost::system::error_code) { act(); });
    std::this_thread::sleep_for(after + margin);  // Nobody runs the loop.
    control_.run_for(std::chrono::seconds(10));
  }

  boost::asio::io_context control_{1};
  std::unique_ptr<Server> server_;
};

TEST_F(ServerTest, NothingIsLeftToDoAfterStop) {
  server_->Stop();
  control_.run_for(std::chrono::seconds(10));
  EXPECT_TRUE(control_.stopped());
}

TEST_F(ServerTest, NothingIsLeftToDoWhereStopMeetsTheOncePerSecondWork) {
  ActAsATimerExpires(std::chrono::seconds(1), [this] { server_->Stop(); });
  EXPECT_TRUE(control_.stopped());
}

TEST_F(ServerTest, NothingIsLeftToDoWhereStopMeetsTheEndOfTheDrainDelay) {
  const std::chrono::milliseconds delay(300);
  server_->Drain(absl::FromChrono(delay), absl::Hours(1), [] {});
  ActAsATimerExpires(delay, [this] { server_->Stop(); });
  EXPECT_TRUE(control_.stopped());
}

}  // namespace
}  // namespace headgate
