#ifndef TESTS_CONFIG_PARSE_H_
#define TESTS_CONFIG_PARSE_H_

#include <map>
#include <optional>
#include <string>

#include "gateway/config/load.h"

namespace headgate {

// A configuration file "f" with this text, in an environment of a few
// variables.
inline absl::StatusOr<Settings> Parse(absl::string_view text) {
  static const auto& variables = *new std::map<std::string, std::string>{
      {"TARGET", "chat:1"},     {"STREAMS", "7"}, {"SECRET", "hunter2"},
      {"LIST", "[1, 2]"},       {"OFF", "false"}, {"METHOD", "/hunter2"},
      {"TWO_LINES", "a\nb: c"}, {"EMPTY", ""},    {"CODEC", "json"},
      {"NOT_UTF8", "\xff\xfe"},
  };
  return ParseSettings(
      text, "f", [](const std::string& name) -> std::optional<std::string> {
        const auto it = variables.find(name);
        if (it == variables.end()) return std::nullopt;
        return it->second;
      });
}

// What is wrong with it; empty when nothing is.
inline std::string FaultsOf(absl::string_view text) {
  return std::string(Parse(text).status().message());
}

}  // namespace headgate

#endif  // TESTS_CONFIG_PARSE_H_
