#ifndef CMD_HEADGATE_DIAL_LINE_READER_H_
#define CMD_HEADGATE_DIAL_LINE_READER_H_

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <variant>

namespace headgate {

// Reads lines from a file descriptor, one each time it is asked, on a thread
// of its own, since a file or a terminal cannot be read without blocking.
//
// Thread:   the handler is called on the reader's thread; all else belongs to
//           one other thread.
// Lifetime: no call of the handler after the destructor, which does not wait
//           for input that may never come. The descriptor stays open.
class LineReader {
 public:
  struct Line {
    std::string text;  // Without its newline.
  };
  struct End {};      // Also after an error of the descriptor.
  struct TooLong {};  // The last event, like End.
  using Event = std::variant<Line, End, TooLong>;

  // The longest line, in bytes.
  static constexpr std::size_t kMaxLineBytes = 16 * 1024 * 1024;

  LineReader(int fd, std::function<void(Event)> handler);
  ~LineReader();

  LineReader(const LineReader&) = delete;
  LineReader& operator=(const LineReader&) = delete;

  // Asks for one event.
  // Requires: the last one asked for has come, and was a Line.
  void Next();

 private:
  enum class Wait { kReadable, kStopped };

  void Run();
  Event ReadEvent();
  Wait WaitForInput();

  const int fd_;
  const std::function<void(Event)> handler_;
  int wake_[2] = {-1, -1};  // A pipe: a byte in it means stop.
  // The reader's thread only.
  std::string buffer_;
  std::size_t searched_ = 0;  // No newline before this.
  bool at_end_ = false;

  std::mutex mutex_;
  std::condition_variable changed_;
  bool wanted_ = false;    // Under mutex_.
  bool stopping_ = false;  // Under mutex_.
  std::thread thread_;
};

}  // namespace headgate

#endif  // CMD_HEADGATE_DIAL_LINE_READER_H_
