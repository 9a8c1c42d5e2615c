#include "gateway/schema/wire.h"

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/container/inlined_vector.h"
#include "absl/strings/str_cat.h"
#include "gateway/base/utf8.h"
#include "google/protobuf/descriptor.pb.h"

namespace headgate {
namespace {

using ::google::protobuf::Descriptor;
using ::google::protobuf::FieldDescriptor;

// Takes varints, fixed-size values and runs of bytes off the front of a view.
class Reader {
 public:
  explicit Reader(absl::string_view bytes) : rest_(bytes) {}

  bool done() const { return rest_.empty(); }

  bool Varint(std::uint64_t& value) {
    value = 0;
    for (int shift = 0; shift < 70 && !rest_.empty(); shift += 7) {
      const auto byte = static_cast<std::uint8_t>(rest_.front());
      rest_.remove_prefix(1);
      value |= std::uint64_t{byte & 0x7Fu} << (shift < 64 ? shift : 63);
      if (byte < 0x80) return true;
    }
    return false;
  }

  bool Bytes(std::uint64_t size, absl::string_view& bytes) {
    if (size > rest_.size()) return false;
    bytes = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return true;
  }

 private:
  absl::string_view rest_;
};

// Whether the bytes of a fixed-size value are those of the default; of a varint
// and of a string there are none here, or the number is not 0.
bool IsZero(absl::string_view bytes) {
  return bytes.find_first_not_of('\0') == absl::string_view::npos;
}

class Walker {
 public:
  Walker(const google::protobuf::DescriptorPool& pool,
         std::size_t max_any_bytes)
      : pool_(pool), max_any_bytes_(max_any_bytes) {}

  WireForm form() const {
    if (!canonical_) return WireForm::kMergeable;
    return spelled_out_ ? WireForm::kSpelledOut : WireForm::kCanonical;
  }

  absl::Status Message(const Descriptor& type, absl::string_view bytes,
                       int depth) {
    if (depth > kMaxNesting) return TooDeep();
    const bool is_any = type.full_name() == "google.protobuf.Any";
    const bool is_entry = type.options().map_entry();
    absl::string_view type_url, any_value;
    // Which fields were seen, by their index; a oneof counts as its first.
    absl::InlinedVector<std::uint64_t, 2> seen(type.field_count() / 64 + 1);
    std::uint32_t previous_tag = 0;
    int entry_fields = 0;

    Reader reader(bytes);
    while (!reader.done()) {
      std::uint64_t wide_tag = 0;
      if (!reader.Varint(wide_tag) || wide_tag > UINT32_MAX ||
          wide_tag >> 3 == 0) {
        return Malformed(type, "a bad tag");
      }
      const auto tag = static_cast<std::uint32_t>(wide_tag);
      const auto number = static_cast<int>(tag >> 3);
      const WireType wire_type = WireTypeOfTag(tag);
      const FieldDescriptor* field = type.FindFieldByNumber(number);

      std::uint64_t integer = 0;
      absl::string_view run;
      switch (wire_type) {
        case WireType::kVarint:
          if (!reader.Varint(integer)) return Malformed(type, "a bad varint");
          break;
        case WireType::kFixed64:
          if (!reader.Bytes(8, run)) return Malformed(type, "a value cut off");
          break;
        case WireType::kFixed32:
          if (!reader.Bytes(4, run)) return Malformed(type, "a value cut off");
          break;
        case WireType::kBytes:
          if (!reader.Varint(integer) || !reader.Bytes(integer, run)) {
            return Malformed(type, "a value cut off");
          }
          break;
        case WireType::kStartGroup:
          if (auto status = SkipGroup(type, reader, number, depth + 1);
              !status.ok()) {
            return status;
          }
          break;
        default:
          return Malformed(type, "a bad wire type");
      }

      const bool is_packed = field != nullptr && field->is_packable() &&
                             wire_type == WireType::kBytes;
      if (field == nullptr || (wire_type != WireTypeOf(*field) && !is_packed)) {
        // An unknown field, which JSON leaves out. In a map's entry it would
        // stop the conversion.
        canonical_ = canonical_ && !is_entry;
        continue;
      }

      const int index = field->containing_oneof() == nullptr
                            ? field->index()
                            : field->containing_oneof()->field(0)->index();
      const std::uint64_t bit = std::uint64_t{1} << (index % 64);
      const bool goes_on =
          field->is_repeated() && !is_packed && tag == previous_tag;
      if ((seen[index / 64] & bit) != 0 && !goes_on) canonical_ = false;
      seen[index / 64] |= bit;
      previous_tag = tag;
      if (is_entry && number != ++entry_fields) canonical_ = false;
      if (!is_entry && !is_any && !field->is_repeated() &&
          !field->has_presence() && integer == 0 && IsZero(run)) {
        spelled_out_ = true;
      }

      if (is_packed) {
        if (auto status = Packed(*field, run); !status.ok()) return status;
      } else if (field->type() == FieldDescriptor::TYPE_STRING) {
        if (!IsUtf8(run)) {
          return absl::InternalError(
              absl::StrCat("the string ", field->full_name(), " is not UTF-8"));
        }
        if (is_any) type_url = run;
      } else if (field->type() == FieldDescriptor::TYPE_BYTES) {
        if (is_any) any_value = run;
      } else if (field->type() == FieldDescriptor::TYPE_MESSAGE) {
        if (auto status = Message(*field->message_type(), run, depth + 1);
            !status.ok()) {
          return status;
        }
      }
    }
    if (is_entry && entry_fields != 2) canonical_ = false;
    if (is_any) return AnyValue(type_url, any_value, depth + 1);
    return absl::OkStatus();
  }

 private:
  absl::Status AnyValue(absl::string_view type_url, absl::string_view value,
                        int depth) {
    const auto slash = type_url.rfind('/');
    any_bytes_ += value.size();
    if (any_bytes_ > max_any_bytes_) {
      return absl::InternalError("too much of it is in an Any within another");
    }
    if (slash == absl::string_view::npos) return absl::OkStatus();
    const Descriptor* type =
        pool_.FindMessageTypeByName(std::string(type_url.substr(slash + 1)));
    if (type == nullptr) return absl::OkStatus();
    return Message(*type, value, depth);
  }

  absl::Status Packed(const FieldDescriptor& field, absl::string_view bytes) {
    Reader reader(bytes);
    std::uint64_t integer = 0;
    absl::string_view run;
    while (!reader.done()) {
      bool ok = false;
      switch (WireTypeOf(field)) {
        case WireType::kFixed64:
          ok = reader.Bytes(8, run);
          break;
        case WireType::kFixed32:
          ok = reader.Bytes(4, run);
          break;
        default:
          ok = reader.Varint(integer);
      }
      if (!ok) return Malformed(*field.containing_type(), "a value cut off");
    }
    return absl::OkStatus();
  }

  absl::Status SkipGroup(const Descriptor& type, Reader& reader,
                         int group_number, int depth) {
    if (depth > kMaxNesting) return TooDeep();
    while (!reader.done()) {
      std::uint64_t tag = 0, integer = 0;
      absl::string_view run;
      if (!reader.Varint(tag) || tag > UINT32_MAX || tag >> 3 == 0) break;
      const auto number = static_cast<int>(tag >> 3);
      bool ok = true;
      switch (WireTypeOfTag(static_cast<std::uint32_t>(tag))) {
        case WireType::kVarint:
          ok = reader.Varint(integer);
          break;
        case WireType::kFixed64:
          ok = reader.Bytes(8, run);
          break;
        case WireType::kFixed32:
          ok = reader.Bytes(4, run);
          break;
        case WireType::kBytes:
          ok = reader.Varint(integer) && reader.Bytes(integer, run);
          break;
        case WireType::kStartGroup:
          if (auto status = SkipGroup(type, reader, number, depth + 1);
              !status.ok()) {
            return status;
          }
          break;
        case WireType::kEndGroup:
          if (number == group_number) return absl::OkStatus();
          ok = false;
          break;
        default:
          ok = false;
      }
      if (!ok) break;
    }
    return Malformed(type, "a bad group");
  }

  static absl::Status Malformed(const Descriptor& type,
                                absl::string_view what) {
    return absl::InternalError(
        absl::StrCat("not a ", type.full_name(), ": ", what));
  }
  static absl::Status TooDeep() {
    return absl::InternalError(
        absl::StrCat("messages nested deeper than ", kMaxNesting));
  }

  const google::protobuf::DescriptorPool& pool_;
  const std::size_t max_any_bytes_;
  std::size_t any_bytes_ = 0;
  bool canonical_ = true;
  bool spelled_out_ = false;
};

}  // namespace

WireType WireTypeOf(const FieldDescriptor& field) {
  switch (field.type()) {
    case FieldDescriptor::TYPE_DOUBLE:
    case FieldDescriptor::TYPE_FIXED64:
    case FieldDescriptor::TYPE_SFIXED64:
      return WireType::kFixed64;
    case FieldDescriptor::TYPE_FLOAT:
    case FieldDescriptor::TYPE_FIXED32:
    case FieldDescriptor::TYPE_SFIXED32:
      return WireType::kFixed32;
    case FieldDescriptor::TYPE_STRING:
    case FieldDescriptor::TYPE_BYTES:
    case FieldDescriptor::TYPE_MESSAGE:
      return WireType::kBytes;
    case FieldDescriptor::TYPE_GROUP:
      return WireType::kStartGroup;
    default:
      return WireType::kVarint;
  }
}

absl::StatusOr<WireForm> CheckWire(const Descriptor& type,
                                   absl::string_view bytes) {
  Walker walker(*type.file()->pool(), MaxAnyBytes(bytes.size()));
  if (auto status = walker.Message(type, bytes, 1); !status.ok()) return status;
  return walker.form();
}

}  // namespace headgate
