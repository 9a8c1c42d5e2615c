#include <algorithm>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <forward_list>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/casts.h"
#include "absl/container/flat_hash_set.h"
#include "absl/container/inlined_vector.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gateway/base/utf8.h"
#include "gateway/schema/json_base64.h"
#include "gateway/schema/json_conversion.h"
#include "gateway/schema/json_number.h"
#include "gateway/schema/json_string.h"
#include "gateway/schema/json_time.h"
#include "gateway/schema/json_type_places.h"

namespace headgate {
namespace {

using ::google::protobuf::EnumValueDescriptor;
using ::google::protobuf::FieldDescriptor;

bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

// What a value of the type is called in an error.
std::string NameOf(const JsonField& field) {
  switch (field.type) {
    case FieldDescriptor::TYPE_INT32:
    case FieldDescriptor::TYPE_SINT32:
    case FieldDescriptor::TYPE_SFIXED32:
      return "an int32";
    case FieldDescriptor::TYPE_INT64:
    case FieldDescriptor::TYPE_SINT64:
    case FieldDescriptor::TYPE_SFIXED64:
      return "an int64";
    case FieldDescriptor::TYPE_UINT32:
    case FieldDescriptor::TYPE_FIXED32:
      return "a uint32";
    case FieldDescriptor::TYPE_UINT64:
    case FieldDescriptor::TYPE_FIXED64:
      return "a uint64";
    case FieldDescriptor::TYPE_DOUBLE:
      return "a double";
    case FieldDescriptor::TYPE_FLOAT:
      return "a float";
    case FieldDescriptor::TYPE_BOOL:
      return "true or false";
    case FieldDescriptor::TYPE_STRING:
      return "a string";
    case FieldDescriptor::TYPE_BYTES:
      return "base64";
    case FieldDescriptor::TYPE_ENUM:
      return absl::StrCat("a value of ",
                          field.descriptor->enum_type()->full_name());
    default:
      return "an object";
  }
}

// The keys of one object that are not fields. Views of them are kept.
class KeySet {
 public:
  // False if it is there already.
  bool Insert(absl::string_view key) {
    if (many_.empty()) {
      if (std::find(few_.begin(), few_.end(), key) != few_.end()) return false;
      few_.push_back(key);
      if (few_.size() == kFew) many_.insert(few_.begin(), few_.end());
      return true;
    }
    return many_.insert(key).second;
  }

 private:
  static constexpr std::size_t kFew = 8;
  absl::InlinedVector<absl::string_view, kFew> few_;
  absl::flat_hash_set<absl::string_view> many_;
};

class JsonReader {
 public:
  JsonReader(JsonTypes& types, absl::string_view json,
             const JsonOptions& options, std::string& message)
      : types_(types),
        json_(json),
        lenient_(options.unknown_fields == JsonOptions::UnknownFields::kIgnore),
        max_depth_(options.max_depth),
        at_(json.data()),
        end_(json.data() + json.size()),
        out_(message) {}

  bool Whole(const JsonType& type) {
    SkipSpace();
    return Message(type, 0) && AtEnd();
  }

  bool WholeField(const JsonField& field) {
    SkipSpace();
    return Field(field, 0) && AtEnd();
  }

  JsonError TakeError() {
    if (!failed()) Fail("the JSON text is cut short or malformed");
    JsonError& error = failure_->error;
    const std::vector<std::string>& path = failure_->path;
    for (auto part = path.rbegin(); part != path.rend(); ++part) {
      const bool joins = !error.field.empty() && (*part)[0] != '[';
      absl::StrAppend(&error.field, joins ? "." : "", *part);
    }
    if (error.field.size() > kMaxPathBytes) {
      error.field = absl::StrCat(CutUtf8(error.field, kMaxPathBytes), "...");
    }
    return std::move(error);
  }

 private:
  // --- Errors ---

  bool failed() const { return failure_ != nullptr; }

  // Always false. The first one counts.
  bool FailAt(const char* at, std::string message) {
    if (failed()) return false;
    failure_ = std::make_unique<Failure>();
    failure_->error.message = std::move(message);
    failure_->error.offset = static_cast<std::size_t>(at - json_.data());
    return false;
  }
  bool Fail(std::string message) { return FailAt(at_, std::move(message)); }

  // The value at `at` is not what it must be.
  bool FailValue(const char* at, absl::string_view must_be) {
    return !failed() &&
           FailAt(at, absl::StrCat("must be ", must_be, ", is ", Show(at)));
  }
  bool FailValue(absl::string_view must_be) { return FailValue(at_, must_be); }

  // The value at `at` for people.
  std::string Show(const char* at) const {
    const absl::string_view rest(at, static_cast<std::size_t>(end_ - at));
    if (rest.empty()) return "missing";
    if (rest[0] == '{') return "an object";
    if (rest[0] == '[') return "a list";
    std::size_t size = 1;
    if (rest[0] == '"') {
      while (size < rest.size() && size <= kMaxShownBytes &&
             rest[size] != '"') {
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

  // Always false: an error on its way out of the value of `name`.
  bool Within(absl::string_view name) { return WithinPart(std::string(name)); }
  bool WithinIndex(std::size_t index) {
    return WithinPart(absl::StrCat("[", index, "]"));
  }
  bool WithinPart(std::string part) {
    Fail("malformed JSON");
    failure_->path.push_back(std::move(part));
    return false;
  }
  // A key that is the client's.
  bool WithinKey(absl::string_view key) {
    const std::string valid = ToUtf8(key);
    const absl::string_view cut = CutUtf8(valid, kMaxShownBytes);
    return WithinPart(absl::StrCat("[\"", absl::Utf8SafeCEscape(cut),
                                   cut.size() < valid.size() ? "..." : "",
                                   "\"]"));
  }
  bool WithinField(const JsonField& field) {
    return field.descriptor->is_extension()
               ? Within(absl::StrCat("[", field.descriptor->full_name(), "]"))
               : Within(field.descriptor->json_name());
  }
  bool FailUnknown(const char* at, absl::string_view key) {
    FailAt(at, "no such field");
    const bool is_name = !key.empty() && key.size() <= kMaxShownBytes &&
                         std::all_of(key.begin(), key.end(), [](char c) {
                           return absl::ascii_isalnum(c) || c == '_';
                         });
    return is_name ? Within(key) : WithinKey(key);
  }

  // --- Messages ---

  bool AtEnd() {
    SkipSpace();
    return at_ == end_ || Fail("there is more behind the value");
  }

  // A message in its JSON form. `depth`: brackets around it.
  bool Message(const JsonType& type, int depth) {
    switch (type.form()) {
      case JsonForm::kObject: {
        if (!Open('{', depth, "an object")) return false;
        SkipSpace();
        if (Consume('}')) return HasRequired(type, nullptr, at_ - 1);
        return Members(type, depth + 1, /*in_any=*/false);
      }
      case JsonForm::kAny:
        return Any(depth);
      case JsonForm::kTimestamp:
        return Time(&ParseTimestamp, "a time like \"2006-01-02T15:04:05Z\"");
      case JsonForm::kDuration:
        return Time(&ParseDuration, "a duration like \"1.5s\"");
      case JsonForm::kFieldMask:
        return Mask();
      case JsonForm::kStruct:
        return Struct(depth);
      case JsonForm::kListValue:
        return ListValue(depth);
      case JsonForm::kValue:
        return AnyValue(depth);
      case JsonForm::kWrapper: {
        const JsonField& value = type.fields()[0];
        AppendVarint(value.tag);
        return Value(value, depth);
      }
    }
    return false;
  }

  // The members of an object, at the first of them, and its closing bracket.
  // `in_any`: "@type" has been seen to. `depth`: brackets around them.
  bool Members(const JsonType& type, int depth, bool in_any) {
    const char* const start = at_;
    const std::vector<JsonField>& fields = type.fields();
    absl::InlinedVector<std::uint64_t, 2> seen(type.bits() / 64 + 1);
    const auto set = [&seen](std::size_t bit) {
      std::uint64_t& word = seen[bit / 64];
      const std::uint64_t mask = std::uint64_t{1} << (bit % 64);
      const bool was_set = (word & mask) != 0;
      word |= mask;
      return !was_set;
    };
    absl::InlinedVector<const JsonField*, 1> extensions;
    bool type_seen = false;
    std::size_t likely = 0;  // What comes next when they come in their order.
    do {
      SkipSpace();
      const char* const key_at = at_;
      const JsonField* field = LikelyKey(fields, likely);
      if (field == nullptr) {
        absl::string_view name;
        if (!Key(name)) return false;
        field = type.FindByName(name);
        if (field == nullptr && type.has_extensions() && name.size() > 2 &&
            name.front() == '[' && name.back() == ']') {
          field = types_.FindExtension(type, name.substr(1, name.size() - 2));
          if (field != nullptr) {
            if (std::find(extensions.begin(), extensions.end(), field) !=
                extensions.end()) {
              return FailAt(key_at, "is there twice") || WithinField(*field);
            }
            extensions.push_back(field);
            SkipSpace();
            if (!Field(*field, depth)) return WithinField(*field);
            SkipSpace();
            continue;
          }
        }
        if (field == nullptr) {
          if (in_any && name == "@type") {
            if (type_seen) {
              return FailAt(key_at, "is there twice") || Within("@type");
            }
            type_seen = true;
          } else if (!lenient_ &&
                     // As some others write an Any of Empty.
                     !(in_any && fields.empty() && name == "value")) {
            return FailUnknown(key_at, name);
          }
          SkipSpace();
          if (!SkipValue()) return false;
          SkipSpace();
          continue;
        }
      }
      likely = static_cast<std::size_t>(field - fields.data()) + 1;
      if (!set(field->bit)) {
        return FailAt(key_at, "is there twice") || WithinField(*field);
      }
      SkipSpace();
      // Of a oneof, null chooses nothing.
      if (field->oneof_bit != field->bit && (!AtNull() || field->takes_null) &&
          !set(field->oneof_bit)) {
        return FailAt(key_at, absl::StrCat(
                                  "another field of the oneof ",
                                  field->descriptor->containing_oneof()->name(),
                                  " is there")) ||
               WithinField(*field);
      }
      if (!Field(*field, depth)) return WithinField(*field);
      SkipSpace();
    } while (Consume(','));
    if (!Consume('}')) return Fail("malformed JSON");
    return !type.has_required() || HasRequired(type, seen.data(), start);
  }

  // `seen`: bits of the fields; null: none of them.
  bool HasRequired(const JsonType& type, const std::uint64_t* seen,
                   const char* object) {
    if (!type.has_required()) return true;
    for (const JsonField& field : type.fields()) {
      const bool is_set = seen != nullptr &&
                          (seen[field.bit / 64] >> (field.bit % 64) & 1) != 0;
      if (field.is_required && !is_set) {
        return FailAt(object, "is required and missing") || WithinField(field);
      }
    }
    return true;
  }

  // The key and the colon of the field that is likely to come next; null, and
  // nothing is consumed, when it is not there.
  const JsonField* LikelyKey(const std::vector<JsonField>& fields,
                             std::size_t likely) {
    if (likely >= fields.size()) return nullptr;
    absl::string_view key = fields[likely].json_key;
    key.remove_prefix(1);  // The comma.
    if (static_cast<std::size_t>(end_ - at_) < key.size() ||
        std::memcmp(at_, key.data(), key.size()) != 0) {
      return nullptr;
    }
    at_ += key.size();
    return &fields[likely];
  }

  // A key and the colon behind it. The name is valid as long as this reader.
  bool Key(absl::string_view& name) {
    if (!Text(name)) return Fail("malformed JSON");
    SkipSpace();
    return Consume(':') || Fail("malformed JSON");
  }

  // What stands behind a field's key. `depth`: brackets around it.
  bool Field(const JsonField& field, int depth) {
    if (AtNull() && (field.is_repeated || !field.takes_null)) {
      return ConsumeWord("null") || Fail("malformed JSON");
    }
    if (field.is_map) return Map(field, depth);
    return field.is_repeated ? List(field, depth) : Member(field, depth);
  }

  bool Member(const JsonField& field, int depth) {
    const std::size_t start = out_.size();
    AppendVarint(field.tag);
    if (!Value(field, depth)) return false;
    if (dropped_) {
      dropped_ = false;
      out_.resize(start);
    }
    return true;
  }

  bool List(const JsonField& field, int depth) {
    if (!Open('[', depth, "a list")) return false;
    SkipSpace();
    if (Consume(']')) return true;
    std::size_t start = 0;
    if (field.is_packed) {
      AppendVarint(field.tag);
      start = BeginSized();
    }
    std::size_t index = 0;
    do {
      SkipSpace();
      if (!(field.is_packed ? Value(field, depth + 1)
                            : Member(field, depth + 1))) {
        return WithinIndex(index);
      }
      dropped_ = false;
      ++index;
      SkipSpace();
    } while (Consume(','));
    if (field.is_packed) EndSized(start);
    return Consume(']') || Fail("malformed JSON");
  }

  bool Map(const JsonField& field, int depth) {
    if (!Open('{', depth, "an object")) return false;
    SkipSpace();
    if (Consume('}')) return true;
    const JsonType& entry = types_.MessageOf(field);
    const JsonField& key_field = entry.fields()[0];
    const JsonField& value_field = entry.fields()[1];
    KeySet keys;
    do {
      SkipSpace();
      const char* const key_at = at_;
      absl::string_view key;
      const std::size_t start = out_.size();
      AppendVarint(field.tag);
      const std::size_t entry_start = BeginSized();
      AppendVarint(key_field.tag);
      if (!Key(key)) return false;
      if (!MapKey(key_field, key, key_at)) return WithinKey(key);
      if (!keys.Insert(key)) {
        return FailAt(key_at, "is there twice") || WithinKey(key);
      }
      SkipSpace();
      if (AtNull() && !value_field.takes_null) {
        return FailValue(ValueName(value_field)) || WithinKey(key);
      }
      AppendVarint(value_field.tag);
      if (!Value(value_field, depth + 1)) return WithinKey(key);
      EndSized(entry_start);
      if (dropped_) {
        dropped_ = false;
        out_.resize(start);
      }
      SkipSpace();
    } while (Consume(','));
    return Consume('}') || Fail("malformed JSON");
  }

  // Appends a map's key without its tag. `key` becomes its usual text.
  bool MapKey(const JsonField& field, absl::string_view& key, const char* at) {
    std::uint64_t value = 0;
    switch (field.type) {
      case FieldDescriptor::TYPE_STRING:
        if (!IsUtf8(key)) return FailAt(at, "must be UTF-8");
        AppendVarint(key.size());
        out_.append(key.data(), key.size());
        return true;
      case FieldDescriptor::TYPE_BOOL:
        if (key != "true" && key != "false") {
          return FailValue(at, "\"true\" or \"false\"");
        }
        return AppendNumber(field, key == "true" ? 1 : 0);
      default:
        break;
    }
    const bool is_long = field.type == FieldDescriptor::TYPE_INT64 ||
                         field.type == FieldDescriptor::TYPE_UINT64 ||
                         field.type == FieldDescriptor::TYPE_SINT64 ||
                         field.type == FieldDescriptor::TYPE_FIXED64 ||
                         field.type == FieldDescriptor::TYPE_SFIXED64;
    const bool is_unsigned = field.type == FieldDescriptor::TYPE_UINT32 ||
                             field.type == FieldDescriptor::TYPE_UINT64 ||
                             field.type == FieldDescriptor::TYPE_FIXED32 ||
                             field.type == FieldDescriptor::TYPE_FIXED64;
    const Limits& limits = is_unsigned ? (is_long ? kUint64 : kUint32)
                                       : (is_long ? kInt64 : kInt32);
    bool negative = false;
    std::uint64_t magnitude = 0;
    if (!ParseWhole(key, negative, magnitude) ||
        !Fit(limits, negative, magnitude, value)) {
      return FailValue(at, NameOf(field));
    }
    if (field.type == FieldDescriptor::TYPE_SINT32 ||
        field.type == FieldDescriptor::TYPE_SINT64) {
      value = ZigZag(value);
    }
    const std::string usual = absl::StrCat(negative ? "-" : "", magnitude);
    if (key != usual) key = texts_.emplace_front(usual);
    return AppendNumber(field, value);
  }

  std::string ValueName(const JsonField& field) {
    return field.type == FieldDescriptor::TYPE_MESSAGE &&
                   types_.MessageOf(field).form() != JsonForm::kObject
               ? absl::StrCat("a ",
                              field.descriptor->message_type()->full_name())
               : NameOf(field);
  }

  // A value without its tag. `depth`: brackets around it.
  bool Value(const JsonField& field, int depth) {
    std::uint64_t value = 0;  // Negative ones as two's complement.
    switch (field.type) {
      case FieldDescriptor::TYPE_INT32:
      case FieldDescriptor::TYPE_SFIXED32:
        return Whole(field, kInt32, value) && AppendNumber(field, value);
      case FieldDescriptor::TYPE_INT64:
      case FieldDescriptor::TYPE_SFIXED64:
        return Whole(field, kInt64, value) && AppendNumber(field, value);
      case FieldDescriptor::TYPE_SINT32:
        return Whole(field, kInt32, value) &&
               AppendNumber(field, ZigZag(value));
      case FieldDescriptor::TYPE_SINT64:
        return Whole(field, kInt64, value) &&
               AppendNumber(field, ZigZag(value));
      case FieldDescriptor::TYPE_UINT32:
      case FieldDescriptor::TYPE_FIXED32:
        return Whole(field, kUint32, value) && AppendNumber(field, value);
      case FieldDescriptor::TYPE_UINT64:
      case FieldDescriptor::TYPE_FIXED64:
        return Whole(field, kUint64, value) && AppendNumber(field, value);
      case FieldDescriptor::TYPE_DOUBLE: {
        double number = 0;
        return Real(field, number) &&
               AppendNumber(field, absl::bit_cast<std::uint64_t>(number));
      }
      case FieldDescriptor::TYPE_FLOAT: {
        float number = 0;
        return Real(field, number) &&
               AppendNumber(field, absl::bit_cast<std::uint32_t>(number));
      }
      case FieldDescriptor::TYPE_BOOL:
        value = ConsumeWord("true") ? 1 : 0;
        if (value == 0 && !ConsumeWord("false"))
          return FailValue("true or false");
        return AppendNumber(field, value);
      case FieldDescriptor::TYPE_ENUM:
        return Enum(field, value) && (dropped_ || AppendNumber(field, value));
      case FieldDescriptor::TYPE_STRING:
        return String();
      case FieldDescriptor::TYPE_BYTES:
        return Bytes();
      case FieldDescriptor::TYPE_MESSAGE: {
        const std::size_t start = BeginSized();
        if (!Message(types_.MessageOf(field), depth)) return false;
        EndSized(start);
        return true;
      }
      case FieldDescriptor::TYPE_GROUP:
        if (!Message(types_.MessageOf(field), depth)) return false;
        AppendVarint(static_cast<std::uint32_t>(field.number) << 3 |
                     static_cast<std::uint32_t>(WireType::kEndGroup));
        return true;
    }
    return false;
  }

  // --- Numbers ---

  // What a type holds, by magnitude.
  struct Limits {
    std::uint64_t positive, negative;
  };
  static constexpr Limits kInt32 = {(std::uint64_t{1} << 31) - 1,
                                    std::uint64_t{1} << 31};
  static constexpr Limits kInt64 = {(std::uint64_t{1} << 63) - 1,
                                    std::uint64_t{1} << 63};
  static constexpr Limits kUint32 = {std::numeric_limits<std::uint32_t>::max(),
                                     0};
  static constexpr Limits kUint64 = {std::numeric_limits<std::uint64_t>::max(),
                                     0};

  // `value`: a negative number as two's complement.
  static bool Fit(const Limits& limits, bool negative, std::uint64_t magnitude,
                  std::uint64_t& value) {
    if (magnitude > (negative ? limits.negative : limits.positive))
      return false;
    value = negative ? 0 - magnitude : magnitude;
    return true;
  }

  bool Whole(const JsonField& field, const Limits& limits,
             std::uint64_t& value) {
    const char* const start = at_;
    bool negative = false;
    std::uint64_t magnitude = 0;
    if (!Digits(negative, magnitude)) {
      at_ = start;
      absl::string_view text;
      if (!NumberText(text) || !ParseWhole(text, negative, magnitude)) {
        return FailValue(start, NameOf(field));
      }
    }
    return Fit(limits, negative, magnitude, value) ||
           FailValue(start, NameOf(field));
  }

  // A whole number as most write it, in quotes or without.
  bool Digits(bool& negative, std::uint64_t& magnitude) {
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
    if (digits == 0 || (*start == '0' && digits > 1)) return false;
    if (quoted) return Consume('"');
    return at_ == end_ || (*at_ != '.' && *at_ != 'e' && *at_ != 'E');
  }

  // A number as JSON writes it, or a string; without its quotes.
  bool NumberText(absl::string_view& text) {
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

  template <typename Number>
  bool Real(const JsonField& field, Number& number) {
    const char* const start = at_;
    const bool quoted = at_ != end_ && *at_ == '"';
    absl::string_view text;
    if (!NumberText(text)) return FailValue(start, NameOf(field));
    if (ParseReal(text, number)) return true;
    using Limits = std::numeric_limits<Number>;
    if (quoted && text == "NaN") {
      number = Limits::quiet_NaN();
    } else if (quoted && text == "Infinity") {
      number = Limits::infinity();
    } else if (quoted && text == "-Infinity") {
      number = -Limits::infinity();
    } else {
      return FailValue(start, NameOf(field));
    }
    return true;
  }

  // Sets dropped_ where the value is unknown and that is ignored.
  bool Enum(const JsonField& field, std::uint64_t& value) {
    if (field.takes_null && ConsumeWord("null")) return true;
    const google::protobuf::EnumDescriptor& type =
        *field.descriptor->enum_type();
    const char* const start = at_;
    absl::string_view text;
    if (!NumberText(text)) return FailValue(start, NameOf(field));
    const EnumValueDescriptor* const by_name =
        *start == '"' ? type.FindValueByName(std::string(text)) : nullptr;
    if (by_name != nullptr) {
      value = static_cast<std::uint64_t>(std::int64_t{by_name->number()});
      return true;
    }
    bool negative = false;
    std::uint64_t magnitude = 0;
    if (ParseWhole(text, negative, magnitude)) {
      if (Fit(kInt32, negative, magnitude, value) &&
          (!field.closed_enum ||
           type.FindValueByNumber(static_cast<int>(value)) != nullptr)) {
        return true;
      }
      if (!field.closed_enum) return FailValue(start, NameOf(field));
    } else if (*start != '"') {
      return FailValue(start, NameOf(field));
    }
    if (!lenient_) return FailValue(start, NameOf(field));
    dropped_ = true;
    return true;
  }

  // --- Strings ---

  bool String() {
    const char* const start = at_;
    absl::string_view run;
    if (!Consume('"')) return FailValue("a string");
    if (Run(run)) {
      if (!IsUtf8(run)) return FailAt(start, "must be UTF-8");
      AppendVarint(run.size());
      out_.append(run.data(), run.size());
      return true;
    }
    at_ = start + 1;
    const std::size_t first = BeginSized();
    if (!Unescape(out_) || !IsUtf8(absl::string_view(out_).substr(first))) {
      return FailAt(start, "must be UTF-8");
    }
    EndSized(first);
    return true;
  }

  bool Bytes() {
    const char* const start = at_;
    absl::string_view text;
    if (!Text(text)) return FailValue(start, "base64");
    const std::size_t first = BeginSized();
    if (!AppendFromBase64(text, out_)) return FailValue(start, "base64");
    EndSized(first);
    return true;
  }

  // A string without its quotes; valid as long as this reader.
  bool Text(absl::string_view& text) {
    const char* const start = at_;
    if (!Consume('"')) return false;
    if (Run(text)) return true;
    at_ = start + 1;
    std::string& unescaped = texts_.emplace_front();
    if (!Unescape(unescaped)) return false;
    text = unescaped;
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
  bool Unescape(std::string& text) {
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

  // The rest of "\u00e4", or of "\ud83d\ude00", as UTF-8.
  bool CharacterByNumber(std::string& text) {
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

  // --- The well-known types ---

  bool Time(bool (*parse)(absl::string_view, SecondsAndNanos&),
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

  bool Mask() {
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

  // google.protobuf.Struct: its map, field 1.
  bool Struct(int depth) {
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

  // google.protobuf.ListValue: Values, field 1.
  bool ListValue(int depth) {
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

  // google.protobuf.Value: one of null 1, number 2, string 3, bool 4, Struct 5
  // and ListValue 6.
  bool AnyValue(int depth) {
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

  // google.protobuf.Any: its type's URL 1, and its bytes 2.
  bool Any(int depth) {
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
      FailAt(at_, absl::StrCat(name.empty()
                                   ? "must be a URL that ends with a slash and "
                                     "the name of a type, is "
                                   : "the gateway knows no type ",
                               Show(at_)));
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

  // The value of an Any's "@type", and at_ on it. It need not be its first
  // member.
  bool TypeUrl(const char* object, absl::string_view& url) {
    constexpr absl::string_view kType = "\"@type\"";
    if (ConsumeWord(kType)) {
      SkipSpace();
      if (!Consume(':')) return Fail("malformed JSON");
      SkipSpace();
    } else {
      if (type_places_ == nullptr) {
        type_places_ = std::make_unique<JsonTypePlaces>(json_);
      }
      const std::size_t place = type_places_->ValueOf(
          static_cast<std::size_t>(object - json_.data()));
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

  // The members of an Any whose type has a form of its own: "value".
  bool MembersOfForm(const JsonType& type, int depth) {
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

  // --- Tokens ---

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
  bool SkipValue() {
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

  bool AtNull() const { return at_ != end_ && *at_ == 'n'; }

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

  static std::uint64_t ZigZag(std::uint64_t value) {
    return value << 1 ^ (0 - (value >> 63));
  }

  // Always true.
  bool AppendNumber(const JsonField& field, std::uint64_t value) {
    if (field.wire_type == WireType::kVarint) {
      AppendVarint(value);
      return true;
    }
    AppendFixed(value, field.wire_type == WireType::kFixed64 ? 64 : 32);
    return true;
  }

  void AppendFixed(std::uint64_t value, int bits) {
    for (; bits > 0; bits -= 8) {
      out_.push_back(static_cast<char>(value));
      value >>= 8;
    }
  }

  void AppendVarint(std::uint64_t value) {
    if (value < 0x80) {
      out_.push_back(static_cast<char>(value));
      return;
    }
    AppendLongVarint(value);
  }

  void AppendLongVarint(std::uint64_t value) {
    char varint[10];
    out_.append(varint, WriteVarint(value, varint));
  }

  // Returns how many bytes it takes.
  static std::size_t WriteVarint(std::uint64_t value, char* varint) {
    std::size_t length = 0;
    for (; value >= 0x80; value >>= 7) {
      varint[length++] = static_cast<char>(value | 0x80);
    }
    varint[length++] = static_cast<char>(value);
    return length;
  }

  // A run of bytes with its size in front, which is known at its end; returns
  // where it begins. Most have a size of one byte.
  std::size_t BeginSized() {
    out_.push_back('\0');
    return out_.size();
  }

  // What is written is moved once for each long run around it.
  void EndSized(std::size_t start) {
    const std::size_t size = out_.size() - start;
    if (size < 0x80) {
      out_[start - 1] = static_cast<char>(size);
      return;
    }
    char varint[10];
    const std::size_t length = WriteVarint(size, varint);
    out_[start - 1] = varint[0];
    out_.insert(start, varint + 1, length - 1);
  }

  JsonTypes& types_;
  const absl::string_view json_;
  const bool lenient_;
  const int max_depth_;
  const char* at_;
  const char* const end_;
  std::string& out_;
  // The last enum value was unknown, and is not part of the message.
  bool dropped_ = false;
  // Strings that had escapes.
  std::forward_list<std::string> texts_;
  std::unique_ptr<const JsonTypePlaces> type_places_;

  struct Failure {
    JsonError error;                // Without `field`.
    std::vector<std::string> path;  // To the error, from its end.
  };
  std::unique_ptr<Failure> failure_;
};

// Less than a message of 2 GiB can come of it.
constexpr std::size_t kMaxJsonBytes = INT_MAX / 8;

template <typename Read>
bool Convert(JsonTypes& types, absl::string_view json,
             const JsonOptions& options, std::string& message, JsonError& error,
             Read read) {
  message.clear();
  if (json.size() > kMaxJsonBytes) {
    error = {"", absl::StrCat("longer than ", kMaxJsonBytes, " bytes"), 0};
    return false;
  }
  // Most are shorter than their JSON.
  message.reserve(json.size());
  JsonReader reader(types, json, options, message);
  if (read(reader)) return true;
  error = reader.TakeError();
  return false;
}

}  // namespace

bool JsonToProto(JsonTypes& types, const JsonType& type, absl::string_view json,
                 const JsonOptions& options, std::string& message,
                 JsonError& error) {
  return Convert(types, json, options, message, error,
                 [&](JsonReader& reader) { return reader.Whole(type); });
}

bool JsonToProtoField(JsonTypes& types, const JsonField& field,
                      absl::string_view json, const JsonOptions& options,
                      std::string& message, JsonError& error) {
  return Convert(types, json, options, message, error,
                 [&](JsonReader& reader) { return reader.WholeField(field); });
}

}  // namespace headgate
