#ifndef TESTS_SCHEMA_JSON_ROWS_H_
#define TESTS_SCHEMA_JSON_ROWS_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "every2.pb.h"
#include "every3.pb.h"
#include "gateway/schema/schema.h"
#include "gmock/gmock.h"
#include "google/protobuf/text_format.h"
#include "google/protobuf/util/message_differencer.h"
#include "gtest/gtest.h"
#include "tests/schema/as_edition.h"

// Rows of a JSON text and the message that it is, in both directions, for each
// syntax of the same types.

namespace headgate {

using ::google::protobuf::Message;
using ::google::protobuf::TextFormat;
using ::google::protobuf::util::MessageDifferencer;

inline std::shared_ptr<const Schema> BuildEvery(bool as_edition) {
  std::vector<google::protobuf::FileDescriptorProto> files(2);
  test::Every3::descriptor()->file()->CopyTo(&files[0]);
  test::Every2::descriptor()->file()->CopyTo(&files[1]);
  if (as_edition) {
    for (auto& file : files) file = testing::AsEdition2023(std::move(file));
  }
  std::vector<std::string> warnings;
  auto built = Schema::Build(files, &warnings);
  EXPECT_THAT(warnings, ::testing::IsEmpty());
  return built;
}

inline const Schema& EverySchema() {
  static const auto& schema =
      *new std::shared_ptr<const Schema>(BuildEvery(false));
  return *schema;
}

// The same types in edition 2023: each row counts for these, too.
inline const Schema& EditionSchema() {
  static const auto& schema =
      *new std::shared_ptr<const Schema>(BuildEvery(true));
  return *schema;
}

struct Row {
  const char* json;
  const char* text;  // The message.
};

template <typename Type>
void ExpectValid(const std::string& json, const std::string& text,
                 const JsonOptions& options = {}) {
  Type expected, actual;
  ASSERT_TRUE(TextFormat::ParseFromString(text, &expected)) << text;
  JsonError error;
  const auto bytes = EverySchema().JsonToProto(Type::descriptor()->full_name(),
                                               json, options, error);
  ASSERT_TRUE(bytes.ok()) << json << ": " << bytes.status();
  const auto of_edition = EditionSchema().JsonToProto(
      Type::descriptor()->full_name(), json, options, error);
  ASSERT_TRUE(of_edition.ok()) << json << ": " << of_edition.status();
  EXPECT_TRUE(*of_edition == *bytes) << json;
  ASSERT_TRUE(actual.ParseFromString(*bytes)) << json;
  EXPECT_TRUE(MessageDifferencer::Equals(expected, actual) ||
              expected.SerializeAsString() == actual.SerializeAsString())
      << json << "\nis       " << actual.ShortDebugString() << "\nshould be "
      << expected.ShortDebugString();
  // And back: what is written is read as the same.
  for (const auto names :
       {JsonOptions::FieldNames::kJson, JsonOptions::FieldNames::kProto}) {
    JsonOptions back = options;
    back.field_names = names;
    const auto written = EverySchema().ProtoToJson(
        Type::descriptor()->full_name(), *bytes, back);
    ASSERT_TRUE(written.ok()) << json << ": " << written.status();
    const auto again = EverySchema().JsonToProto(
        Type::descriptor()->full_name(), *written, options, error);
    ASSERT_TRUE(again.ok()) << *written << ": " << again.status();
    Type read;
    ASSERT_TRUE(read.ParseFromString(*again));
    EXPECT_EQ(read.ShortDebugString(), actual.ShortDebugString()) << *written;
  }
}

template <typename Type>
void ExpectInvalid(const std::string& json, const JsonOptions& options = {}) {
  JsonError error;
  const auto bytes = EverySchema().JsonToProto(Type::descriptor()->full_name(),
                                               json, options, error);
  Type read;
  EXPECT_FALSE(bytes.ok()) << json << " is "
                           << (read.ParseFromString(*bytes),
                               read.ShortDebugString());
  EXPECT_EQ(bytes.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_FALSE(error.message.empty()) << json;
  EXPECT_FALSE(
      EditionSchema()
          .JsonToProto(Type::descriptor()->full_name(), json, options, error)
          .ok())
      << json;
}

inline std::string Written(const Message& message,
                           const JsonOptions& options = {}) {
  const auto json =
      EverySchema().ProtoToJson(message.GetDescriptor()->full_name(),
                                message.SerializePartialAsString(), options);
  const auto of_edition =
      EditionSchema().ProtoToJson(message.GetDescriptor()->full_name(),
                                  message.SerializePartialAsString(), options);
  EXPECT_EQ(of_edition.status(), json.status());
  // Unset fields with presence are null there, and `optional` ones of proto3,
  // as members of a oneof, left out.
  if (json.ok() && of_edition.ok() &&
      options.unpopulated == JsonOptions::Unpopulated::kOmit) {
    EXPECT_EQ(*of_edition, *json);
  }
  return json.ok() ? *json : std::string(json.status().message());
}

template <typename Type>
std::string Written(const std::string& text, const JsonOptions& options = {}) {
  Type message;
  EXPECT_TRUE(TextFormat::ParseFromString(text, &message)) << text;
  return Written(message, options);
}

}  // namespace headgate

#endif  // TESTS_SCHEMA_JSON_ROWS_H_
