#ifndef GATEWAY_SCHEMA_JSON_CURSOR_H_
#define GATEWAY_SCHEMA_JSON_CURSOR_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <forward_list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gateway/schema/schema.h"

namespace headgate {

// A JSON text that is gone over once: its tokens, and the first error, with the
// path to it. A base of JsonReader.
class JsonCursor {
 protected:
  // `json` must outlive it. `max_depth`: brackets that may be around a value.
  JsonCursor(absl::string_view json, int max_depth)
      : json_(json),
        max_depth_(max_depth),
        at_(json.data()),
        end_(json.data() + json.size()) {}

  // What has gone wrong, when something has returned false.
  JsonError TakeError();

  // --- Errors ---

  bool failed() const { return failure_ != nullptr; }
  // Always false. The first one counts. `shown`: the end of the message, which
  // repeats something of the text.
  bool FailAt(const char* at, std::string message,
              absl::string_view shown = "");
  bool Fail(std::string message) { return FailAt(at_, std::move(message)); }
  // The value at `at` is not what it must be.
  bool FailValue(const char* at, absl::string_view must_be);
  bool FailValue(absl::string_view must_be) { return FailValue(at_, must_be); }
  // The value at `at` for people.
  std::string Show(const char* at) const;
  // Always false: an error on its way out of the value of `name`.
  bool Within(absl::string_view name) {
    return WithinPart(std::string(name), std::string(name));
  }
  bool WithinIndex(std::size_t index) {
    const std::string part = absl::StrCat("[", index, "]");
    return WithinPart(part, part);
  }
  // `for_log`: the same without what is the client's.
  bool WithinPart(std::string part, std::string for_log);
  // A key that is the client's.
  bool WithinKey(absl::string_view key);
  bool FailUnknown(const char* at, absl::string_view key);

  // --- Tokens ---

  bool AtEnd() {
    SkipSpace();
    return at_ == end_ || Fail("there is more behind the value");
  }
  // A key and the colon behind it. The name is valid as long as this reader.
  bool Key(absl::string_view& name) {
    if (!Text(name)) return Fail("malformed JSON");
    SkipSpace();
    return Consume(':') || Fail("malformed JSON");
  }
  // A number as JSON writes it, or a string; without its quotes.
  bool NumberText(absl::string_view& text);
  // `text`, valid as long as this reader.
  absl::string_view Keep(std::string text) {
    return texts_.emplace_front(std::move(text));
  }
  // A string without its quotes; valid as long as this reader.
  bool Text(absl::string_view& text) {
    const char* const start = at_;
    if (!Consume('"')) return false;
    if (Run(text)) return true;
    at_ = start + 1;
    std::string unescaped;
    if (!Unescape(unescaped)) return false;
    text = Keep(std::move(unescaped));
    return true;
  }
  // An opening bracket. `depth`: those around it.
  bool Open(char bracket, int depth, absl::string_view must_be) {
    if (at_ == end_ || *at_ != bracket) return FailValue(must_be);
    if (depth >= max_depth_) {
      return Fail(absl::StrCat("nested deeper than ", max_depth_));
    }
    ++at_;
    return true;
  }
  // Goes over a value that nobody wants.
  bool SkipValue();
  bool AtNull() const { return at_ != end_ && *at_ == 'n'; }
  static bool IsSpace(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
  }
  void SkipSpace() {
    while (at_ != end_ && IsSpace(*at_)) ++at_;
  }
  bool Consume(char c) {
    if (at_ == end_ || *at_ != c) return false;
    ++at_;
    return true;
  }
  bool ConsumeWord(absl::string_view word) {
    if (static_cast<std::size_t>(end_ - at_) < word.size() ||
        std::memcmp(at_, word.data(), word.size()) != 0) {
      return false;
    }
    at_ += word.size();
    return true;
  }
  // The rest of a string, without escapes, and its closing quote.
  bool Run(absl::string_view& run) {
    const auto* const quote = static_cast<const char*>(
        std::memchr(at_, '"', static_cast<std::size_t>(end_ - at_)));
    if (quote == nullptr) return false;
    run = absl::string_view(at_, static_cast<std::size_t>(quote - at_));
    at_ = quote + 1;
    return std::memchr(run.data(), '\\', run.size()) == nullptr;
  }
  // Appends the rest of a string and goes over its closing quote.
  bool Unescape(std::string& text);

  // A step of the way to an error.
  struct PathPart {
    std::string text;
    std::string for_log;
  };
  struct Failure {
    JsonError error;             // Without its fields.
    std::vector<PathPart> path;  // To the error, from its end.
  };

  const absl::string_view json_;
  const int max_depth_;
  const char* at_;
  const char* const end_;
  std::unique_ptr<Failure> failure_;

 private:
  // The rest of "\u00e4", or of "\ud83d\ude00", as UTF-8.
  bool CharacterByNumber(std::string& text);
  // Hexadecimal.
  bool FourDigits(std::uint32_t& number);

  std::forward_list<std::string> texts_;
};

}  // namespace headgate

#endif  // GATEWAY_SCHEMA_JSON_CURSOR_H_
