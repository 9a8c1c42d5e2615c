#include <algorithm>
#include <array>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "absl/container/inlined_vector.h"
#include "absl/strings/str_cat.h"
#include "gateway/base/utf8.h"
#include "gateway/schema/plain_json.h"

namespace headgate {
namespace {

using ::google::protobuf::EnumValueDescriptor;
using ::google::protobuf::FieldDescriptor;

// How a byte of a string is written: as it is ('\0'), behind a backslash (the
// character that follows it), as one of the <> that get a number, or not here.
constexpr char kNotHere = '!';
constexpr char kByNumber = 'u';
constexpr std::array<char, 256> MakeEscapes() {
  std::array<char, 256> escapes{};
  for (std::size_t c = 0; c < 256; ++c) {
    if (c < 0x20 || c >= 0x7F) escapes[c] = kNotHere;
  }
  escapes['"'] = '"';
  escapes['\\'] = '\\';
  escapes['\b'] = 'b';
  escapes['\f'] = 'f';
  escapes['\n'] = 'n';
  escapes['\r'] = 'r';
  escapes['\t'] = 't';
  escapes['<'] = escapes['>'] = kByNumber;
  return escapes;
}
constexpr std::array<char, 256> kEscapes = MakeEscapes();

// Characters that protobuf's releases write by their number, invisible ones
// for the most part, generously rounded.
struct Range {
  std::uint32_t first, last;
};
constexpr std::array<Range, 12> kInvisible = {{{0x00, 0xBF},
                                               {0x600, 0x605},
                                               {0x61C, 0x61C},
                                               {0x6DD, 0x6DD},
                                               {0x70F, 0x70F},
                                               {0x17B4, 0x17B5},
                                               {0x180B, 0x180F},
                                               {0x2000, 0x200F},
                                               {0x2028, 0x202F},
                                               {0x205F, 0x206F},
                                               {0xD800, 0x1EFFF},
                                               {0x40000, 0x10FFFF}}};

// Takes the character off the front of `text`, which is UTF-8 and does not
// begin with ASCII.
std::uint32_t TakeCharacter(absl::string_view& text) {
  const auto first = static_cast<std::uint8_t>(text[0]);
  const std::size_t length = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  std::uint32_t character = first & (0xFFu >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    character = character << 6 | (static_cast<std::uint8_t>(text[i]) & 0x3Fu);
  }
  text.remove_prefix(length);
  return character;
}

// Whether what is not ASCII in `text` is written as it is.
bool IsVisible(absl::string_view text) {
  if (!IsUtf8(text)) return false;
  while (!text.empty()) {
    if (static_cast<std::uint8_t>(text[0]) < 0x80) {
      text.remove_prefix(1);
      continue;
    }
    const std::uint32_t character = TakeCharacter(text);
    for (const Range& range : kInvisible) {
      if (character >= range.first && character <= range.last) return false;
    }
  }
  return true;
}

// Bytes of the wire, taken off their front.
class Input {
 public:
  explicit Input(absl::string_view bytes)
      : at_(bytes.data()), end_(bytes.data() + bytes.size()) {}

  bool done() const { return at_ == end_; }
  const char* at() const { return at_; }
  void GoTo(const char* at) { at_ = at; }

  bool Varint(std::uint64_t& value) {
    value = 0;
    for (int shift = 0; shift < 63 && at_ != end_; shift += 7) {
      const auto byte = static_cast<std::uint8_t>(*at_++);
      value |= std::uint64_t{byte & 0x7Fu} << shift;
      if (byte < 0x80) return true;
    }
    // The tenth byte has one bit left.
    if (at_ == end_ || static_cast<std::uint8_t>(*at_) > 1) return false;
    value |= static_cast<std::uint64_t>(*at_++) << 63;
    return true;
  }

  bool Fixed(int size, std::uint64_t& value) {
    if (end_ - at_ < size) return false;
    value = 0;
    for (int i = 0; i < size; ++i) {
      value |= std::uint64_t{static_cast<std::uint8_t>(*at_++)} << 8 * i;
    }
    return true;
  }

  bool Run(absl::string_view& run) {
    std::uint64_t size = 0;
    if (!Varint(size) || size > static_cast<std::uint64_t>(end_ - at_)) {
      return false;
    }
    run = absl::string_view(at_, static_cast<std::size_t>(size));
    at_ += size;
    return true;
  }

 private:
  const char* at_;
  const char* end_;
};

class Writer {
 public:
  Writer(PlainTypes& types, const JsonOptions& options, std::string& json)
      : types_(types), options_(options), out_(json) {}

  bool Message(const PlainType& type, absl::string_view bytes, int depth) {
    if (depth > kMaxPlainDepth || !type.taken()) return false;
    const std::vector<PlainField>& fields = type.fields();
    absl::InlinedVector<std::uint64_t, 2> seen(fields.size() / 64 + 1);
    std::size_t next = 0;  // The fields before it cannot come any more.
    Input input(bytes);
    out_.push_back('{');
    while (!input.done()) {
      std::uint64_t tag = 0;
      if (!input.Varint(tag) || tag > kMaxTag) return false;
      const PlainField* const field =
          FindFrom(fields, next, static_cast<int>(tag >> 3));
      if (field == nullptr || !field->taken) return false;
      next = static_cast<std::size_t>(field - fields.data()) + 1;
      std::uint64_t& word = seen[field->presence_bit / 64];
      const std::uint64_t bit = std::uint64_t{1} << (field->presence_bit % 64);
      if ((word & bit) != 0) return false;
      word |= bit;

      const std::size_t start = out_.size();
      if (out_.back() != '{') out_.push_back(',');
      out_ += options_.field_names == JsonOptions::FieldNames::kProto
                  ? field->proto_key
                  : field->json_key;
      if (field->is_repeated) {
        if (!List(*field, tag, input, depth)) return false;
        continue;
      }
      bool is_default = false;
      if (WireTypeOfTag(tag) != field->wire_type ||
          !Value(*field, input, depth, is_default)) {
        return false;
      }
      // A serializer would have left it out.
      if (is_default && !field->has_presence) out_.resize(start);
    }
    out_.push_back('}');
    return true;
  }

 private:
  static constexpr std::uint64_t kMaxTag =
      std::numeric_limits<std::uint32_t>::max();

  static const PlainField* FindFrom(const std::vector<PlainField>& fields,
                                    std::size_t next, int number) {
    const auto number_of = [&](std::size_t i) {
      return fields[i].descriptor->number();
    };
    if (next == fields.size() || number_of(next) != number) {
      next = static_cast<std::size_t>(
          std::lower_bound(fields.begin() + static_cast<std::ptrdiff_t>(next),
                           fields.end(), number,
                           [](const PlainField& field, int value) {
                             return field.descriptor->number() < value;
                           }) -
          fields.begin());
      if (next == fields.size() || number_of(next) != number) return nullptr;
    }
    return &fields[next];
  }

  // All elements; the tag of the first one has been read.
  bool List(const PlainField& field, std::uint64_t tag, Input& input,
            int depth) {
    bool ignored = false;
    out_.push_back('[');
    if (WireTypeOfTag(tag) == field.wire_type) {
      const char* behind = nullptr;
      std::uint64_t more = tag;
      do {
        if (out_.back() != '[') out_.push_back(',');
        if (!Value(field, input, depth, ignored)) return false;
        behind = input.at();
      } while (!input.done() && input.Varint(more) && more == tag);
      input.GoTo(behind);
    } else {
      absl::string_view run;
      if (WireTypeOfTag(tag) != WireType::kBytes || !input.Run(run) ||
          run.empty()) {
        return false;
      }
      for (Input values(run); !values.done();) {
        if (out_.back() != '[') out_.push_back(',');
        if (!Value(field, values, depth, ignored)) return false;
      }
    }
    out_.push_back(']');
    return true;
  }

  // A value without its tag. `is_default`: it is zero or empty.
  bool Value(const PlainField& field, Input& input, int depth,
             bool& is_default) {
    if (field.wire_type == WireType::kBytes) {
      absl::string_view run;
      if (!input.Run(run)) return false;
      is_default = run.empty();
      switch (field.type) {
        case FieldDescriptor::TYPE_STRING:
          return String(run);
        case FieldDescriptor::TYPE_BYTES:
          Bytes(run);
          return true;
        default:
          return Message(types_.Of(*field.descriptor->message_type()), run,
                         depth + 1);
      }
    }
    std::uint64_t value = 0;
    if (!(field.wire_type == WireType::kVarint    ? input.Varint(value)
          : field.wire_type == WireType::kFixed64 ? input.Fixed(8, value)
                                                  : input.Fixed(4, value))) {
      return false;
    }
    is_default = value == 0;
    switch (field.type) {
      case FieldDescriptor::TYPE_INT32:
        return Int32(static_cast<std::int64_t>(value));
      case FieldDescriptor::TYPE_SINT32:
        return value <= kMaxTag && Int32(UnZigZag(value));
      case FieldDescriptor::TYPE_SFIXED32:
        return Int32(static_cast<std::int32_t>(value));
      case FieldDescriptor::TYPE_UINT32:
      case FieldDescriptor::TYPE_FIXED32:
        if (value > std::numeric_limits<std::uint32_t>::max()) return false;
        absl::StrAppend(&out_, value);
        return true;
      case FieldDescriptor::TYPE_INT64:
      case FieldDescriptor::TYPE_SFIXED64:
        absl::StrAppend(&out_, "\"", static_cast<std::int64_t>(value), "\"");
        return true;
      case FieldDescriptor::TYPE_SINT64:
        absl::StrAppend(&out_, "\"", UnZigZag(value), "\"");
        return true;
      case FieldDescriptor::TYPE_UINT64:
      case FieldDescriptor::TYPE_FIXED64:
        absl::StrAppend(&out_, "\"", value, "\"");
        return true;
      case FieldDescriptor::TYPE_BOOL:
        if (value > 1) return false;
        out_ += value == 1 ? "true" : "false";
        return true;
      case FieldDescriptor::TYPE_ENUM:
        return Enum(field, static_cast<std::int64_t>(value));
      default:
        return false;
    }
  }

  // What does not fit would be cut off.
  bool Int32(std::int64_t value) {
    if (value != static_cast<std::int32_t>(value)) return false;
    absl::StrAppend(&out_, value);
    return true;
  }

  bool Enum(const PlainField& field, std::int64_t number) {
    if (number != static_cast<std::int32_t>(number)) return false;
    const EnumValueDescriptor* const value =
        field.descriptor->enum_type()->FindValueByNumber(
            static_cast<int>(number));
    if (value == nullptr) return false;
    if (options_.enums == JsonOptions::Enums::kNumber) {
      absl::StrAppend(&out_, number);
    } else {
      absl::StrAppend(&out_, "\"", value->name(), "\"");
    }
    return true;
  }

  bool String(absl::string_view text) {
    out_.push_back('"');
    const char* written = text.data();
    const char* const end = written + text.size();
    bool is_visible = false;  // What is not ASCII in it, as far as is known.
    for (const char* at = written; at != end; ++at) {
      const char escape = kEscapes[static_cast<std::uint8_t>(*at)];
      if (escape == '\0') continue;
      if (escape == kNotHere) {
        if (static_cast<std::uint8_t>(*at) < 0x80) return false;
        is_visible = is_visible || IsVisible(text);
        if (!is_visible) return false;
        continue;
      }
      out_.append(written, static_cast<std::size_t>(at - written));
      written = at + 1;
      if (escape == kByNumber) {
        out_ += *at == '<' ? "\\u003c" : "\\u003e";
      } else {
        out_.push_back('\\');
        out_.push_back(escape);
      }
    }
    out_.append(written, static_cast<std::size_t>(end - written));
    out_.push_back('"');
    return true;
  }

  // base64 with its padding (RFC 4648 section 4).
  void Bytes(absl::string_view bytes) {
    constexpr char kDigits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const std::size_t start = out_.size();
    out_.resize(start + (bytes.size() + 2) / 3 * 4 + 2, '=');
    char* out = out_.data() + start;
    const auto byte = [&](std::size_t i) -> std::uint32_t {
      return static_cast<std::uint8_t>(bytes[i]);
    };
    *out++ = '"';
    std::size_t i = 0;
    for (; i + 3 <= bytes.size(); i += 3) {
      const std::uint32_t group =
          byte(i) << 16 | byte(i + 1) << 8 | byte(i + 2);
      *out++ = kDigits[group >> 18];
      *out++ = kDigits[group >> 12 & 63];
      *out++ = kDigits[group >> 6 & 63];
      *out++ = kDigits[group & 63];
    }
    if (i < bytes.size()) {
      const bool two = i + 2 == bytes.size();
      const std::uint32_t group = byte(i) << 16 | (two ? byte(i + 1) << 8 : 0);
      *out++ = kDigits[group >> 18];
      *out++ = kDigits[group >> 12 & 63];
      if (two) *out = kDigits[group >> 6 & 63];
    }
    out_.back() = '"';
  }

  static std::int64_t UnZigZag(std::uint64_t value) {
    return static_cast<std::int64_t>(value >> 1 ^ (0 - (value & 1)));
  }

  PlainTypes& types_;
  const JsonOptions& options_;
  std::string& out_;
};

}  // namespace

bool PlainProtoToJson(PlainTypes& types, const PlainType& type,
                      absl::string_view message, const JsonOptions& options,
                      std::string& json) {
  json.clear();
  if (!type.taken() || options.unpopulated == JsonOptions::Unpopulated::kEmit) {
    return false;
  }
  // Enough for bytes as base64, and for some names.
  json.reserve(message.size() + message.size() / 2 + 64);
  return Writer(types, options, json).Message(type, message, 0);
}

}  // namespace headgate
