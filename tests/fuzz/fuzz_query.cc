// What path and query say of a request. Input: lines "FIELD=VALUE", the first
// byte of the text telling how many of them are variables of the path. They
// make a message that JSON can show, or a fault that names one of them.

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "gateway/schema/schema.h"
#include "google/api/annotations.pb.h"
#include "google/api/http.pb.h"
#include "google/api/httpbody.pb.h"
#include "headgate/demo/v1/library.pb.h"
#include "tests/fuzz/input.h"

namespace headgate {
namespace {

template <typename Message>
google::protobuf::FileDescriptorProto FileOf() {
  google::protobuf::FileDescriptorProto file;
  Message::descriptor()->file()->CopyTo(&file);
  return file;
}

const Schema& LibrarySchema() {
  static const auto& schema = *new std::shared_ptr<const Schema>([] {
    google::protobuf::FileDescriptorProto annotations;
    google::protobuf::DescriptorPool::generated_pool()
        ->FindFileByName("google/api/annotations.proto")
        ->CopyTo(&annotations);
    std::vector<std::string> warnings;
    auto built = Schema::Build(
        {annotations, FileOf<google::api::HttpRule>(),
         FileOf<google::api::HttpBody>(), FileOf<demo::v1::Book>()},
        &warnings);
    FUZZ_CHECK(warnings.empty());
    return built;
  }());
  return *schema;
}

}  // namespace
}  // namespace headgate

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  using namespace headgate;
  constexpr const char* kTypes[] = {
      "headgate.demo.v1.ListBooksRequest", "headgate.demo.v1.UpdateBookRequest",
      "headgate.demo.v1.UploadRequest", "google.protobuf.FileDescriptorProto"};
  constexpr const char* kBodies[] = {"", "*", "book", "filter"};
  FuzzInput input(data, size);
  const std::uint8_t choice = input.Byte();
  const std::string type = kTypes[choice & 3];
  RequestBinding binding{{}, {}, kBodies[choice >> 2 & 3], ""};
  const std::size_t variables = choice >> 4 & 3;
  JsonOptions options;
  if (choice & 64) {
    options.unknown_fields = JsonOptions::UnknownFields::kIgnore;
  }
  const std::string text = input.Rest();
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    const std::pair<std::string, std::string> pair =
        absl::StrSplit(line, absl::MaxSplits('=', 1));
    auto& parameters = binding.variables.size() < variables ? binding.variables
                                                            : binding.query;
    parameters.push_back({pair.first, pair.second});
  }
  const Schema& schema = LibrarySchema();
  const absl::StatusOr<std::string> message =
      schema.BindParameters(type, binding, options);
  if (!message.ok()) {
    FUZZ_CHECK(message.status().code() == absl::StatusCode::kInvalidArgument);
    const absl::string_view fault = message.status().message();
    FUZZ_CHECK(fault.size() < 1024);
    FUZZ_CHECK(absl::StartsWith(fault, "query parameter \"") ||
               absl::StartsWith(fault, "path variable \""));
    return 0;
  }
  const absl::StatusOr<std::string> json =
      schema.ProtoToJson(type, *message, JsonOptions());
  FUZZ_CHECK(json.ok());
  // Twice the same is the same, but for what is repeated.
  FUZZ_CHECK(
      schema.ProtoToJson(type, schema.MergeParameters(type, "", *message), {})
          .ok());
  FUZZ_CHECK(schema
                 .ProtoToJson(
                     type, schema.MergeParameters(type, *message, *message), {})
                 .ok());
  for (const char* field : {"genres", "filter", "copies", "book", "content"}) {
    if (schema.HasField(type, field)) {
      FUZZ_CHECK(schema.FieldToJson(type, field, *message, options).ok());
    }
  }
  return 0;
}
