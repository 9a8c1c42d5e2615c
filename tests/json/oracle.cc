#include "tests/json/oracle.h"

#include <memory>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gateway/schema/json_conversion.h"
#include "google/protobuf/stubs/logging.h"
#include "google/protobuf/util/json_util.h"
#include "google/protobuf/util/type_resolver.h"
#include "google/protobuf/util/type_resolver_util.h"

namespace headgate {
namespace {

using ::google::protobuf::Message;

constexpr char kUrlPrefix[] = "type.googleapis.com";

}  // namespace

JsonOracle::JsonOracle(const Message& prototype)
    : prototype_(prototype),
      types_(prototype.GetDescriptor()->file()->pool()) {}

std::string JsonOracle::Describe(const std::string& bytes) const {
  const google::protobuf::LogSilencer silencer;
  const std::unique_ptr<Message> message(prototype_.New());
  if (!message->ParsePartialFromString(bytes)) return "(cannot be parsed)";
  message->DiscardUnknownFields();
  return message->ShortDebugString();
}

std::string JsonOracle::CheckBytes(absl::string_view bytes,
                                   const JsonOptions& options) {
  const JsonType& type = types_.Of(*prototype_.GetDescriptor());
  std::string json;
  const absl::Status status = ProtoToJson(types_, type, bytes, options, json);
  const std::string parsed = Describe(std::string(bytes));
  const std::string about = absl::StrCat("of ", absl::CHexEscape(bytes), "\n");
  if (!status.ok()) {
    // These parse, and have no form in JSON.
    for (const char* reason : {"nested deeper", "UTF-8", "longer than",
                               "has no form", "out of its", "NaN"}) {
      if (absl::StrContains(status.message(), reason)) return "";
    }
    if (parsed == "(cannot be parsed)") return "";
    if (absl::StrContains(status.message(), "malformed")) {
      ++stricter_;
      return "";
    }
    return absl::StrCat(about, status.ToString(), "\nparsed: ", parsed);
  }
  if (parsed == "(cannot be parsed)") {
    ++unread_;
    return "";
  }
  std::string again;
  JsonError error;
  if (!JsonToProto(types_, type, json, {}, again, error)) {
    // Numbers of a closed enum that have no name, and what has no fields to be
    // required of.
    for (const char* reason : {"must be a value of", "is required"}) {
      if (absl::StrContains(error.message, reason)) return "";
    }
    return absl::StrCat(about, json, "\nfield ", error.field, ": ",
                        error.message);
  }
  ++converted_;
  const std::string read = Describe(again);
  if (read == parsed) return "";
  return absl::StrCat(about, json, "\nparsed: ", parsed, "\nread:   ", read);
}

std::string JsonOracle::CheckJson(absl::string_view json) {
  const JsonType& type = types_.Of(*prototype_.GetDescriptor());
  std::string bytes;
  JsonError error;
  if (!JsonToProto(types_, type, json, {}, bytes, error)) {
    if (!error.message.empty() && error.offset <= json.size()) return "";
    return absl::StrCat(json, " is refused without a reason");
  }
  ++converted_;
  const std::unique_ptr<google::protobuf::util::TypeResolver> resolver(
      google::protobuf::util::NewTypeResolverForDescriptorPool(
          kUrlPrefix, prototype_.GetDescriptor()->file()->pool()));
  std::string protobufs;
  const auto status = google::protobuf::util::JsonToBinaryString(
      resolver.get(),
      absl::StrCat(kUrlPrefix, "/", prototype_.GetDescriptor()->full_name()),
      std::string(json), &protobufs, {});
  // It takes less of what is right, takes -0 for a whole number, and writes
  // groups without their end.
  if (!status.ok()) return "";
  for (const char* part : {"-0", "item", "data", "oneofgroup", "inner"}) {
    if (absl::StrContains(json, part)) return "";
  }
  const std::string ours = Describe(bytes);
  const std::string theirs = Describe(protobufs);
  if (ours == theirs) return "";
  return absl::StrCat(json, "\nours:   ", ours, "\ntheirs: ", theirs);
}

}  // namespace headgate
