#include "gateway/codec/connect.h"

#include <memory>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "cmd/headgate/bench/dialect.h"
#include "cmd/headgate/bench/dialects/framed.h"
#include "cmd/headgate/bench/messages.h"
#include "gateway/base/message_framing.h"

namespace headgate {
namespace {

// The messages of a stream, which ends with a block of JSON.
class ConnectStreamCounter final : public AnswerCounter {
 public:
  absl::StatusOr<std::size_t> Take(absl::string_view piece,
                                   bool /*end*/) override {
    const auto messages = body_.Take(piece);
    if (messages.ok() && body_.block().has_value()) {
      return absl::UnknownError(
          absl::StrCat("the stream has ended: ", *body_.block()));
    }
    return messages;
  }

 private:
  FramedBody body_{kConnectEndFlag};
};

std::unique_ptr<AnswerCounter> MakeConnectStreamCounter() {
  return std::make_unique<ConnectStreamCounter>();
}

}  // namespace

const BenchDialect kBenchConnect = {.name = "connect",
                                    .dialect = &kConnectProtoDialect,
                                    .form = BenchDialect::Form::kCalls,
                                    .media_type = "application/proto",
                                    .content = &BenchGreeting,
                                    .wire = &BinaryMessage,
                                    .counter = &MakeMessageCounter};

const BenchDialect kBenchConnectJson = {.name = "connect-json",
                                        .dialect = &kConnectJsonDialect,
                                        .form = BenchDialect::Form::kCalls,
                                        .media_type = "application/json",
                                        .content = &BenchGreetingJson,
                                        .wire = &BinaryMessage,
                                        .counter = &MakeMessageCounter};

const BenchDialect kBenchConnectStream = {
    .name = "connect-stream",
    .dialect = &kConnectStreamProtoDialect,
    .form = BenchDialect::Form::kStream,
    .media_type = "application/connect+proto",
    .content = &BenchPacket,
    .wire = &FramedMessage,
    .counter = &MakeConnectStreamCounter};

const BenchDialect kBenchConnectStreamJson = {
    .name = "connect-stream-json",
    .dialect = &kConnectStreamJsonDialect,
    .form = BenchDialect::Form::kStream,
    .media_type = "application/connect+json",
    .content = &BenchPacketJson,
    .wire = &FramedMessage,
    .counter = &MakeConnectStreamCounter};

}  // namespace headgate
