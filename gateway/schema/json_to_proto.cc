#include <algorithm>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/casts.h"
#include "absl/container/inlined_vector.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "gateway/base/status.h"
#include "gateway/base/utf8.h"
#include "gateway/schema/json_base64.h"
#include "gateway/schema/json_conversion.h"
#include "gateway/schema/json_number.h"
#include "gateway/schema/json_reader.h"
#include "gateway/schema/key_set.h"

namespace headgate {
namespace {

using ::google::protobuf::EnumValueDescriptor;
using ::google::protobuf::FieldDescriptor;

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

}  // namespace

bool JsonReader::Whole(const JsonType& type) {
  SkipSpace();
  return Message(type, 0) && AtEnd();
}

bool JsonReader::WholeField(const JsonField& field) {
  SkipSpace();
  return Field(field, 0) && AtEnd();
}

bool JsonReader::WithinField(const JsonField& field) {
  return field.descriptor->is_extension()
             ? Within(absl::StrCat("[", field.descriptor->full_name(), "]"))
             : Within(field.descriptor->json_name());
}

bool JsonReader::Message(const JsonType& type, int depth) {
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

bool JsonReader::Members(const JsonType& type, int depth, bool in_any) {
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
      return FailAt(key_at,
                    absl::StrCat("another field of the oneof ",
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

bool JsonReader::HasRequired(const JsonType& type, const std::uint64_t* seen,
                             const char* object) {
  if (!type.has_required()) return true;
  for (const JsonField& field : type.fields()) {
    const bool is_set =
        seen != nullptr && (seen[field.bit / 64] >> (field.bit % 64) & 1) != 0;
    if (field.is_required && !is_set) {
      return FailAt(object, "is required and missing") || WithinField(field);
    }
  }
  return true;
}

const JsonField* JsonReader::LikelyKey(const std::vector<JsonField>& fields,
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

bool JsonReader::Field(const JsonField& field, int depth) {
  if (AtNull() && (field.is_repeated || !field.takes_null)) {
    return ConsumeWord("null") || Fail("malformed JSON");
  }
  if (field.is_map) return Map(field, depth);
  return field.is_repeated ? List(field, depth) : Member(field, depth);
}

bool JsonReader::Member(const JsonField& field, int depth) {
  const std::size_t start = out_.size();
  AppendVarint(field.tag);
  if (!Value(field, depth)) return false;
  if (dropped_) {
    dropped_ = false;
    out_.resize(start);
  }
  return true;
}

bool JsonReader::List(const JsonField& field, int depth) {
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

bool JsonReader::Map(const JsonField& field, int depth) {
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

bool JsonReader::MapKey(const JsonField& field, absl::string_view& key,
                        const char* at) {
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
  const Limits& limits =
      is_unsigned ? (is_long ? kUint64 : kUint32) : (is_long ? kInt64 : kInt32);
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
  if (key != usual) key = Keep(usual);
  return AppendNumber(field, value);
}

std::string JsonReader::ValueName(const JsonField& field) {
  return field.type == FieldDescriptor::TYPE_MESSAGE &&
                 types_.MessageOf(field).form() != JsonForm::kObject
             ? absl::StrCat("a ", field.descriptor->message_type()->full_name())
             : NameOf(field);
}

bool JsonReader::Value(const JsonField& field, int depth) {
  std::uint64_t value = 0;  // Negative ones as two's complement.
  switch (field.type) {
    case FieldDescriptor::TYPE_INT32:
    case FieldDescriptor::TYPE_SFIXED32:
      return Whole(field, kInt32, value) && AppendNumber(field, value);
    case FieldDescriptor::TYPE_INT64:
    case FieldDescriptor::TYPE_SFIXED64:
      return Whole(field, kInt64, value) && AppendNumber(field, value);
    case FieldDescriptor::TYPE_SINT32:
      return Whole(field, kInt32, value) && AppendNumber(field, ZigZag(value));
    case FieldDescriptor::TYPE_SINT64:
      return Whole(field, kInt64, value) && AppendNumber(field, ZigZag(value));
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

bool JsonReader::Fit(const Limits& limits, bool negative,
                     std::uint64_t magnitude, std::uint64_t& value) {
  if (magnitude > (negative ? limits.negative : limits.positive)) return false;
  value = negative ? 0 - magnitude : magnitude;
  return true;
}

bool JsonReader::Whole(const JsonField& field, const Limits& limits,
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

bool JsonReader::Digits(bool& negative, std::uint64_t& magnitude) {
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

template <typename Number>
bool JsonReader::Real(const JsonField& field, Number& number) {
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

bool JsonReader::Enum(const JsonField& field, std::uint64_t& value) {
  if (field.takes_null && ConsumeWord("null")) return true;
  const google::protobuf::EnumDescriptor& type = *field.descriptor->enum_type();
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

bool JsonReader::String() {
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

bool JsonReader::Bytes() {
  const char* const start = at_;
  absl::string_view text;
  if (!Text(text)) return FailValue(start, "base64");
  const std::size_t first = BeginSized();
  if (!AppendFromBase64(text, out_)) return FailValue(start, "base64");
  EndSized(first);
  return true;
}

bool JsonReader::AppendNumber(const JsonField& field, std::uint64_t value) {
  if (field.wire_type == WireType::kVarint) {
    AppendVarint(value);
    return true;
  }
  AppendFixed(value, field.wire_type == WireType::kFixed64 ? 64 : 32);
  return true;
}

namespace {

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

absl::Status ToStatus(const JsonError& error) {
  const auto text = [](const std::string& field, const std::string& message) {
    return absl::StrCat(field.empty() ? "invalid JSON" : field, ": ", message);
  };
  return WithMessageForLog(
      absl::InvalidArgumentError(text(error.field, error.message)),
      text(error.field_for_log, error.message_for_log));
}

}  // namespace headgate
