#ifndef TESTS_CODEC_EVENTS_H_
#define TESTS_CODEC_EVENTS_H_

#include <string>
#include <utility>
#include <variant>
#include <vector>

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

inline WireMessage Text(absl::string_view payload) {
  return {Opcode::kText, std::string(payload)};
}
inline WireMessage Binary(absl::string_view payload) {
  return {Opcode::kBinary, std::string(payload)};
}

}  // namespace headgate

#endif  // TESTS_CODEC_EVENTS_H_
