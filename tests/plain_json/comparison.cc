#include "tests/plain_json/comparison.h"

#include <memory>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "gateway/schema/plain_json.h"
#include "google/protobuf/message.h"

namespace headgate {
namespace {

// The message as text; the order of its fields on the wire does not matter.
std::string Describe(const google::protobuf::Descriptor& type,
                     const std::string& bytes) {
  const std::unique_ptr<google::protobuf::Message> message(
      google::protobuf::MessageFactory::generated_factory()
          ->GetPrototype(&type)
          ->New());
  if (!message->ParseFromString(bytes)) return "(cannot be parsed)";
  return message->ShortDebugString();
}

}  // namespace

PlainJsonComparison::PlainJsonComparison(
    const google::protobuf::Descriptor& type)
    : type_(type),
      types_(type.file()->pool()),
      converter_(type.file()->pool()) {}

PlainJsonComparison::Outcome PlainJsonComparison::FromJson(
    absl::string_view json) {
  std::string plain;
  if (!PlainJsonToProto(types_, types_.Of(type_), json, plain)) {
    return Outcome::kLeft;
  }
  JsonError error;
  const absl::StatusOr<std::string> converter =
      converter_.JsonToProto(type_.full_name(), json, JsonOptions(), error);
  if (!converter.ok()) {
    return Differ(json, Describe(type_, plain), converter.status().ToString());
  }
  if (plain == *converter) return Outcome::kSame;
  return Differ(json, Describe(type_, plain), Describe(type_, *converter));
}

PlainJsonComparison::Outcome PlainJsonComparison::ToJson(
    absl::string_view message, const JsonOptions& options) {
  std::string plain;
  if (!PlainProtoToJson(types_, types_.Of(type_), message, options, plain)) {
    return Outcome::kLeft;
  }
  const absl::StatusOr<std::string> converter =
      converter_.ProtoToJson(type_, message, options);
  return Differ(message, plain,
                converter.ok() ? *converter : converter.status().ToString());
}

std::string PlainJsonComparison::PlainText(absl::string_view message,
                                           const JsonOptions& options) {
  std::string json;
  return PlainProtoToJson(types_, types_.Of(type_), message, options, json)
             ? json
             : "(left)";
}

PlainJsonComparison::Outcome PlainJsonComparison::Differ(
    absl::string_view input, absl::string_view plain,
    absl::string_view converter) {
  if (plain == converter) return Outcome::kSame;
  difference_ =
      absl::StrCat("of ", absl::CHexEscape(input), "\nplain:     ", plain,
                   "\nconverter: ", converter);
  return Outcome::kDifferent;
}

}  // namespace headgate
