#include "gateway/schema/repair.h"

#include <cstddef>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace headgate {
namespace {

namespace pb = ::google::protobuf;

// Names the entries of map fields as protoc does: "CopiesEntry" for `copies`.
void NameMapEntries(pb::DescriptorProto& message) {
  absl::flat_hash_map<std::string, pb::DescriptorProto*> entries;
  for (pb::DescriptorProto& nested : *message.mutable_nested_type()) {
    if (nested.options().map_entry()) entries.emplace(nested.name(), &nested);
    NameMapEntries(nested);
  }
  if (entries.empty()) return;
  for (pb::FieldDescriptorProto& field : *message.mutable_field()) {
    const std::size_t last = field.type_name().rfind('.') + 1;
    const auto entry = entries.find(field.type_name().substr(last));
    if (entry == entries.end()) continue;
    std::string name;
    bool raise = true;
    for (const char c : field.name()) {
      if (c != '_') name.push_back(raise ? absl::ascii_toupper(c) : c);
      raise = c == '_';
    }
    name += "Entry";
    entry->second->set_name(name);
    field.set_type_name(field.type_name().substr(0, last) + name);
  }
}

// Where each type is defined: full name -> file.
using TypeIndex = absl::flat_hash_map<std::string, std::string>;

std::string Qualified(absl::string_view scope, absl::string_view name) {
  return scope.empty() ? std::string(name) : absl::StrCat(scope, ".", name);
}

// Of a file or a message.
template <typename Scope>
void IndexTypes(const std::string& file, absl::string_view scope,
                const pb::RepeatedPtrField<pb::DescriptorProto>& messages,
                const Scope& owner, TypeIndex& index) {
  for (const pb::EnumDescriptorProto& type : owner.enum_type()) {
    index.emplace(Qualified(scope, type.name()), file);
  }
  for (const pb::DescriptorProto& message : messages) {
    const std::string name = Qualified(scope, message.name());
    index.emplace(name, file);
    IndexTypes(file, name, message.nested_type(), message, index);
  }
}

// Adds to `file` the imports that it lacks for the types that it names.
class Importer {
 public:
  Importer(const TypeIndex& index, pb::FileDescriptorProto& file)
      : index_(index),
        file_(file),
        present_(file.dependency().begin(), file.dependency().end()) {
    present_.insert(file.name());
  }

  void Run() {
    const std::string package = file_.package();
    for (const pb::DescriptorProto& message : file_.message_type()) {
      ImportFor(package, message);
    }
    for (const pb::ServiceDescriptorProto& service : file_.service()) {
      for (const pb::MethodDescriptorProto& method : service.method()) {
        Import(package, method.input_type());
        Import(package, method.output_type());
      }
    }
  }

 private:
  void ImportFor(absl::string_view scope, const pb::DescriptorProto& message) {
    const std::string name = Qualified(scope, message.name());
    for (const pb::FieldDescriptorProto& field : message.field()) {
      if (!field.type_name().empty()) Import(name, field.type_name());
    }
    for (const pb::DescriptorProto& nested : message.nested_type()) {
      ImportFor(name, nested);
    }
  }

  // Looks `type` up from `scope` outwards, as protobuf does.
  void Import(absl::string_view scope, absl::string_view type) {
    if (absl::ConsumePrefix(&type, ".")) scope = "";
    for (;;) {
      const auto found = index_.find(Qualified(scope, type));
      if (found != index_.end()) {
        if (present_.insert(found->second).second) {
          file_.add_dependency(found->second);
        }
        return;
      }
      if (scope.empty()) return;
      const std::size_t dot = scope.rfind('.');
      scope = dot == absl::string_view::npos ? "" : scope.substr(0, dot);
    }
  }

  const TypeIndex& index_;
  pb::FileDescriptorProto& file_;
  absl::flat_hash_set<std::string> present_;
};

}  // namespace

void RepairFiles(const std::vector<const pb::FileDescriptor*>& well_known,
                 std::vector<pb::FileDescriptorProto>& files) {
  TypeIndex types;
  for (const pb::FileDescriptor* file : well_known) {
    pb::FileDescriptorProto proto;
    file->CopyTo(&proto);
    IndexTypes(proto.name(), proto.package(), proto.message_type(), proto,
               types);
  }
  // A file of its own for google.protobuf, under a name that is not protobuf's.
  absl::flat_hash_set<std::string> replaced;
  for (const pb::FileDescriptorProto& file : files) {
    if (file.package() == "google.protobuf" &&
        !absl::StartsWith(file.name(), "google/protobuf/")) {
      replaced.insert(file.name());
    }
  }
  std::vector<pb::FileDescriptorProto> kept;
  kept.reserve(files.size());
  for (pb::FileDescriptorProto& file : files) {
    if (replaced.contains(file.name())) continue;
    for (std::string& import : *file.mutable_dependency()) {
      // The place is kept, for public_dependency counts places.
      if (replaced.contains(import)) import = well_known.front()->name();
    }
    for (pb::DescriptorProto& message : *file.mutable_message_type()) {
      NameMapEntries(message);
    }
    IndexTypes(file.name(), file.package(), file.message_type(), file, types);
    kept.push_back(std::move(file));
  }
  for (pb::FileDescriptorProto& file : kept) Importer(types, file).Run();
  files = std::move(kept);
}

}  // namespace headgate
