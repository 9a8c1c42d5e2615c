#ifndef TESTS_CODEC_EVENTS_H_
#define TESTS_CODEC_EVENTS_H_

#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "gateway/codec/codec.h"

namespace headgate {

// What a client says, one message after the other, as a log: "request ...",
// "half-close", "close 1002 INVALID_ARGUMENT: ...". `show` tells a request.
// Stops at an Ending.
template <typename Show>
std::vector<std::string> Hear(Codec& codec, std::vector<WireMessage> messages,
                              Show show) {
  std::vector<std::string> log;
  for (WireMessage& message : messages) {
    codec.Feed(std::move(message));
    for (;;) {
      Decoded decoded = codec.Next();
      if (std::holds_alternative<NeedInput>(decoded)) break;
      if (std::holds_alternative<HalfClose>(decoded)) {
        log.push_back("half-close");
      } else if (auto* head = std::get_if<InBandHead>(&decoded)) {
        std::string& line = log.emplace_back("head");
        for (const auto& [name, value] : head->fields) {
          absl::StrAppend(&line, " ", name, "=", value);
        }
      } else if (auto* request = std::get_if<RequestMessage>(&decoded)) {
        log.push_back(absl::StrCat("request ", show(request->payload)));
      } else {
        const Ending& ending = std::get<Ending>(decoded);
        log.push_back(absl::StrCat("close ", static_cast<int>(ending.close),
                                   " ", ending.end.status.ToString()));
        return log;
      }
    }
  }
  return log;
}

inline std::vector<std::string> Hear(Codec& codec,
                                     std::vector<WireMessage> messages) {
  return Hear(codec, std::move(messages), [](const std::string& payload) {
    return absl::CEscape(payload);
  });
}

// A response as the one message that it becomes.
inline absl::StatusOr<WireMessage> Encoded(Codec& codec, std::string response) {
  Outgoing out{Watermarks()};
  const absl::Status status = codec.EncodeMessage(std::move(response), out);
  if (!status.ok()) return status;
  if (!out.has_messages()) return absl::InternalError("no message");
  return out.TakeMessage(0);
}
// The message that tells the end of a call; absent: none does.
inline std::optional<WireMessage> EncodedEnd(Codec& codec,
                                             const Ending& ending) {
  Outgoing out{Watermarks()};
  codec.EncodeEnd(ending, out);
  if (!out.has_messages()) return std::nullopt;
  return out.TakeMessage(0);
}

inline WireMessage Text(absl::string_view payload) {
  return {Opcode::kText, std::string(payload)};
}
inline WireMessage Binary(absl::string_view payload) {
  return {Opcode::kBinary, std::string(payload)};
}

}  // namespace headgate

#endif  // TESTS_CODEC_EVENTS_H_
