#ifndef GATEWAY_SCHEMA_JSON_WRITER_H_
#define GATEWAY_SCHEMA_JSON_WRITER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "gateway/base/wire_type.h"
#include "gateway/schema/json_time.h"
#include "gateway/schema/json_type.h"
#include "gateway/schema/schema.h"
#include "gateway/schema/wire_input.h"

namespace headgate {

// Writes a serialized message as JSON: ProtoToJson. What it returns is false at
// the first error.
class JsonWriter {
 public:
  // A message may come in several pieces, which parsers merge.
  using Pieces = absl::Span<const absl::string_view>;
  using PieceList = absl::InlinedVector<absl::string_view, 1>;

  JsonWriter(JsonTypes& types, const JsonOptions& options,
             std::size_t max_bytes, bool in_order, std::string& json,
             std::string* awaited_type)
      : types_(types),
        options_(options),
        emit_(options.unpopulated == JsonOptions::Unpopulated::kEmit),
        proto_names_(options.field_names == JsonOptions::FieldNames::kProto),
        max_bytes_(max_bytes),
        in_order_(in_order),
        out_(json),
        awaited_type_(awaited_type) {}

  // Whether bytes came in an order that this writer does not take.
  bool out_of_order() const { return out_of_order_; }
  absl::Status TakeError(const JsonType& type);
  // A message in its JSON form. `depth`: brackets around it.
  bool Message(const JsonType& type, Pieces pieces, int depth);
  // The value of one field of a message. Requires: not in_order.
  bool FieldAlone(const JsonType& type, const JsonField& field,
                  absl::string_view bytes);

 private:
  // One occurrence of a field; a message has at most one per two bytes.
  struct Entry {
    absl::string_view payload() const { return {data, size}; }

    const JsonField* field;  // Null: it does not count.
    const char* data;
    std::uint32_t size;
    WireType wire_type;
  };

  // --- Errors ---

  // Always false. The first one counts.
  bool Fail(std::string what);
  bool Malformed() { return Fail("malformed protobuf"); }
  bool OutOfOrder();
  // Always false: an error on its way out.
  bool Within(const JsonField& field);
  bool WithinIndex(std::size_t index);
  bool Open(char bracket, int depth);
  void Comma() {
    if (out_.back() != '{' && out_.back() != '[') out_.push_back(',');
  }
  void AppendKey(const JsonField& field);

  // --- Fields ---

  // The fields of a message as serializers write them: by their numbers, those
  // that are not repeated once, the elements of a list together. `end_tag`:
  // what ends a group; 0 where the end of the input does.
  bool InOrder(const JsonType& type, WireInput& input, std::uint32_t end_tag,
               int depth);
  // The same of any bytes that parsers take.
  bool InAnyOrder(const JsonType& type, Pieces pieces, int depth);
  // The occurrences that count, in the order of the bytes. `only`: of no other
  // field; null: of all.
  bool Collect(const JsonType& type, Pieces pieces, const JsonField* only,
               std::vector<Entry>& entries);
  // Of a oneof only what came after the last of another member counts.
  static void DropOvertaken(const JsonType& type, std::vector<Entry>& entries);
  // The value that all occurrences of a field make, and is_default_.
  bool FieldValue(const JsonField& field, absl::Span<const Entry> entries,
                  int depth);
  // One value: what WireInput::Payload gives.
  bool Payload(const JsonField& field, absl::string_view payload, int depth);
  // All elements of a list; the tag of the first one has been read.
  bool ListInOrder(const JsonField& field, std::uint32_t tag, bool packed,
                   WireInput& input, int depth);
  bool Packed(const JsonField& field, absl::string_view run, int depth,
              std::size_t& index);
  static bool IsMessage(const JsonField& field);
  static bool IsPacked(const JsonField& field, WireType wire_type);
  bool Skip(std::uint32_t tag, WireInput& input);
  // What is written of the unset fields [from, to).
  void AppendUnpopulated(const JsonType& type, std::size_t from,
                         std::size_t to);
  // null for what has presence, as there is no value.
  void AppendDefault(const JsonField& field);
  void AppendZero(const JsonField& field);
  bool CheckSize();

  // --- Maps ---

  struct MapEntry {
    std::uint64_t number = 0;  // The key, or
    absl::string_view text;    // the key.
    PieceList value;           // Empty: the default.
    bool overtaken = false;    // By a later one with the same key.
  };
  bool MapInOrder(const JsonField& field, std::uint32_t tag, WireInput& input,
                  int depth);
  bool AddToMap(const JsonField& field, absl::string_view bytes,
                std::vector<MapEntry>& map);
  bool Map(const JsonField& field, std::vector<MapEntry>& map, int depth);
  static void MarkOvertaken(bool is_text, std::vector<MapEntry>& map);

  // --- Single values ---

  // One without its tag. `is_default`: it is zero or empty.
  bool Value(const JsonField& field, WireInput& input, int depth,
             bool& is_default);
  static std::uint64_t UnZigZag(std::uint64_t value) {
    return value >> 1 ^ (0 - (value & 1));
  }
  // A number as its type holds it: what is too long is cut as parsers cut it,
  // negative ones are two's complement, real ones their bits.
  static bool Number(const JsonField& field, WireInput& input,
                     std::uint64_t& value);
  void Scalar(const JsonField& field, std::uint64_t value);
  template <typename RealNumber>
  void Real(RealNumber value);
  void Enum(const JsonField& field, int number);
  // A string or bytes.
  bool Bytes(const JsonField& field, absl::string_view run);
  bool NotUtf8(const JsonField& field);

  // --- The well-known types (proto_to_json_forms.cc) ---

  // Calls `use(tag, payload)` of each field.
  template <typename Use>
  bool EachField(Pieces pieces, Use use) {
    for (const absl::string_view piece : pieces) {
      for (WireInput input(piece); !input.done();) {
        std::uint32_t tag = 0;
        absl::string_view payload;
        if (!input.Tag(tag) ||
            !input.Payload(tag, options_.max_depth, payload)) {
          return Malformed();
        }
        if (!use(tag, payload)) return false;
      }
    }
    return true;
  }
  static std::uint64_t VarintOf(absl::string_view payload) {
    std::uint64_t value = 0;
    WireInput(payload).Varint(value);
    return value;
  }
  bool Time(Pieces pieces, bool (*append)(const SecondsAndNanos&, std::string&),
            absl::string_view error);
  bool Mask(Pieces pieces);
  bool Struct(const JsonType& type, Pieces pieces, int depth);
  bool ListValue(const JsonType& type, Pieces pieces, int depth);
  // google.protobuf.Value: a oneof.
  bool AnyValue(const JsonType& type, Pieces pieces, int depth);
  bool Wrapper(const JsonField& field, Pieces pieces, int depth);
  bool Any(Pieces pieces, int depth);

  JsonTypes& types_;
  const JsonOptions& options_;
  const bool emit_;
  const bool proto_names_;
  const std::size_t max_bytes_;
  const bool in_order_;
  std::string& out_;
  std::string* const awaited_type_;  // May be null.
  bool out_of_order_ = false;
  bool is_default_ = false;  // The last value of FieldValue or Payload.
  std::string error_;
  std::vector<std::string> path_;  // To the error, from its end.
};

}  // namespace headgate

#endif  // GATEWAY_SCHEMA_JSON_WRITER_H_
