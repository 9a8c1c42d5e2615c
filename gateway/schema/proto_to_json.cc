#include <algorithm>
#include <climits>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/casts.h"
#include "absl/container/flat_hash_set.h"
#include "absl/container/inlined_vector.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "gateway/base/utf8.h"
#include "gateway/schema/json_base64.h"
#include "gateway/schema/json_conversion.h"
#include "gateway/schema/json_number.h"
#include "gateway/schema/json_string.h"
#include "gateway/schema/json_writer.h"
#include "gateway/schema/wire_input.h"

namespace headgate {
namespace {

using ::google::protobuf::EnumValueDescriptor;
using ::google::protobuf::FieldDescriptor;

// The longest JSON of a message of so many bytes: 300 characters for each field
// of a short name are not too many, a long list of messages with all their
// unset fields is.
constexpr std::size_t MaxJsonBytes(std::size_t message_bytes) {
  return 16 * message_bytes + 16 * 1024 * 1024;
}

}  // namespace

absl::Status JsonWriter::TakeError(const JsonType& type) {
  std::string path;
  for (auto part = path_.rbegin(); part != path_.rend(); ++part) {
    const bool joins = !path.empty() && (*part)[0] != '[';
    absl::StrAppend(&path, joins ? "." : "", *part);
  }
  if (path.size() > kMaxPathBytes) {
    path = absl::StrCat(CutUtf8(path, kMaxPathBytes), "...");
  }
  return absl::InternalError(
      absl::StrCat("cannot write ", type.descriptor().full_name(),
                   " as JSON: ", path, path.empty() ? "" : ": ", error_));
}

bool JsonWriter::Message(const JsonType& type, Pieces pieces, int depth) {
  switch (type.form()) {
    case JsonForm::kObject:
      if (!Open('{', depth)) return false;
      if (in_order_) {
        WireInput input(pieces.empty() ? "" : pieces[0]);
        if (!InOrder(type, input, 0, depth + 1)) return false;
      } else if (!InAnyOrder(type, pieces, depth + 1)) {
        return false;
      }
      out_.push_back('}');
      return true;
    case JsonForm::kAny:
      return Any(pieces, depth);
    case JsonForm::kTimestamp:
      return Time(pieces, &AppendTimestamp, "a Timestamp out of its range");
    case JsonForm::kDuration:
      return Time(pieces, &AppendDuration, "a Duration out of its range");
    case JsonForm::kFieldMask:
      return Mask(pieces);
    case JsonForm::kStruct:
      return Struct(type, pieces, depth);
    case JsonForm::kListValue:
      return ListValue(type, pieces, depth);
    case JsonForm::kValue:
      return AnyValue(type, pieces, depth);
    case JsonForm::kWrapper:
      return Wrapper(type.fields()[0], pieces, depth);
  }
  return false;
}

bool JsonWriter::FieldAlone(const JsonType& type, const JsonField& field,
                            absl::string_view bytes) {
  std::vector<Entry> entries;
  if (!Collect(type, Pieces(&bytes, 1), &field, entries)) return false;
  if (!entries.empty()) return FieldValue(field, entries, 0);
  AppendDefault(field);
  return true;
}

bool JsonWriter::Fail(std::string what) {
  if (error_.empty()) error_ = std::move(what);
  return false;
}

bool JsonWriter::OutOfOrder() {
  out_of_order_ = true;
  return false;
}

bool JsonWriter::Within(const JsonField& field) {
  path_.emplace_back(field.descriptor->is_extension()
                         ? absl::StrCat("[", field.descriptor->full_name(), "]")
                         : std::string(field.descriptor->json_name()));
  return false;
}

bool JsonWriter::WithinIndex(std::size_t index) {
  path_.push_back(absl::StrCat("[", index, "]"));
  return false;
}

bool JsonWriter::Open(char bracket, int depth) {
  if (depth >= options_.max_depth) {
    return Fail(absl::StrCat("nested deeper than ", options_.max_depth));
  }
  out_.push_back(bracket);
  return true;
}

void JsonWriter::AppendKey(const JsonField& field) {
  const std::string& key = proto_names_ ? field.proto_key : field.json_key;
  const std::size_t comma = out_.back() == '{' ? 1 : 0;
  out_.append(key.data() + comma, key.size() - comma);
}

bool JsonWriter::InOrder(const JsonType& type, WireInput& input,
                         std::uint32_t end_tag, int depth) {
  const std::vector<JsonField>& fields = type.fields();
  absl::InlinedVector<std::uint64_t, 2> oneofs;
  if (type.has_oneofs()) oneofs.resize(type.bits() / 64 + 1);
  std::size_t next = 0;  // The fields before it cannot come any more.
  bool ended = end_tag == 0;
  while (!input.done()) {
    std::uint32_t tag = 0;
    if (!input.Tag(tag)) return Malformed();
    if (tag == end_tag) {
      ended = true;
      break;
    }
    const auto number = static_cast<int>(tag >> 3);
    const JsonField* const field = type.FindByNumber(number, next);
    if (field == nullptr) {
      if (type.has_extensions() &&
          types_.FindExtension(type, number) != nullptr) {
        return OutOfOrder();
      }
      if (!Skip(tag, input)) return false;
      continue;
    }
    const WireType wire_type = WireTypeOfTag(tag);
    const bool packed = wire_type != field->wire_type;
    if (packed && !IsPacked(*field, wire_type)) {
      if (!Skip(tag, input)) return false;
      continue;
    }
    const auto index = static_cast<std::size_t>(field - fields.data());
    if (index < next) return OutOfOrder();
    if (emit_) AppendUnpopulated(type, next, index);
    next = index + 1;
    if (field->oneof_bit != field->bit) {
      std::uint64_t& word = oneofs[field->oneof_bit / 64];
      const std::uint64_t bit = std::uint64_t{1} << (field->oneof_bit % 64);
      if ((word & bit) != 0) return OutOfOrder();
      word |= bit;
    }

    const std::size_t start = out_.size();
    AppendKey(*field);
    if (field->is_repeated) {
      if (!(field->is_map ? MapInOrder(*field, tag, input, depth)
                          : ListInOrder(*field, tag, packed, input, depth))) {
        return Within(*field);
      }
      continue;
    }
    bool is_default = false;
    if (!Value(*field, input, depth, is_default)) return Within(*field);
    if (is_default && !field->has_presence && !emit_) out_.resize(start);
  }
  if (!ended) return Malformed();
  if (emit_) AppendUnpopulated(type, next, fields.size());
  return CheckSize();
}

bool JsonWriter::InAnyOrder(const JsonType& type, Pieces pieces, int depth) {
  std::vector<Entry> entries;
  if (!Collect(type, pieces, nullptr, entries)) return false;
  // All pieces are parts of one message, in their order.
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return a.field->number != b.field->number
               ? a.field->number < b.field->number
               : a.data < b.data;
  });
  const std::vector<JsonField>& fields = type.fields();
  std::size_t next = 0;
  for (std::size_t i = 0; i < entries.size();) {
    std::size_t end = i + 1;
    while (end < entries.size() && entries[end].field == entries[i].field) {
      ++end;
    }
    const JsonField& field = *entries[i].field;
    if (emit_ && !field.descriptor->is_extension()) {
      const auto index = static_cast<std::size_t>(&field - fields.data());
      AppendUnpopulated(type, next, index);
      next = index + 1;
    }
    const std::size_t start = out_.size();
    AppendKey(field);
    const absl::Span<const Entry> all(&entries[i], end - i);
    if (!FieldValue(field, all, depth)) return Within(field);
    if (is_default_ && !field.is_repeated && !field.has_presence && !emit_) {
      out_.resize(start);
    }
    i = end;
  }
  if (emit_) AppendUnpopulated(type, next, fields.size());
  return CheckSize();
}

bool JsonWriter::Collect(const JsonType& type, Pieces pieces,
                         const JsonField* only, std::vector<Entry>& entries) {
  std::size_t next = 0;
  for (const absl::string_view piece : pieces) {
    WireInput input(piece);
    while (!input.done()) {
      std::uint32_t tag = 0;
      absl::string_view payload;
      if (!input.Tag(tag) || !input.Payload(tag, options_.max_depth, payload)) {
        return Malformed();
      }
      const auto number = static_cast<int>(tag >> 3);
      const JsonField* field = type.FindByNumber(number, next);
      if (field != nullptr) {
        next = static_cast<std::size_t>(field - type.fields().data());
        if (!field->is_repeated) ++next;
      } else if (type.has_extensions()) {
        field = types_.FindExtension(type, number);
      }
      const WireType wire_type = WireTypeOfTag(tag);
      if (field != nullptr &&
          (wire_type == field->wire_type || IsPacked(*field, wire_type))) {
        entries.push_back({field, payload.data(),
                           static_cast<std::uint32_t>(payload.size()),
                           wire_type});
      }
    }
  }
  if (type.has_oneofs()) DropOvertaken(type, entries);
  entries.erase(
      std::remove_if(entries.begin(), entries.end(),
                     [&](const Entry& entry) {
                       return entry.field == nullptr ||
                              (only != nullptr && entry.field != only);
                     }),
      entries.end());
  return true;
}

void JsonWriter::DropOvertaken(const JsonType& type,
                               std::vector<Entry>& entries) {
  struct Oneof {
    const JsonField* last = nullptr;
    bool overtaken = false;
  };
  std::vector<Oneof> oneofs(type.bits());
  for (auto entry = entries.rbegin(); entry != entries.rend(); ++entry) {
    const JsonField& field = *entry->field;
    if (field.oneof_bit == field.bit) continue;
    Oneof& oneof = oneofs[field.oneof_bit];
    if (oneof.last == nullptr) oneof.last = &field;
    oneof.overtaken = oneof.overtaken || oneof.last != &field;
    if (oneof.overtaken) entry->field = nullptr;
  }
}

bool JsonWriter::FieldValue(const JsonField& field,
                            absl::Span<const Entry> entries, int depth) {
  is_default_ = false;
  if (field.is_map) {
    std::vector<MapEntry> map;
    for (const Entry& entry : entries) {
      if (!AddToMap(field, entry.payload(), map)) return false;
    }
    return Map(field, map, depth);
  }
  if (field.is_repeated) {
    if (!Open('[', depth)) return false;
    std::size_t index = 0;
    for (const Entry& entry : entries) {
      if (entry.wire_type != field.wire_type) {
        if (!Packed(field, entry.payload(), depth + 1, index)) return false;
        continue;
      }
      Comma();
      if (!Payload(field, entry.payload(), depth + 1))
        return WithinIndex(index);
      ++index;
    }
    out_.push_back(']');
    return true;
  }
  if (!IsMessage(field)) {
    return Payload(field, entries.back().payload(), depth);
  }
  PieceList pieces;
  for (const Entry& entry : entries) pieces.push_back(entry.payload());
  return Message(types_.MessageOf(field), pieces, depth);
}

bool JsonWriter::Payload(const JsonField& field, absl::string_view payload,
                         int depth) {
  if (IsMessage(field)) {
    return Message(types_.MessageOf(field), Pieces(&payload, 1), depth);
  }
  if (field.wire_type == WireType::kBytes) {
    is_default_ = payload.empty();
    return Bytes(field, payload);
  }
  WireInput input(payload);
  return Value(field, input, depth, is_default_);
}

bool JsonWriter::ListInOrder(const JsonField& field, std::uint32_t tag,
                             bool packed, WireInput& input, int depth) {
  if (!Open('[', depth)) return false;
  std::size_t index = 0;
  const char* behind = nullptr;
  std::uint32_t more = tag;
  do {
    if (packed) {
      absl::string_view run;
      if (!input.Run(run)) return Malformed();
      if (!Packed(field, run, depth + 1, index)) return false;
    } else {
      bool ignored = false;
      Comma();
      if (!Value(field, input, depth + 1, ignored)) return WithinIndex(index);
      ++index;
    }
    behind = input.at();
  } while (!input.done() && input.Tag(more) && more == tag);
  input.GoTo(behind);
  out_.push_back(']');
  return true;
}

bool JsonWriter::Packed(const JsonField& field, absl::string_view run,
                        int depth, std::size_t& index) {
  bool ignored = false;
  for (WireInput values(run); !values.done(); ++index) {
    Comma();
    if (!Value(field, values, depth, ignored)) return WithinIndex(index);
  }
  return true;
}

bool JsonWriter::IsMessage(const JsonField& field) {
  return field.type == FieldDescriptor::TYPE_MESSAGE ||
         field.type == FieldDescriptor::TYPE_GROUP;
}

bool JsonWriter::IsPacked(const JsonField& field, WireType wire_type) {
  return field.is_repeated && wire_type == WireType::kBytes &&
         field.descriptor->is_packable();
}

bool JsonWriter::Skip(std::uint32_t tag, WireInput& input) {
  absl::string_view ignored;
  return input.Payload(tag, options_.max_depth, ignored) || Malformed();
}

void JsonWriter::AppendUnpopulated(const JsonType& type, std::size_t from,
                                   std::size_t to) {
  for (; from < to; ++from) {
    const JsonField& field = type.fields()[from];
    if (field.descriptor->containing_oneof() != nullptr) continue;
    AppendKey(field);
    AppendDefault(field);
  }
}

void JsonWriter::AppendDefault(const JsonField& field) {
  if (field.is_repeated) {
    out_ += field.is_map ? "{}" : "[]";
    return;
  }
  if (field.has_presence || field.takes_null) {
    out_ += "null";
    return;
  }
  AppendZero(field);
}

void JsonWriter::AppendZero(const JsonField& field) {
  if (field.wire_type == WireType::kBytes) {
    out_ += "\"\"";
  } else {
    Scalar(field, 0);
  }
}

bool JsonWriter::CheckSize() {
  return out_.size() <= max_bytes_ ||
         Fail(absl::StrCat("its JSON is longer than ", max_bytes_, " bytes"));
}

bool JsonWriter::MapInOrder(const JsonField& field, std::uint32_t tag,
                            WireInput& input, int depth) {
  std::vector<MapEntry> map;
  const char* behind = nullptr;
  std::uint32_t more = tag;
  do {
    absl::string_view run;
    if (!input.Run(run)) return Malformed();
    if (!AddToMap(field, run, map)) return false;
    behind = input.at();
  } while (!input.done() && input.Tag(more) && more == tag);
  input.GoTo(behind);
  return Map(field, map, depth);
}

bool JsonWriter::AddToMap(const JsonField& field, absl::string_view bytes,
                          std::vector<MapEntry>& map) {
  const JsonType& type = types_.MessageOf(field);
  const JsonField& key_field = type.fields()[0];
  const JsonField& value_field = type.fields()[1];
  MapEntry& entry = map.emplace_back();
  for (WireInput input(bytes); !input.done();) {
    std::uint32_t tag = 0;
    if (!input.Tag(tag)) return Malformed();
    if (tag == key_field.tag) {
      if (!(key_field.wire_type == WireType::kBytes
                ? input.Run(entry.text)
                : Number(key_field, input, entry.number))) {
        return Malformed();
      }
      continue;
    }
    absl::string_view payload;
    if (!input.Payload(tag, options_.max_depth, payload)) return Malformed();
    if (tag != value_field.tag) continue;
    if (!IsMessage(value_field)) entry.value.clear();
    entry.value.push_back(payload);
  }
  return !in_order_ || entry.value.size() <= 1 || OutOfOrder();
}

bool JsonWriter::Map(const JsonField& field, std::vector<MapEntry>& map,
                     int depth) {
  if (!Open('{', depth)) return false;
  const JsonType& type = types_.MessageOf(field);
  const JsonField& key_field = type.fields()[0];
  const JsonField& value_field = type.fields()[1];
  const bool is_text = key_field.wire_type == WireType::kBytes;
  MarkOvertaken(is_text, map);
  for (const MapEntry& entry : map) {
    if (entry.overtaken) continue;
    Comma();
    const std::size_t key = out_.size();
    if (is_text) {
      if (!AppendJsonString(entry.text, out_)) return NotUtf8(key_field);
    } else {
      Scalar(key_field, entry.number);
      if (out_[key] != '"') {
        out_.insert(key, 1, '"');
        out_.push_back('"');
      }
    }
    const std::size_t key_end = out_.size();
    out_.push_back(':');
    if (entry.value.empty() && !IsMessage(value_field)) {
      AppendZero(value_field);
    } else if (!(IsMessage(value_field)
                     ? Message(types_.MessageOf(value_field), entry.value,
                               depth + 1)
                     : Payload(value_field, entry.value[0], depth + 1))) {
      const absl::string_view shown =
          absl::string_view(out_).substr(key, key_end - key);
      path_.push_back(absl::StrCat("[", CutUtf8(shown, kMaxShownBytes), "]"));
      return false;
    }
  }
  out_.push_back('}');
  return true;
}

void JsonWriter::MarkOvertaken(bool is_text, std::vector<MapEntry>& map) {
  constexpr std::size_t kFew = 8;
  const auto same = [&](const MapEntry& a, const MapEntry& b) {
    return is_text ? a.text == b.text : a.number == b.number;
  };
  const auto ascends = [&](const MapEntry& a, const MapEntry& b) {
    return is_text ? a.text < b.text : a.number < b.number;
  };
  if (std::adjacent_find(map.begin(), map.end(),
                         [&](const MapEntry& a, const MapEntry& b) {
                           return !ascends(a, b);
                         }) == map.end()) {
    return;
  }
  if (map.size() <= kFew) {
    for (std::size_t i = 0; i < map.size(); ++i) {
      for (std::size_t j = i + 1; j < map.size() && !map[i].overtaken; ++j) {
        map[i].overtaken = same(map[i], map[j]);
      }
    }
    return;
  }
  absl::flat_hash_set<absl::string_view> texts;
  absl::flat_hash_set<std::uint64_t> numbers;
  for (auto entry = map.rbegin(); entry != map.rend(); ++entry) {
    entry->overtaken = is_text ? !texts.insert(entry->text).second
                               : !numbers.insert(entry->number).second;
  }
}

bool JsonWriter::Value(const JsonField& field, WireInput& input, int depth,
                       bool& is_default) {
  if (field.wire_type == WireType::kBytes) {
    absl::string_view run;
    if (!input.Run(run)) return Malformed();
    if (field.type == FieldDescriptor::TYPE_MESSAGE) {
      is_default = false;
      return Message(types_.MessageOf(field), Pieces(&run, 1), depth);
    }
    is_default = run.empty();
    return Bytes(field, run);
  }
  if (field.type == FieldDescriptor::TYPE_GROUP) {  // In order.
    const auto end_tag = static_cast<std::uint32_t>(field.number) << 3 |
                         static_cast<std::uint32_t>(WireType::kEndGroup);
    is_default = false;
    if (!Open('{', depth) ||
        !InOrder(types_.MessageOf(field), input, end_tag, depth + 1)) {
      return false;
    }
    out_.push_back('}');
    return true;
  }
  std::uint64_t value = 0;
  if (!Number(field, input, value)) return Malformed();
  is_default = value == 0;
  Scalar(field, value);
  return true;
}

bool JsonWriter::Number(const JsonField& field, WireInput& input,
                        std::uint64_t& value) {
  if (!(field.wire_type == WireType::kVarint    ? input.Varint(value)
        : field.wire_type == WireType::kFixed64 ? input.Fixed(8, value)
                                                : input.Fixed(4, value))) {
    return false;
  }
  switch (field.type) {
    case FieldDescriptor::TYPE_INT32:
    case FieldDescriptor::TYPE_SFIXED32:
    case FieldDescriptor::TYPE_ENUM:
      value = static_cast<std::uint64_t>(
          std::int64_t{static_cast<std::int32_t>(value)});
      break;
    case FieldDescriptor::TYPE_SINT32:
      value = static_cast<std::uint64_t>(std::int64_t{
          static_cast<std::int32_t>(UnZigZag(value & UINT32_MAX))});
      break;
    case FieldDescriptor::TYPE_SINT64:
      value = UnZigZag(value);
      break;
    case FieldDescriptor::TYPE_UINT32:
      value &= UINT32_MAX;
      break;
    case FieldDescriptor::TYPE_BOOL:
      value = value != 0 ? 1 : 0;
      break;
    default:
      break;
  }
  return true;
}

void JsonWriter::Scalar(const JsonField& field, std::uint64_t value) {
  switch (field.type) {
    case FieldDescriptor::TYPE_INT32:
    case FieldDescriptor::TYPE_SINT32:
    case FieldDescriptor::TYPE_SFIXED32:
      absl::StrAppend(&out_, static_cast<std::int64_t>(value));
      break;
    case FieldDescriptor::TYPE_UINT32:
    case FieldDescriptor::TYPE_FIXED32:
      absl::StrAppend(&out_, value);
      break;
    case FieldDescriptor::TYPE_INT64:
    case FieldDescriptor::TYPE_SINT64:
    case FieldDescriptor::TYPE_SFIXED64:
      absl::StrAppend(&out_, "\"", static_cast<std::int64_t>(value), "\"");
      break;
    case FieldDescriptor::TYPE_UINT64:
    case FieldDescriptor::TYPE_FIXED64:
      absl::StrAppend(&out_, "\"", value, "\"");
      break;
    case FieldDescriptor::TYPE_DOUBLE:
      Real(absl::bit_cast<double>(value));
      break;
    case FieldDescriptor::TYPE_FLOAT:
      Real(absl::bit_cast<float>(static_cast<std::uint32_t>(value)));
      break;
    case FieldDescriptor::TYPE_BOOL:
      out_ += value != 0 ? "true" : "false";
      break;
    default:
      Enum(field, static_cast<int>(value));
  }
}

template <typename RealNumber>
void JsonWriter::Real(RealNumber value) {
  if (std::isnan(value)) {
    out_ += "\"NaN\"";
  } else if (std::isinf(value)) {
    out_ += value > 0 ? "\"Infinity\"" : "\"-Infinity\"";
  } else {
    AppendReal(value, out_);
  }
}

void JsonWriter::Enum(const JsonField& field, int number) {
  if (field.takes_null) {
    out_ += "null";
    return;
  }
  const EnumValueDescriptor* const value =
      options_.enums == JsonOptions::Enums::kNumber
          ? nullptr
          : field.descriptor->enum_type()->FindValueByNumber(number);
  if (value == nullptr) {
    absl::StrAppend(&out_, number);
  } else {
    absl::StrAppend(&out_, "\"", value->name(), "\"");
  }
}

bool JsonWriter::Bytes(const JsonField& field, absl::string_view run) {
  if (field.type == FieldDescriptor::TYPE_STRING) {
    return AppendJsonString(run, out_) || NotUtf8(field);
  }
  AppendJsonBase64(run, out_);
  return true;
}

bool JsonWriter::NotUtf8(const JsonField& field) {
  return Fail(absl::StrCat("the string ", field.descriptor->full_name(),
                           " is not UTF-8"));
}

absl::Status ProtoToJson(JsonTypes& types, const JsonType& type,
                         absl::string_view message, const JsonOptions& options,
                         std::string& json, std::string* awaited_type) {
  const std::size_t max_bytes = MaxJsonBytes(message.size());
  for (const bool in_order : {true, false}) {
    json.clear();
    // Enough for bytes as base64, and for some names.
    json.reserve(message.size() + message.size() / 2 + 64);
    JsonWriter writer(types, options, max_bytes, in_order, json, awaited_type);
    if (writer.Message(type, JsonWriter::Pieces(&message, 1), 0)) break;
    if (!writer.out_of_order()) return writer.TakeError(type);
  }
  return absl::OkStatus();
}

absl::Status ProtoFieldToJson(JsonTypes& types, const JsonType& type,
                              const JsonField& field, absl::string_view message,
                              const JsonOptions& options, std::string& json,
                              std::string* awaited_type) {
  json.clear();
  JsonWriter writer(types, options, MaxJsonBytes(message.size()),
                    /*in_order=*/false, json, awaited_type);
  return writer.FieldAlone(type, field, message) ? absl::OkStatus()
                                                 : writer.TakeError(type);
}

}  // namespace headgate
