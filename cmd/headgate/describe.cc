#include "cmd/headgate/describe.h"

#include <algorithm>
#include <cstddef>
#include <iostream>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "cmd/headgate/descriptor_flags.h"
#include "gateway/base/status.h"
#include "gateway/schema/schema.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/descriptor.pb.h"
#include "google/protobuf/util/json_util.h"

namespace headgate {
namespace {

namespace pb = ::google::protobuf;

constexpr char kDescribeFooter[] =
    R"(Names are full ones: package.Service, package.Service.Method (or with a slash),
package.Message. Descriptors come from --descriptors, or else by server
reflection from --upstream.

Exit status: 0; 1 when there is no such name or the upstream cannot be asked; 64
for a command line that cannot be understood.)";

struct DescribeFlags {
  std::shared_ptr<const DescriptorFlags> source;
  bool json = false;
  std::string name;
};

int Fail(const std::string& command, const std::string& why) {
  std::cerr << "headgate " << command << ": " << why << "\n";
  return 1;
}

// "package.Service/Method" -> "package.Service.Method"
std::string Dotted(absl::string_view path) {
  std::string name(absl::StripPrefix(path, "/"));
  std::replace(name.begin(), name.end(), '/', '.');
  return name;
}

std::string Quoted(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + "\"";
}

int RunList(const DescribeFlags& flags) {
  const auto found = LoadDescriptors(*flags.source);
  if (!found.ok()) return Fail("list", MessageForLog(found.status()));
  const std::string wanted = Dotted(flags.name);
  std::map<std::string, std::vector<std::string>> services;
  for (const Schema::Method* method : found->schema->methods()) {
    const std::string name = Dotted(method->path);
    const std::string service = name.substr(0, name.rfind('.'));
    if (!wanted.empty() && wanted != service && wanted != name) continue;
    services[service].push_back(name);
  }
  if (!wanted.empty() && services.empty()) {
    return Fail("list",
                absl::StrCat("there is no service or method ", flags.name));
  }
  if (!flags.json) {
    for (const auto& [service, methods] : services) {
      if (wanted.empty()) std::cout << service << "\n";
      for (const std::string& method : methods) {
        if (!wanted.empty()) std::cout << method << "\n";
      }
    }
    return 0;
  }
  std::string json;
  for (const auto& [service, methods] : services) {
    absl::StrAppend(&json, json.empty() ? "" : ",",
                    "{\"service\":", Quoted(service), ",\"methods\":[");
    for (std::size_t i = 0; i < methods.size(); ++i) {
      absl::StrAppend(&json, i == 0 ? "" : ",", Quoted(methods[i]));
    }
    json += "]}";
  }
  std::cout << "[" << json << "]\n";
  return 0;
}

struct Description {
  std::string name;
  std::string kind;  // "service"
  std::string text;  // As in a .proto file, or its descriptor as JSON.
};

enum class DescribeAs { kProtoFile, kJson };

// DebugString writes a group's fields wherever the group is. A group may
// contain itself, as a field with the feature message_encoding = DELIMITED
// does, or twice another one, which has twice another one. The text is written
// only within these limits.
constexpr int kMaxDepth = 100;
constexpr std::size_t kMaxWrittenBytes = std::size_t{16} << 20;

// Goes the way of DebugString, and counts the bytes of the descriptors that it
// writes.
class WrittenText {
 public:
  bool Fits(const pb::Descriptor& message, int depth = 0) {
    bytes_ += SizeOf(message);
    if (depth > kMaxDepth || bytes_ > kMaxWrittenBytes) return false;
    std::set<const pb::Descriptor*> groups;
    for (int i = 0; i < message.field_count(); ++i) {
      if (!Fits(*message.field(i), depth)) return false;
      groups.insert(GroupOf(*message.field(i)));
    }
    for (int i = 0; i < message.extension_count(); ++i) {
      if (!Fits(*message.extension(i), depth)) return false;
      groups.insert(GroupOf(*message.extension(i)));
    }
    for (int i = 0; i < message.nested_type_count(); ++i) {
      const pb::Descriptor& nested = *message.nested_type(i);
      if (groups.count(&nested) == 0 && !Fits(nested, depth + 1)) return false;
    }
    return true;
  }
  bool Fits(const pb::FieldDescriptor& field, int depth = 0) {
    const pb::Descriptor* const group = GroupOf(field);
    return group == nullptr || Fits(*group, depth + 1);
  }
  // Without messages in them.
  bool Fits(const pb::ServiceDescriptor& /*service*/) { return true; }
  bool Fits(const pb::MethodDescriptor& /*method*/) { return true; }
  bool Fits(const pb::EnumDescriptor& /*type*/) { return true; }

 private:
  // Null: the field is no group.
  static const pb::Descriptor* GroupOf(const pb::FieldDescriptor& field) {
    return field.type() == pb::FieldDescriptor::TYPE_GROUP
               ? field.message_type()
               : nullptr;
  }

  std::size_t SizeOf(const pb::Descriptor& message) {
    const auto [size, is_new] = sizes_.try_emplace(&message, 0);
    if (is_new) {
      pb::DescriptorProto proto;
      message.CopyTo(&proto);
      size->second = proto.ByteSizeLong();
    }
    return size->second;
  }

  std::map<const pb::Descriptor*, std::size_t> sizes_;
  std::size_t bytes_ = 0;
};

template <typename Proto, typename Descriptor>
absl::StatusOr<std::vector<Description>> DescriptionOf(
    const Descriptor& descriptor, const char* kind, DescribeAs as) {
  Description description{descriptor.full_name(), kind, ""};
  if (as == DescribeAs::kJson) {
    Proto proto;
    descriptor.CopyTo(&proto);
    (void)pb::util::MessageToJsonString(proto, &description.text);
  } else if (WrittenText().Fits(descriptor)) {
    description.text = descriptor.DebugString();
  } else {
    return absl::ResourceExhaustedError(
        absl::StrCat("the groups in ", descriptor.full_name(),
                     " are too deep or too many to be written out; --json "
                     "shows the descriptor"));
  }
  return std::vector<Description>{std::move(description)};
}

// Empty when there is no such name.
absl::StatusOr<std::vector<Description>> Describe(const Schema& schema,
                                                  const std::string& name,
                                                  DescribeAs as) {
  const pb::DescriptorPool& pool = schema.pool();
  if (const auto* service = pool.FindServiceByName(name)) {
    return DescriptionOf<pb::ServiceDescriptorProto>(*service, "service", as);
  }
  if (const auto* method = pool.FindMethodByName(name)) {
    return DescriptionOf<pb::MethodDescriptorProto>(*method, "method", as);
  }
  if (const auto* message = pool.FindMessageTypeByName(name)) {
    return DescriptionOf<pb::DescriptorProto>(*message, "message", as);
  }
  if (const auto* type = pool.FindEnumTypeByName(name)) {
    return DescriptionOf<pb::EnumDescriptorProto>(*type, "enum", as);
  }
  if (const auto* field = pool.FindFieldByName(name)) {
    return DescriptionOf<pb::FieldDescriptorProto>(*field, "field", as);
  }
  if (const auto* extension = pool.FindExtensionByName(name)) {
    return DescriptionOf<pb::FieldDescriptorProto>(*extension, "extension", as);
  }
  return std::vector<Description>();
}

int RunDescribe(const DescribeFlags& flags) {
  const auto found = LoadDescriptors(*flags.source);
  if (!found.ok()) return Fail("describe", MessageForLog(found.status()));
  std::vector<std::string> names = {Dotted(flags.name)};
  if (flags.name.empty()) {
    names.clear();
    for (const Schema::Method* method : found->schema->methods()) {
      const std::string name = Dotted(method->path);
      names.push_back(name.substr(0, name.rfind('.')));
    }
    names.erase(std::unique(names.begin(), names.end()), names.end());
  }
  std::vector<Description> all;
  for (const std::string& name : names) {
    auto described =
        Describe(*found->schema, name,
                 flags.json ? DescribeAs::kJson : DescribeAs::kProtoFile);
    if (!described.ok()) {
      return Fail("describe", std::string(described.status().message()));
    }
    for (Description& one : *described) all.push_back(std::move(one));
  }
  if (!flags.name.empty() && all.empty()) {
    return Fail("describe", absl::StrCat("there is no ", flags.name));
  }
  std::string json;
  for (const Description& one : all) {
    if (!flags.json) {
      const bool vowel =
          std::string("aeiou").find(one.kind[0]) != std::string::npos;
      std::cout << one.name << " is " << (vowel ? "an " : "a ") << one.kind
                << ":\n"
                << absl::StripSuffix(one.text, "\n") << "\n";
      continue;
    }
    absl::StrAppend(
        &json, json.empty() ? "" : ",", "{\"name\":", Quoted(one.name),
        ",\"kind\":", Quoted(one.kind), ",\"descriptor\":", one.text, "}");
  }
  if (flags.json) std::cout << "[" << json << "]\n";
  return 0;
}

void AddDescribing(CLI::App& app, std::function<int()>& run,
                   const std::string& name, const std::string& help,
                   const std::string& what,
                   int (*describe)(const DescribeFlags&)) {
  CLI::App* const command = app.add_subcommand(name, help);
  command->footer(kDescribeFooter);
  const auto flags = std::make_shared<DescribeFlags>();
  flags->source = AddDescriptorFlags(*command);
  command->add_flag("--json", flags->json, "The result as one JSON text");
  command->add_option("NAME", flags->name, what)->type_name("");
  command->callback([&run, flags, describe] {
    run = [flags, describe] { return describe(*flags); };
  });
}

}  // namespace

void AddList(CLI::App& app, std::function<int()>& run) {
  AddDescribing(app, run, "list",
                "Lists the services of an upstream or of descriptor sets, or "
                "the methods of one",
                "A service, for its methods, or a method; none: all services",
                RunList);
}

void AddDescribe(CLI::App& app, std::function<int()>& run) {
  AddDescribing(app, run, "describe",
                "Shows a service, method, message or enum of an upstream or of "
                "descriptor sets as a .proto file has it",
                "What to show; none: all services", RunDescribe);
}

}  // namespace headgate
