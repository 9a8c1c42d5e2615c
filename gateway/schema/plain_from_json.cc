#include <array>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>

#include "absl/container/inlined_vector.h"
#include "absl/strings/ascii.h"
#include "gateway/base/utf8.h"
#include "gateway/schema/plain_json.h"

namespace headgate {
namespace {

using ::google::protobuf::EnumValueDescriptor;
using ::google::protobuf::FieldDescriptor;

constexpr std::uint8_t kNoDigit = 0xFF;

// base64 and base64url (RFC 4648), which protobuf takes both.
constexpr std::array<std::uint8_t, 256> MakeBase64Digits() {
  std::array<std::uint8_t, 256> digits{};
  for (std::uint8_t& digit : digits) digit = kNoDigit;
  for (std::uint8_t i = 0; i < 26; ++i) {
    digits['A' + i] = i;
    digits['a' + i] = static_cast<std::uint8_t>(26 + i);
  }
  for (std::uint8_t i = 0; i < 10; ++i) {
    digits['0' + i] = static_cast<std::uint8_t>(52 + i);
  }
  digits['+'] = digits['-'] = 62;
  digits['/'] = digits['_'] = 63;
  return digits;
}
constexpr std::array<std::uint8_t, 256> kBase64Digits = MakeBase64Digits();

// Appends what `text` writes, which may lack its padding. False where decoders
// might differ: anything but the digits of one alphabet, bits that are left
// over.
bool AppendFromBase64(absl::string_view text, std::string& bytes) {
  if (text.size() % 4 == 0) {
    for (int i = 0; i < 2 && !text.empty() && text.back() == '='; ++i) {
      text.remove_suffix(1);
    }
  }
  if (text.size() % 4 == 1) return false;
  const auto has = [&](char c) {
    return std::memchr(text.data(), c, text.size()) != nullptr;
  };
  const bool is_url = has('-') || has('_');
  if (is_url && (has('+') || has('/'))) return false;

  const std::size_t start = bytes.size();
  bytes.resize(start + text.size() / 4 * 3 + (text.size() % 4 * 3) / 4);
  char* out = bytes.data() + start;
  const char* in = text.data();
  const auto digit = [](char c) -> std::uint32_t {
    return kBase64Digits[static_cast<std::uint8_t>(c)];
  };
  std::uint32_t seen = 0;  // A digit that is none has its highest bit set.
  for (std::size_t groups = text.size() / 4; groups > 0; --groups, in += 4) {
    const std::uint32_t a = digit(in[0]), b = digit(in[1]), c = digit(in[2]),
                        d = digit(in[3]);
    seen |= a | b | c | d;
    const std::uint32_t group = a << 18 | b << 12 | c << 6 | d;
    *out++ = static_cast<char>(group >> 16);
    *out++ = static_cast<char>(group >> 8);
    *out++ = static_cast<char>(group);
  }
  std::uint32_t left_over = 0;
  if (text.size() % 4 != 0) {
    const std::uint32_t a = digit(in[0]), b = digit(in[1]);
    seen |= a | b;
    *out++ = static_cast<char>(a << 2 | b >> 4);
    left_over = b & 0xF;
    if (text.size() % 4 == 3) {
      const std::uint32_t c = digit(in[2]);
      seen |= c;
      *out++ = static_cast<char>(b << 4 | c >> 2);
      left_over = c & 0x3;
    }
  }
  return (seen & 0x80) == 0 && left_over == 0;
}

class JsonReader {
 public:
  JsonReader(PlainTypes& types, absl::string_view json, std::string& message)
      : types_(types),
        at_(json.data()),
        end_(json.data() + json.size()),
        out_(message) {}

  bool Whole(const PlainType& type) {
    SkipSpace();
    if (!Message(type, 0)) return false;
    SkipSpace();
    return at_ == end_;
  }

 private:
  bool Message(const PlainType& type, int depth) {
    if (depth > kMaxPlainDepth || !type.taken() || !Consume('{')) return false;
    SkipSpace();
    if (Consume('}')) return true;
    const std::vector<PlainField>& fields = type.fields();
    absl::InlinedVector<std::uint64_t, 2> seen(fields.size() / 64 + 1);
    std::size_t likely = 0;  // What comes next when they come in their order.
    do {
      SkipSpace();
      const PlainField* const field = Key(type, likely);
      if (field == nullptr || !field->taken) return false;
      likely = static_cast<std::size_t>(field - fields.data()) + 1;
      std::uint64_t& word = seen[field->presence_bit / 64];
      const std::uint64_t bit = std::uint64_t{1} << (field->presence_bit % 64);
      if ((word & bit) != 0) return false;
      word |= bit;
      SkipSpace();
      if (!(field->is_repeated ? List(*field, depth) : Member(*field, depth))) {
        return false;
      }
      SkipSpace();
    } while (Consume(','));
    return Consume('}');
  }

  // Goes over a key and the colon behind it.
  const PlainField* Key(const PlainType& type, std::size_t likely) {
    const std::vector<PlainField>& fields = type.fields();
    if (likely < fields.size()) {
      const std::string& key = fields[likely].json_key;
      if (static_cast<std::size_t>(end_ - at_) >= key.size() &&
          std::memcmp(at_, key.data(), key.size()) == 0) {
        at_ += key.size();
        return &fields[likely];
      }
    }
    absl::string_view name;
    if (!Consume('"') || !Run(name)) return nullptr;
    SkipSpace();
    if (!Consume(':')) return nullptr;
    return type.FindByName(name);
  }

  bool Member(const PlainField& field, int depth) {
    AppendVarint(field.tag);
    return Value(field, depth);
  }

  bool List(const PlainField& field, int depth) {
    if (!Consume('[')) return false;
    SkipSpace();
    if (Consume(']')) return true;
    std::size_t start = 0;
    if (field.is_packed) {
      AppendVarint(field.tag);
      start = out_.size();
    }
    do {
      SkipSpace();
      if (!(field.is_packed ? Value(field, depth) : Member(field, depth))) {
        return false;
      }
      SkipSpace();
    } while (Consume(','));
    if (field.is_packed) PutSizeBefore(start);
    return Consume(']');
  }

  // A value without its tag.
  bool Value(const PlainField& field, int depth) {
    std::uint64_t value = 0;  // Negative ones as two's complement.
    switch (field.type) {
      case FieldDescriptor::TYPE_INT32:
      case FieldDescriptor::TYPE_SFIXED32:
        return Signed<std::int32_t>(value) && AppendNumber(field, value);
      case FieldDescriptor::TYPE_INT64:
      case FieldDescriptor::TYPE_SFIXED64:
        return Signed<std::int64_t>(value) && AppendNumber(field, value);
      case FieldDescriptor::TYPE_SINT32:
        return Signed<std::int32_t>(value) &&
               AppendNumber(field, ZigZag(value));
      case FieldDescriptor::TYPE_SINT64:
        return Signed<std::int64_t>(value) &&
               AppendNumber(field, ZigZag(value));
      case FieldDescriptor::TYPE_UINT32:
      case FieldDescriptor::TYPE_FIXED32:
        return Unsigned<std::uint32_t>(value) && AppendNumber(field, value);
      case FieldDescriptor::TYPE_UINT64:
      case FieldDescriptor::TYPE_FIXED64:
        return Unsigned<std::uint64_t>(value) && AppendNumber(field, value);
      case FieldDescriptor::TYPE_BOOL:
        value = ConsumeWord("true") ? 1 : 0;
        return (value == 1 || ConsumeWord("false")) &&
               AppendNumber(field, value);
      case FieldDescriptor::TYPE_ENUM:
        return Enum(*field.descriptor, value) && AppendNumber(field, value);
      case FieldDescriptor::TYPE_STRING:
        return String();
      case FieldDescriptor::TYPE_BYTES:
        return Bytes();
      case FieldDescriptor::TYPE_MESSAGE: {
        const std::size_t start = out_.size();
        const PlainType& type = types_.Of(*field.descriptor->message_type());
        if (!Message(type, depth + 1)) return false;
        PutSizeBefore(start);
        return true;
      }
      default:
        return false;
    }
  }

  // A whole number as JSON writes it, in quotes or without. Not "-0".
  bool Number(bool& negative, std::uint64_t& magnitude) {
    const bool quoted = Consume('"');
    negative = Consume('-');
    const char* const start = at_;
    magnitude = 0;
    for (; at_ != end_ && absl::ascii_isdigit(*at_); ++at_) {
      const auto digit = static_cast<std::uint64_t>(*at_ - '0');
      constexpr std::uint64_t kMax = std::numeric_limits<std::uint64_t>::max();
      if (magnitude > kMax / 10 || magnitude * 10 > kMax - digit) return false;
      magnitude = magnitude * 10 + digit;
    }
    const auto digits = at_ - start;
    if (digits == 0 || (*start == '0' && (digits > 1 || negative))) {
      return false;
    }
    if (quoted) return Consume('"');
    return at_ == end_ || (*at_ != '.' && *at_ != 'e' && *at_ != 'E');
  }

  template <typename Integer>
  bool Unsigned(std::uint64_t& value) {
    bool negative = false;
    return Number(negative, value) && !negative &&
           value <= std::numeric_limits<Integer>::max();
  }

  template <typename Integer>
  bool Signed(std::uint64_t& value) {
    constexpr auto kMax =
        static_cast<std::uint64_t>(std::numeric_limits<Integer>::max());
    bool negative = false;
    if (!Number(negative, value) || value > kMax + (negative ? 1 : 0)) {
      return false;
    }
    if (negative) value = 0 - value;
    return true;
  }

  bool Enum(const FieldDescriptor& field, std::uint64_t& value) {
    absl::string_view name;
    if (!Consume('"') || !Run(name)) return false;
    const EnumValueDescriptor* const found =
        field.enum_type()->FindValueByName(std::string(name));
    if (found == nullptr) return false;
    value = static_cast<std::uint64_t>(std::int64_t{found->number()});
    return true;
  }

  bool String() {
    absl::string_view run;
    if (!Consume('"')) return false;
    const char* const start = at_;
    if (Run(run)) {
      if (!IsUtf8(run)) return false;
      AppendVarint(run.size());
      out_.append(run.data(), run.size());
      return true;
    }
    at_ = start;
    const std::size_t first = out_.size();
    if (!Unescape() || !IsUtf8(absl::string_view(out_).substr(first))) {
      return false;
    }
    PutSizeBefore(first);
    return true;
  }

  bool Bytes() {
    absl::string_view run;
    if (!Consume('"') || !Run(run)) return false;
    const std::size_t start = out_.size();
    if (!AppendFromBase64(run, out_)) return false;
    PutSizeBefore(start);
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
  bool Unescape() {
    while (at_ != end_ && *at_ != '"') {
      const char c = *at_++;
      if (c != '\\') {
        out_.push_back(c);
        continue;
      }
      if (at_ == end_) return false;
      const char escape = *at_++;
      if (escape == 'u') {
        if (!CharacterByNumber()) return false;
        continue;
      }
      constexpr absl::string_view kEscapes = "\"\\/bfnrt";
      const std::size_t which = kEscapes.find(escape);
      if (which == absl::string_view::npos) return false;
      out_.push_back("\"\\/\b\f\n\r\t"[which]);
    }
    return Consume('"');
  }

  // The rest of "\u00e4", or of "\ud83d\ude00", as UTF-8.
  bool CharacterByNumber() {
    std::uint32_t character = 0, low = 0;
    if (!FourDigits(character)) return false;
    if (character >= 0xD800 && character < 0xDC00) {
      if (!ConsumeWord("\\u") || !FourDigits(low) || low < 0xDC00 ||
          low > 0xDFFF) {
        return false;
      }
      character = 0x10000 + ((character - 0xD800) << 10) + (low - 0xDC00);
    }
    // A second half without a first is no UTF-8, as String will find.
    if (character < 0x80) {
      out_.push_back(static_cast<char>(character));
      return true;
    }
    const int more = character < 0x800 ? 1 : character < 0x10000 ? 2 : 3;
    constexpr std::uint8_t kFirst[] = {0, 0xC0, 0xE0, 0xF0};
    out_.push_back(static_cast<char>(kFirst[more] | character >> 6 * more));
    for (int i = more - 1; i >= 0; --i) {
      out_.push_back(static_cast<char>(0x80 | (character >> 6 * i & 0x3F)));
    }
    return true;
  }

  // Hexadecimal.
  bool FourDigits(std::uint32_t& number) {
    number = 0;
    for (int i = 0; i < 4; ++i, ++at_) {
      if (at_ == end_ || !absl::ascii_isxdigit(*at_)) return false;
      const char c = absl::ascii_tolower(*at_);
      number = number * 16 +
               static_cast<std::uint32_t>(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    return true;
  }

  void SkipSpace() {
    while (at_ != end_ &&
           (*at_ == ' ' || *at_ == '\t' || *at_ == '\n' || *at_ == '\r')) {
      ++at_;
    }
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

  static std::uint64_t ZigZag(std::uint64_t value) {
    return value << 1 ^ (0 - (value >> 63));
  }

  // Always true.
  bool AppendNumber(const PlainField& field, std::uint64_t value) {
    if (field.wire_type == WireType::kVarint) {
      AppendVarint(value);
      return true;
    }
    for (int bits = field.wire_type == WireType::kFixed64 ? 64 : 32; bits > 0;
         bits -= 8) {
      out_.push_back(static_cast<char>(value));
      value >>= 8;
    }
    return true;
  }

  void AppendVarint(std::uint64_t value) {
    while (value >= 0x80) {
      out_.push_back(static_cast<char>(value | 0x80));
      value >>= 7;
    }
    out_.push_back(static_cast<char>(value));
  }

  // Puts the size of what begins at `start` in front of it. What is written is
  // moved once for each message around it.
  void PutSizeBefore(std::size_t start) {
    std::size_t size = out_.size() - start;
    char varint[10];
    std::size_t length = 0;
    for (; size >= 0x80; size >>= 7) {
      varint[length++] = static_cast<char>(size | 0x80);
    }
    varint[length++] = static_cast<char>(size);
    out_.insert(start, varint, length);
  }

  PlainTypes& types_;
  const char* at_;
  const char* const end_;
  std::string& out_;
};

}  // namespace

bool PlainJsonToProto(PlainTypes& types, const PlainType& type,
                      absl::string_view json, std::string& message) {
  message.clear();
  if (!type.taken() || json.size() > INT_MAX) return false;
  // Seldom longer than its JSON.
  message.reserve(json.size());
  return JsonReader(types, json, message).Whole(type);
}

}  // namespace headgate
