// The HTTP/2 transport with a hostile server: the pool, its connections and
// calls over a Unix socket, on one thread. Whatever the server says, in
// whatever pieces: no event comes that was not asked for, none after the end,
// no answer is over the limit, and once the server has gone each call ends.
//
// Input: two bytes that say what happens (Plan), then what the server sends.

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gateway/upstream/h2_upstream.h"
#include "gateway/upstream/loop_turn.h"
#include "tests/fuzz/input.h"

namespace headgate {
namespace {

constexpr std::size_t kMaxAnswerBytes = 2000;

// The two bytes.
struct Plan {
  explicit Plan(FuzzInput& input) {
    const std::uint8_t first = input.Byte();
    calls = 1 + (first & 3);
    writes = first >> 2 & 3;
    half_closes = first & 16;
    compresses = first & 32;
    wants_metadata = first & 64;
    reads = !(first & 128);
    const std::uint8_t second = input.Byte();
    chunk = second & 31;
    greets = second & 32;
    frames = second & 64;
    destroys = second & 128;
  }

  int calls;
  int writes;           // Messages of each call.
  bool half_closes;     // Behind them.
  bool compresses;      // The messages, by gzip.
  bool wants_metadata;  // The server's, initial and trailing.
  bool reads;           // On and on; else once.
  int chunk;            // At most so many bytes are sent at a time; 0: any.
  bool greets;          // SETTINGS and their acknowledgement come first.
  bool frames;          // The input is of frames: see NextFrame.
  bool destroys;        // The calls go before the server does.
};

// What an input of a few bytes says as a frame whose length is right:
// type, flags, stream, length, payload.
std::string NextFrame(FuzzInput& input) {
  const std::uint8_t type = input.Byte();
  const std::uint8_t flags = input.Byte();
  const std::uint8_t stream = input.Byte();
  const std::string payload = input.Bytes(input.Byte());
  std::string frame(9, '\0');
  frame[2] = static_cast<char>(payload.size());
  frame[3] = static_cast<char>(type % 12);
  frame[4] = static_cast<char>(flags);
  frame[8] = static_cast<char>(stream % 10);
  return frame + payload;
}

// Holds the transport to the contract of UpstreamCallObserver.
class Call final : private UpstreamCallObserver {
 public:
  Call(Upstream& upstream, const Plan& plan)
      : plan_(plan), writes_left_(plan.writes) {
    CallRequest request{"/s/m", {}};
    if (plan.wants_metadata) {
      request.metadata_delivery = MetadataDelivery::kDelivered;
    }
    call_ = upstream.StartCall(std::move(request), *this);
    Read();
    WriteOn();
  }

  bool ended() const { return ended_; }

 private:
  void Read() {
    reading_ = true;
    call_->Read();
  }
  void WriteOn() {
    if (writes_left_-- > 0) {
      writing_ = true;
      call_->Write(std::string(100, 'x'), WriteHint::kLast);
    } else if (plan_.half_closes) {
      call_->WritesDone();
    }
  }

  void OnHeaders(Metadata) override {
    FUZZ_CHECK(plan_.wants_metadata && !headers_came_ && !message_came_ &&
               !ended_);
    headers_came_ = true;
  }
  void OnMessage(std::string payload) override {
    FUZZ_CHECK(reading_ && !ended_);
    FUZZ_CHECK(payload.size() <= kMaxAnswerBytes);
    message_came_ = true;
    reading_ = false;
    if (plan_.reads) Read();
  }
  void OnWritten() override {
    FUZZ_CHECK(writing_ && !ended_);
    writing_ = false;
    WriteOn();
  }
  void OnDone(CallEnd) override {
    FUZZ_CHECK(reading_ && !ended_);
    ended_ = true;
  }

  const Plan& plan_;
  int writes_left_;
  bool reading_ = false;
  bool writing_ = false;
  bool headers_came_ = false;
  bool message_came_ = false;
  bool ended_ = false;
  std::unique_ptr<UpstreamCall> call_;
};

// Where the server listens; one for the process.
class Listener {
 public:
  Listener() : name_(absl::StrCat("headgate-fuzz-", getpid())) {
    fd_ = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path + 1, name_.data(), name_.size());
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) +
                                             1 + name_.size());
    FUZZ_CHECK(bind(fd_, reinterpret_cast<const sockaddr*>(&address), size) ==
               0);
    FUZZ_CHECK(listen(fd_, 100) == 0);
  }

  std::string target() const { return absl::StrCat("unix-abstract:", name_); }
  // -1 when nobody has come.
  int Accept() const { return accept4(fd_, nullptr, nullptr, SOCK_NONBLOCK); }

 private:
  const std::string name_;
  int fd_ = -1;
};

const Listener& TheListener() {
  static const auto& listener = *new Listener;
  return listener;
}

class Stage {
 public:
  explicit Stage(const Plan& plan) : plan_(plan) {
    UpstreamOptions options;
    options.settings.target = TheListener().target();
    options.settings.transport = UpstreamSettings::Transport::kH2;
    options.settings.compression = plan.compresses
                                       ? UpstreamSettings::Compression::kGzip
                                       : UpstreamSettings::Compression::kNone;
    options.max_answer_bytes = kMaxAnswerBytes;
    upstream_ = std::make_unique<H2Upstream>(options, worker_, turn_);
    for (int i = 0; i < plan.calls; ++i) {
      calls_.push_back(std::make_unique<Call>(*upstream_, plan));
    }
    Run();
    FUZZ_CHECK(server_ >= 0);
  }
  ~Stage() { Hang(); }

  void Send(absl::string_view bytes) {
    while (!bytes.empty() && server_ >= 0) {
      const std::size_t size = plan_.chunk == 0
                                   ? bytes.size()
                                   : static_cast<std::size_t>(plan_.chunk);
      const absl::string_view chunk = bytes.substr(0, size);
      const ssize_t sent =
          send(server_, chunk.data(), chunk.size(), MSG_NOSIGNAL);
      // It has hung up, or reads no more.
      if (sent <= 0) return;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
      Run();
    }
  }

  void End() {
    if (plan_.destroys) calls_.clear();
    // Nobody answers any more, and whoever comes anew is not answered either.
    Hang();
    is_over_ = true;
    const auto give_up =
        std::chrono::steady_clock::now() + std::chrono::seconds(5);
    while (!AllEnded()) {
      FUZZ_CHECK(std::chrono::steady_clock::now() < give_up);
      Run();
      worker_.restart();
      worker_.run_one_for(std::chrono::milliseconds(5));
    }
    calls_.clear();
    upstream_.reset();
    Run();
    FUZZ_CHECK(worker_.stopped());
  }

 private:
  bool AllEnded() const {
    for (const auto& call : calls_) {
      // One that does not read does not hear of its end.
      if (plan_.reads && !call->ended()) return false;
    }
    return true;
  }

  // Lets happen what can happen by itself.
  void Run() {
    for (int i = 0; i < 1000; ++i) {
      worker_.restart();
      bool ran = worker_.poll() > 0;
      const int fd = TheListener().Accept();
      if (fd >= 0) {
        ran = true;
        if (is_over_ || server_ >= 0) {
          close(fd);
        } else {
          server_ = fd;
        }
      }
      ran = Receive() || ran;
      if (!ran) return;
    }
    FUZZ_CHECK(!"it never comes to rest");
  }

  bool Receive() {
    if (server_ < 0) return false;
    char buffer[16'384];
    const ssize_t size = recv(server_, buffer, sizeof(buffer), 0);
    if (size == 0) Hang();
    return size >= 0;
  }

  void Hang() {
    if (server_ >= 0) close(server_);
    server_ = -1;
  }

  const Plan& plan_;
  boost::asio::io_context worker_;
  LoopTurn turn_{worker_};
  std::unique_ptr<H2Upstream> upstream_;
  std::vector<std::unique_ptr<Call>> calls_;
  int server_ = -1;
  bool is_over_ = false;
};

}  // namespace
}  // namespace headgate

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  using headgate::FuzzInput;
  FuzzInput input(data, size);
  const headgate::Plan plan(input);
  headgate::Stage stage(plan);
  if (plan.greets) {
    stage.Send(std::string("\0\0\0\4\0\0\0\0\0\0\0\0\4\1\0\0\0\0", 18));
  }
  if (plan.frames) {
    while (!input.empty()) stage.Send(headgate::NextFrame(input));
  } else {
    stage.Send(input.Rest());
  }
  stage.End();
  return 0;
}
