#include "gateway/codec/grpc.h"

#include <memory>

#include "cmd/headgate/bench/dialect.h"
#include "cmd/headgate/bench/dialects/framed.h"
#include "cmd/headgate/bench/messages.h"

namespace headgate {
namespace {

enum class GrpcCount { kMessages, kCalls };

// The status is in the trailers, which are not the body's.
class GrpcCounter final : public AnswerCounter {
 public:
  explicit GrpcCounter(GrpcCount count) : count_(count) {}

  absl::StatusOr<std::size_t> Take(absl::string_view piece, bool end) override {
    const auto messages = body_.Take(piece);
    if (!messages.ok() || count_ == GrpcCount::kMessages) return messages;
    return end ? 1 : 0;
  }

 private:
  const GrpcCount count_;
  FramedBody body_{0};
};

}  // namespace

const BenchDialect kBenchGrpc = {
    .name = "grpc",
    .dialect = &kGrpcDialect,
    .form = BenchDialect::Form::kCalls,
    .media_type = "application/grpc",
    .content = &BenchGreeting,
    .wire = &FramedMessage,
    .counter = []() -> std::unique_ptr<AnswerCounter> {
      return std::make_unique<GrpcCounter>(GrpcCount::kCalls);
    }};

const BenchDialect kBenchGrpcStream = {
    .name = "grpc-stream",
    .dialect = &kGrpcDialect,
    .form = BenchDialect::Form::kStream,
    .media_type = "application/grpc",
    .content = &BenchPacket,
    .wire = &FramedMessage,
    .counter = []() -> std::unique_ptr<AnswerCounter> {
      return std::make_unique<GrpcCounter>(GrpcCount::kMessages);
    }};

}  // namespace headgate
