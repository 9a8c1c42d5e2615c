// The conversion between JSON and protobuf, held against protobuf: its parser
// for bytes, its own conversion for JSON. Input: a byte of options; then JSON
// texts, or the bytes of a message.

#include <iostream>
#include <variant>

#include "every2.pb.h"
#include "every3.pb.h"
#include "gateway/codec/json_stream.h"
#include "gateway/schema/json_conversion.h"
#include "tests/fuzz/input.h"
#include "tests/json/oracle.h"

namespace headgate {
namespace {

// A type with the well-known types, for which protobuf's answers are not always
// right: nothing but what holds without it.
void CheckAlone(const std::string& input, bool is_json,
                const JsonOptions& options) {
  static auto& types =
      *new JsonTypes(test::Every3::descriptor()->file()->pool());
  const JsonType& type = types.Of(*test::Every3::descriptor());
  std::string json = input, bytes = input, again;
  JsonError error;
  if (is_json && !JsonToProto(types, type, json, options, bytes, error)) {
    FUZZ_CHECK(!error.message.empty() && error.offset <= json.size());
    FUZZ_CHECK(error.message.size() + error.field.size() < 1000);
    return;
  }
  const absl::Status status = ProtoToJson(types, type, bytes, options, json);
  if (!status.ok()) {
    FUZZ_CHECK(absl::IsInternal(status));
    return;
  }
  // What was written may be beyond what may be read, an Any of an unknown type
  // for one; else it comes back as it was.
  if (!JsonToProto(types, type, json, {}, bytes, error)) return;
  FUZZ_CHECK(ProtoToJson(types, type, bytes, options, again).ok());
  FUZZ_CHECK(ProtoToJson(types, type, bytes, options, json).ok());
  FUZZ_CHECK(json == again);
}

}  // namespace
}  // namespace headgate

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  using namespace headgate;
  static auto& oracle = *new JsonOracle(test::Every2::default_instance());
  FuzzInput input(data, size);
  const std::uint8_t bits = input.Byte();
  JsonOptions options;
  if (bits & 2) options.field_names = JsonOptions::FieldNames::kProto;
  if (bits & 4) options.enums = JsonOptions::Enums::kNumber;
  if (bits & 8) options.unpopulated = JsonOptions::Unpopulated::kEmit;
  const bool alone = (bits & 16) != 0;
  const auto check = [](const std::string& fault) {
    if (fault.empty()) return;
    std::cerr << fault << '\n';
    FUZZ_CHECK(false);
  };

  if (bits & 1) {
    const std::string bytes = input.Rest();
    if (alone) {
      CheckAlone(bytes, false, options);
    } else {
      check(oracle.CheckBytes(bytes, options));
    }
    return 0;
  }
  // Only what is well-formed comes that far.
  const std::string json = input.Rest();
  JsonStream stream(json.size() + 1, JsonOptions().max_depth);
  stream.Feed(json);
  for (;;) {
    const JsonStream::Event event = stream.Next();
    const auto* const text = std::get_if<JsonStream::Text>(&event);
    if (text == nullptr) return 0;
    if (alone) {
      if (bits & 32) {
        options.unknown_fields = JsonOptions::UnknownFields::kIgnore;
      }
      CheckAlone(std::string(text->json), true, options);
    } else {
      check(oracle.CheckJson(text->json));
    }
  }
}
