// A socket of grpc-websockets-multiplex between a hostile client and a backend
// that does what the input says. Input: steps, each a byte for what happens, a
// byte for the call, and bytes of its own. Whatever comes, the client gets for
// each call one block of headers, messages, and one block of trailers with the
// top bit; nothing behind the Close; and what the session holds is bounded.

#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gateway/base/message_framing.h"
#include "gateway/codec/dialect.h"
#include "gateway/session/grpc_multiplex_session.h"
#include "tests/fuzz/input.h"
#include "tests/session/hello.h"
#include "tests/testing/fake_schema_source.h"
#include "tests/testing/fake_upstream.h"

namespace headgate {
namespace {

constexpr std::uint32_t kLast = 0x80000000;
constexpr std::uint32_t kGoAway = 0x7FFFFFFF;
constexpr std::size_t kMaxMessageBytes = 1024;

// The client, as far as it reads.
class MultiplexClient final : public Transport {
 public:
  void Read() override {
    FUZZ_CHECK(!reading && !closed);
    reading = true;
  }
  void Write(WireMessage message) override {
    FUZZ_CHECK(!writing && !closed);
    FUZZ_CHECK(message.opcode == Opcode::kBinary);
    writing = true;
    Hear(message.payload);
  }
  void SendHead(OutHead) override {}
  bool head_is_sent() const override { return true; }
  void Close(const OutEnd&) override {
    FUZZ_CHECK(!writing && !closed);
    closed = true;
  }

  bool reading = false;
  bool writing = false;
  bool closed = false;
  // What waited for it was dropped, headers of calls as well.
  bool misses_some = false;
  std::set<std::uint32_t> open;  // Calls whose headers have come.

 private:
  void Hear(absl::string_view message) {
    FUZZ_CHECK(message.size() >= 4);
    std::uint32_t word = 0;
    for (int i = 0; i < 4; ++i) {
      word = word << 8 | static_cast<unsigned char>(message[i]);
    }
    if (word == kGoAway) {
      FUZZ_CHECK(message.size() == 4 && !std::exchange(goes_away_, true));
      return;
    }
    FUZZ_CHECK(message.size() >= 9);
    if (misses_some) return;
    const bool is_block = message[4] != 0;
    if (open.insert(word & ~kLast).second) {
      FUZZ_CHECK(is_block && (word & kLast) == 0);
      return;
    }
    FUZZ_CHECK(is_block == ((word & kLast) != 0));
    if (!is_block) return;
    FUZZ_CHECK(absl::StartsWith(message.substr(9), "grpc-status: "));
    open.erase(word & ~kLast);
  }

  bool goes_away_ = false;
};

class MultiplexRun {
 public:
  explicit MultiplexRun(FuzzInput& input) : input_(input) {
    static const auto* const schema =
        new std::shared_ptr<const Schema>(HelloSchema());
    schemas_->schema = *schema;
    schemas_->answers_at_once = (input_.Byte() & 1) != 0;
    Route route;
    route.max_message_bytes = kMaxMessageBytes;
    route.max_metadata_bytes = 512;
    route.token = {TokenRule::Expiry::kCloses, absl::Seconds(1)};
    auto router =
        std::make_shared<const Router>(std::vector<Route>{std::move(route)});
    SessionRequest request;
    request.id = "id";
    request.route = router->Find("h", kSayHello)->route;
    request.codec = &kGrpcWebSocketsMultiplexDialect;
    request.router = std::move(router);
    request.host = "h";
    session_ = std::make_unique<GrpcMultiplexSession>(
        std::move(request),
        std::make_shared<const SessionContext>(
            SessionContext{SessionLimits(), upstream_, schemas_}),
        client_);
    session_->Start(now_);
  }

  // False: the socket is over.
  bool Step() {
    const std::uint8_t what = input_.Byte();
    const std::uint32_t slot = input_.Byte();
    switch (what % 8) {
      case 0:
        Say(slot, Head(what >> 3));
        break;
      case 1:
        Say(slot | (what & 8 ? kLast : 0), Data());
        break;
      case 2:
        Say(slot | (what & 8 ? kLast : 0), input_.Bytes(input_.Byte()));
        break;
      case 3:
        Raw();
        break;
      case 4:
        Answer(slot, what >> 3);
        break;
      case 5:
        if (std::exchange(client_.writing, false)) session_->OnWritten();
        break;
      case 6:
        now_ += absl::Milliseconds(100 * (1 + (what >> 3)));
        session_->OnTick(now_);
        if ((slot & 1) != 0) schemas_->Answer();
        break;
      case 7:
        if (slot == 0xFF) {
          session_->Drain({now_, now_ + absl::Seconds(5), "the gateway stops"});
        } else if (slot == 0xFE) {
          client_.misses_some = true;
          session_->CloseForMemory();
        } else if (slot == 0xFD) {
          session_->OnClosed({});
          return false;
        }
        break;
    }
    FUZZ_CHECK(session_->held_bytes() <= 1 << 20);
    if (client_.closed) session_->OnClosed({});
    return !client_.closed;
  }

  void Check() {
    for (const std::string& entry : log_) {
      // Not what a message says: those stand behind "write ".
      FUZZ_CHECK(!absl::EndsWith(entry, "read while reading") ||
                 absl::StrContains(entry, "write "));
    }
    session_.reset();
    for (std::size_t i = 0; i < upstream_->call_count(); ++i) {
      FUZZ_CHECK(!upstream_->call(i).alive());
    }
  }

 private:
  void Say(std::uint32_t number, absl::string_view bytes) {
    std::string message;
    for (int shift = 24; shift >= 0; shift -= 8) {
      message += static_cast<char>(number >> shift & 0xFF);
    }
    Give({Opcode::kBinary, absl::StrCat(message, bytes)});
  }
  void Raw() {
    const Opcode opcode =
        (input_.Byte() & 1) != 0 ? Opcode::kText : Opcode::kBinary;
    Give({opcode, input_.Bytes(input_.Byte())});
  }
  void Give(WireMessage message) {
    // The transport refuses longer ones.
    if (!client_.reading || message.payload.size() > kMaxMessageBytes) return;
    client_.reading = false;
    session_->OnMessage(std::move(message));
  }

  std::string Head(int method) {
    static constexpr absl::string_view kMethods[] = {
        kSayHello, kLotsOfReplies, kLotsOfGreetings, kBidiHello};
    return absl::StrCat("grpc-websockets-path: ", kMethods[method % 4], "\r\n",
                        input_.Bytes(input_.Byte() % 64));
  }
  std::string Data() {
    const std::string content = input_.Bytes(input_.Byte());
    const MessagePrefix prefix = MakeMessagePrefix(0, content.size());
    return absl::StrCat(absl::string_view("\0", 1),
                        absl::string_view(prefix.data(), prefix.size()),
                        content);
  }

  void Answer(std::uint32_t slot, int what) {
    if (slot >= upstream_->call_count()) return;
    testing::FakeUpstream::Call& call = upstream_->call(slot);
    if (!call.alive()) return;
    switch (what % 4) {
      case 0:
        call.observer().OnHeaders({{"k", "v"}});
        break;
      case 1:
        if (call.reading()) call.observer().OnMessage(input_.Bytes(8));
        break;
      case 2:
        if (call.writing()) call.observer().OnWritten();
        break;
      case 3:
        call.observer().OnDone({absl::NotFoundError("gone"), ""});
        break;
    }
  }

  FuzzInput& input_;
  testing::Log log_;
  const std::shared_ptr<testing::FakeUpstream> upstream_ =
      std::make_shared<testing::FakeUpstream>(log_);
  const std::shared_ptr<testing::FakeSchemaSource> schemas_ =
      std::make_shared<testing::FakeSchemaSource>();
  MultiplexClient client_;
  absl::Time now_ = absl::UnixEpoch();
  std::unique_ptr<GrpcMultiplexSession> session_;
};

}  // namespace
}  // namespace headgate

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  headgate::FuzzInput input(data, size);
  headgate::MultiplexRun run(input);
  for (int step = 0; step < 500 && !input.empty(); ++step) {
    if (!run.Step()) break;
  }
  run.Check();
  return 0;
}
