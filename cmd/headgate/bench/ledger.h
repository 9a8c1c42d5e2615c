#ifndef CMD_HEADGATE_BENCH_LEDGER_H_
#define CMD_HEADGATE_BENCH_LEDGER_H_

#include <cstddef>
#include <cstdint>
#include <optional>

#include "cmd/headgate/bench/load.h"
#include "cmd/headgate/bench/schedule.h"
#include "cmd/headgate/bench/time_queue.h"

namespace headgate {

// Says how many messages each connection of a thread sends when, and counts
// what comes of it: the rules of closed and open loops, without any I/O.
//
// A run is: Begin, Enter for each connection that takes part; OnStart or, in an
// open loop, TakeDue and OnDue; OnAnswers; StopSending; End.
//
// Thread: one at a time. Times are of NowNs.
class Ledger {
 public:
  // What it knows of one connection.
  struct Account {
    explicit Account(std::size_t n) : number(n) {}

    std::size_t number;        // Among all threads' active connections.
    bool entered = false;      // Takes part in the run.
    std::uint64_t budget = 0;  // Messages that it may still send.
    std::uint64_t due = 0;     // Of an open loop's messages, in this run,
    std::uint64_t sent = 0;    // and those of them that were sent.
    TimeQueue outstanding;
  };

  // `options` and `counts` must outlive it.
  Ledger(const LoadOptions& options, Share share, LoadCounts& counts)
      : options_(options), share_(share), counts_(counts) {}

  void Begin(const LoadPlan& plan);
  void Enter(Account& account);
  // The connection is gone, whether or not it takes part in a run.
  void Leave(Account& account);
  // The run is over for this connection: counts what it leaves behind. What is
  // outstanding stays so.
  void End(Account& account);

  // Each of these says how many messages the connection sends now.
  std::size_t OnStart(Account& account, std::int64_t now);
  std::size_t OnDue(Account& account, std::int64_t at_ns);
  // nullopt when there are more answers than messages.
  std::optional<std::size_t> OnAnswers(Account& account, std::size_t answers,
                                       std::int64_t now);
  void OnBytesReceived(std::size_t bytes, std::int64_t now) {
    if (IsCounted(now)) counts_.bytes_received += bytes;
  }
  // `bytes` are those of one message as it is sent.
  void set_message_bytes(std::size_t bytes) { message_bytes_ = bytes; }

  // The next message of an open loop that is due by `now`, once each.
  std::optional<Schedule::Due> TakeDue(std::int64_t now);
  // When the one after that is due.
  std::int64_t NextDueNs() const;

  void StopSending() { sending_ = false; }
  bool sending() const { return sending_; }
  bool is_open_loop() const { return options_.rate.has_value(); }
  std::uint64_t outstanding() const { return outstanding_; }
  // Whether the messages of the plan were sent and answered.
  bool IsFinished() const;
  // Of the last answer, or the first message that waits for one since then.
  std::int64_t waiting_since_ns() const { return waiting_since_ns_; }

 private:
  bool IsCounted(std::int64_t time) const {
    return time >= plan_.count_from_ns && time < plan_.count_until_ns;
  }
  std::int64_t DueNs(const Account& account, std::uint64_t nth) const;
  void Send(Account& account, std::size_t messages, std::int64_t time);
  std::size_t SendFromBudget(Account& account, std::size_t room,
                             std::int64_t now);
  std::size_t SendBacklog(Account& account);

  const LoadOptions& options_;
  const Share share_;
  LoadCounts& counts_;
  std::size_t message_bytes_ = 0;

  LoadPlan plan_;
  bool sending_ = false;
  std::optional<Schedule> schedule_;  // In an open loop.
  std::uint64_t budget_ = 0;       // Of all accounts, in a limited closed loop.
  std::uint64_t backlog_ = 0;      // Due, but not sent.
  std::uint64_t outstanding_ = 0;  // Sent, but not answered.
  std::int64_t waiting_since_ns_ = 0;
};

}  // namespace headgate

#endif  // CMD_HEADGATE_BENCH_LEDGER_H_
