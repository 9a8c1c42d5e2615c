#ifndef TESTS_SESSION_UNKNOWN_TYPE_H_
#define TESTS_SESSION_UNKNOWN_TYPE_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "gateway/schema/schema.h"
#include "google/protobuf/any.pb.h"
#include "google/protobuf/descriptor.pb.h"
#include "google/protobuf/text_format.h"
#include "tests/testing/fake_schema_source.h"

namespace headgate {

// Descriptors of the service s.S, whose messages hold an Any, and the type t.T
// that is in such an Any and that only the server knows.
class UnknownType {
 public:
  explicit UnknownType(testing::FakeSchemaSource& schemas) : schemas_(schemas) {
    std::vector<std::string> warnings;
    built_ = Schema::Build({FileOf(R"(
        name: "s.proto" package: "s" syntax: "proto3"
        dependency: "google/protobuf/any.proto"
        message_type {
          name: "M"
          field { name: "any" number: 1 label: LABEL_OPTIONAL
                  type: TYPE_MESSAGE type_name: ".google.protobuf.Any" }
        }
        service {
          name: "S"
          method { name: "Ask" input_type: ".s.M" output_type: ".s.M" }
          method { name: "Talk" input_type: ".s.M" output_type: ".s.M"
                   client_streaming: true server_streaming: true }
        })")},
                           &warnings);
    EXPECT_THAT(warnings, ::testing::IsEmpty());
    schemas.asks_for_types = true;
    schemas.schema =
        Schema::Share(built_, [this](const std::string&) { return asks_; });
  }

  // What the server has answered: the type, or that it has none.
  void Answer() {
    built_->Learn({FileOf(R"(
        name: "t.proto" package: "t" syntax: "proto3"
        message_type {
          name: "T"
          field { name: "n" number: 1 label: LABEL_OPTIONAL type: TYPE_INT32 }
        })")});
    AnswerNothing();
  }
  void AnswerNothing() {
    asks_ = false;
    schemas_.AnswerTypes();
  }
  // The server is not being asked, and will not be.
  void AskNobody() { asks_ = false; }

  static constexpr char kJson[] = R"({"any":{"@type":"a/t.T","n":7}})";
  static constexpr char kBase64[] =
      R"({"any":{"@type":"a/t.T","value":"CAc="}})";
  static std::string Any() {
    google::protobuf::Any any;
    any.set_type_url("a/t.T");
    any.set_value("\x08\x07");
    return any.SerializeAsString();
  }
  // The message s.M that kJson is.
  static std::string Message() {
    const std::string any = Any();
    return std::string("\x0a") + static_cast<char>(any.size()) + any;
  }

 private:
  static google::protobuf::FileDescriptorProto FileOf(const char* text) {
    google::protobuf::FileDescriptorProto file;
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &file));
    return file;
  }

  testing::FakeSchemaSource& schemas_;
  bool asks_ = true;
  std::shared_ptr<const Schema> built_;
};

}  // namespace headgate

#endif  // TESTS_SESSION_UNKNOWN_TYPE_H_
