#ifndef CMD_HEADGATE_BENCH_SOCKET_LOAD_H_
#define CMD_HEADGATE_BENCH_SOCKET_LOAD_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "cmd/headgate/bench/endpoints.h"
#include "cmd/headgate/bench/ledger.h"
#include "cmd/headgate/bench/load.h"
#include "cmd/headgate/dial/ending.h"

namespace headgate {

// What carries messages of the load: a WebSocket, a connection of HTTP/1.1, or
// what is one of these on a stream of HTTP/2.
struct LoadConnection {
  enum class State : unsigned char {
    kConnecting,
    kHandshake,    // The request is on its way, or its response.
    kFirstAnswer,  // Of an idle connection.
    kOpen,
    kClosing,  // Our Close frame is on its way, or the end of the connection.
    kGone,
  };

  LoadConnection(Role r, std::size_t number) : role(r), account(number) {}
  virtual ~LoadConnection() = default;

  bool is_opening() const { return state < State::kOpen; }

  const Role role;
  State state = State::kConnecting;
  std::int64_t opening_until_ns = 0;
  Ledger::Account account;  // Its number is that among all of its role.
};

// A socket of the load, whose descriptor it closes.
class LoadSocket {
 public:
  ~LoadSocket() { Close(); }

  int fd() const { return fd_; }
  // Begins to connect to the addresses in turn, from `first` on. The status is
  // that of the last one.
  absl::Status Connect(const std::vector<Endpoint>& endpoints,
                       std::size_t first, std::size_t number);
  // Once the socket is writable. UNAVAILABLE: not connected; `has_another`: the
  // next address may be tried.
  absl::Status OnConnected(const std::vector<Endpoint>& endpoints,
                           bool* has_another) const;
  std::size_t endpoint() const { return endpoint_; }
  void Close();

 private:
  int fd_ = -1;
  std::size_t endpoint_ = 0;  // The one that is tried.
};

std::string SocketErrorText(int error);

// The load on connections over sockets, on an epoll(7) of its own without a
// library in between, so that a message costs the load generator far less than
// the gateway: opens them, sends what is due, notices those that take too long,
// closes them. What a connection is, its heirs say.
//
// In a closed loop the latency of a message counts from just before the write
// of the message to just after the read of its response. In an open loop the
// thread sleeps until the next message is due, but at least 20 µs.
class SocketLoad : public Load {
 public:
  ~SocketLoad() override;

  // First. INTERNAL when the system has no descriptors.
  absl::Status Init();

  void Open(Role role) final;
  void Rest(std::int64_t until_ns) final;
  void Run(const LoadPlan& plan) final;
  void Close() final;

 protected:
  using State = LoadConnection::State;

  // The arguments must outlive it. `message_bytes`: of one message as it is
  // sent.
  SocketLoad(const LoadOptions& load, Share share, const StopFlag& stop,
             std::size_t message_bytes);

  // ---- What the heirs know

  virtual std::unique_ptr<LoadConnection> Make(Role role,
                                               std::size_t number) = 0;
  // Begins to open it: OnUpgraded or Fail follows.
  virtual void Start(LoadConnection& connection) = 0;
  // Sends so many messages, now or when the socket takes them; open or
  // kFirstAnswer.
  virtual void Send(LoadConnection& connection, std::size_t messages) = 0;
  // Says good-bye; the connection is kClosing until Hangup. False: nothing
  // comes in return.
  virtual bool BeginClose(LoadConnection& connection) = 0;
  // Frees what it has of sockets.
  virtual void Release(LoadConnection& connection) = 0;
  // What was given to Watch is readable, writable or gone.
  virtual void OnEvent(void* watched, std::uint32_t events) = 0;

  // ---- What they tell

  // It may take messages.
  void OnUpgraded(LoadConnection& connection);
  // Returns how many messages to send now; the connection may have failed.
  std::size_t TakeAnswers(LoadConnection& connection, std::size_t answers,
                          std::int64_t now);
  void Fail(LoadConnection& connection, const DialEnding& ending);
  // Forgets the connection, whatever state it is in.
  void Hangup(LoadConnection& connection);

  // Edge-triggered. False: errno says why.
  bool Watch(int fd, std::uint32_t events, void* watched);
  // Of a connection's socket, for StartConnecting.
  std::size_t SocketNumber(const LoadConnection& connection) const;
  const std::vector<std::unique_ptr<LoadConnection>>& connections() const {
    return connections_;
  }
  Ledger& ledger() { return ledger_; }
  const StopFlag& stop() const { return stop_; }

 private:
  template <class Do>
  void ForActive(Do&& act);
  bool HasOnlyIdle(const LoadPlan& plan) const;
  std::int64_t NextLook(std::int64_t now);
  void Poll(std::int64_t until);
  void Begin(Role role, std::size_t number);
  std::int64_t OpeningTime(std::int64_t begin, std::size_t number) const;
  std::size_t MaxOpening() const;
  void OnOpen(LoadConnection& connection);
  void LookForSlowOpening(std::size_t first, std::int64_t now);
  void SendWhatIsDue(std::int64_t now);
  bool Stalls(std::int64_t now);

  const LoadOptions& load_;
  const Share share_;
  const StopFlag& stop_;
  int epoll_ = -1;
  int timer_ = -1;
  std::int64_t timer_at_ns_ = 0;  // What it is set to; 0: nothing.
  std::int64_t next_look_ns_ = 0;

  std::vector<std::unique_ptr<LoadConnection>> connections_;
  std::size_t first_active_ = 0;  // Where those begin.
  std::size_t opening_ = 0;
  std::size_t live_ = 0;  // Active and open.
  std::size_t closing_ = 0;
  Ledger ledger_;
};

}  // namespace headgate

#endif  // CMD_HEADGATE_BENCH_SOCKET_LOAD_H_
