#include "gateway/base/line_writer.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <string>

#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace headgate {
namespace {

// A pipe of 4 KiB, which nobody reads until the test does.
class LineWriterTest : public ::testing::Test {
 protected:
  LineWriterTest() {
    EXPECT_EQ(pipe(ends_), 0);
    fcntl(ends_[1], F_SETPIPE_SZ, 4096);
    // The writer's thread outlives the test, and so the write end does.
    writer_ = new LineWriter(ends_[1], 8192, [](std::uint64_t dropped) {
      return absl::StrCat("dropped ", dropped, "\n");
    });
  }
  ~LineWriterTest() override { close(ends_[0]); }

  // Until `end` is the end of what was read.
  std::string ReadUntil(const std::string& end) {
    std::string text;
    char buffer[1024];
    while (!absl::EndsWith(text, end)) {
      const ssize_t count = read(ends_[0], buffer, sizeof buffer);
      if (count <= 0) break;
      text.append(buffer, static_cast<std::size_t>(count));
    }
    return text;
  }

  int ends_[2];
  LineWriter* writer_;
};

TEST_F(LineWriterTest, LinesArriveWhole) {
  writer_->Write("a\n");
  writer_->Write("b\n");
  EXPECT_EQ(ReadUntil("b\n"), "a\nb\n");
  EXPECT_TRUE(writer_->Flush(absl::Seconds(30)));
}

TEST_F(LineWriterTest, AStalledReaderHoldsUpNobody) {
  const std::string line = std::string(99, 'x') + "\n";
  for (int i = 0; i < 1000; ++i) writer_->Write(line);
  EXPECT_FALSE(writer_->Flush(absl::Milliseconds(1)));
  const std::uint64_t dropped = writer_->dropped();
  EXPECT_GT(dropped, 800u);
  EXPECT_LT(dropped, 1000u);
  const std::string end = absl::StrCat("dropped ", dropped, "\n");
  const std::string text = ReadUntil(end);
  EXPECT_EQ(text.size(), (1000 - dropped) * 100 + end.size());
  EXPECT_TRUE(writer_->Flush(absl::Seconds(30)));
}

TEST_F(LineWriterTest, WhatCannotBeWrittenIsCounted) {
  signal(SIGPIPE, SIG_IGN);
  close(ends_[0]);
  writer_->Write("a\n");
  EXPECT_TRUE(writer_->Flush(absl::Seconds(30)));
  EXPECT_EQ(writer_->dropped(), 1u);
  ends_[0] = -1;
}

TEST_F(LineWriterTest, AWriteWithATimeLimitKeepsIt) {
  const std::string text(64 * 1024, 'x');
  EXPECT_FALSE(WriteWithin(ends_[1], text, absl::Milliseconds(1)));
  EXPECT_TRUE(WriteWithin(STDERR_FILENO, "", absl::ZeroDuration()));
}

}  // namespace
}  // namespace headgate
