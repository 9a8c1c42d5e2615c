#include "gateway/schema/json_cursor.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "gateway/base/utf8.h"
#include "gateway/schema/json_string.h"

namespace headgate {

namespace {

void AppendPart(const std::string& part, std::string& path) {
  const bool joins = !path.empty() && part[0] != '[';
  absl::StrAppend(&path, joins ? "." : "", part);
}

void CutPath(std::string& path) {
  if (path.size() <= kMaxPathBytes) return;
  path = absl::StrCat(CutUtf8(path, kMaxPathBytes), "...");
}

}  // namespace

JsonError JsonCursor::TakeError() {
  if (!failed()) Fail("the JSON text is cut short or malformed");
  JsonError& error = failure_->error;
  const std::vector<PathPart>& path = failure_->path;
  for (auto part = path.rbegin(); part != path.rend(); ++part) {
    AppendPart(part->text, error.field);
    AppendPart(part->for_log, error.field_for_log);
  }
  CutPath(error.field);
  CutPath(error.field_for_log);
  return std::move(error);
}

bool JsonCursor::FailAt(const char* at, std::string message,
                        absl::string_view shown) {
  if (failed()) return false;
  failure_ = std::make_unique<Failure>();
  failure_->error.message = absl::StrCat(message, shown);
  failure_->error.message_for_log = std::move(message);
  failure_->error.offset = static_cast<std::size_t>(at - json_.data());
  return false;
}

bool JsonCursor::FailValue(const char* at, absl::string_view must_be) {
  return !failed() && FailAt(at, absl::StrCat("must be ", must_be),
                             absl::StrCat(", is ", Show(at)));
}

std::string JsonCursor::Show(const char* at) const {
  const absl::string_view rest(at, static_cast<std::size_t>(end_ - at));
  if (rest.empty()) return "missing";
  if (rest[0] == '{') return "an object";
  if (rest[0] == '[') return "a list";
  std::size_t size = 1;
  if (rest[0] == '"') {
    while (size < rest.size() && size <= kMaxShownBytes && rest[size] != '"') {
      size += rest[size] == '\\' ? 2 : 1;
    }
    size = std::min(size + 1, rest.size());
  } else {
    size = std::min(rest.find_first_of(",:]} \t\r\n\""), rest.size());
  }
  if (size <= kMaxShownBytes + 2) return ToUtf8(rest.substr(0, size));
  const std::string shown = ToUtf8(rest.substr(0, kMaxShownBytes));
  return absl::StrCat(shown, rest[0] == '"' ? "...\"" : "...");
}

bool JsonCursor::WithinPart(std::string part, std::string for_log) {
  Fail("malformed JSON");
  failure_->path.push_back({std::move(part), std::move(for_log)});
  return false;
}

bool JsonCursor::WithinKey(absl::string_view key) {
  const std::string valid = ToUtf8(key);
  const absl::string_view cut = CutUtf8(valid, kMaxShownBytes);
  return WithinPart(absl::StrCat("[\"", absl::Utf8SafeCEscape(cut),
                                 cut.size() < valid.size() ? "..." : "", "\"]"),
                    "[...]");
}

bool JsonCursor::FailUnknown(const char* at, absl::string_view key) {
  FailAt(at, "no such field");
  const bool is_name = !key.empty() && key.size() <= kMaxShownBytes &&
                       std::all_of(key.begin(), key.end(), [](char c) {
                         return absl::ascii_isalnum(c) || c == '_';
                       });
  return is_name ? WithinPart(std::string(key), "...") : WithinKey(key);
}

bool JsonCursor::NumberText(absl::string_view& text) {
  if (at_ != end_ && *at_ == '"') return Text(text);
  const char* const start = at_;
  while (at_ != end_ &&
         (absl::ascii_isdigit(*at_) || *at_ == '.' || *at_ == '-' ||
          *at_ == '+' || *at_ == 'e' || *at_ == 'E')) {
    ++at_;
  }
  text = absl::string_view(start, static_cast<std::size_t>(at_ - start));
  return !text.empty();
}

bool JsonCursor::Unescape(std::string& text) {
  while (at_ != end_ && *at_ != '"') {
    const char c = *at_++;
    if (c != '\\') {
      text.push_back(c);
      continue;
    }
    if (at_ == end_) return false;
    const char escape = *at_++;
    if (escape == 'u') {
      if (!CharacterByNumber(text)) return false;
      continue;
    }
    constexpr absl::string_view kEscapes = "\"\\/bfnrt";
    const std::size_t which = kEscapes.find(escape);
    if (which == absl::string_view::npos) return false;
    text.push_back("\"\\/\b\f\n\r\t"[which]);
  }
  return Consume('"');
}

bool JsonCursor::CharacterByNumber(std::string& text) {
  std::uint32_t character = 0, low = 0;
  if (!FourDigits(character)) return false;
  if (character >= 0xD800 && character < 0xDC00) {
    if (!ConsumeWord("\\u") || !FourDigits(low) || low < 0xDC00 ||
        low > 0xDFFF) {
      return false;
    }
    character = 0x10000 + ((character - 0xD800) << 10) + (low - 0xDC00);
  }
  // A second half without a first is no UTF-8, as the caller will find.
  if (character < 0x80) {
    text.push_back(static_cast<char>(character));
    return true;
  }
  const int more = character < 0x800 ? 1 : character < 0x10000 ? 2 : 3;
  constexpr std::uint8_t kFirst[] = {0, 0xC0, 0xE0, 0xF0};
  text.push_back(static_cast<char>(kFirst[more] | character >> 6 * more));
  for (int i = more - 1; i >= 0; --i) {
    text.push_back(static_cast<char>(0x80 | (character >> 6 * i & 0x3F)));
  }
  return true;
}

bool JsonCursor::FourDigits(std::uint32_t& number) {
  number = 0;
  for (int i = 0; i < 4; ++i, ++at_) {
    if (at_ == end_ || !absl::ascii_isxdigit(*at_)) return false;
    const char c = absl::ascii_tolower(*at_);
    number = number * 16 +
             static_cast<std::uint32_t>(c <= '9' ? c - '0' : c - 'a' + 10);
  }
  return true;
}

bool JsonCursor::SkipValue() {
  int depth = 0;
  do {
    SkipSpace();
    if (at_ == end_) return Fail("malformed JSON");
    const char c = *at_++;
    if (c == '{' || c == '[') {
      ++depth;
    } else if (c == '}' || c == ']') {
      --depth;
    } else if (c == '"') {
      while (at_ != end_ && *at_ != '"') {
        if (*at_ == '\\' && at_ + 1 != end_) ++at_;
        ++at_;
      }
      if (!Consume('"')) return Fail("malformed JSON");
    } else if (c != ',' && c != ':') {
      while (at_ != end_ && (absl::ascii_isalnum(*at_) || *at_ == '.' ||
                             *at_ == '-' || *at_ == '+')) {
        ++at_;
      }
    }
  } while (depth > 0);
  return true;
}

}  // namespace headgate
