#include "gateway/server/hub_thread.h"

#include <future>
#include <string>
#include <vector>

#include <gmock/gmock.h>

namespace headgate {
namespace {

using ::testing::ElementsAre;

// Else each of many requests has a slice of time of its own before the thread
// looks at the sockets of other hubs.
TEST(HubThreadTest, RequestsThatArriveTogetherShareOneSliceBehindWhatWaits) {
  HubThread hubs(/*workers=*/1);
  std::vector<std::string> log;
  std::promise<void> done;
  const auto note = [&](const char* what) {
    log.emplace_back(what);
    if (log.size() == 4) done.set_value();
  };
  for (const char* name : {"first", "second", "third"}) {
    hubs.RunOnHubs(/*bytes=*/0,
                   [&, name](absl::StatusOr<ClusterRequests*>) { note(name); });
  }
  hubs.List([&](std::vector<HubInfo>) { note("other"); });
  hubs.Start();
  done.get_future().wait();
  hubs.Stop();
  EXPECT_THAT(log, ElementsAre("other", "first", "second", "third"));
}

// So a flood on NATS does not make the API wait, nor the other way round.
TEST(HubThreadTest, RequestsOfTheApiAndOfOtherGatewaysTakeTurns) {
  HubThread hubs(/*workers=*/1);
  std::vector<std::string> log;
  std::promise<void> done;
  const auto note = [&](const char* what) {
    log.emplace_back(what);
    if (log.size() == 7) done.set_value();
  };
  for (const char* name : {"api 1", "api 2"}) {
    hubs.RunOnHubs(/*bytes=*/0,
                   [&, name](absl::StatusOr<ClusterRequests*>) { note(name); });
  }
  // These are in the queue before the hub thread has taken those of the API.
  for (const char* name : {"nats 1", "nats 2", "nats 3", "nats 4", "nats 5"}) {
    ASSERT_TRUE(hubs.RunForEngine(
        /*bytes=*/0, [&, name](ClusterRequests&) { note(name); }));
  }
  hubs.Start();
  done.get_future().wait();
  hubs.Stop();
  EXPECT_THAT(log, ElementsAre("api 1", "nats 1", "api 2", "nats 2", "nats 3",
                               "nats 4", "nats 5"));
}

}  // namespace
}  // namespace headgate
