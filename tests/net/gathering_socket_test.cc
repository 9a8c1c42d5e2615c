#include "gateway/net/gathering_socket.h"

#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/asio/io_context.hpp>

namespace headgate {
namespace {

using ::testing::ElementsAre;
using Error = GatheringSocket::Error;

// The other end of the pair is a plain file descriptor: what the kernel was
// given can be read there at once, a call of send by a call of recv.
class GatheringSocketTest : public ::testing::Test {
 protected:
  GatheringSocketTest() {
    int fds[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    StreamSocket socket(loop_);
    socket.assign(boost::asio::generic::stream_protocol(AF_UNIX, 0), fds[0]);
    socket_ = std::make_shared<GatheringSocket>(std::move(socket));
    peer_ = fds[1];
  }
  ~GatheringSocketTest() override {
    HangUp();
    Run();
  }

  void Send(const std::string& bytes) {
    const auto kept = std::make_shared<std::string>(bytes);
    socket_->AsyncSend(boost::asio::buffer(*kept),
                       [this, kept](Error error, std::size_t taken) {
                         done_.push_back(error ? -1 : static_cast<int>(taken));
                         if (then_ != nullptr) std::exchange(then_, nullptr)();
                       });
  }
  void Run() {
    loop_.restart();
    loop_.poll();
  }
  // What one look finds.
  std::string Receive() {
    std::string bytes(1 << 20, '\0');
    const ssize_t n = recv(peer_, bytes.data(), bytes.size(), MSG_DONTWAIT);
    bytes.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    return bytes;
  }
  // Until everything that was given is here.
  std::string ReceiveAll() {
    std::string all;
    for (std::string some; !(some = Receive()).empty(); Run()) all += some;
    return all;
  }
  // Leaves the kernel no room.
  std::size_t Fill() {
    const std::string bytes(64 * 1024, 'f');
    std::size_t filled = 0;
    for (;;) {
      const ssize_t n = send(socket_->socket().native_handle(), bytes.data(),
                             bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      if (n <= 0) return filled;
      filled += static_cast<std::size_t>(n);
    }
  }
  void HangUp() {
    if (peer_ >= 0) close(std::exchange(peer_, -1));
  }

  boost::asio::io_context loop_{1};
  std::shared_ptr<GatheringSocket> socket_;
  int peer_ = -1;
  std::vector<int> done_;  // Bytes taken, or -1.
  std::function<void()> then_;
};

TEST_F(GatheringSocketTest, OneTurnIsOneSend) {
  then_ = [this] {
    then_ = [this] { Send("c"); };
    Send("b");
  };
  Send("a");
  EXPECT_EQ(Receive(), "");
  Run();
  EXPECT_EQ(Receive(), "abc");
  EXPECT_THAT(done_, ElementsAre(1, 1, 1));
  EXPECT_EQ(socket_->bytes_sent(), 3u);
}

TEST_F(GatheringSocketTest, CompletesNotBeforeItReturns) {
  Send("a");
  EXPECT_THAT(done_, ElementsAre());
}

// What is long goes out from where it is, behind what was gathered.
TEST_F(GatheringSocketTest, KeepsTheOrderOfShortAndLong) {
  const std::string big(GatheringSocket::kMostCopied + 1, 'x');
  then_ = [&] { Send(big); };
  Send("a");
  Run();
  EXPECT_EQ(ReceiveAll(), "a" + big);
  Send("b");
  Run();
  EXPECT_EQ(ReceiveAll(), "b");
}

// A peer that takes nothing: so much is held, and no more.
TEST_F(GatheringSocketTest, HoldsNoMoreThanItsBound) {
  const std::size_t filled = Fill();
  const std::string message(1000, 'm');
  const std::size_t fit = GatheringSocket::kMostGathered / message.size();
  for (std::size_t i = 0; i < fit; ++i) {
    Send(message);
    Run();
  }
  EXPECT_EQ(done_.size(), fit);
  Send(message);
  Run();
  EXPECT_EQ(done_.size(), fit) << "it has to wait";
  EXPECT_EQ(ReceiveAll().size(), filled + (fit + 1) * message.size());
  EXPECT_EQ(done_.size(), fit + 1);
}

TEST_F(GatheringSocketTest, ALongPieceWaitsForRoomToo) {
  const std::size_t filled = Fill();
  Send("a");
  Run();
  const std::string big(100'000, 'x');
  Send(big);
  Run();
  EXPECT_THAT(done_, ElementsAre(1));
  std::string all = ReceiveAll();
  ASSERT_GT(done_.size(), 1u);
  EXPECT_EQ(all.size(), filled + 1 + static_cast<std::size_t>(done_[1]));
  EXPECT_EQ(all[filled], 'a');
}

TEST_F(GatheringSocketTest, TellsWhenTheKernelHasAll) {
  bool sent = false;
  Send("a");
  socket_->WhenSent([&] { sent = true; });
  EXPECT_TRUE(sent);
  EXPECT_EQ(Receive(), "a");

  sent = false;
  Fill();
  Send("b");
  socket_->WhenSent([&] { sent = true; });
  Run();
  EXPECT_FALSE(sent);
  EXPECT_EQ(ReceiveAll().back(), 'b');
  EXPECT_TRUE(sent);
}

TEST_F(GatheringSocketTest, CloseGivesTheKernelWhatItTakes) {
  Send("last words");
  socket_->Close();
  EXPECT_EQ(Receive(), "last words");
  Run();
  EXPECT_THAT(done_, ElementsAre(10));
  Send("too late");
  Run();
  EXPECT_THAT(done_, ElementsAre(10, -1));
}

TEST_F(GatheringSocketTest, CloseFailsWhatWaits) {
  Fill();
  Send(std::string(100'000, 'x'));
  bool sent = false;
  socket_->WhenSent([&] { sent = true; });
  Run();
  EXPECT_FALSE(sent);
  socket_->Close();
  Run();
  EXPECT_TRUE(sent);
  EXPECT_THAT(done_, ElementsAre(-1));
}

TEST_F(GatheringSocketTest, AfterAPeerHasGoneSendsFail) {
  HangUp();
  Send("a");  // Taken, for nothing is known yet.
  Run();
  Send("b");
  Run();
  EXPECT_THAT(done_, ElementsAre(1, -1));
}

// Whoever lets go of it does not take it from what is under way.
TEST_F(GatheringSocketTest, OutlivesItsOwnerUntilAllIsSent) {
  Send("a");
  socket_.reset();
  Run();
  EXPECT_EQ(Receive(), "a");
}

}  // namespace
}  // namespace headgate
