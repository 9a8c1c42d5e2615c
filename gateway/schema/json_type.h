#ifndef GATEWAY_SCHEMA_JSON_TYPE_H_
#define GATEWAY_SCHEMA_JSON_TYPE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "gateway/base/wire_type.h"
#include "gateway/schema/learned_types.h"
#include "google/protobuf/descriptor.h"

namespace headgate {

class JsonType;

// The field of that name in the .proto file; null: there is none. A server in
// Node loads its files with names in lower camel case (proto-loader without
// `keepCase`), and its reflection knows no others: page_size is pageSize there.
const google::protobuf::FieldDescriptor* FindFieldByProtoName(
    const google::protobuf::Descriptor& type, absl::string_view name);

// The form that a message has in JSON
// (protobuf.dev/programming-guides/json).
enum class JsonForm : std::uint8_t {
  kObject,  // Its fields; google.protobuf.Empty is one of these.
  kAny,
  kTimestamp,
  kDuration,
  kFieldMask,
  kStruct,
  kListValue,
  kValue,
  kWrapper,  // DoubleValue and so on.
};

// A field, with what its JSON and its bytes begin with.
struct JsonField {
  const google::protobuf::FieldDescriptor* descriptor;
  google::protobuf::FieldDescriptor::Type type;
  int number;
  bool is_repeated;
  bool is_map;
  bool is_packed;     // As serializers write it.
  bool has_presence;  // False for repeated fields.
  bool is_required;
  bool takes_null;        // As one value: google.protobuf.Value and NullValue.
  bool closed_enum;       // Numbers without a name are not of the type.
  WireType wire_type;     // Of one value.
  std::uint32_t tag;      // As serializers write it.
  std::size_t bit;        // Its own among those of its message.
  std::size_t oneof_bit;  // One for all members of a oneof; or `bit`.
  // As a member that is not an object's first begins: ",\"twoWords\":"; of an
  // extension ",\"[a.b]\":".
  std::string json_key;
  std::string proto_key;                      // ",\"two_words\":"
  mutable const JsonType* message = nullptr;  // See JsonTypes::MessageOf.
};

// What the conversion has to know of a message type.
class JsonType {
 public:
  explicit JsonType(const google::protobuf::Descriptor& descriptor);

  const google::protobuf::Descriptor& descriptor() const { return descriptor_; }
  JsonForm form() const { return form_; }

  // In order of their numbers.
  const std::vector<JsonField>& fields() const { return fields_; }

  // Bits that the fields and oneofs of a message take.
  std::size_t bits() const { return bits_; }
  bool has_oneofs() const { return has_oneofs_; }
  bool has_required() const { return has_required_; }
  bool has_extensions() const { return has_extensions_; }

  // The field of that name, as JSON or the .proto file has it
  // (FindFieldByProtoName); or null.
  const JsonField* FindByName(absl::string_view name) const {
    const auto found = by_name_.find(name);
    return found == by_name_.end() ? nullptr : &fields_[found->second];
  }

  // Null if there is none. It is looked for at the index `from` first.
  const JsonField* FindByNumber(int number, std::size_t from) const {
    return from < fields_.size() && fields_[from].number == number
               ? &fields_[from]
               : FindByNumber(number);
  }

 private:
  const JsonField* FindByNumber(int number) const;

  const google::protobuf::Descriptor& descriptor_;
  const JsonForm form_;
  std::vector<JsonField> fields_;
  absl::flat_hash_map<std::string, std::size_t> by_name_;
  std::size_t bits_ = 0;
  bool has_oneofs_ = false;
  bool has_required_ = false;
  bool has_extensions_ = false;
};

// The types of a pool, each made when it is first asked for.
//
// Thread:   one thread at a time.
// Lifetime: the pool must outlive it; a JsonType lives as long as this.
class JsonTypes {
 public:
  // Hears the name of each type of an Any that nobody knows, during the
  // conversion; true: the server is being asked for it.
  using OnUnknown = std::function<bool(const std::string& full_name)>;

  // `learned`: types of Anys that the pool does not have; may be null.
  explicit JsonTypes(const google::protobuf::DescriptorPool* pool,
                     const LearnedTypes* learned = nullptr,
                     OnUnknown on_unknown = nullptr)
      : pool_(pool), learned_(learned), on_unknown_(std::move(on_unknown)) {}

  // Null when the pool has no such type.
  const JsonType* Find(absl::string_view full_name) {
    // Most are those of a call's requests and responses.
    for (const Named& named : last_) {
      if (named.name == full_name) return named.type;
    }
    return Lookup(full_name);
  }

  // The same of the type in an Any, which may be a learned one. `is_awaited`
  // becomes true when the server is being asked for it.
  const JsonType* FindInAny(absl::string_view full_name, bool& is_awaited) {
    const JsonType* const type = Find(full_name);
    return type != nullptr ? type : FindLearned(full_name, is_awaited);
  }

  const JsonType& Of(const google::protobuf::Descriptor& descriptor);

  // The type of a message field.
  const JsonType& MessageOf(const JsonField& field) {
    if (field.message == nullptr) {
      field.message = &Of(*field.descriptor->message_type());
    }
    return *field.message;
  }

  // The extension of `type` with that full name or number; null when the pool
  // has none.
  const JsonField* FindExtension(const JsonType& type,
                                 absl::string_view full_name);
  const JsonField* FindExtension(const JsonType& type, int number);

 private:
  struct Named {
    std::string name;
    const JsonType* type = nullptr;  // Null: there is no such entry.
  };

  const JsonType* Lookup(absl::string_view full_name);
  const JsonType* FindLearned(absl::string_view full_name, bool& is_awaited);
  const JsonField* Extension(
      const google::protobuf::FieldDescriptor* descriptor);

  const google::protobuf::DescriptorPool* const pool_;
  const LearnedTypes* const learned_;
  const OnUnknown on_unknown_;
  // Only what the pool has, so no larger than it.
  absl::flat_hash_map<const google::protobuf::Descriptor*,
                      std::unique_ptr<const JsonType>>
      types_;
  absl::flat_hash_map<const google::protobuf::FieldDescriptor*,
                      std::unique_ptr<const JsonField>>
      extensions_;
  absl::flat_hash_map<std::string, const JsonType*> by_name_;
  Named last_[2];  // Of by_name_, those that were looked up last.
};

}  // namespace headgate

#endif  // GATEWAY_SCHEMA_JSON_TYPE_H_
