#include "gateway/codec/json_location.h"

#include <algorithm>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/strip.h"

namespace headgate {
namespace {

// Goes over the values of a JSON text from its beginning.
class Cursor {
 public:
  explicit Cursor(absl::string_view json) : json_(json) { SkipSpace(); }

  std::size_t offset() const { return at_; }
  char Peek() const { return at_ < json_.size() ? json_[at_] : '\0'; }

  // Enters the object or array that stands here.
  void Enter() { Step(); }

  // Whether there is another member or element where the cursor stands: just
  // after Enter, or after one of them.
  bool AtMember() {
    if (Peek() == ',') Step();
    return at_ < json_.size() && Peek() != '}' && Peek() != ']';
  }

  // Returns the key that stands here as the text has it, with its quotes, and
  // goes to its value.
  absl::string_view ReadKey() {
    const std::size_t start = at_;
    SkipString();
    const absl::string_view key = json_.substr(start, at_ - start);
    SkipSpace();
    if (Peek() == ':') Step();
    return key;
  }

  // Goes on to what follows the value that stands here.
  void SkipValue() {
    int depth = 0;
    do {
      switch (Peek()) {
        case '"':
          SkipString();
          break;
        case '{':
        case '[':
          ++depth;
          ++at_;
          break;
        case '}':
        case ']':
          --depth;
          ++at_;
          break;
        case ',':
        case ':':
          ++at_;
          break;
        default:
          SkipWord();
      }
      SkipSpace();
    } while (depth > 0 && at_ < json_.size());
  }

 private:
  void Step() {
    if (at_ < json_.size()) ++at_;
    SkipSpace();
  }

  void SkipSpace() {
    while (at_ < json_.size() && absl::ascii_isspace(json_[at_])) ++at_;
  }

  void SkipString() {
    for (++at_; at_ < json_.size() && json_[at_] != '"'; ++at_) {
      if (json_[at_] == '\\') ++at_;
    }
    at_ = std::min(at_ + 1, json_.size());
  }

  // A number, true, false or null.
  void SkipWord() {
    do {
      ++at_;
    } while (at_ < json_.size() && !absl::ascii_isspace(json_[at_]) &&
             absl::string_view("\"{}[],:").find(json_[at_]) ==
                 absl::string_view::npos);
  }

  const absl::string_view json_;
  std::size_t at_ = 0;
};

// The string that `token` writes; nothing when it is not a JSON string.
std::optional<std::string> Unescape(absl::string_view token) {
  boost::json::error_code error;
  const boost::json::value value =
      boost::json::parse({token.data(), token.size()}, error);
  if (error || !value.is_string()) return std::nullopt;
  return std::string(value.get_string().data(), value.get_string().size());
}

// The JSON name that protobuf gives a field: "foo_bar" -> "fooBar". A JSON name
// stays as it is.
std::string CamelCase(absl::string_view name) {
  std::string camel;
  bool raise = false;
  for (const char c : name) {
    if (c == '_') {
      raise = true;
      continue;
    }
    camel.push_back(raise ? absl::ascii_toupper(c) : c);
    raise = false;
  }
  return camel;
}

// Whether `path` begins with the name `key`, which it then loses.
bool ConsumeName(absl::string_view key, absl::string_view& path) {
  // A key of the client's may itself have dots and brackets.
  absl::string_view rest = path;
  if (absl::ConsumePrefix(&rest, key) &&
      (rest.empty() || rest[0] == '.' || rest[0] == '[')) {
    path = rest;
    return true;
  }
  const absl::string_view name = path.substr(0, path.find_first_of(".["));
  if (name.empty() || CamelCase(name) != CamelCase(key)) return false;
  path.remove_prefix(name.size());
  return true;
}

// Takes "[7]" off the front of `path`.
std::optional<std::uint64_t> ConsumeIndex(absl::string_view& path) {
  const std::size_t close = path.find(']');
  std::uint64_t index = 0;
  if (!absl::StartsWith(path, "[") || close == absl::string_view::npos ||
      !absl::SimpleAtoi(path.substr(1, close - 1), &index)) {
    return std::nullopt;
  }
  path.remove_prefix(close + 1);
  return index;
}

// Moves the cursor from an object or array to its member or element `index`.
bool GoToIndex(std::uint64_t index, Cursor& cursor) {
  const bool is_object = cursor.Peek() == '{';
  if (!is_object && cursor.Peek() != '[') return false;
  cursor.Enter();
  for (; cursor.AtMember(); --index) {
    if (index == 0) return true;
    if (is_object) cursor.ReadKey();
    cursor.SkipValue();
  }
  return false;
}

// Moves the cursor from an object to the value of the member that `path` names
// first.
bool GoToName(Cursor& cursor, absl::string_view& path) {
  if (cursor.Peek() != '{') return false;
  cursor.Enter();
  while (cursor.AtMember()) {
    const std::optional<std::string> key = Unescape(cursor.ReadKey());
    if (key && ConsumeName(*key, path)) return true;
    cursor.SkipValue();
  }
  return false;
}

}  // namespace

std::size_t LocateJsonField(absl::string_view json, absl::string_view field) {
  Cursor cursor(json);
  std::size_t found = cursor.offset();
  bool at_entry = false;  // On the key of a map's entry.
  while (!field.empty()) {
    if (field[0] == '[') {
      const bool is_map = cursor.Peek() == '{';
      const std::optional<std::uint64_t> index = ConsumeIndex(field);
      if (!index || !GoToIndex(*index, cursor)) return found;
      at_entry = is_map;
    } else {
      absl::ConsumePrefix(&field, ".");
      if (at_entry) {
        if (!ConsumeName("value", field)) return found;
        cursor.ReadKey();
        at_entry = false;
      } else if (!GoToName(cursor, field)) {
        return found;
      }
    }
    found = cursor.offset();
  }
  return found;
}

}  // namespace headgate
