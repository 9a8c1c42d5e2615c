// Types of Anys that no descriptor defines.

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/upstream/schema_source_fixture.h"

namespace headgate {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class UnknownTypeTest : public SchemaSourceFixture {
 protected:
  UnknownTypeTest() {
    Make(true, {});
    FileDescriptorProto file = ServiceFile("A");
    auto* field = file.mutable_message_type(0)->add_field();
    field->set_name("any");
    field->set_number(1);
    field->set_label(google::protobuf::FieldDescriptorProto::LABEL_OPTIONAL);
    field->set_type(google::protobuf::FieldDescriptorProto::TYPE_MESSAGE);
    field->set_type_name(".google.protobuf.Any");
    const auto ticket = source_->Resolve(
        "/A/M", now_,
        [this](const ResolvedMethod& method) { schema_ = method.schema; });
    Serve({file});
  }

  // An Any of this type, with the bytes 08 07, in JSON.
  std::string Converted(const std::string& type) {
    const std::string url = "a/" + type;
    std::string any = "\x0a" + std::string(1, static_cast<char>(url.size())) +
                      url + "\x12\x02\x08\x07";
    any = "\x0a" + std::string(1, static_cast<char>(any.size())) + any;
    const auto json = schema_->ProtoToJson("AMessage", any, {});
    return json.ok() ? *json : std::string(json.status().message());
  }
  static std::string Unknown(const std::string& type) {
    return R"({"any":{"@type":"a/)" + type + R"(","value":"CAc="}})";
  }
  static std::string Known(const std::string& type) {
    return R"({"any":{"@type":"a/)" + type + R"(","n":7}})";
  }
  // What reflection was asked in the call that began last.
  std::string Asked() {
    while (call().writing()) call().OnWritten();
    if (call().written().empty()) return "";
    reflection::ServerReflectionRequest request;
    EXPECT_TRUE(request.ParseFromString(call().written().back()));
    return request.file_containing_symbol();
  }
  // Ends that call with a file, or without one.
  void Tell(const FileDescriptorProto* file) {
    ServerReflectionResponse response;
    if (file == nullptr) {
      response.mutable_error_response()->set_error_code(5);
    } else {
      response.mutable_file_descriptor_response()->add_file_descriptor_proto(
          file->SerializeAsString());
    }
    const std::size_t index = upstream_.call_count() - 1;
    Answer(response);
    auto& ended = upstream_.call(index);
    while (ended.writing()) ended.OnWritten();
    ASSERT_TRUE(ended.writes_done());
    ended.OnDone({absl::OkStatus(), ""});
  }
  static FileDescriptorProto TypeFile(const std::string& name) {
    FileDescriptorProto file;
    file.set_name(name + ".proto");
    file.set_syntax("proto3");
    // Served by nobody; for options.
    file.add_dependency("validate/validate.proto");
    auto* message = file.add_message_type();
    message->set_name(name);
    auto* field = message->add_field();
    field->set_name("n");
    field->set_number(1);
    field->set_label(google::protobuf::FieldDescriptorProto::LABEL_OPTIONAL);
    field->set_type(google::protobuf::FieldDescriptorProto::TYPE_INT32);
    return file;
  }

  std::shared_ptr<const Schema> schema_;
};

TEST_F(UnknownTypeTest, ReflectionIsAskedAndTheAnswerIsRemembered) {
  EXPECT_EQ(Converted("T"), Unknown("T"));
  EXPECT_EQ(Asked(), "T");
  EXPECT_EQ(Converted("T"), Unknown("T"));
  EXPECT_EQ(upstream_.call_count(), 2u);
  const FileDescriptorProto file = TypeFile("T");
  ServerReflectionResponse response;
  response.mutable_file_descriptor_response()->add_file_descriptor_proto(
      file.SerializeAsString());
  Answer(response);
  // Its import is not there.
  Tell(nullptr);
  EXPECT_EQ(Converted("T"), Known("T"));
  JsonError error;
  EXPECT_TRUE(schema_->JsonToProto("AMessage", Known("T"), {}, error).ok());
  EXPECT_EQ(upstream_.call_count(), 2u);
}

TEST_F(UnknownTypeTest, RequestsAskToo) {
  JsonError error;
  EXPECT_FALSE(schema_->JsonToProto("AMessage", Known("T"), {}, error).ok());
  EXPECT_EQ(error.message, "the gateway knows no type \"a/T\"");
  EXPECT_EQ(Asked(), "T");
}

TEST_F(UnknownTypeTest, WhatTheServerDoesNotKnowIsNotAskedForAgain) {
  Converted("T");
  Tell(nullptr);
  EXPECT_EQ(Converted("T"), Unknown("T"));
  EXPECT_EQ(upstream_.call_count(), 2u);
  now_ += options_.refresh_after;
  EXPECT_EQ(Ask("/A/M"), "known");  // Fetches again, as it is time.
  const std::size_t calls = upstream_.call_count();
  Converted("T");
  EXPECT_EQ(upstream_.call_count(), calls + 1);
  EXPECT_EQ(Asked(), "T");
}

TEST_F(UnknownTypeTest, ATypeCanBeWaitedFor) {
  std::vector<std::string> known;
  const auto wait = [&](const std::string& type) {
    return source_->AwaitType(type, [&known, type] { known.push_back(type); });
  };
  EXPECT_EQ(wait("T"), nullptr);  // Nobody has asked for it.
  Converted("T");
  Converted("U");
  const auto first = wait("T");
  auto cancelled = wait("T");
  const auto second = wait("U");
  ASSERT_NE(first, nullptr);
  ASSERT_NE(second, nullptr);
  cancelled.reset();
  const FileDescriptorProto file = TypeFile("T");
  Asked();
  ServerReflectionResponse response;
  response.mutable_file_descriptor_response()->add_file_descriptor_proto(
      file.SerializeAsString());
  Answer(response);
  EXPECT_THAT(known, IsEmpty());  // Its import is being asked for.
  Tell(nullptr);
  EXPECT_THAT(known, ElementsAre("T"));
  EXPECT_EQ(Converted("T"), Known("T"));
  EXPECT_EQ(wait("T"), nullptr);
  // A server that does not know it has answered, too.
  EXPECT_EQ(Asked(), "U");
  Tell(nullptr);
  EXPECT_THAT(known, ElementsAre("T", "U"));
  EXPECT_EQ(wait("U"), nullptr);
}

TEST_F(UnknownTypeTest, TheConversionSaysWhichTypeIsAskedFor) {
  JsonError error;
  EXPECT_FALSE(schema_->JsonToProto("AMessage", Known("T"), {}, error).ok());
  EXPECT_EQ(error.awaited_type, "T");
  Tell(nullptr);
  EXPECT_FALSE(schema_->JsonToProto("AMessage", Known("T"), {}, error).ok());
  EXPECT_EQ(error.awaited_type, "");
}

TEST_F(UnknownTypeTest, OneTypeIsAskedForAtATime) {
  Converted("T");
  Converted("U");
  EXPECT_EQ(upstream_.call_count(), 2u);
  EXPECT_EQ(Asked(), "T");
  Tell(nullptr);
  EXPECT_EQ(upstream_.call_count(), 3u);
  EXPECT_EQ(Asked(), "U");
}

// One client's inventions keep no other's type from being asked for.
TEST_F(UnknownTypeTest, TypesThatNobodyKnowsKeepNoOtherFromBeingAskedFor) {
  for (int i = 0; i < 2000; ++i) {
    Converted(absl::StrCat("T", i));
    Tell(nullptr);
  }
  Converted("U");
  EXPECT_EQ(Asked(), "U");
  Tell(nullptr);
  // The last of them are still known not to be there.
  const std::size_t calls = upstream_.call_count();
  Converted("T1999");
  Converted("U");
  EXPECT_EQ(upstream_.call_count(), calls);
}

TEST_F(UnknownTypeTest, OnlySoManyTypesWaitForTheirTurn) {
  for (int i = 0; i < 2000; ++i) Converted(absl::StrCat("T", i));
  std::size_t asked = 0;
  while (asked < 2000 && !Asked().empty() &&
         upstream_.call(upstream_.call_count() - 1).alive()) {
    Tell(nullptr);
    ++asked;
  }
  EXPECT_EQ(asked, 1024u);
}

TEST_F(UnknownTypeTest, WhatIsNoNameIsNotAskedFor) {
  for (const char* type : {"", "a b", "x\ny", "\xff"}) Converted(type);
  Converted(std::string(100, 'x'));
  EXPECT_EQ(upstream_.call_count(), 2u);  // For the last one.
}

// A session keeps the schema when its source is gone.
TEST_F(UnknownTypeTest, TheSourceMayBeGone) {
  Converted("T");
  source_.reset();
  EXPECT_EQ(Converted("U"), Unknown("U"));
}

}  // namespace
}  // namespace headgate
