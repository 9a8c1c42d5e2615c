// The well-known types, whose JSON is not that of their fields.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/base/casts.h"
#include "absl/strings/str_cat.h"
#include "gateway/schema/json_base64.h"
#include "gateway/schema/json_number.h"
#include "gateway/schema/json_string.h"
#include "gateway/schema/json_time.h"
#include "gateway/schema/json_writer.h"

namespace headgate {

bool JsonWriter::Time(Pieces pieces,
                      bool (*append)(const SecondsAndNanos&, std::string&),
                      absl::string_view error) {
  SecondsAndNanos time;
  if (!EachField(pieces, [&](std::uint32_t tag, absl::string_view payload) {
        if (tag == 0x08) {
          time.seconds = static_cast<std::int64_t>(VarintOf(payload));
        } else if (tag == 0x10) {
          time.nanos = static_cast<std::int32_t>(VarintOf(payload));
        }
        return true;
      })) {
    return false;
  }
  out_.push_back('"');
  if (!append(time, out_)) return Fail(std::string(error));
  out_.push_back('"');
  return true;
}

bool JsonWriter::Mask(Pieces pieces) {
  std::string paths;
  if (!EachField(pieces, [&](std::uint32_t tag, absl::string_view payload) {
        if (tag != 0x0a) return true;
        if (!paths.empty()) paths.push_back(',');
        return AppendMaskPathToJson(payload, paths) ||
               Fail("a FieldMask with a path that has no form in JSON");
      })) {
    return false;
  }
  return AppendJsonString(paths, out_) || Fail("a FieldMask is not UTF-8");
}

bool JsonWriter::Struct(const JsonType& type, Pieces pieces, int depth) {
  const JsonField& fields = type.fields()[0];
  std::vector<MapEntry> map;
  return EachField(pieces,
                   [&](std::uint32_t tag, absl::string_view payload) {
                     return tag != 0x0a || AddToMap(fields, payload, map);
                   }) &&
         Map(fields, map, depth);
}

bool JsonWriter::ListValue(const JsonType& type, Pieces pieces, int depth) {
  const JsonType& value = types_.MessageOf(type.fields()[0]);
  if (!Open('[', depth)) return false;
  std::size_t index = 0;
  if (!EachField(pieces, [&](std::uint32_t tag, absl::string_view payload) {
        if (tag != 0x0a) return true;
        Comma();
        if (!AnyValue(value, Pieces(&payload, 1), depth + 1)) {
          return WithinIndex(index);
        }
        ++index;
        return true;
      })) {
    return false;
  }
  out_.push_back(']');
  return true;
}

bool JsonWriter::AnyValue(const JsonType& type, Pieces pieces, int depth) {
  std::uint32_t kind = 0;  // The tag.
  PieceList value;
  if (!EachField(pieces, [&](std::uint32_t tag, absl::string_view payload) {
        switch (tag) {
          case 0x2a:
          case 0x32:
            if (tag != kind) value.clear();
            break;
          case 0x08:
          case 0x11:
          case 0x1a:
          case 0x20:
            value.clear();
            break;
          default:
            return true;
        }
        kind = tag;
        value.push_back(payload);
        return true;
      })) {
    return false;
  }
  switch (kind) {
    case 0x11: {
      std::uint64_t bits = 0;
      WireInput(value[0]).Fixed(8, bits);
      const auto number = absl::bit_cast<double>(bits);
      if (!std::isfinite(number)) {
        return Fail("a Value that is NaN or infinite");
      }
      AppendReal(number, out_);
      return true;
    }
    case 0x1a:
      return AppendJsonString(value[0], out_) ||
             Fail("the string of a Value is not UTF-8");
    case 0x20:
      out_ += VarintOf(value[0]) != 0 ? "true" : "false";
      return true;
    case 0x2a:
    case 0x32:
      // The fields 5 and 6.
      return Message(types_.MessageOf(type.fields()[(kind >> 3) - 1]), value,
                     depth);
    default:
      out_ += "null";
      return true;
  }
}

bool JsonWriter::Wrapper(const JsonField& field, Pieces pieces, int depth) {
  bool is_set = false;
  absl::string_view value;
  if (!EachField(pieces, [&](std::uint32_t tag, absl::string_view payload) {
        if (tag == field.tag) {
          is_set = true;
          value = payload;
        }
        return true;
      })) {
    return false;
  }
  if (is_set) return Payload(field, value, depth);
  AppendZero(field);
  return true;
}

bool JsonWriter::Any(Pieces pieces, int depth) {
  absl::string_view url, value;
  if (!EachField(pieces,
                 [&](std::uint32_t tag, absl::string_view payload) {
                   if (tag == 0x0a) url = payload;
                   if (tag == 0x12) value = payload;
                   return true;
                 }) ||
      !Open('{', depth)) {
    return false;
  }
  if (url.empty() && value.empty()) {
    out_.push_back('}');
    return true;
  }
  out_ += "\"@type\":";
  if (!AppendJsonString(url, out_)) {
    return Fail("the type_url of an Any is not UTF-8");
  }
  const std::size_t slash = url.rfind('/');
  bool is_awaited = false;
  const JsonType* const type =
      slash == absl::string_view::npos
          ? nullptr
          : types_.FindInAny(url.substr(slash + 1), is_awaited);
  if (is_awaited && awaited_type_ != nullptr) {
    *awaited_type_ = std::string(url.substr(slash + 1));
    return Fail(absl::StrCat("the type ", *awaited_type_, " is not known yet"));
  }
  if (type == nullptr) {
    // Some other reader may know it.
    out_ += ",\"value\":";
    AppendJsonBase64(value, out_);
  } else if (type->form() != JsonForm::kObject) {
    out_ += ",\"value\":";
    if (!Message(*type, Pieces(&value, 1), depth + 1)) return false;
  } else if (in_order_) {
    WireInput input(value);
    if (!InOrder(*type, input, 0, depth + 1)) return false;
  } else if (!InAnyOrder(*type, Pieces(&value, 1), depth + 1)) {
    return false;
  }
  out_.push_back('}');
  return true;
}

}  // namespace headgate
