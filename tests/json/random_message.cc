#include "tests/json/random_message.h"

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "google/protobuf/descriptor.pb.h"

namespace headgate {
namespace {

using ::google::protobuf::FieldDescriptor;
using ::google::protobuf::Message;
using ::google::protobuf::Reflection;

class Filler {
 public:
  explicit Filler(std::mt19937_64& random) : random_(random) {}

  void FillAll(Message& message, int depth) {
    const google::protobuf::Descriptor& type = *message.GetDescriptor();
    const std::string name(type.full_name());
    const Reflection& to = *message.GetReflection();
    const auto set = [&](int number, std::int64_t value) {
      const FieldDescriptor* field = type.FindFieldByNumber(number);
      if (field->cpp_type() == FieldDescriptor::CPPTYPE_INT64) {
        to.SetInt64(&message, field, value);
      } else {
        to.SetInt32(&message, field, static_cast<std::int32_t>(value));
      }
    };
    if (name == "google.protobuf.Timestamp") {
      set(1, Between(-62135596800, 253402300799));
      return set(2, Below(2) != 0 ? 0 : Between(0, 999999999));
    }
    if (name == "google.protobuf.Duration") {
      const bool negative = Below(2) != 0;
      const std::int64_t sign = negative ? -1 : 1;
      set(1, sign * Between(0, Below(2) != 0 ? 1 : 315576000000));
      return set(2, sign * Between(0, 999999999));
    }
    if (name == "google.protobuf.FieldMask") {
      for (std::size_t i = Below(3); i > 0; --i) {
        to.AddString(&message, type.FindFieldByNumber(1), "a_b.c");
      }
      return;
    }
    std::vector<const FieldDescriptor*> fields;
    for (int i = 0; i < type.field_count(); ++i)
      fields.push_back(type.field(i));
    if (type.extension_range_count() > 0) {
      type.file()->pool()->FindAllExtensions(&type, &fields);
    }
    if (fields.empty()) return;  // google.protobuf.Empty.
    if (type.options().map_entry()) {
      for (const FieldDescriptor* field : fields) Fill(message, *field, depth);
      return;
    }
    if (name == "google.protobuf.Value") {
      return Fill(message, *fields[depth > 3 ? Below(4) : Below(6)], depth);
    }
    for (std::size_t i = Below(8); i > 0; --i) {
      Fill(message, *fields[Below(fields.size())], depth);
    }
  }

 private:
  std::size_t Below(std::size_t limit) { return random_() % limit; }
  std::int64_t Between(std::int64_t low, std::int64_t high) {
    return std::uniform_int_distribution<std::int64_t>(low, high)(random_);
  }

  template <typename Integer>
  Integer Number() {
    const std::vector<Integer> special = {0, 1, static_cast<Integer>(-1),
                                          std::numeric_limits<Integer>::min(),
                                          std::numeric_limits<Integer>::max()};
    const std::size_t which = Below(special.size() + 2);
    return which < special.size() ? special[which]
                                  : static_cast<Integer>(random_());
  }

  template <typename Real>
  Real RealNumber() {
    const std::vector<Real> special = {0,
                                       Real{-0.0},
                                       1,
                                       Real{-1.5},
                                       static_cast<Real>(0.1),
                                       static_cast<Real>(1e20),
                                       static_cast<Real>(1e-7),
                                       std::numeric_limits<Real>::max(),
                                       std::numeric_limits<Real>::denorm_min()};
    const std::size_t which = Below(special.size() + 2);
    if (which < special.size()) return special[which];
    return std::uniform_real_distribution<Real>(-1000, 1000)(random_);
  }

  std::string Text() {
    const std::vector<std::string> parts = {"",
                                            "a",
                                            "plain text",
                                            "\"",
                                            "\\",
                                            "<",
                                            "\xc3\xa4",
                                            "\n",
                                            "\xe4\xbd\xa0",
                                            "\xf0\x9f\x98\x80",
                                            "\xe2\x80\xa8",
                                            std::string(1, '\0'),
                                            "\x7f"};
    std::string text;
    for (std::size_t i = Below(4); i > 0; --i)
      text += parts[Below(parts.size())];
    return text;
  }

  std::string RandomBytes() {
    std::string bytes;
    for (std::size_t i = Below(20); i > 0; --i) {
      bytes.push_back(static_cast<char>(random_()));
    }
    return bytes;
  }

  void Fill(Message& message, const FieldDescriptor& field, int depth) {
    const Reflection& to = *message.GetReflection();
    const bool add = field.is_repeated();
    const auto put = [&](auto set, auto append, auto value) {
      add ? (to.*append)(&message, &field, std::move(value))
          : (to.*set)(&message, &field, std::move(value));
    };
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_INT32:
        return put(&Reflection::SetInt32, &Reflection::AddInt32,
                   Number<std::int32_t>());
      case FieldDescriptor::CPPTYPE_INT64:
        return put(&Reflection::SetInt64, &Reflection::AddInt64,
                   Number<std::int64_t>());
      case FieldDescriptor::CPPTYPE_UINT32:
        return put(&Reflection::SetUInt32, &Reflection::AddUInt32,
                   Number<std::uint32_t>());
      case FieldDescriptor::CPPTYPE_UINT64:
        return put(&Reflection::SetUInt64, &Reflection::AddUInt64,
                   Number<std::uint64_t>());
      case FieldDescriptor::CPPTYPE_DOUBLE:
        return put(&Reflection::SetDouble, &Reflection::AddDouble,
                   RealNumber<double>());
      case FieldDescriptor::CPPTYPE_FLOAT:
        return put(&Reflection::SetFloat, &Reflection::AddFloat,
                   RealNumber<float>());
      case FieldDescriptor::CPPTYPE_BOOL:
        return put(&Reflection::SetBool, &Reflection::AddBool, Below(2) == 1);
      case FieldDescriptor::CPPTYPE_ENUM: {
        const auto& type = *field.enum_type();
        const auto which = static_cast<int>(
            Below(static_cast<std::size_t>(type.value_count())));
        return put(&Reflection::SetEnumValue, &Reflection::AddEnumValue,
                   type.value(which)->number());
      }
      case FieldDescriptor::CPPTYPE_STRING: {
        const std::string value = field.type() == FieldDescriptor::TYPE_STRING
                                      ? Text()
                                      : RandomBytes();
        return add ? to.AddString(&message, &field, value)
                   : to.SetString(&message, &field, value);
      }
      case FieldDescriptor::CPPTYPE_MESSAGE:
        // A Value must have one; it ends by itself.
        if ((depth > 4 &&
             field.message_type()->full_name() != "google.protobuf.Value") ||
            field.message_type()->full_name() == "google.protobuf.Any") {
          return;
        }
        FillAll(*(add ? to.AddMessage(&message, &field)
                      : to.MutableMessage(&message, &field)),
                depth + 1);
    }
  }

  std::mt19937_64& random_;
};

}  // namespace

void FillAtRandom(Message& message, std::mt19937_64& random) {
  Filler(random).FillAll(message, 0);
}

}  // namespace headgate
