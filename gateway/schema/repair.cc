#include "gateway/schema/repair.h"

#include <algorithm>
#include <cstddef>
#include <map>
#include <string>
#include <utility>
#include <vector>

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

// Removes imports for which `is_missing`, and keeps the indices of the public
// and weak ones right.
template <typename Predicate>
void DropImports(pb::FileDescriptorProto& file, Predicate is_missing) {
  std::vector<int> index_of(static_cast<std::size_t>(file.dependency_size()));
  std::vector<std::string> kept;
  for (int i = 0; i < file.dependency_size(); ++i) {
    const bool drop = is_missing(file.dependency(i));
    index_of[static_cast<std::size_t>(i)] =
        drop ? -1 : static_cast<int>(kept.size());
    if (!drop) kept.push_back(file.dependency(i));
  }
  if (static_cast<int>(kept.size()) == file.dependency_size()) return;
  const auto renumber = [&](pb::RepeatedField<int>& indices) {
    pb::RepeatedField<int> renumbered;
    for (const int index : indices) {
      const bool known = index >= 0 && index < file.dependency_size();
      const int now = known ? index_of[static_cast<std::size_t>(index)] : -1;
      if (now >= 0) renumbered.Add(now);
    }
    indices.Swap(&renumbered);
  };
  renumber(*file.mutable_public_dependency());
  renumber(*file.mutable_weak_dependency());
  file.mutable_dependency()->Assign(kept.begin(), kept.end());
}

// Leaves out of `file` what files before it define, and adds to `owners` what
// it defines itself: full name -> file.
class DuplicateFilter {
 public:
  DuplicateFilter(TypeIndex& owners, std::vector<std::string>* warnings)
      : owners_(owners), warnings_(warnings) {}

  void Run(pb::FileDescriptorProto& file) {
    std::map<std::string, std::vector<std::string>> left_out;  // By owner.
    Filter(file, *file.mutable_message_type(), left_out);
    Filter(file, *file.mutable_enum_type(), left_out);
    Filter(file, *file.mutable_service(), left_out);
    Filter(file, *file.mutable_extension(), left_out);
    for (const auto& [owner, names] : left_out) {
      warnings_->push_back(
          absl::StrCat(file.name(), ": ", names.front(),
                       names.size() == 1
                           ? ""
                           : absl::StrCat(" (and ", names.size() - 1, " more)"),
                       " is left out, as ", owner, " defines it, too"));
    }
  }

 private:
  template <typename Things>
  void Filter(const pb::FileDescriptorProto& file, Things& things,
              std::map<std::string, std::vector<std::string>>& left_out) {
    for (int i = 0; i < things.size();) {
      std::string name = Qualified(file.package(), things.Get(i).name());
      const auto [owner, is_new] = owners_.emplace(name, file.name());
      if (is_new) {
        ++i;
        continue;
      }
      left_out[owner->second].push_back(std::move(name));
      things.DeleteSubrange(i, 1);
    }
  }

  TypeIndex& owners_;
  std::vector<std::string>* const warnings_;
};

// Adds to `file` the imports that it lacks for the types that it names, and
// does without those that nobody defines.
class Importer {
 public:
  Importer(const TypeIndex& index, pb::FileDescriptorProto& file,
           std::vector<std::string>* warnings)
      : index_(index),
        file_(file),
        warnings_(warnings),
        present_(file.dependency().begin(), file.dependency().end()) {
    present_.insert(file.name());
  }

  void Run() {
    const std::string package = file_.package();
    for (pb::DescriptorProto& message : *file_.mutable_message_type()) {
      ImportFor(package, message);
    }
    ImportForExtensions(package, *file_.mutable_extension());
    for (pb::ServiceDescriptorProto& service : *file_.mutable_service()) {
      auto& methods = *service.mutable_method();
      for (int i = 0; i < methods.size();) {
        const pb::MethodDescriptorProto& method = methods.Get(i);
        const bool has_input = Import(package, method.input_type());
        const bool has_output = Import(package, method.output_type());
        if (has_input && has_output) {
          ++i;
          continue;
        }
        warnings_->push_back(absl::StrCat(
            file_.name(), ": ", Qualified(package, service.name()), "/",
            method.name(), " is left out, as nothing defines ",
            has_input ? method.output_type() : method.input_type()));
        methods.DeleteSubrange(i, 1);
      }
    }
  }

 private:
  void ImportFor(absl::string_view scope, pb::DescriptorProto& message) {
    const std::string name = Qualified(scope, message.name());
    for (pb::FieldDescriptorProto& field : *message.mutable_field()) {
      if (field.type_name().empty() || Import(name, field.type_name()))
        continue;
      DoWithoutType(name, field);
    }
    ImportForExtensions(name, *message.mutable_extension());
    for (pb::DescriptorProto& nested : *message.mutable_nested_type()) {
      ImportFor(name, nested);
    }
  }

  void ImportForExtensions(
      absl::string_view scope,
      pb::RepeatedPtrField<pb::FieldDescriptorProto>& extensions) {
    for (int i = 0; i < extensions.size();) {
      pb::FieldDescriptorProto& extension = *extensions.Mutable(i);
      if (!Import(scope, extension.extendee())) {
        extensions.DeleteSubrange(i, 1);
        continue;
      }
      if (!extension.type_name().empty() &&
          !Import(scope, extension.type_name())) {
        DoWithoutType(scope, extension);
      }
      ++i;
    }
  }

  void DoWithoutType(absl::string_view scope, pb::FieldDescriptorProto& field) {
    using Field = pb::FieldDescriptorProto;
    if (field.type() == Field::TYPE_GROUP) return;  // The pool will complain.
    const bool is_enum = field.type() == Field::TYPE_ENUM;
    warnings_->push_back(
        absl::StrCat(file_.name(), ": ", scope, ".", field.name(),
                     " counts as ", is_enum ? "int32" : "bytes",
                     ", as nothing defines ", field.type_name()));
    field.set_type(is_enum ? Field::TYPE_INT32 : Field::TYPE_BYTES);
    field.clear_type_name();
    field.clear_default_value();
    if (field.options().lazy()) field.mutable_options()->clear_lazy();
  }

  // Looks `type` up from `scope` outwards, as protobuf does; false when nothing
  // defines it.
  bool Import(absl::string_view scope, absl::string_view type) {
    if (absl::ConsumePrefix(&type, ".")) scope = "";
    for (;;) {
      const auto found = index_.find(Qualified(scope, type));
      if (found != index_.end()) {
        if (present_.insert(found->second).second) {
          file_.add_dependency(found->second);
        }
        return true;
      }
      if (scope.empty()) return false;
      const std::size_t dot = scope.rfind('.');
      scope = dot == absl::string_view::npos ? "" : scope.substr(0, dot);
    }
  }

  const TypeIndex& index_;
  pb::FileDescriptorProto& file_;
  std::vector<std::string>* const warnings_;
  absl::flat_hash_set<std::string> present_;
};

// The first of them and those nested in them; null if there is none.
const pb::DescriptorProto* FindWideMessage(
    const pb::RepeatedPtrField<pb::DescriptorProto>& messages) {
  for (const pb::DescriptorProto& message : messages) {
    if (message.field_size() > kMostFields) return &message;
    if (const auto* nested = FindWideMessage(message.nested_type())) {
      return nested;
    }
  }
  return nullptr;
}

}  // namespace

void DropWideFiles(std::vector<pb::FileDescriptorProto>& files,
                   std::vector<std::string>* warnings) {
  const auto is_wide = [warnings](const pb::FileDescriptorProto& file) {
    const pb::DescriptorProto* const wide =
        FindWideMessage(file.message_type());
    if (wide != nullptr && warnings != nullptr) {
      warnings->push_back(absl::StrCat(file.name(), ": message ", wide->name(),
                                       " has ", wide->field_size(),
                                       " fields, may have ", kMostFields));
    }
    return wide != nullptr;
  };
  files.erase(std::remove_if(files.begin(), files.end(), is_wide), files.end());
}

void RepairFiles(const std::vector<const pb::FileDescriptor*>& well_known,
                 const std::vector<const pb::FileDescriptor*>& library,
                 std::vector<pb::FileDescriptorProto>& files,
                 std::vector<std::string>* warnings) {
  TypeIndex types;
  TypeIndex owners;
  absl::flat_hash_set<std::string> names;
  DuplicateFilter duplicates(owners, warnings);
  for (const pb::FileDescriptor* file : well_known) {
    pb::FileDescriptorProto proto;
    file->CopyTo(&proto);
    IndexTypes(proto.name(), proto.package(), proto.message_type(), proto,
               types);
    names.insert(proto.name());
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
    if (replaced.contains(file.name()) || !names.insert(file.name()).second) {
      continue;  // Of two files of one name the first counts.
    }
    for (std::string& import : *file.mutable_dependency()) {
      // The place is kept, for public_dependency counts places.
      if (replaced.contains(import)) import = well_known.front()->name();
    }
    for (pb::DescriptorProto& message : *file.mutable_message_type()) {
      NameMapEntries(message);
    }
    duplicates.Run(file);
    IndexTypes(file.name(), file.package(), file.message_type(), file, types);
    kept.push_back(std::move(file));
  }
  for (const pb::FileDescriptor* file : library) {
    pb::FileDescriptorProto proto;
    file->CopyTo(&proto);
    // The same types may be served under another name.
    const bool defined = std::any_of(
        proto.message_type().begin(), proto.message_type().end(),
        [&](const pb::DescriptorProto& message) {
          return owners.contains(Qualified(proto.package(), message.name()));
        });
    if (defined) continue;
    names.insert(proto.name());
    IndexTypes(proto.name(), proto.package(), proto.message_type(), proto,
               types);
  }
  for (pb::FileDescriptorProto& file : kept) {
    DropImports(file, [&names](const std::string& import) {
      return !names.contains(import);
    });
    Importer(types, file, warnings).Run();
  }
  files = std::move(kept);
}

}  // namespace headgate
