// A client's WebSocket frames, with and without permessage-deflate. However the
// bytes are cut, they come to the same events: those of one piece and those of
// pieces are compared. No message is longer than allowed, each text is UTF-8,
// and nothing follows a Close frame or a fault.
//
// Input: two bytes that say what happens (Plan), then what the client sends.

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gateway/base/utf8.h"
#include "gateway/ws/reader.h"
#include "tests/fuzz/client_frame.h"
#include "tests/fuzz/input.h"

namespace headgate {
namespace {

constexpr std::size_t kMaxMessageBytes = 600;
// More only takes time.
constexpr std::size_t kMaxSentBytes = 4000;

// The two bytes.
struct Plan {
  explicit Plan(FuzzInput& input) {
    const std::uint8_t first = input.Byte();
    chunk = 1 + (first & 15);
    frames = first & 16;
    deflates = first & 32;
    takes_over = first & 64;
    drops = first & 128;
    window_bits = 9 + (input.Byte() & 7) % 7;
  }

  std::size_t chunk;  // Bytes in a piece.
  bool frames;        // The input is of frames: see NextClientFrame.
  bool deflates;
  bool takes_over;  // The context of one message goes on to the next.
  bool drops;       // All messages but the first are dropped.
  int window_bits;
};

struct Outcome {
  std::vector<std::string> events;
  bool broken = false;  // It ends in kTooBig or kFault.
};

class Reading {
 public:
  explicit Reading(const Plan& plan) : plan_(plan), reader_(OptionsFor(plan)) {}

  void Take(absl::string_view bytes) {
    while (true) {
      const std::size_t before = bytes.size();
      const ws::Reader::Event event = reader_.Next(bytes);
      FUZZ_CHECK(bytes.size() <= before);
      if (event == ws::Reader::Event::kNeedsBytes) {
        FUZZ_CHECK(bytes.empty());
        return;
      }
      FUZZ_CHECK(!is_over_);
      Note(event);
    }
  }

  const Outcome& outcome() const { return outcome_; }

 private:
  static ws::Reader::Options OptionsFor(const Plan& plan) {
    ws::Reader::Options options;
    options.max_message_bytes = kMaxMessageBytes;
    if (plan.deflates) {
      options.inflater = std::make_unique<ws::Inflater>(
          ws::DeflateSide{plan.window_bits, !plan.takes_over});
    }
    return options;
  }

  void Note(ws::Reader::Event event) {
    switch (event) {
      case ws::Reader::Event::kNeedsBytes:
        break;
      case ws::Reader::Event::kMessage: {
        FUZZ_CHECK(!dropping_);
        const WireMessage message = reader_.TakeMessage();
        FUZZ_CHECK(message.payload.size() <= kMaxMessageBytes);
        const bool is_text = message.opcode == Opcode::kText;
        FUZZ_CHECK(!is_text || IsUtf8(message.payload));
        Add(absl::StrCat(is_text ? "text " : "binary ", message.payload));
        if (plan_.drops) {
          dropping_ = true;
          reader_.DropMessages();
        }
        break;
      }
      case ws::Reader::Event::kPiece:
        FUZZ_CHECK(false);
        break;
      case ws::Reader::Event::kTooBig:
        Add("too big", true);
        break;
      case ws::Reader::Event::kPing:
        FUZZ_CHECK(reader_.control_payload().size() <= ws::kMaxControlBytes);
        Add(absl::StrCat("ping ", reader_.control_payload()));
        break;
      case ws::Reader::Event::kPong:
        FUZZ_CHECK(reader_.control_payload().size() <= ws::kMaxControlBytes);
        Add(absl::StrCat("pong ", reader_.control_payload()));
        break;
      case ws::Reader::Event::kClose: {
        const int code = static_cast<int>(reader_.close_code());
        FUZZ_CHECK(reader_.close_code() == CloseCode::kNoStatus ||
                   ws::IsSendableCloseCode(code));
        FUZZ_CHECK(IsUtf8(reader_.close_reason()));
        is_over_ = true;
        Add(absl::StrCat("close ", code, " ", reader_.close_reason()));
        break;
      }
      case ws::Reader::Event::kFault:
        FUZZ_CHECK(!reader_.fault().what.empty());
        is_over_ = true;
        Add(absl::StrCat("fault ", static_cast<int>(reader_.fault().code), " ",
                         reader_.fault().what),
            true);
        break;
    }
  }

  // What follows a message that is too big is not compared.
  void Add(std::string event, bool breaks = false) {
    if (outcome_.broken) return;
    outcome_.events.push_back(std::move(event));
    outcome_.broken = breaks;
  }

  const Plan& plan_;
  ws::Reader reader_;
  Outcome outcome_;
  bool dropping_ = false;
  bool is_over_ = false;
};

}  // namespace
}  // namespace headgate

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  using namespace headgate;
  FuzzInput input(data, size);
  const Plan plan(input);
  std::string sent;
  if (plan.frames) {
    while (!input.empty() && sent.size() < kMaxSentBytes) {
      absl::StrAppend(&sent, NextClientFrame(input));
    }
  } else {
    sent = input.Rest();
  }

  Reading whole(plan);
  whole.Take(sent);
  Reading cut(plan);
  for (absl::string_view rest = sent; !rest.empty();) {
    cut.Take(rest.substr(0, plan.chunk));
    rest.remove_prefix(std::min(plan.chunk, rest.size()));
  }
  Outcome a = whole.outcome();
  Outcome b = cut.outcome();
  FUZZ_CHECK(a.broken == b.broken);
  if (plan.deflates && a.broken) {
    // Of a compressed message's faults, the one that is seen first depends on
    // how much of it is there.
    a.events.pop_back();
    b.events.pop_back();
  }
  FUZZ_CHECK(a.events == b.events);
  return 0;
}
