#ifndef CMD_HEADGATE_DIAL_ANSWERS_H_
#define CMD_HEADGATE_DIAL_ANSWERS_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "cmd/headgate/dial/client.h"
#include "cmd/headgate/dial/lines.h"
#include "gateway/base/message_framing.h"

namespace headgate {

// What the other side of one connection sends: responses become lines, and what
// tells of the call, its metadata and its status, becomes notes.
//
// Thread: not thread-safe. No I/O.
class AnswerReader {
 public:
  // `options` must outlive it. With kMetadata messages of the json codec are
  // told apart from its metadata; other codecs have a place of its own for it.
  AnswerReader(const LineOptions& options, Verbosity verbosity);

  PrintedMessage Take(const WireMessage& message);
  // What was held back, once the other side has closed.
  PrintedMessage TakeRest();

 private:
  PrintedMessage TakeGrpcWeb(const WireMessage& message);
  void TakeBlock(absl::string_view block, PrintedMessage& printed);
  PrintedMessage TakeJson(const WireMessage& message);

  const LineOptions& options_;
  const Verbosity verbosity_;
  bool is_first_ = true;
  // grpc-websockets: a message may come in several of the WebSocket.
  MessageReader frames_;
  bool has_headers_ = false;
  // json: may be the status, which it is if nothing comes behind it.
  std::optional<WireMessage> held_;
};

// The metadata and the status in a message of `envelope: status`, as notes;
// absent: it is a response.
std::optional<std::vector<std::string>> NotesOfHeaders(absl::string_view json);
std::optional<std::vector<std::string>> NotesOfStatus(absl::string_view json);

}  // namespace headgate

#endif  // CMD_HEADGATE_DIAL_ANSWERS_H_
