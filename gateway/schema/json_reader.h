#ifndef GATEWAY_SCHEMA_JSON_READER_H_
#define GATEWAY_SCHEMA_JSON_READER_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "gateway/schema/json_cursor.h"
#include "gateway/schema/json_time.h"
#include "gateway/schema/json_type.h"
#include "gateway/schema/json_type_places.h"
#include "gateway/schema/schema.h"
#include "gateway/schema/wire_output.h"

namespace headgate {

// Writes what one JSON text says as a serialized message: JsonToProto. What it
// returns is false at the first error.
class JsonReader final : private JsonCursor, private WireOutput {
 public:
  JsonReader(JsonTypes& types, absl::string_view json,
             const JsonOptions& options, std::string& message)
      : JsonCursor(json, options.max_depth),
        WireOutput(message),
        types_(types),
        lenient_(options.unknown_fields ==
                 JsonOptions::UnknownFields::kIgnore) {}

  bool Whole(const JsonType& type);
  bool WholeField(const JsonField& field);
  using JsonCursor::TakeError;

 private:
  // --- Messages and their fields ---

  // A message in its JSON form. `depth`: brackets around it.
  bool Message(const JsonType& type, int depth);
  // The members of an object, at the first of them, and its closing bracket.
  // `in_any`: "@type" has been seen to. `depth`: brackets around them.
  bool Members(const JsonType& type, int depth, bool in_any);
  // `seen`: bits of the fields; null: none of them.
  bool HasRequired(const JsonType& type, const std::uint64_t* seen,
                   const char* object);
  // The key and the colon of the field that is likely to come next; null, and
  // nothing is consumed, when it is not there.
  const JsonField* LikelyKey(const std::vector<JsonField>& fields,
                             std::size_t likely);
  // What stands behind a field's key. `depth`: brackets around it.
  bool Field(const JsonField& field, int depth);
  bool Member(const JsonField& field, int depth);
  bool List(const JsonField& field, int depth);
  bool Map(const JsonField& field, int depth);
  // Appends a map's key without its tag. `key` becomes its usual text.
  bool MapKey(const JsonField& field, absl::string_view& key, const char* at);
  std::string ValueName(const JsonField& field);
  bool WithinField(const JsonField& field);

  // --- Scalars ---

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
                  std::uint64_t& value);
  bool Whole(const JsonField& field, const Limits& limits,
             std::uint64_t& value);
  // A whole number as most write it, in quotes or without.
  bool Digits(bool& negative, std::uint64_t& magnitude);
  template <typename Number>
  bool Real(const JsonField& field, Number& number);
  // Sets dropped_ where the value is unknown and that is ignored.
  bool Enum(const JsonField& field, std::uint64_t& value);
  bool String();
  bool Bytes();
  // A value without its tag. `depth`: brackets around it.
  bool Value(const JsonField& field, int depth);
  // Always true.
  bool AppendNumber(const JsonField& field, std::uint64_t value);

  // --- The well-known types (json_to_proto_forms.cc) ---

  bool Time(bool (*parse)(absl::string_view, SecondsAndNanos&),
            absl::string_view must_be);
  bool Mask();
  // google.protobuf.Struct: its map, field 1.
  bool Struct(int depth);
  // google.protobuf.ListValue: Values, field 1.
  bool ListValue(int depth);
  // google.protobuf.Value: one of null 1, number 2, string 3, bool 4, Struct 5
  // and ListValue 6.
  bool AnyValue(int depth);
  // google.protobuf.Any: its type's URL 1, and its bytes 2.
  bool Any(int depth);
  // The value of an Any's "@type", and at_ on it. It need not be its first
  // member.
  bool TypeUrl(const char* object, absl::string_view& url);
  // The members of an Any whose type has a form of its own: "value".
  bool MembersOfForm(const JsonType& type, int depth);

  JsonTypes& types_;
  const bool lenient_;
  // The last enum value was unknown, and is not part of the message.
  bool dropped_ = false;
  std::unique_ptr<const JsonTypePlaces> type_places_;
};

}  // namespace headgate

#endif  // GATEWAY_SCHEMA_JSON_READER_H_
