#include "gateway/config/yaml_reader.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "gateway/base/utf8.h"
#include "gateway/config/suggestion.h"
#include "gateway/config/units.h"
#include "google/protobuf/descriptor.h"
#include "headgate/config/v1/config.pb.h"

namespace headgate {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::EnumValueDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

// A file of 1 MiB without aliases stays below both.
constexpr std::size_t kMostNodes = 600 * 1000;
constexpr std::size_t kMostTextBytes = 16 * 1024 * 1024;
constexpr std::size_t kMostFaults = 1000;

// Ends the reading: there is no point in going on.
struct GaveUp {};

// As an error may show it.
std::string Shown(absl::string_view text) {
  constexpr std::size_t kMostBytes = 80;
  const absl::string_view shown = CutUtf8(text, kMostBytes);
  return absl::StrCat(absl::Utf8SafeCEscape(shown),
                      shown.size() < text.size() ? "..." : "");
}

std::string Quoted(absl::string_view text) {
  return absl::StrCat("\"", Shown(text), "\"");
}

std::string KindOf(const YAML::Node& node) {
  switch (node.Type()) {
    case YAML::NodeType::Sequence:
      return "a list";
    case YAML::NodeType::Map:
      return "a mapping";
    case YAML::NodeType::Scalar:
      return Quoted(node.Scalar());
    case YAML::NodeType::Null:
    case YAML::NodeType::Undefined:
      break;
  }
  return "empty";
}

// The name by which users know an enum's value; empty for the one that means
// "not set".
std::string ChoiceName(const EnumValueDescriptor& value) {
  // CamelCase -> CAMEL_CASE_: what all values of the enum begin with.
  std::string prefix;
  for (const char c : value.type()->name()) {
    if (absl::ascii_isupper(c) && !prefix.empty()) prefix += '_';
    prefix += absl::ascii_toupper(c);
  }
  if (value.number() == 0) return "";
  const std::string name = value.name().substr(prefix.size() + 1);
  return absl::StrReplaceAll(absl::AsciiStrToLower(name), {{"_", "-"}});
}

std::vector<std::string> ChoiceNames(const EnumDescriptor& type) {
  std::vector<std::string> names;
  for (int i = 0; i < type.value_count(); ++i) {
    if (type.value(i)->number() != 0) {
      names.push_back(ChoiceName(*type.value(i)));
    }
  }
  return names;
}

class Reader {
 public:
  // Without `environment` nothing is substituted, and keys may be JSON names.
  Reader(const Environment* environment, std::vector<YamlFault>& faults)
      : environment_(environment), faults_(faults) {}

  // What is under `key` of the mapping `root`.
  void ReadMember(const YAML::Node& root, const std::string& key,
                  Message& message) {
    if (root.IsMap()) {
      for (const auto& entry : root) {
        Count(entry.first);
        if (!entry.first.IsScalar() || entry.first.Scalar() != key) continue;
        return ReadMessage(entry.second, key, message);
      }
    }
    Refuse(root, key, "is missing");
  }

  void ReadMessage(const YAML::Node& node, const std::string& path,
                   Message& message) {
    Count(node);
    if (!node.IsMap()) {
      return Refuse(node, path,
                    absl::StrCat("must be a mapping of keys to values, is ",
                                 KindOf(node)));
    }
    const Descriptor& type = *message.GetDescriptor();
    absl::flat_hash_set<std::string> seen;
    for (const auto& entry : node) {
      Count(entry.first);
      if (!entry.first.IsScalar()) {
        Refuse(entry.first, path,
               absl::StrCat("a key must be a word, is ", KindOf(entry.first)));
        continue;
      }
      const std::string& key = entry.first.Scalar();
      const FieldDescriptor* field = type.FindFieldByName(key);
      if (field == nullptr && environment_ == nullptr) {
        field = type.FindFieldByCamelcaseName(key);
      }
      const std::string here =
          absl::StrCat(path, path.empty() ? "" : ".", Shown(key));
      if (field == nullptr) {
        Refuse(entry.first, here,
               absl::StrCat("there is no such key",
                            DidYouMean(key, FieldNames(type))));
        continue;
      }
      if (!seen.insert(field->name()).second) {
        Refuse(entry.first, here, "is here twice");
        continue;
      }
      ReadField(entry.second, here, message, *field);
    }
  }

 private:
  static std::vector<std::string> FieldNames(const Descriptor& type) {
    std::vector<std::string> names;
    names.reserve(static_cast<std::size_t>(type.field_count()));
    for (int i = 0; i < type.field_count(); ++i) {
      names.push_back(type.field(i)->name());
    }
    return names;
  }

  void Refuse(const YAML::Node& node, const std::string& path,
              std::string text) {
    faults_.push_back({PositionOf(node.Mark()), path, std::move(text)});
    if (faults_.size() >= kMostFaults) throw GaveUp();
  }

  void Count(const YAML::Node& node) {
    if (++nodes_ <= kMostNodes && text_bytes_ <= kMostTextBytes) return;
    Refuse(node, "",
           "its aliases and variables make too much of it to be read");
    throw GaveUp();
  }

  void ReadField(const YAML::Node& node, const std::string& path,
                 Message& message, const FieldDescriptor& field) {
    if (field.is_map()) return ReadMap(node, path, message, field);
    if (field.is_repeated()) return ReadList(node, path, message, field);
    if (field.message_type() != nullptr) {
      // Whether it is there at all can mean something, as of TLS.
      if (node.IsNull()) {
        Count(node);
        return Refuse(node, path,
                      "is empty; leave the key out, or write {} for its "
                      "defaults");
      }
      return ReadMessage(
          node, path,
          *message.GetReflection()->MutableMessage(&message, &field));
    }
    ReadScalar(node, path, message, field);
  }

  void ReadList(const YAML::Node& node, const std::string& path,
                Message& message, const FieldDescriptor& field) {
    const Reflection& reflection = *message.GetReflection();
    if (node.IsMap() && field.options().GetExtension(config::v1::one_or_list)) {
      return ReadMessage(node, path, *reflection.AddMessage(&message, &field));
    }
    Count(node);
    if (!node.IsSequence()) {
      return Refuse(node, path,
                    absl::StrCat("must be a list, is ", KindOf(node)));
    }
    int index = 0;
    for (const auto& element : node) {
      const std::string here = absl::StrCat(path, "[", index++, "]");
      if (field.message_type() != nullptr) {
        ReadMessage(element, here, *reflection.AddMessage(&message, &field));
        continue;
      }
      ReadScalar(element, here, message, field);
      // Those behind one with a fault keep their index.
      if (reflection.FieldSize(message, &field) < index) {
        AddNothing(message, field);
      }
    }
  }

  static void AddNothing(Message& message, const FieldDescriptor& field) {
    const Reflection& reflection = *message.GetReflection();
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_UINT32:
        return reflection.AddUInt32(&message, &field, 0);
      case FieldDescriptor::CPPTYPE_ENUM:
        return reflection.AddEnumValue(&message, &field, 0);
      default:
        return reflection.AddString(&message, &field, "");
    }
  }

  // A map of numbers to scalars, which is what there is.
  void ReadMap(const YAML::Node& node, const std::string& path,
               Message& message, const FieldDescriptor& field) {
    Count(node);
    if (!node.IsMap()) {
      return Refuse(node, path,
                    absl::StrCat("must be a mapping of numbers to values, is ",
                                 KindOf(node)));
    }
    const FieldDescriptor& key_field = *field.message_type()->field(0);
    const FieldDescriptor& value_field = *field.message_type()->field(1);
    absl::flat_hash_set<std::uint32_t> seen;
    for (const auto& entry : node) {
      Count(entry.first);
      const std::optional<std::uint32_t> key =
          entry.first.IsScalar() ? ParseUint32(entry.first.Scalar())
                                 : std::nullopt;
      if (!key) {
        Refuse(entry.first, path,
               absl::StrCat("a key must be a number from 0 to 4294967295, is ",
                            KindOf(entry.first)));
        continue;
      }
      const std::string here = absl::StrCat(path, "[", *key, "]");
      if (!seen.insert(*key).second) {
        Refuse(entry.first, here, "is here twice");
        continue;
      }
      Message& element = *message.GetReflection()->AddMessage(&message, &field);
      element.GetReflection()->SetUInt32(&element, &key_field, *key);
      ReadScalar(entry.second, here, element, value_field);
    }
  }

  void ReadScalar(const YAML::Node& node, const std::string& path,
                  Message& message, const FieldDescriptor& field) {
    Count(node);
    if (node.IsNull()) {
      return Refuse(node, path,
                    "is empty; give it a value, or leave the key out");
    }
    if (!node.IsScalar()) {
      return Refuse(node, path,
                    absl::StrCat("must be one value, is ", KindOf(node)));
    }
    const std::string& written = node.Scalar();
    absl::StatusOr<std::string> value =
        environment_ == nullptr ? written : Substitute(written, *environment_);
    if (!value.ok()) {
      return Refuse(node, path, std::string(value.status().message()));
    }
    text_bytes_ += value->size();
    if (!IsUtf8(*value)) return Refuse(node, path, "must be UTF-8");
    if (std::any_of(value->begin(), value->end(), absl::ascii_iscntrl)) {
      return Refuse(node, path, "must be one line, without control characters");
    }
    // Faults show what is written, not what a variable holds.
    const bool quoted = node.Tag() == "!" && !absl::StrContains(written, "${");
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_BOOL:
        return ReadBool(node, path, quoted ? "" : *value, message, field);
      case FieldDescriptor::CPPTYPE_UINT32:
        return ReadNumber(node, path, quoted ? "" : *value, message, field);
      case FieldDescriptor::CPPTYPE_ENUM:
        return ReadChoice(node, path, *value, message, field);
      default:
        return Set(message, field, *std::move(value));
    }
  }

  void ReadBool(const YAML::Node& node, const std::string& path,
                absl::string_view value, Message& message,
                const FieldDescriptor& field) {
    const bool yes = value == "true" || value == "on";
    if (!yes && value != "false" && value != "off") {
      return Refuse(node, path,
                    absl::StrCat("must be true or false, is ", Written(node)));
    }
    message.GetReflection()->SetBool(&message, &field, yes);
  }

  void ReadNumber(const YAML::Node& node, const std::string& path,
                  absl::string_view value, Message& message,
                  const FieldDescriptor& field) {
    const std::optional<std::uint32_t> number = ParseUint32(value);
    if (!number) {
      return Refuse(node, path,
                    absl::StrCat("must be a number from 0 to 4294967295, is ",
                                 Written(node)));
    }
    const Reflection& reflection = *message.GetReflection();
    if (field.is_repeated()) {
      reflection.AddUInt32(&message, &field, *number);
    } else {
      reflection.SetUInt32(&message, &field, *number);
    }
  }

  void ReadChoice(const YAML::Node& node, const std::string& path,
                  absl::string_view value, Message& message,
                  const FieldDescriptor& field) {
    const EnumDescriptor& type = *field.enum_type();
    for (int i = 0; i < type.value_count(); ++i) {
      if (value.empty() || ChoiceName(*type.value(i)) != value) continue;
      const Reflection& reflection = *message.GetReflection();
      if (field.is_repeated()) {
        reflection.AddEnum(&message, &field, type.value(i));
      } else {
        reflection.SetEnum(&message, &field, type.value(i));
      }
      return;
    }
    const std::vector<std::string> names = ChoiceNames(type);
    Refuse(node, path,
           absl::StrCat("must be ", absl::StrJoin(names, "|"), ", is ",
                        Written(node), DidYouMean(node.Scalar(), names)));
  }

  static std::string Written(const YAML::Node& node) {
    const bool quoted = node.Tag() == "!";
    return absl::StrCat(quoted ? "the text " : "", Quoted(node.Scalar()));
  }

  static void Set(Message& message, const FieldDescriptor& field,
                  std::string value) {
    const Reflection& reflection = *message.GetReflection();
    if (field.is_repeated()) {
      reflection.AddString(&message, &field, std::move(value));
    } else {
      reflection.SetString(&message, &field, std::move(value));
    }
  }

  const Environment* const environment_;
  std::vector<YamlFault>& faults_;
  std::size_t nodes_ = 0;
  std::size_t text_bytes_ = 0;
};

// The faults of `read`, which is given a Reader.
template <typename Read>
std::vector<YamlFault> FaultsOf(const Environment* environment, Read read) {
  std::vector<YamlFault> faults;
  try {
    Reader reader(environment, faults);
    read(reader);
  } catch (const GaveUp&) {
    // The last fault says why.
  } catch (const std::exception& exception) {
    faults.push_back(
        {{}, "", absl::StrCat("cannot be read: ", exception.what())});
  }
  return faults;
}

}  // namespace

std::vector<YamlFault> ReadYaml(const YamlDocument& document,
                                const Environment& environment,
                                Message& message) {
  return FaultsOf(&environment, [&](Reader& reader) {
    reader.ReadMessage(document.root(), "", message);
  });
}

std::vector<YamlFault> ReadYamlMember(const YamlDocument& document,
                                      const std::string& key,
                                      Message& message) {
  return FaultsOf(nullptr, [&](Reader& reader) {
    reader.ReadMember(document.root(), key, message);
  });
}

}  // namespace headgate
