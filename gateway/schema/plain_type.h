#ifndef GATEWAY_SCHEMA_PLAIN_TYPE_H_
#define GATEWAY_SCHEMA_PLAIN_TYPE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "gateway/base/wire_type.h"
#include "google/protobuf/descriptor.h"

namespace headgate {

class PlainType;

// Deeper messages are left to JsonConverter: the plain conversion is recursive.
constexpr int kMaxPlainDepth = 32;

// A field, with what its JSON and its bytes begin with.
struct PlainField {
  const google::protobuf::FieldDescriptor* descriptor;
  google::protobuf::FieldDescriptor::Type type;
  // Whether the plain conversion takes it. Not: maps, floating-point numbers,
  // groups, the well-known types.
  bool taken;
  bool is_repeated;
  bool is_packed;  // As serializers write it.
  bool has_presence;
  WireType wire_type;        // Of one value.
  std::uint32_t tag;         // As serializers write it.
  std::size_t presence_bit;  // One for all members of a oneof.
  std::string json_key;      // "\"twoWords\":"
  std::string proto_key;     // "\"two_words\":"
};

// What the plain conversion (plain_json.h) has to know of a message type.
class PlainType {
 public:
  explicit PlainType(const google::protobuf::Descriptor& descriptor);

  const google::protobuf::Descriptor& descriptor() const { return descriptor_; }

  // Whether the plain conversion takes such messages, as far as their fields
  // are taken. Not: a well-known type; required fields; names that JSON would
  // escape, or that stand for two fields.
  bool taken() const { return taken_; }

  // In order of their numbers.
  const std::vector<PlainField>& fields() const { return fields_; }

  // The field of that name, as JSON or the .proto file has it; or null.
  const PlainField* FindByName(absl::string_view name) const {
    const auto found = by_name_.find(name);
    return found == by_name_.end() ? nullptr : &fields_[found->second];
  }

 private:
  const google::protobuf::Descriptor& descriptor_;
  std::vector<PlainField> fields_;
  absl::flat_hash_map<std::string, std::size_t> by_name_;
  bool taken_ = true;
};

// The types of a pool, each made when it is first asked for.
//
// Thread:   one thread at a time.
// Lifetime: the pool must outlive it; a PlainType lives as long as this.
class PlainTypes {
 public:
  explicit PlainTypes(const google::protobuf::DescriptorPool* pool)
      : pool_(pool) {}

  // Null when the pool has no such type.
  const PlainType* Find(absl::string_view full_name);

  const PlainType& Of(const google::protobuf::Descriptor& descriptor);

 private:
  const google::protobuf::DescriptorPool* const pool_;
  // Only what the pool has, so no larger than it.
  absl::flat_hash_map<const google::protobuf::Descriptor*,
                      std::unique_ptr<const PlainType>>
      types_;
  absl::flat_hash_map<std::string, const PlainType*> by_name_;
};

}  // namespace headgate

#endif  // GATEWAY_SCHEMA_PLAIN_TYPE_H_
