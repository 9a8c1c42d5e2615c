#ifndef CMD_HEADGATE_BENCH_DIALECT_H_
#define CMD_HEADGATE_BENCH_DIALECT_H_

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "gateway/codec/dialect.h"

namespace headgate {

// Counts the responses in what a peer sends: messages of a WebSocket, or the
// body of an HTTP response.
//
// Thread: one at a time.
class AnswerCounter {
 public:
  virtual ~AnswerCounter() = default;

  // How many responses end with this piece of a message or body; `end` with the
  // last piece of one. A status says why there will be no more: the call has
  // failed, or that is not what the dialect has.
  virtual absl::StatusOr<std::size_t> Take(absl::string_view piece,
                                           bool end) = 0;
};

// How `headgate bench` speaks one dialect. Each is defined in a file of
// dialects/.
struct BenchDialect {
  // What a connection of the load is.
  enum class Form {
    kWebSocket,
    kCalls,   // Calls of one message and one response each.
    kStream,  // One call with a stream of messages and responses, over HTTP/2.
  };

  absl::string_view name;  // Of --codec.
  const Dialect* dialect;  // What the gateway knows it as.
  Form form = Form::kWebSocket;
  absl::string_view media_type = {};  // Unless it is kWebSocket.
  // The default content of a message, of some `size` bytes.
  std::string (*content)(std::size_t size) = nullptr;
  // A message with that content as it is sent.
  WireMessage (*wire)(absl::string_view content) = nullptr;
  // What a WebSocket sends before its messages; null: nothing. `path`: of the
  // URL.
  WireMessage (*head)(absl::string_view path) = nullptr;
  std::unique_ptr<AnswerCounter> (*counter)() = nullptr;

  bool is_http() const { return form != Form::kWebSocket; }
  bool needs_http2() const {
    return form == Form::kStream || dialect->needs_http2;
  }
};

extern const BenchDialect kBenchPacket;
extern const BenchDialect kBenchProtobuf;
extern const BenchDialect kBenchRaw;
extern const BenchDialect kBenchJson;
extern const BenchDialect kBenchGrpcWebSockets;
extern const BenchDialect kBenchGrpcWebSocketsMultiplex;
extern const BenchDialect kBenchGrpcWeb;
extern const BenchDialect kBenchGrpcWebText;
extern const BenchDialect kBenchConnect;
extern const BenchDialect kBenchConnectJson;
extern const BenchDialect kBenchConnectStream;
extern const BenchDialect kBenchConnectStreamJson;
extern const BenchDialect kBenchGrpc;
extern const BenchDialect kBenchGrpcStream;

// Null: there is none of that name.
const BenchDialect* FindBenchDialect(absl::string_view name);
std::vector<std::string> BenchDialectNames();

}  // namespace headgate

#endif  // CMD_HEADGATE_BENCH_DIALECT_H_
