#include "gateway/codec/grpc_web.h"

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "cmd/headgate/bench/dialect.h"
#include "cmd/headgate/bench/dialects/framed.h"
#include "cmd/headgate/bench/messages.h"
#include "gateway/base/message_framing.h"
#include "gateway/codec/base64_stream.h"

namespace headgate {
namespace {

enum class WebText { kBinary, kBase64 };

// A body is one response, if its trailers say so.
class WebBodyCounter final : public AnswerCounter {
 public:
  explicit WebBodyCounter(WebText text) : text_(text) {}

  absl::StatusOr<std::size_t> Take(absl::string_view piece, bool end) override {
    std::string bytes;
    if (text_ == WebText::kBase64) {
      const absl::Status status = base64_.Feed(piece, bytes);
      if (!status.ok()) return status;
      piece = bytes;
    }
    const auto messages = body_.Take(piece);
    if (!messages.ok()) return messages.status();
    if (!end) return 0;
    if (!body_.block().has_value()) {
      return absl::UnknownError("the response has ended without its trailers");
    }
    const absl::Status status = CheckGrpcStatusLines(*body_.block());
    if (!status.ok()) return status;
    body_.Reset();
    return 1;
  }

 private:
  const WebText text_;
  Base64Stream base64_;
  FramedBody body_{kGrpcWebTrailersFlag};
};

}  // namespace

const BenchDialect kBenchGrpcWeb = {
    .name = "grpc-web",
    .dialect = &kGrpcWebDialect,
    .form = BenchDialect::Form::kCalls,
    .media_type = "application/grpc-web+proto",
    .content = &BenchGreeting,
    .wire = &FramedMessage,
    .counter = []() -> std::unique_ptr<AnswerCounter> {
      return std::make_unique<WebBodyCounter>(WebText::kBinary);
    }};

const BenchDialect kBenchGrpcWebText = {
    .name = "grpc-web-text",
    .dialect = &kGrpcWebTextDialect,
    .form = BenchDialect::Form::kCalls,
    .media_type = "application/grpc-web-text+proto",
    .content = &BenchGreeting,
    .wire =
        [](absl::string_view content) {
          return WireMessage{Opcode::kBinary,
                             absl::Base64Escape(Framed(content))};
        },
    .counter = []() -> std::unique_ptr<AnswerCounter> {
      return std::make_unique<WebBodyCounter>(WebText::kBase64);
    }};

}  // namespace headgate
