#ifndef CMD_HEADGATE_BENCH_SCHEDULE_H_
#define CMD_HEADGATE_BENCH_SCHEDULE_H_

#include <cstddef>
#include <cstdint>
#include <optional>

namespace headgate {

// When the messages of an open loop are due: message i of all at
// begin + i / rate, on connection i modulo the number of connections. One
// schedule is the part of one thread: of connections first, first + step, ...
//
// Thread: one at a time. Times are nanoseconds of one clock.
class Schedule {
 public:
  struct Options {
    std::int64_t begin_ns = 0;
    double rate = 1;  // Messages a second, of all connections together.
    std::size_t connections = 1;
    std::size_t first = 0;
    std::size_t step = 1;
    // Of all connections together; none: without end.
    std::optional<std::uint64_t> messages = std::nullopt;
  };
  struct Due {
    std::int64_t at_ns = 0;
    std::size_t connection = 0;
  };

  explicit Schedule(const Options& options)
      : options_(options), connection_(options.first) {}

  // When message `number` of all is due.
  std::int64_t AtNs(std::uint64_t number) const;
  // The next message; nullopt when that was the last one.
  std::optional<Due> Peek() const;
  // Goes on to the one after it.
  void Advance();

 private:
  Options options_;
  std::size_t connection_;
  std::uint64_t before_ = 0;  // Messages of the rounds before this one.
};

}  // namespace headgate

#endif  // CMD_HEADGATE_BENCH_SCHEDULE_H_
