#include "gateway/schema/json_converter.h"

#include <climits>
#include <cstddef>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "gateway/base/status.h"
#include "gateway/schema/json_error.h"
#include "gateway/schema/wire.h"
#include "google/protobuf/dynamic_message.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"
#include "google/protobuf/type.pb.h"
#include "google/protobuf/util/json_util.h"
#include "google/protobuf/util/type_resolver_util.h"

namespace headgate {
namespace {

namespace pb = ::google::protobuf;

constexpr char kUrlPrefix[] = "type.googleapis.com";

std::string TypeUrl(absl::string_view type) {
  return absl::StrCat(kUrlPrefix, "/", type);
}

// Keeps what the pool's own resolver makes anew from the descriptors each time.
// An Any's type may have any prefix, as in the generated code.
class CachingResolver final : public pb::util::TypeResolver {
 public:
  // protobuf's or abseil's, as the release has it.
  using Status =
      decltype(std::declval<pb::util::TypeResolver&>().ResolveMessageType(
          std::declval<const std::string&>(), nullptr));

  explicit CachingResolver(const pb::DescriptorPool* pool)
      : pool_(pb::util::NewTypeResolverForDescriptorPool(kUrlPrefix, pool)) {}

  Status ResolveMessageType(const std::string& url, pb::Type* type) override {
    const std::string name = NameOf(url);
    if (const auto found = types_.find(name); found != types_.end()) {
      *type = *found->second;
      return Status();
    }
    Status status = pool_->ResolveMessageType(TypeUrl(name), type);
    if (status.ok()) types_.emplace(name, std::make_unique<pb::Type>(*type));
    return status;
  }

  Status ResolveEnumType(const std::string& url, pb::Enum* type) override {
    const std::string name = NameOf(url);
    if (const auto found = enums_.find(name); found != enums_.end()) {
      *type = *found->second;
      return Status();
    }
    Status status = pool_->ResolveEnumType(TypeUrl(name), type);
    if (status.ok()) enums_.emplace(name, std::make_unique<pb::Enum>(*type));
    return status;
  }

 private:
  static std::string NameOf(const std::string& url) {
    return url.substr(url.rfind('/') + 1);
  }

  std::unique_ptr<pb::util::TypeResolver> pool_;
  // Only what the pool knows, so no larger than it.
  absl::flat_hash_map<std::string, std::unique_ptr<pb::Type>> types_;
  absl::flat_hash_map<std::string, std::unique_ptr<pb::Enum>> enums_;
};

// Whether the brackets of a well-formed JSON text nest deeper than
// kMaxNesting. protobuf has such a limit for objects, not for lists.
bool NestsTooDeep(absl::string_view json) {
  int depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > kMaxNesting) return true;
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return false;
}

pb::util::JsonPrintOptions PrintOptions(const JsonOptions& options) {
  pb::util::JsonPrintOptions print;
  print.preserve_proto_field_names =
      options.field_names == JsonOptions::FieldNames::kProto;
  print.always_print_enums_as_ints =
      options.enums == JsonOptions::Enums::kNumber;
  const bool emit = options.unpopulated == JsonOptions::Unpopulated::kEmit;
#if GOOGLE_PROTOBUF_VERSION < 5026000
  print.always_print_primitive_fields = emit;
#else
  print.always_print_fields_with_no_presence = emit;
#endif
  return print;
}

// `bytes` merged into one message and written in the usual order. Any values
// stay as they are.
absl::StatusOr<std::string> Merge(const pb::Descriptor& type,
                                  absl::string_view bytes) {
  pb::DynamicMessageFactory factory;
  const std::unique_ptr<pb::Message> message(
      factory.GetPrototype(&type)->New());
  std::string merged;
  if (!message->ParsePartialFromArray(bytes.data(),
                                      static_cast<int>(bytes.size())) ||
      !message->SerializePartialToString(&merged)) {
    return absl::InternalError(absl::StrCat("not a ", type.full_name()));
  }
  return merged;
}

}  // namespace

JsonConverter::JsonConverter(const pb::DescriptorPool* pool)
    : resolver_(std::make_unique<CachingResolver>(pool)) {}

JsonConverter::~JsonConverter() = default;

absl::StatusOr<std::string> JsonConverter::JsonToProto(
    absl::string_view type, absl::string_view json, const JsonOptions& options,
    JsonError& error) const {
  std::string message;
  if (NestsTooDeep(json)) {
    error = {"", absl::StrCat("nested deeper than ", kMaxNesting)};
  } else if (json.size() > INT_MAX) {
    error = {"", "longer than 2 GiB"};
  } else {
    pb::util::JsonParseOptions parse;
    parse.ignore_unknown_fields =
        options.unknown_fields == JsonOptions::UnknownFields::kIgnore;
    const auto status = pb::util::JsonToBinaryString(
        resolver_.get(), TypeUrl(type), {json.data(), json.size()}, &message,
        parse);
    if (status.ok()) return message;
    error = ParseJsonError({status.message().data(), status.message().size()});
  }
  return Annotate(absl::InvalidArgumentError(error.message),
                  error.field.empty() ? "invalid JSON" : error.field);
}

absl::StatusOr<std::string> JsonConverter::ProtoToJson(
    const pb::Descriptor& type, absl::string_view message,
    const JsonOptions& options) const {
  if (message.size() > INT_MAX) {
    return absl::InternalError("a message longer than 2 GiB");
  }
  absl::StatusOr<WireForm> form = CheckWire(type, message);
  if (!form.ok()) return form.status();
  std::string merged;
  if (*form != WireForm::kCanonical) {
    auto result = Merge(type, message);
    if (!result.ok()) return result.status();
    merged = *std::move(result);
    message = merged;
    form = CheckWire(type, message);
    if (!form.ok()) return form.status();
    if (*form == WireForm::kMergeable) {
      return absl::InternalError(
          absl::StrCat("an Any within ", type.full_name(),
                       " holds fields in several pieces"));
    }
  }

  std::string json;
  pb::io::ArrayInputStream input(message.data(),
                                 static_cast<int>(message.size()));
  {
    pb::io::StringOutputStream output(&json);
    const auto status =
        pb::util::BinaryToJsonStream(resolver_.get(), TypeUrl(type.full_name()),
                                     &input, &output, PrintOptions(options));
    if (!status.ok()) {
      return absl::InternalError(absl::StrCat(
          "cannot write ", type.full_name(), " as JSON: ",
          absl::string_view(status.message().data(), status.message().size())));
    }
  }
  // A google.protobuf.Value of no kind comes out as nothing at all.
  if (json.empty()) json = "null";
  return json;
}

}  // namespace headgate
