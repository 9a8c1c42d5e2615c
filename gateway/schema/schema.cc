#include "gateway/schema/schema.h"

#include <algorithm>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gateway/base/status.h"
#include "gateway/schema/editions.h"
#include "gateway/schema/json_conversion.h"
#include "gateway/schema/json_string.h"
#include "gateway/schema/json_type.h"
#include "gateway/schema/learned_types.h"
#include "gateway/schema/repair.h"
#include "google/api/annotations.pb.h"
#include "google/api/http.pb.h"
#include "google/api/httpbody.pb.h"
#include "google/protobuf/any.pb.h"
#include "google/protobuf/api.pb.h"
#include "google/protobuf/duration.pb.h"
#include "google/protobuf/dynamic_message.h"
#include "google/protobuf/empty.pb.h"
#include "google/protobuf/field_mask.pb.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/source_context.pb.h"
#include "google/protobuf/struct.pb.h"
#include "google/protobuf/timestamp.pb.h"
#include "google/protobuf/type.pb.h"
#include "google/protobuf/wrappers.pb.h"
#include "headgate/v1/message.pb.h"
#include "headgate/v1/packet.pb.h"

namespace headgate {
namespace {

namespace pb = ::google::protobuf;

// The library's types, from its descriptors in this program. The JSON
// conversion relies on the shape of those that have a JSON form of their own,
// so these never come from a peer.
std::vector<const pb::FileDescriptor*> WellKnownFiles() {
  return {
      pb::Any::descriptor()->file(),        pb::Duration::descriptor()->file(),
      pb::Empty::descriptor()->file(),      pb::FieldMask::descriptor()->file(),
      pb::Struct::descriptor()->file(),     pb::Timestamp::descriptor()->file(),
      pb::StringValue::descriptor()->file()};
}

// Files that many import and few servers serve. Of google/api/annotations.proto
// nothing is needed but its name: it defines no type.
std::vector<const pb::FileDescriptor*> LibraryFiles() {
  // Naming them links them in, also from a static library.
  return {pb::Api::descriptor()->file(),
          pb::FileDescriptorProto::descriptor()->file(),
          pb::SourceContext::descriptor()->file(),
          pb::Type::descriptor()->file(),
          google::api::HttpBody::descriptor()->file(),
          google::api::HttpRule::descriptor()->file()};
}

// The library's file of that name, or null.
const pb::FileDescriptor* LibraryFile(absl::string_view name) {
  for (const pb::FileDescriptor* file : LibraryFiles()) {
    if (file->name() == name) return file;
  }
  return nullptr;
}

pb::FileDescriptorProto ProtoOf(const pb::FileDescriptor& file) {
  pb::FileDescriptorProto proto;
  file.CopyTo(&proto);
  return proto;
}

// Keeps the first error of one file. Newer releases of protobuf call
// RecordError instead of AddError.
class FirstError final : public pb::DescriptorPool::ErrorCollector {
 public:
  void AddError(const std::string& file, const std::string& element,
                const pb::Message* /*descriptor*/, ErrorLocation /*location*/,
                const std::string& message)
#if GOOGLE_PROTOBUF_VERSION < 4022000
      override
#endif
  {
    Add(file, element, message);
  }
#if GOOGLE_PROTOBUF_VERSION >= 4022000
  void RecordError(absl::string_view file, absl::string_view element,
                   const pb::Message* /*descriptor*/,
                   ErrorLocation /*location*/,
                   absl::string_view message) override {
    Add(file, element, message);
  }
#endif
  const std::string& text() const { return text_; }

 private:
  void Add(absl::string_view file, absl::string_view element,
           absl::string_view message) {
    if (!text_.empty()) return;
    text_ = absl::StrCat(file, ": ");
    if (element != file) absl::StrAppend(&text_, element, ": ");
    absl::StrAppend(&text_, message);
  }

  std::string text_;
};

// The indices of `files` so that each comes after what it imports; those in an
// import cycle, or behind one, are missing.
std::vector<std::size_t> ImportOrder(
    const std::deque<pb::FileDescriptorProto>& files,
    const absl::flat_hash_map<std::string, std::size_t>& index_of) {
  std::vector<std::vector<std::size_t>> importers(files.size());
  std::vector<int> awaited(files.size(), 0);
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < files.size(); ++i) {
    for (const std::string& import : files[i].dependency()) {
      const auto found = index_of.find(import);
      if (found == index_of.end()) continue;  // The pool will complain.
      importers[found->second].push_back(i);
      ++awaited[i];
    }
    if (awaited[i] == 0) order.push_back(i);
  }
  for (std::size_t next = 0; next < order.size(); ++next) {
    for (const std::size_t importer : importers[order[next]]) {
      if (--awaited[importer] == 0) order.push_back(importer);
    }
  }
  return order;
}

MethodKind KindOf(const pb::MethodDescriptor& method) {
  if (method.client_streaming()) {
    return method.server_streaming() ? MethodKind::kBidiStreaming
                                     : MethodKind::kClientStreaming;
  }
  return method.server_streaming() ? MethodKind::kServerStreaming
                                   : MethodKind::kUnary;
}

std::vector<HttpRule> HttpRulesOf(const pb::MethodDescriptor& method,
                                  const HttpRuleOverrides& overrides) {
  const auto* const override = overrides.Find(method.full_name());
  if (override != nullptr) return *override;
  if (!method.options().HasExtension(google::api::http)) return {};
  return BindingsOf(method.options().GetExtension(google::api::http));
}

}  // namespace

struct Schema::Descriptors {
  pb::DescriptorPool pool;
  // Of the threads that use it each sees what the others have learned.
  mutable LearnedTypes learned{pool, LibraryFiles()};
  absl::flat_hash_map<std::string, Method> methods;
};

Schema::Schema(std::shared_ptr<const Schema> original,
               std::shared_ptr<const Descriptors> descriptors,
               OnUnknownType on_unknown_type)
    : original_(std::move(original)),
      descriptors_(std::move(descriptors)),
      pool_(&descriptors_->pool),
      json_types_(std::make_unique<JsonTypes>(pool_, &descriptors_->learned,
                                              std::move(on_unknown_type))),
      factory_(std::make_unique<pb::DynamicMessageFactory>()) {}
Schema::~Schema() = default;

std::shared_ptr<const Schema> Schema::Build(
    std::vector<pb::FileDescriptorProto> files,
    std::vector<std::string>* warnings, const HttpRuleOverrides& rules) {
  // The first of a name wins.
  std::deque<pb::FileDescriptorProto> all;
  absl::flat_hash_map<std::string, std::size_t> index_of;
  const auto add = [&](pb::FileDescriptorProto file) {
    if (index_of.emplace(file.name(), all.size()).second) {
      all.push_back(std::move(file));
    }
  };
  for (const auto* file : WellKnownFiles()) add(ProtoOf(*file));
  DropWideFiles(files, warnings);
  RepairFiles(WellKnownFiles(), LibraryFiles(), files, warnings);
  TranslateEditions(files);
  for (auto& file : files) add(std::move(file));
  for (std::size_t i = 0; i < all.size(); ++i) {  // `all` grows meanwhile.
    for (int d = 0; d < all[i].dependency_size(); ++d) {
      const auto* file = LibraryFile(all[i].dependency(d));
      if (file != nullptr) add(ProtoOf(*file));
    }
  }

  const auto descriptors = std::make_shared<Descriptors>();
  std::vector<bool> tried(all.size(), false);
  for (const std::size_t i : ImportOrder(all, index_of)) {
    tried[i] = true;
    FirstError error;
    const pb::FileDescriptor* file =
        descriptors->pool.BuildFileCollectingErrors(all[i], &error);
    if (file == nullptr) {
      warnings->push_back(error.text());
      continue;
    }
    for (int s = 0; s < file->service_count(); ++s) {
      const pb::ServiceDescriptor& service = *file->service(s);
      for (int m = 0; m < service.method_count(); ++m) {
        const pb::MethodDescriptor& method = *service.method(m);
        std::string path =
            absl::StrCat("/", service.full_name(), "/", method.name());
        Method value{path,
                     KindOf(method),
                     std::string(method.input_type()->full_name()),
                     std::string(method.output_type()->full_name()),
                     HttpRulesOf(method, rules),
                     method.options().idempotency_level() ==
                         pb::MethodOptions::NO_SIDE_EFFECTS};
        descriptors->methods.emplace(std::move(path), std::move(value));
      }
    }
  }
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (tried[i]) continue;
    warnings->push_back(
        absl::StrCat(all[i].name(), ": in an import cycle, or imports one"));
  }
  return std::shared_ptr<const Schema>(
      new Schema(nullptr, descriptors, nullptr));
}

std::shared_ptr<const Schema> Schema::Share(std::shared_ptr<const Schema> of,
                                            OnUnknownType on_unknown_type) {
  if (of == nullptr) return nullptr;
  const std::shared_ptr<const Descriptors> descriptors = of->descriptors_;
  return std::shared_ptr<const Schema>(
      new Schema(std::move(of), descriptors, std::move(on_unknown_type)));
}

std::shared_ptr<const Schema> Schema::BuiltIn() {
  std::vector<pb::FileDescriptorProto> files = {
      ProtoOf(*v1::Packet::descriptor()->file()),
      ProtoOf(*v1::Message::descriptor()->file())};
  std::vector<std::string> warnings;
  return Build(std::move(files), &warnings);
}

const Schema::Method* Schema::FindMethod(absl::string_view path) const {
  const auto found = descriptors_->methods.find(path);
  return found == descriptors_->methods.end() ? nullptr : &found->second;
}

std::vector<const Schema::Method*> Schema::methods() const {
  std::vector<const Method*> all;
  all.reserve(descriptors_->methods.size());
  for (const auto& [path, method] : descriptors_->methods)
    all.push_back(&method);
  std::sort(all.begin(), all.end(),
            [](const Method* a, const Method* b) { return a->path < b->path; });
  return all;
}

void Schema::Learn(std::vector<pb::FileDescriptorProto> files) const {
  descriptors_->learned.Learn(std::move(files));
}

std::vector<std::string> Schema::Unmatched(
    const HttpRuleOverrides& rules) const {
  std::vector<std::string> names;
  for (const auto& [path, method] : descriptors_->methods) {
    names.push_back(absl::StrReplaceAll(path.substr(1), {{"/", "."}}));
  }
  return rules.Unmatched(names);
}

bool Schema::HasField(absl::string_view type, absl::string_view field) const {
  const pb::Descriptor* const descriptor =
      pool_->FindMessageTypeByName(std::string(type));
  return descriptor != nullptr &&
         FindFieldByProtoName(*descriptor, field) != nullptr;
}

std::string Schema::MessageTypeOf(absl::string_view type,
                                  absl::string_view field) const {
  const pb::Descriptor* const descriptor =
      pool_->FindMessageTypeByName(std::string(type));
  const pb::FieldDescriptor* const found =
      descriptor == nullptr ? nullptr
                            : FindFieldByProtoName(*descriptor, field);
  if (found == nullptr || found->is_repeated() ||
      found->message_type() == nullptr) {
    return "";
  }
  return std::string(found->message_type()->full_name());
}

std::optional<Schema::JsonMember> Schema::FindJsonMember(
    absl::string_view type, absl::string_view name) const {
  const pb::Descriptor* const descriptor =
      pool_->FindMessageTypeByName(std::string(type));
  const int count = descriptor == nullptr ? 0 : descriptor->field_count();
  for (int i = 0; i < count; ++i) {
    const pb::FieldDescriptor* const field = descriptor->field(i);
    if (field->json_name() != name && field->name() != name) continue;
    const pb::Descriptor* message = field->message_type();
    if (field->is_map()) message = message->map_value()->message_type();
    return JsonMember{field->is_map(),
                      message == nullptr ? "" : message->full_name()};
  }
  return std::nullopt;
}

absl::StatusOr<std::string> Schema::JsonToProto(absl::string_view type,
                                                absl::string_view json,
                                                const JsonOptions& options,
                                                JsonError& error) const {
  std::string message;
  const JsonType* const found = json_types_->Find(type);
  if (found == nullptr) {
    error.message = error.message_for_log =
        absl::StrCat("unknown message type ", type);
  } else if (headgate::JsonToProto(*json_types_, *found, json, options, message,
                                   error)) {
    return message;
  }
  return ToStatus(error);
}

absl::StatusOr<std::string> Schema::ProtoToJson(
    absl::string_view type, absl::string_view message,
    const JsonOptions& options, std::string* awaited_type) const {
  const JsonType* const found = json_types_->Find(type);
  if (found == nullptr) {
    return absl::InternalError(absl::StrCat("unknown message type ", type));
  }
  std::string json;
  absl::Status status = headgate::ProtoToJson(*json_types_, *found, message,
                                              options, json, awaited_type);
  if (!status.ok()) return status;
  return json;
}

std::string Schema::StatusDetailsToJson(absl::string_view rpc_status,
                                        const JsonOptions& options,
                                        std::string* awaited_type) const {
  constexpr std::uint32_t kDetailsTag = 3 << 3 | 2;
  constexpr char kNone[] = "[]";
  if (rpc_status.size() > INT_MAX) return kNone;
  pb::io::CodedInputStream input(
      reinterpret_cast<const std::uint8_t*>(rpc_status.data()),
      static_cast<int>(rpc_status.size()));
  std::string details;
  while (const std::uint32_t tag = input.ReadTag()) {
    std::uint32_t size = 0;
    std::uint64_t ignored = 0;
    std::string bytes;
    switch (tag & 7) {
      case 0:
        if (!input.ReadVarint64(&ignored)) return kNone;
        continue;
      case 2:
        if (!input.ReadVarint32(&size) || size > rpc_status.size() ||
            !input.ReadString(&bytes, static_cast<int>(size))) {
          return kNone;
        }
        break;
      default:
        return kNone;
    }
    if (tag != kDetailsTag) continue;
    pb::Any any;
    if (!any.ParseFromString(bytes)) return kNone;
    auto json =
        ProtoToJson("google.protobuf.Any", bytes, options, awaited_type);
    if (!details.empty()) details += ',';
    if (json.ok()) {
      absl::StrAppend(&details, *json);
      continue;
    }
    details += "{\"@type\":";
    AppendJsonString(any.type_url(), details);
    absl::StrAppend(&details, ",\"value\":\"", absl::Base64Escape(any.value()),
                    "\"}");
  }
  if (!input.ConsumedEntireMessage()) return kNone;
  return absl::StrCat("[", details, "]");
}

}  // namespace headgate
