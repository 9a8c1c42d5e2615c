// Writes docs/configuration.md from the comments of the configuration's schema.
//
//   config_reference DESCRIPTORS FILE            writes it
//   config_reference --check DESCRIPTORS FILE    fails when it is stale
//
// DESCRIPTORS: what protoc --include_source_info --descriptor_set_out writes.
// Fails also when a message or field has no comment, or a field's comment does
// not end with its default.

#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/descriptor.pb.h"

namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::SourceLocation;

constexpr char kSchema[] = "headgate/config/v1/config.proto";
constexpr char kHeader[] =
    "<!-- Made by tools/config_reference.cc from proto/headgate/config/v1/"
    "config.proto; change that instead. -->\n\n# The configuration file\n\n";

// A comment without its markers, as the lines that were written.
template <typename Element>
std::string CommentOf(const Element& element) {
  SourceLocation location;
  if (!element.GetSourceLocation(&location)) return "";
  std::vector<std::string> lines =
      absl::StrSplit(location.leading_comments, '\n');
  for (std::string& line : lines) {
    line = std::string(absl::StripPrefix(line, " "));
  }
  std::string text = absl::StrJoin(lines, "\n");
  absl::StripAsciiWhitespace(&text);
  return text;
}

std::vector<std::string> ChoicesOf(const EnumDescriptor& type) {
  std::string prefix;
  for (const char c : type.name()) {
    if (absl::ascii_isupper(c) && !prefix.empty()) prefix += '_';
    prefix += absl::ascii_toupper(c);
  }
  std::vector<std::string> names;
  for (int i = 1; i < type.value_count(); ++i) {
    const std::string name =
        absl::AsciiStrToLower(type.value(i)->name().substr(prefix.size() + 1));
    names.push_back(
        absl::StrCat("`", absl::StrReplaceAll(name, {{"_", "-"}}), "`"));
  }
  return names;
}

class Reference {
 public:
  explicit Reference(const Descriptor& root) {
    text_ = absl::StrCat(kHeader, CommentOf(root), "\n");
    Add(root, "");
  }

  const std::string& text() const { return text_; }
  const std::vector<std::string>& faults() const { return faults_; }

 private:
  // One row of a table.
  struct Entry {
    std::string what;
    std::string takes;
    std::string otherwise;  // What it is when the key is not there.
  };

  static std::string PathOf(const std::string& path,
                            const FieldDescriptor& field) {
    return absl::StrCat(path, path.empty() ? "" : ".", field.name(),
                        field.is_repeated() && !field.is_map() ? "[]" : "");
  }

  // GitHub's name for the heading of a path.
  static std::string Link(const std::string& path) {
    const std::string anchor =
        absl::StrReplaceAll(path, {{".", ""}, {"[]", ""}});
    return absl::StrCat("[", path, "](#", anchor, ")");
  }

  static std::string TypeOf(const std::string& path,
                            const FieldDescriptor& field) {
    std::string type;
    if (field.is_map()) return "a mapping of numbers to texts";
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_MESSAGE:
        return Link(PathOf(path, field));
      case FieldDescriptor::CPPTYPE_BOOL:
        type = "`true`, `false`";
        break;
      case FieldDescriptor::CPPTYPE_UINT32:
        type = field.is_repeated() ? "numbers" : "a number";
        break;
      case FieldDescriptor::CPPTYPE_ENUM:
        type = absl::StrJoin(ChoicesOf(*field.enum_type()), ", ");
        break;
      default:
        type = field.is_repeated() ? "texts" : "text";
        break;
    }
    return field.is_repeated() ? absl::StrCat("a list: ", type) : type;
  }

  // "What it does. Takes a size. Default: 1MiB." in its parts.
  Entry EntryOf(const std::string& path, const FieldDescriptor& field) {
    Entry entry;
    std::string text =
        absl::StrReplaceAll(CommentOf(field), {{"\n", " "}, {"|", "\\|"}});
    const std::size_t otherwise = text.rfind("Default: ");
    if (otherwise != std::string::npos) {
      entry.otherwise = std::string(
          absl::StripSuffix(text.substr(otherwise + strlen("Default: ")), "."));
      text.resize(otherwise);
    } else if (field.cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE ||
               text.empty()) {
      faults_.push_back(absl::StrCat(
          field.full_name(), ": the comment must end with \"Default: ...\""));
    }
    entry.takes = TypeOf(path, field);
    const std::size_t takes = text.rfind("Takes ");
    if (takes != std::string::npos) {
      std::string type = text.substr(takes + strlen("Takes "));
      absl::StripAsciiWhitespace(&type);
      entry.takes = std::string(absl::StripSuffix(type, "."));
      text.resize(takes);
    }
    absl::StripAsciiWhitespace(&text);
    entry.what = text;
    return entry;
  }

  void Add(const Descriptor& type, const std::string& path) {
    if (!path.empty()) {
      absl::StrAppend(&text_, "\n## `", path, "`\n");
      const std::string comment = CommentOf(type);
      if (!comment.empty()) absl::StrAppend(&text_, "\n", comment, "\n");
    } else {
      absl::StrAppend(&text_, "\n## The keys\n");
    }
    absl::StrAppend(&text_,
                    "\n| key | takes | default | what it does |\n"
                    "|---|---|---|---|\n");
    for (int i = 0; i < type.field_count(); ++i) {
      const FieldDescriptor& field = *type.field(i);
      const Entry entry = EntryOf(path, field);
      absl::StrAppend(&text_, "| `", field.name(), "` | ", entry.takes, " | ",
                      entry.otherwise, " | ", entry.what, " |\n");
    }
    for (int i = 0; i < type.field_count(); ++i) {
      const FieldDescriptor& field = *type.field(i);
      if (field.message_type() != nullptr && !field.is_map()) {
        Add(*field.message_type(), PathOf(path, field));
      }
    }
  }

  std::string text_;
  std::vector<std::string> faults_;
};

}  // namespace

int main(int argc, char** argv) {
  const bool check = argc > 1 && std::strcmp(argv[1], "--check") == 0;
  if (argc != (check ? 4 : 3)) {
    std::cerr << "usage: config_reference [--check] DESCRIPTORS FILE\n";
    return 64;
  }
  const std::string descriptors = argv[argc - 2];
  const std::string path = argv[argc - 1];

  google::protobuf::FileDescriptorSet set;
  std::ifstream input(descriptors, std::ios::binary);
  // What the schema imports is in the library.
  google::protobuf::DescriptorPool pool(
      google::protobuf::DescriptorPool::generated_pool());
  if (!set.ParseFromIstream(&input) || set.file_size() != 1 ||
      pool.BuildFile(set.file(0)) == nullptr) {
    std::cerr << descriptors << ": no descriptors of " << kSchema << "\n";
    return 1;
  }
  const google::protobuf::FileDescriptor* schema = pool.FindFileByName(kSchema);
  if (schema == nullptr) return 1;
  const Reference reference(*schema->FindMessageTypeByName("Config"));
  for (const std::string& fault : reference.faults()) {
    std::cerr << kSchema << ": " << fault << "\n";
  }
  if (!reference.faults().empty()) return 1;

  if (!check) {
    std::ofstream(path, std::ios::binary) << reference.text();
    return 0;
  }
  std::ifstream file(path, std::ios::binary);
  const std::string there{std::istreambuf_iterator<char>(file), {}};
  if (there == reference.text()) return 0;
  std::cerr << path << " is stale. To make it anew:\n  " << argv[0] << " "
            << descriptors << " " << path << "\n";
  return 1;
}
