#include "cmd/headgate/bench/grpc_load.h"

#include <sys/prctl.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/channel_arguments.h>
#include <grpcpp/support/client_callback.h>
#include <grpcpp/support/slice.h>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "cmd/headgate/bench/ledger.h"
#include "gateway/base/status.h"

namespace headgate {
namespace {

constexpr std::size_t kCallsPerChannel = 100;
constexpr std::chrono::milliseconds kLook(50);
constexpr std::chrono::seconds kCloseTimeout(2);

std::chrono::steady_clock::time_point TimeAt(std::int64_t ns) {
  return std::chrono::steady_clock::time_point(std::chrono::nanoseconds(ns));
}

class GrpcLoad;

// One call. It starts to read at once and never stops; a hold keeps OnDone away
// until the load lets go, so that the load's thread may write at any time.
//
// Thread: gRPC's call its reactions; the rest is the load's, under its mutex.
class Stream final
    : public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  enum class State : unsigned char {
    kFirstAnswer,  // Of an idle call.
    kOpen,
    kBroken,  // The reads have failed; OnDone will say why.
    kClosing,
    kDone,
  };

  Stream(GrpcLoad& load, Role r, std::size_t number)
      : role(r),
        state(r == Role::kIdle ? State::kFirstAnswer : State::kOpen),
        account(number),
        load_(load) {}

  void Start(grpc::GenericStub& stub, const std::string& method,
             const UpgradeHeaders& metadata) {
    for (const auto& [name, value] : metadata.headers) {
      context.AddMetadata(absl::AsciiStrToLower(name), value);
    }
    stub.PrepareBidiStreamingCall(&context, method, {}, this);
    AddHold();
    StartRead(&answer_);
    StartCall();
  }

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnWritesDoneDone(bool) override {}
  void OnDone(const grpc::Status& status) override;

  const Role role;
  State state;
  bool writing = false;
  std::size_t unsent = 0;  // Messages that wait for the one being written.
  Ledger::Account account;
  grpc::ClientContext context;

 private:
  GrpcLoad& load_;
  grpc::ByteBuffer answer_;
};

class GrpcLoad final : public Load {
 public:
  GrpcLoad(const GrpcLoadOptions& options, Share share, const StopFlag& stop)
      : options_(options),
        share_(share),
        stop_(stop),
        ledger_(options.load, share, counts_) {
    const grpc::Slice slice(options.message);
    message_ = grpc::ByteBuffer(&slice, 1);
    ledger_.set_message_bytes(options.message.size());
  }

  ~GrpcLoad() override { Close(); }

  void Open(Role role) override {
    const std::size_t count = share_.Of(
        role == Role::kActive ? options_.load.connections : options_.load.idle);
    const std::int64_t begin = NowNs();
    for (std::size_t i = 0; i < count && !stop_.raised(); ++i) {
      const std::size_t number = share_.index + i * share_.threads;
      if (options_.load.ramp.has_value()) {
        WaitUntil(begin +
                  static_cast<std::int64_t>(static_cast<double>(number) * 1e9 /
                                            *options_.load.ramp));
      }
      if (streams_.size() % kCallsPerChannel == 0 && !OpenChannel()) {
        std::lock_guard<std::mutex> lock(mu_);
        counts_.connect_failures += count - i;
        counts_.errors.Add(absl::StrCat("could not connect: no gRPC server at ",
                                        options_.target.address),
                           count - i);
        break;
      }
      StartStream(role, number);
    }
    AwaitFirstAnswers();
  }

  void Rest(std::int64_t until_ns) override { WaitUntil(until_ns); }

  void Run(const LoadPlan& plan) override {
    // The default of 50 µs would be in the latencies of an open loop.
    prctl(PR_SET_TIMERSLACK, 1);
    std::unique_lock<std::mutex> lock(mu_);
    ledger_.Begin(plan);
    std::vector<Stream*> writers;
    ForActive([&](Stream& stream) {
      ledger_.Enter(stream.account);
      if (ledger_.is_open_loop()) return;
      Queue(stream, ledger_.OnStart(stream.account, NowNs()), writers);
    });
    StartWrites(lock, writers);
    while (!stop_.raised() && (live_ > 0 || HasOnlyIdle(plan))) {
      const std::int64_t now = NowNs();
      std::int64_t wake = plan.end_ns;
      if (now >= plan.end_ns) {
        ledger_.StopSending();
        wake = plan.end_ns + absl::ToInt64Nanoseconds(plan.drain);
        if (ledger_.outstanding() == 0 || now >= wake) break;
      } else if (ledger_.is_open_loop()) {
        while (const auto due = ledger_.TakeDue(now)) {
          const std::size_t place =
              (due->connection - share_.index) / share_.threads;
          if (place >= active_.size()) continue;  // It was never opened.
          Stream& stream = *active_[place];
          if (stream.state != Stream::State::kOpen) continue;
          Queue(stream, ledger_.OnDue(stream.account, due->at_ns), writers);
        }
        StartWrites(lock, writers);
        wake = std::min(wake, ledger_.NextDueNs());
      }
      if (ledger_.IsFinished()) break;
      if (plan.messages.has_value() && Stalls(lock, now)) break;
      changed_.wait_until(
          lock,
          std::min(TimeAt(wake), std::chrono::steady_clock::now() + kLook));
    }
    ledger_.StopSending();
    ForActive([&](Stream& stream) { ledger_.End(stream.account); });
  }

  void Close() override {
    std::unique_lock<std::mutex> lock(mu_);
    std::vector<Stream*> ending;
    for (Stream& stream : streams_) {
      stream.unsent = 0;
      if (stream.state == Stream::State::kFirstAnswer ||
          stream.state == Stream::State::kOpen) {
        stream.state = Stream::State::kClosing;
        // Else OnWriteDone goes on.
        if (!stream.writing) ending.push_back(&stream);
      }
    }
    const bool held = !std::exchange(let_go_, true);
    lock.unlock();
    for (Stream* stream : ending) stream->StartWritesDone();
    if (held) {
      for (Stream& stream : streams_) stream.RemoveHold();
    }
    lock.lock();
    const auto until = std::chrono::steady_clock::now() + kCloseTimeout;
    while (done_ < streams_.size() && !stop_.raised() &&
           std::chrono::steady_clock::now() < until) {
      changed_.wait_for(lock, kLook);
    }
    lock.unlock();
    for (Stream& stream : streams_) stream.context.TryCancel();
    lock.lock();
    while (done_ < streams_.size()) changed_.wait(lock);
  }

  // ---- The reactions of the streams

  void OnAnswer(Stream& stream, std::size_t bytes) {
    const std::int64_t now = NowNs();
    bool write = false;
    bool cancel = false;
    {
      std::lock_guard<std::mutex> lock(mu_);
      if (stream.state == Stream::State::kFirstAnswer) {
        SetOpen(stream);
        changed_.notify_all();
      } else if (stream.state == Stream::State::kOpen) {
        ledger_.OnBytesReceived(bytes, now);
        cancel = !CountAnswer(stream, now);
        write = TakeWrite(stream);
      }
    }
    if (write) stream.StartWrite(&message_);
    if (cancel) stream.context.TryCancel();
  }

  void OnBroken(Stream& stream) {
    std::lock_guard<std::mutex> lock(mu_);
    if (stream.state == Stream::State::kClosing) return;
    Break(stream);
    changed_.notify_all();
  }

  void OnWritten(Stream& stream) {
    bool write = false;
    bool end = false;
    {
      std::lock_guard<std::mutex> lock(mu_);
      stream.writing = false;
      end = stream.state == Stream::State::kClosing;
      write = TakeWrite(stream);
    }
    if (write) stream.StartWrite(&message_);
    if (end) stream.StartWritesDone();
  }

  void OnDone(Stream& stream, const grpc::Status& status) {
    std::lock_guard<std::mutex> lock(mu_);
    if (stream.state == Stream::State::kBroken) {
      const int code = static_cast<int>(status.error_code());
      std::string why =
          absl::StrCat("ended with ", code, " (",
                       absl::StatusCodeToString(StatusCodeFromWire(code)), ")");
      if (!status.error_message().empty()) {
        absl::StrAppend(&why, ": ", status.error_message());
      }
      counts_.errors.Add(why);
    }
    stream.state = Stream::State::kDone;
    ++done_;
    changed_.notify_all();
  }

 private:
  template <class Do>
  void ForActive(Do&& act) {
    for (Stream& stream : streams_) {
      if (stream.role == Role::kActive &&
          stream.state == Stream::State::kOpen) {
        act(stream);
      }
    }
  }

  // Whether there are calls, but none with load.
  bool HasOnlyIdle(const LoadPlan& plan) const {
    return !plan.messages.has_value() &&
           share_.Of(options_.load.connections) == 0 && open(Role::kIdle) > 0;
  }

  void WaitUntil(std::int64_t ns) {
    std::unique_lock<std::mutex> lock(mu_);
    while (!stop_.raised() && NowNs() < ns) {
      changed_.wait_until(
          lock, std::min(TimeAt(ns), std::chrono::steady_clock::now() + kLook));
    }
  }

  void StartStream(Role role, std::size_t number) {
    {
      std::lock_guard<std::mutex> lock(mu_);
      streams_.emplace_back(*this, role, number);
      if (role == Role::kActive) {
        SetOpen(streams_.back());
        active_.push_back(&streams_.back());
      }
    }
    Stream& stream = streams_.back();
    grpc::GenericStub stub(channel_);
    stream.Start(stub, options_.target.method, options_.metadata);
    if (role == Role::kIdle) {
      {
        std::lock_guard<std::mutex> lock(mu_);
        stream.writing = true;
      }
      stream.StartWrite(&message_);
    }
  }

  // Makes channel_ anew; false when it does not get connected.
  bool OpenChannel() {
    grpc::ChannelArguments arguments;
    // Else channels to one address would share a connection.
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    // gRPC 1.51 aborts where it may retry and a call ends without a
    // grpc-status.
    arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
    arguments.SetMaxReceiveMessageSize(-1);
    channel_ = grpc::CreateCustomChannel(
        options_.target.address, grpc::InsecureChannelCredentials(), arguments);
    const auto until = std::chrono::system_clock::now() +
                       absl::ToChronoNanoseconds(options_.load.connect_timeout);
    auto state = channel_->GetState(/*try_to_connect=*/true);
    // One failure is enough: gRPC would try again for ever.
    while (state != GRPC_CHANNEL_READY && !stop_.raised() &&
           state != GRPC_CHANNEL_TRANSIENT_FAILURE &&
           std::chrono::system_clock::now() < until) {
      channel_->WaitForStateChange(state,
                                   std::chrono::system_clock::now() + kLook);
      state = channel_->GetState(/*try_to_connect=*/true);
    }
    return state == GRPC_CHANNEL_READY;
  }

  void AwaitFirstAnswers() {
    std::unique_lock<std::mutex> lock(mu_);
    const std::int64_t until =
        NowNs() + absl::ToInt64Nanoseconds(options_.load.connect_timeout);
    const auto is_waiting = [](const Stream& stream) {
      return stream.state == Stream::State::kFirstAnswer;
    };
    while (std::any_of(streams_.begin(), streams_.end(), is_waiting)) {
      if (stop_.raised()) return;
      if (NowNs() >= until) break;
      changed_.wait_for(lock, kLook);
    }
    std::vector<Stream*> late;
    for (Stream& stream : streams_) {
      if (!is_waiting(stream)) continue;
      ++counts_.connect_failures;
      counts_.errors.Add(
          absl::StrCat("no answer within ",
                       absl::FormatDuration(options_.load.connect_timeout)));
      stream.state = Stream::State::kClosing;
      late.push_back(&stream);
    }
    lock.unlock();
    Cancel(late);
  }

  // ---- Under the mutex

  void SetOpen(Stream& stream) {
    stream.state = Stream::State::kOpen;
    ++open_[static_cast<std::size_t>(stream.role)];
    if (stream.role == Role::kActive) ++live_;
  }

  void Break(Stream& stream) {
    if (stream.state == Stream::State::kFirstAnswer) {
      ++counts_.connect_failures;
    } else if (stream.role == Role::kActive) {
      --live_;
      ledger_.Leave(stream.account);
    }
    stream.state = Stream::State::kBroken;
    stream.unsent = 0;
  }

  // Whether the stream goes on; else it is to be cancelled.
  bool CountAnswer(Stream& stream, std::int64_t now) {
    const auto next = stream.role == Role::kActive
                          ? ledger_.OnAnswers(stream.account, 1, now)
                          : std::nullopt;
    if (!next.has_value()) {
      GiveUp(stream, "more answers than messages");
      return false;
    }
    answers_.store(answers_.load(std::memory_order_relaxed) + 1,
                   std::memory_order_relaxed);
    if (ledger_.outstanding() == 0) changed_.notify_all();
    stream.unsent += *next;
    return true;
  }

  // Ends an open stream from our side; it is to be cancelled.
  void GiveUp(Stream& stream, const std::string& why) {
    counts_.errors.Add(why);
    Break(stream);
    stream.state = Stream::State::kClosing;
  }

  // gRPC takes one write at a time. Whether one is to be started.
  bool TakeWrite(Stream& stream) {
    if (stream.writing || stream.unsent == 0) return false;
    --stream.unsent;
    stream.writing = true;
    return true;
  }

  void Queue(Stream& stream, std::size_t messages,
             std::vector<Stream*>& writers) {
    stream.unsent += messages;
    if (TakeWrite(stream)) writers.push_back(&stream);
  }

  // Without the mutex, for gRPC may call a reaction from within.
  void StartWrites(std::unique_lock<std::mutex>& lock,
                   std::vector<Stream*>& writers) {
    if (writers.empty()) return;
    lock.unlock();
    for (Stream* stream : writers) stream->StartWrite(&message_);
    writers.clear();
    lock.lock();
  }

  // Whether no answer has come for too long; the streams that wait for one
  // are given up then.
  bool Stalls(std::unique_lock<std::mutex>& lock, std::int64_t now) {
    if (ledger_.outstanding() == 0 ||
        now - ledger_.waiting_since_ns() <
            absl::ToInt64Nanoseconds(kStallTimeout)) {
      return false;
    }
    std::vector<Stream*> stalled;
    ForActive([&](Stream& stream) {
      if (stream.account.outstanding.size() == 0) return;
      GiveUp(stream, absl::StrCat("no answer for ",
                                  absl::FormatDuration(kStallTimeout)));
      stalled.push_back(&stream);
    });
    lock.unlock();
    Cancel(stalled);
    lock.lock();
    return true;
  }

  // Without the mutex, as with StartWrite.
  static void Cancel(const std::vector<Stream*>& streams) {
    for (Stream* stream : streams) stream->context.TryCancel();
  }

  const GrpcLoadOptions& options_;
  const Share share_;
  const StopFlag& stop_;
  grpc::ByteBuffer message_;
  std::shared_ptr<grpc::Channel> channel_;  // For the next calls.

  std::mutex mu_;  // Guards what follows, and counts_ while calls are open.
  std::condition_variable changed_;
  Ledger ledger_;
  std::deque<Stream> streams_;   // Only the load's thread adds to it.
  std::vector<Stream*> active_;  // Those, in the order of their numbers.
  std::size_t live_ = 0;
  std::size_t done_ = 0;
  bool let_go_ = false;  // Of the streams' holds.
};

void Stream::OnReadDone(bool ok) {
  if (!ok) return load_.OnBroken(*this);
  const std::size_t bytes = answer_.Length();
  answer_.Clear();
  load_.OnAnswer(*this, bytes);
  StartRead(&answer_);
}

void Stream::OnWriteDone(bool) { load_.OnWritten(*this); }

void Stream::OnDone(const grpc::Status& status) { load_.OnDone(*this, status); }

}  // namespace

std::unique_ptr<Load> MakeGrpcLoad(const GrpcLoadOptions& options, Share share,
                                   const StopFlag& stop) {
  return std::make_unique<GrpcLoad>(options, share, stop);
}

}  // namespace headgate
