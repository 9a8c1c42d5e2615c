#include "gateway/schema/json_error.h"

#include <cstddef>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "gateway/base/utf8.h"

namespace headgate {
namespace {

using absl::string_view;

constexpr std::size_t kMaxNameBytes = 64;
constexpr std::size_t kMaxMessageBytes = 200;

std::string Shorten(string_view text, std::size_t max_bytes) {
  const std::string valid = ToUtf8(text);
  const string_view cut = CutUtf8(valid, max_bytes);
  return absl::StrCat(cut, cut.size() < valid.size() ? "..." : "");
}

bool IsIdentifier(string_view name) {
  for (const char c : name) {
    if (!absl::ascii_isalnum(c) && c != '_') return false;
  }
  return !name.empty();
}

// Whether `text` is a place as protobuf writes it, "kids[1].name": names of
// the schema and numbers, nothing of the client's.
bool IsPlace(string_view text) {
  for (const char c : text) {
    if (!absl::ascii_isalnum(c) && c != '_' && c != '.' && c != '[' &&
        c != ']') {
      return false;
    }
  }
  return !text.empty();
}

// `place` with a client's key added as protobuf would write it.
std::string Join(string_view place, string_view name) {
  if (name.empty()) return std::string(place);
  if (!IsIdentifier(name)) {
    return absl::StrCat(place, "[\"",
                        absl::Utf8SafeCEscape(Shorten(name, kMaxNameBytes)),
                        "\"]");
  }
  return absl::StrCat(place, place.empty() ? "" : ".",
                      Shorten(name, kMaxNameBytes));
}

// The cleaned text of "invalid value VALUE for type TYPE".
std::string ValueMessage(string_view value, string_view type) {
  if (value.empty() || absl::StartsWith(value, "\"") ||
      value.find(' ') == string_view::npos) {
    return absl::StrCat("invalid value ", Shorten(value, kMaxMessageBytes / 2),
                        " for type ", Shorten(type, kMaxMessageBytes / 2));
  }
  // A whole sentence took the value's place, as in "Field 't', Invalid time
  // format: foo". The place is told already.
  if (absl::StartsWith(value, "Field '")) {
    const std::size_t end = value.find("', ");
    if (end != string_view::npos) value.remove_prefix(end + 3);
  }
  return Shorten(value, kMaxMessageBytes);
}

JsonError Unrecognized(string_view text) {
  // The parser's own errors go on with lines of context.
  return {"", Shorten(text.substr(0, text.find('\n')), kMaxMessageBytes)};
}

}  // namespace

JsonError ParseJsonError(string_view text) {
  // Either "(PLACE): WHAT" or "(PLACE) NAME: WHAT", without "(PLACE)" at the
  // root. NAME and the value within WHAT are the client's.
  string_view place;
  string_view rest = text;
  if (absl::StartsWith(text, "(")) {
    const std::size_t end = text.find(')');
    if (end != string_view::npos && IsPlace(text.substr(1, end - 1))) {
      place = text.substr(1, end - 1);
      rest = text.substr(end + 1);
    }
  }

  if (absl::ConsumePrefix(&rest, ": ")) {
    if (absl::ConsumePrefix(&rest, "invalid value ")) {
      const std::size_t at = rest.rfind(" for type ");
      if (at == string_view::npos) return Unrecognized(text);
      const string_view value = rest.substr(0, at);
      const string_view type = rest.substr(at + 10);
      // Here protobuf gives the field's name as the type.
      if (value == "Starting an object on a scalar field") {
        return {Join(place, type), "a scalar, not an object"};
      }
      return {std::string(place), ValueMessage(value, type)};
    }
    return {std::string(place), Shorten(rest, kMaxMessageBytes)};
  }

  if (!place.empty() && !absl::ConsumePrefix(&rest, " ")) {
    return Unrecognized(text);
  }
  // What is said of a name holds no colon itself, unlike the name.
  const std::size_t at = rest.rfind(": ");
  if (at == string_view::npos) return Unrecognized(text);
  const string_view what = rest.substr(at + 2);
  if (what == "Cannot find field.") {
    return {Join(place, rest.substr(0, at)), "no such field"};
  }
  if (what == "Proto field is not repeating, cannot start list.") {
    return {Join(place, rest.substr(0, at)), "not repeated, not a list"};
  }
  if (absl::StartsWith(what, "Proto field") ||
      absl::StartsWith(what, "Root element")) {
    return {Join(place, rest.substr(0, at)), Shorten(what, kMaxMessageBytes)};
  }
  return Unrecognized(text);
}

}  // namespace headgate
