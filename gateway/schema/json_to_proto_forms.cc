// The well-known types, whose JSON is not that of their fields.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/base/casts.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gateway/base/utf8.h"
#include "gateway/schema/json_number.h"
#include "gateway/schema/json_reader.h"
#include "gateway/schema/json_time.h"
#include "gateway/schema/key_set.h"

namespace headgate {

bool JsonReader::Time(bool (*parse)(absl::string_view, SecondsAndNanos&),
                      absl::string_view must_be) {
  const char* const start = at_;
  absl::string_view text;
  SecondsAndNanos time;
  if (!Text(text) || !parse(text, time)) return FailValue(start, must_be);
  if (time.seconds != 0) {
    out_.push_back('\x08');
    AppendVarint(static_cast<std::uint64_t>(time.seconds));
  }
  if (time.nanos != 0) {
    out_.push_back('\x10');
    AppendVarint(static_cast<std::uint64_t>(time.nanos));
  }
  return true;
}

bool JsonReader::Mask() {
  constexpr char kMustBe[] = "a field mask like \"a,b.twoWords\"";
  const char* const start = at_;
  absl::string_view text;
  if (!Text(text)) return FailValue(start, kMustBe);
  if (text.empty()) return true;
  if (!IsUtf8(text)) return FailAt(start, "must be UTF-8");
  for (const absl::string_view path : absl::StrSplit(text, ',')) {
    out_.push_back('\x0a');
    const std::size_t first = BeginSized();
    if (!AppendMaskPath(path, out_)) return FailValue(start, kMustBe);
    EndSized(first);
  }
  return true;
}

bool JsonReader::Struct(int depth) {
  if (!Open('{', depth, "an object")) return false;
  SkipSpace();
  if (Consume('}')) return true;
  KeySet keys;
  do {
    SkipSpace();
    const char* const key_at = at_;
    absl::string_view key;
    if (!Key(key)) return false;
    if (!IsUtf8(key)) return FailAt(key_at, "must be UTF-8");
    if (!keys.Insert(key)) {
      return FailAt(key_at, "is there twice") || WithinKey(key);
    }
    out_.push_back('\x0a');
    const std::size_t entry = BeginSized();
    out_.push_back('\x0a');
    AppendVarint(key.size());
    out_.append(key.data(), key.size());
    out_.push_back('\x12');
    const std::size_t value = BeginSized();
    SkipSpace();
    if (!AnyValue(depth + 1)) return WithinKey(key);
    EndSized(value);
    EndSized(entry);
    SkipSpace();
  } while (Consume(','));
  return Consume('}') || Fail("malformed JSON");
}

bool JsonReader::ListValue(int depth) {
  if (!Open('[', depth, "a list")) return false;
  SkipSpace();
  if (Consume(']')) return true;
  std::size_t index = 0;
  do {
    SkipSpace();
    out_.push_back('\x0a');
    const std::size_t value = BeginSized();
    if (!AnyValue(depth + 1)) return WithinIndex(index);
    EndSized(value);
    ++index;
    SkipSpace();
  } while (Consume(','));
  return Consume(']') || Fail("malformed JSON");
}

bool JsonReader::AnyValue(int depth) {
  if (at_ == end_) return Fail("malformed JSON");
  switch (*at_) {
    case '"':
      out_.push_back('\x1a');
      return String();
    case '{': {
      out_.push_back('\x2a');
      const std::size_t start = BeginSized();
      if (!Struct(depth)) return false;
      EndSized(start);
      return true;
    }
    case '[': {
      out_.push_back('\x32');
      const std::size_t start = BeginSized();
      if (!ListValue(depth)) return false;
      EndSized(start);
      return true;
    }
    default:
      break;
  }
  if (ConsumeWord("null")) {
    out_.append("\x08\0", 2);
  } else if (ConsumeWord("true")) {
    out_ += "\x20\x01";
  } else if (ConsumeWord("false")) {
    out_.append("\x20\0", 2);
  } else {
    const char* const start = at_;
    absl::string_view text;
    double number = 0;
    if (!NumberText(text) || !ParseReal(text, number)) {
      return FailValue(start, "a JSON value that a double can hold");
    }
    out_.push_back('\x11');
    AppendFixed(absl::bit_cast<std::uint64_t>(number), 64);
  }
  return true;
}

bool JsonReader::Any(int depth) {
  const char* const object = at_;
  if (!Open('{', depth, "an object")) return false;
  SkipSpace();
  if (Consume('}')) return true;
  const char* const first = at_;
  absl::string_view url;
  if (!TypeUrl(object, url)) return false;
  const std::size_t slash = url.rfind('/');
  const absl::string_view name =
      slash == absl::string_view::npos ? "" : url.substr(slash + 1);
  bool is_awaited = false;
  const JsonType* const type =
      name.empty() ? nullptr : types_.FindInAny(name, is_awaited);
  if (type == nullptr) {
    FailAt(at_,
           name.empty() ? "must be a URL that ends with a slash and the name "
                          "of a type"
                        : "the gateway knows no type",
           absl::StrCat(name.empty() ? ", is " : " ", Show(at_)));
    if (is_awaited) failure_->error.awaited_type = std::string(name);
    return Within("@type");
  }
  at_ = first;
  out_.push_back('\x0a');
  AppendVarint(url.size());
  out_.append(url.data(), url.size());
  out_.push_back('\x12');
  const std::size_t start = BeginSized();
  if (!(type->form() == JsonForm::kObject
            ? Members(*type, depth + 1, /*in_any=*/true)
            : MembersOfForm(*type, depth + 1))) {
    return false;
  }
  EndSized(start);
  return true;
}

bool JsonReader::TypeUrl(const char* object, absl::string_view& url) {
  constexpr absl::string_view kType = "\"@type\"";
  if (ConsumeWord(kType)) {
    SkipSpace();
    if (!Consume(':')) return Fail("malformed JSON");
    SkipSpace();
  } else {
    if (type_places_ == nullptr) {
      type_places_ = std::make_unique<JsonTypePlaces>(json_);
    }
    const std::size_t place =
        type_places_->ValueOf(static_cast<std::size_t>(object - json_.data()));
    if (place == 0) return FailAt(object, "has no \"@type\"");
    at_ = json_.data() + place;
  }
  const char* const value = at_;
  if (!Text(url) || !IsUtf8(url)) {
    return FailValue(value, "a string") || Within("@type");
  }
  at_ = value;
  return true;
}

bool JsonReader::MembersOfForm(const JsonType& type, int depth) {
  const char* const start = at_;
  bool type_seen = false, value_seen = false;
  do {
    SkipSpace();
    const char* const key_at = at_;
    absl::string_view key;
    if (!Key(key)) return false;
    bool* const seen = key == "@type"   ? &type_seen
                       : key == "value" ? &value_seen
                                        : nullptr;
    if (seen == nullptr && !lenient_) return FailUnknown(key_at, key);
    if (seen != nullptr && std::exchange(*seen, true)) {
      return FailAt(key_at, "is there twice") || Within(key);
    }
    SkipSpace();
    if (!(seen == &value_seen ? Message(type, depth) : SkipValue())) {
      return Within(key);
    }
    SkipSpace();
  } while (Consume(','));
  if (!value_seen) return FailAt(start, "has no \"value\"");
  return Consume('}') || Fail("malformed JSON");
}

}  // namespace headgate
