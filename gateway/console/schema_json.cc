#include <deque>
#include <string>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "gateway/base/utf8.h"
#include "gateway/console/console.h"
#include "gateway/schema/json_string.h"
#include "google/protobuf/descriptor.pb.h"

namespace headgate {
namespace {

namespace pb = ::google::protobuf;

// A comment is a help, not a text to read.
constexpr std::size_t kMaxCommentBytes = 1000;

std::string QuoteForConsole(absl::string_view text) {
  std::string json;
  AppendJsonString(ToUtf8(text), json);
  return json;
}

template <typename Descriptor>
void AppendComment(const Descriptor& descriptor, std::string& json) {
  pb::SourceLocation location;
  if (!descriptor.GetSourceLocation(&location)) return;
  const std::string& text = location.leading_comments.empty()
                                ? location.trailing_comments
                                : location.leading_comments;
  const absl::string_view comment = absl::StripAsciiWhitespace(text);
  if (comment.empty()) return;
  absl::StrAppend(&json, ",\"comment\":",
                  QuoteForConsole(comment.substr(0, kMaxCommentBytes)));
}

class SchemaWriter {
 public:
  SchemaWriter(const Schema& schema, std::size_t max_bytes)
      : schema_(schema), max_bytes_(max_bytes) {}

  std::string Write() {
    std::string services, messages, enums;
    const pb::ServiceDescriptor* service = nullptr;
    std::string methods;
    const auto end_service = [&] {
      if (service == nullptr) return;
      absl::StrAppend(&services, services.empty() ? "" : ",",
                      "{\"name\":", QuoteForConsole(service->full_name()));
      AppendComment(*service, services);
      absl::StrAppend(&services, ",\"methods\":[", methods, "]}");
      methods.clear();
    };
    // In order of their paths, so that a service's stand together.
    for (const Schema::Method* method : schema_.methods()) {
      if (services.size() + methods.size() > max_bytes_) {
        truncated_ = true;
        break;
      }
      const pb::MethodDescriptor* const descriptor = Find(*method);
      if (descriptor == nullptr) continue;
      if (descriptor->service() != service) {
        end_service();
        service = descriptor->service();
      }
      AppendMethod(*method, *descriptor, methods);
    }
    end_service();
    while (!todo_.empty()) {
      if (services.size() + messages.size() + enums.size() > max_bytes_) {
        truncated_ = true;
        break;
      }
      const pb::Descriptor& message = *todo_.front();
      todo_.pop_front();
      AppendMessage(message, messages, enums);
    }
    return absl::StrCat("{\"services\":[", services, "],\"messages\":{",
                        messages, "},\"enums\":{", enums, "}",
                        truncated_ ? ",\"truncated\":true" : "", "}\n");
  }

 private:
  const pb::MethodDescriptor* Find(const Schema::Method& method) const {
    std::string name = method.path.substr(1);
    name[name.rfind('/')] = '.';
    return schema_.pool().FindMethodByName(name);
  }

  void Reach(const pb::Descriptor& message) {
    if (reached_.insert(&message).second) todo_.push_back(&message);
  }

  void AppendMethod(const Schema::Method& method,
                    const pb::MethodDescriptor& descriptor, std::string& json) {
    static constexpr const char* kKinds[] = {"unary", "serverStream",
                                             "clientStream", "bidi"};
    absl::StrAppend(&json, json.empty() ? "" : ",",
                    "{\"name\":", QuoteForConsole(descriptor.name()),
                    ",\"kind\":\"", kKinds[static_cast<int>(method.kind)],
                    "\",\"input\":", QuoteForConsole(method.input),
                    ",\"output\":", QuoteForConsole(method.output));
    AppendComment(descriptor, json);
    if (descriptor.options().deprecated()) json += ",\"deprecated\":true";
    if (!method.http_rules.empty()) {
      std::string rules;
      for (const HttpRule& rule : method.http_rules) {
        absl::StrAppend(&rules, rules.empty() ? "" : ",",
                        "{\"verb\":", QuoteForConsole(rule.verb),
                        ",\"path\":", QuoteForConsole(rule.path_template),
                        ",\"body\":", QuoteForConsole(rule.body), "}");
      }
      absl::StrAppend(&json, ",\"http\":[", rules, "]");
    }
    json += "}";
    Reach(*descriptor.input_type());
    Reach(*descriptor.output_type());
  }

  void AppendMessage(const pb::Descriptor& message, std::string& messages,
                     std::string& enums) {
    absl::StrAppend(&messages, messages.empty() ? "" : ",",
                    QuoteForConsole(message.full_name()), ":{\"fields\":[");
    for (int i = 0; i < message.field_count(); ++i) {
      if (i > 0) messages += ",";
      AppendField(*message.field(i), messages, enums);
    }
    messages += "]";
    AppendComment(message, messages);
    messages += "}";
  }

  void AppendField(const pb::FieldDescriptor& field, std::string& json,
                   std::string& enums) {
    absl::StrAppend(&json, "{\"name\":", QuoteForConsole(field.json_name()),
                    ",\"number\":", field.number());
    const pb::FieldDescriptor* value = &field;
    if (field.is_map()) {
      value = field.message_type()->map_value();
      absl::StrAppend(&json, ",\"key\":\"",
                      field.message_type()->map_key()->type_name(), "\"");
    } else if (field.is_repeated()) {
      json += ",\"repeated\":true";
    }
    absl::StrAppend(&json, ",\"type\":\"", value->type_name(), "\"");
    if (const pb::Descriptor* message = value->message_type()) {
      Reach(*message);
      absl::StrAppend(&json,
                      ",\"message\":", QuoteForConsole(message->full_name()));
    } else if (const pb::EnumDescriptor* type = value->enum_type()) {
      AppendEnum(*type, enums);
      absl::StrAppend(&json, ",\"enum\":", QuoteForConsole(type->full_name()));
    }
    if (const pb::OneofDescriptor* oneof = field.real_containing_oneof()) {
      absl::StrAppend(&json, ",\"oneof\":", QuoteForConsole(oneof->name()));
    }
    if (field.is_required()) json += ",\"required\":true";
    if (field.options().deprecated()) json += ",\"deprecated\":true";
    AppendComment(field, json);
    json += "}";
  }

  void AppendEnum(const pb::EnumDescriptor& type, std::string& json) {
    if (!enums_.insert(&type).second) return;
    absl::StrAppend(&json, json.empty() ? "" : ",",
                    QuoteForConsole(type.full_name()), ":[");
    for (int i = 0; i < type.value_count(); ++i) {
      absl::StrAppend(&json, i == 0 ? "" : ",",
                      QuoteForConsole(type.value(i)->name()));
    }
    json += "]";
  }

  const Schema& schema_;
  const std::size_t max_bytes_;
  bool truncated_ = false;
  absl::flat_hash_set<const pb::Descriptor*> reached_;
  std::deque<const pb::Descriptor*> todo_;
  absl::flat_hash_set<const pb::EnumDescriptor*> enums_;
};

}  // namespace

std::string SchemaJson(const Schema& schema, std::size_t max_bytes) {
  return SchemaWriter(schema, max_bytes).Write();
}

}  // namespace headgate
