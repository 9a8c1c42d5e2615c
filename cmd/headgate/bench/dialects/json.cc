#include "gateway/codec/json.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "cmd/headgate/bench/dialect.h"
#include "cmd/headgate/bench/messages.h"

namespace headgate {
namespace {

// Lines, of which a message may hold several; the last one needs no end.
class LineCounter final : public AnswerCounter {
 public:
  absl::StatusOr<std::size_t> Take(absl::string_view piece, bool end) override {
    std::size_t answers = 0;
    while (!piece.empty()) {
      const std::size_t newline = piece.find('\n');
      if (newline == absl::string_view::npos) {
        in_line_ = true;
        break;
      }
      if (in_line_ || newline > 0) ++answers;
      in_line_ = false;
      piece.remove_prefix(newline + 1);
    }
    if (end && in_line_) {
      in_line_ = false;
      ++answers;
    }
    return answers;
  }

 private:
  bool in_line_ = false;
};

WireMessage JsonLine(absl::string_view content) {
  return {Opcode::kText, absl::EndsWith(content, "\n")
                             ? std::string(content)
                             : absl::StrCat(content, "\n")};
}

}  // namespace

const BenchDialect kBenchJson = {
    .name = "json",
    .dialect = &kJsonDialect,
    .content = &BenchPacketJson,
    .wire = &JsonLine,
    .counter = []() -> std::unique_ptr<AnswerCounter> {
      return std::make_unique<LineCounter>();
    }};

}  // namespace headgate
