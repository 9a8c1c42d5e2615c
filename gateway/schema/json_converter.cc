#include "gateway/schema/json_converter.h"

#include <algorithm>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
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

// Whether the token of a JSON string writes "@type", with escapes or without.
bool WritesType(absl::string_view token) {
  constexpr absl::string_view kType = "\"@type\"";
  if (token == kType) return true;
  if (token.find('\\') == absl::string_view::npos) return false;
  std::size_t next = 0;
  for (std::size_t i = 0; i < token.size(); ++next) {
    char c = token[i++];
    if (c == '\\') {
      std::uint32_t number = 0;
      if (i + 5 > token.size() || token[i] != 'u' ||
          !absl::SimpleHexAtoi(token.substr(i + 1, 4), &number) ||
          number > 0x7F) {
        return false;
      }
      c = static_cast<char>(number);
      i += 5;
    }
    if (next >= kType.size() || c != kType[next]) return false;
  }
  return next == kType.size();
}

// Goes over a well-formed JSON text that nests at most kMaxNesting deep and
// finds the objects with a member "@type", which may be Any messages. protobuf
// keeps all that it reads of an Any before the type in memory, at a hundred
// bytes a token and again for each Any around it, and hands what follows the
// type on through each of them.
class TypeFinder {
 public:
  explicit TypeFinder(absl::string_view json) : json_(json) { Find(); }

  // Bytes of all objects with a type; those of a nested one count again.
  std::size_t typed_bytes() const { return typed_bytes_; }

  // The text with "@type" as the first member of its object, everywhere.
  // Nothing when it is so already.
  std::optional<std::string> TypeFirst() {
    if (edits_.empty()) return std::nullopt;
    std::sort(edits_.begin(), edits_.end());
    std::string text;
    text.reserve(json_.size());
    std::size_t copied = 0;
    for (const Edit& edit : edits_) {
      absl::StrAppend(&text, json_.substr(copied, edit.at - copied));
      copied = edit.at;
      if (edit.inserted.empty()) {
        copied += edit.removed;
      } else {
        absl::StrAppend(&text, edit.inserted, ",");
      }
    }
    absl::StrAppend(&text, json_.substr(copied));
    return text;
  }

 private:
  struct Edit {
    std::size_t at;
    std::size_t removed;         // Bytes: the comma and the member behind it.
    absl::string_view inserted;  // A member, without its comma.
    bool operator<(const Edit& other) const { return at < other.at; }
  };
  struct Level {
    std::size_t start;  // Behind the bracket.
    std::size_t comma;  // The last one in it; none yet: `start`.
    bool is_object;
    bool has_type = false;
  };

  void Find() {
    std::vector<Level> levels;
    for (std::size_t i = 0; i < json_.size(); ++i) {
      switch (json_[i]) {
        case '{':
        case '[':
          levels.push_back({i + 1, i + 1, json_[i] == '{'});
          break;
        case '}':
        case ']':
          if (levels.back().has_type) {
            typed_bytes_ += i + 2 - levels.back().start;
          }
          levels.pop_back();
          break;
        case ',':
          if (!levels.empty()) levels.back().comma = i;
          break;
        case '"': {
          const std::size_t end = EndOfString(i);
          if (!levels.empty() && levels.back().is_object) {
            Level& level = levels.back();
            const std::size_t colon = SkipSpace(end);
            if (colon < json_.size() && json_[colon] == ':') {
              const std::size_t value = SkipSpace(colon + 1);
              if (!level.has_type && value < json_.size() &&
                  json_[value] == '"' && WritesType(json_.substr(i, end - i))) {
                level.has_type = true;
                const std::size_t behind = EndOfString(value);
                if (level.comma != level.start) {
                  edits_.push_back(
                      {level.start, 0, json_.substr(i, behind - i)});
                  edits_.push_back({level.comma, behind - level.comma, ""});
                }
                i = behind - 1;
                break;
              }
            }
          }
          i = end - 1;
          break;
        }
        default:
          break;
      }
    }
  }

  std::size_t SkipSpace(std::size_t at) const {
    while (at < json_.size() && absl::ascii_isspace(json_[at])) ++at;
    return at;
  }

  // Behind the quote that ends the string at `at`.
  std::size_t EndOfString(std::size_t at) const {
    for (++at; at < json_.size() && json_[at] != '"'; ++at) {
      if (json_[at] == '\\') ++at;
    }
    return std::min(at + 1, json_.size());
  }

  const absl::string_view json_;
  std::size_t typed_bytes_ = 0;
  std::vector<Edit> edits_;
};

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
  } else if (TypeFinder types(json);
             types.typed_bytes() > MaxAnyBytes(json.size())) {
    error = {"", "too much of it is in an Any within another"};
  } else {
    const std::optional<std::string> type_first = types.TypeFirst();
    if (type_first) json = *type_first;
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
