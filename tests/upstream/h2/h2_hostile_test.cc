// Servers that mean harm, or are broken beyond what a frame can say.

#include <unistd.h>

#include <cstdio>
#include <functional>
#include <string>

#include <gmock/gmock.h>
#include <boost/asio/local/stream_protocol.hpp>

#include "absl/strings/str_cat.h"
#include "gateway/base/status.h"
#include "tests/upstream/h2/wire_fixture.h"

namespace headgate {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

using H2HostileTest = H2WireFixture;

// What cannot be written to is of no use, though it can be read from.
TEST_F(H2HostileTest, ConnectionThatCannotBeWrittenToEnds) {
  const std::string path =
      absl::StrCat(::testing::TempDir(), "headgate-deaf-", getpid(), ".sock");
  std::remove(path.c_str());
  RawServer deaf(worker_, h2::Settings(),
                 boost::asio::local::stream_protocol::endpoint(path));
  Connect("unix:" + path);
  WireCall& call = Start();
  call.Read();
  ASSERT_TRUE(RunUntil([&] { return deaf.StreamsOpened() == 1; }));
  auto& connection = deaf.connections()[0];
  connection.Send(h2::Head(1) + h2::Message(1, "last words"));
  connection.StopReading();
  call.Write("unheard");
  ASSERT_TRUE(RunUntil([&] { return call.end.has_value(); }));
  EXPECT_EQ(call.end->status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(MessageForLog(call.end->status), HasSubstr("Broken pipe"));
  // What had come before is there.
  EXPECT_THAT(call.messages, ElementsAre("last words"));
  EXPECT_EQ(upstream_->channel_count(), 0u);
  deaf.Close();
  for (auto& one : deaf.connections()) one.Close();
  std::remove(path.c_str());
}

}  // namespace
}  // namespace headgate
