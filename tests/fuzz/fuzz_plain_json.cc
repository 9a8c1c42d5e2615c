// The plain conversion between JSON and protobuf, held against protobuf's own.
// Input: a byte of options; then JSON texts, or the bytes of a message. What it
// takes must come out the same.

#include <iostream>
#include <variant>

#include "gateway/codec/json_stream.h"
#include "plain_json.pb.h"
#include "tests/fuzz/input.h"
#include "tests/plain_json/comparison.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  using namespace headgate;
  using Outcome = PlainJsonComparison::Outcome;
  static auto& comparison =
      *new PlainJsonComparison(*test::Plain::descriptor());
  FuzzInput input(data, size);
  const std::uint8_t bits = input.Byte();
  const auto check = [](Outcome outcome) {
    if (outcome != Outcome::kDifferent) return;
    std::cerr << comparison.difference() << '\n';
    FUZZ_CHECK(false);
  };

  if (bits & 1) {
    JsonOptions options;
    if (bits & 2) options.field_names = JsonOptions::FieldNames::kProto;
    if (bits & 4) options.enums = JsonOptions::Enums::kNumber;
    check(comparison.ToJson(input.Rest(), options));
    return 0;
  }
  // Only what is well-formed comes that far.
  const std::string json = input.Rest();
  JsonStream stream(json.size() + 1);
  stream.Feed(json);
  for (;;) {
    const JsonStream::Event event = stream.Next();
    const auto* const text = std::get_if<JsonStream::Text>(&event);
    if (text == nullptr) return 0;
    check(comparison.FromJson(text->json));
  }
}
