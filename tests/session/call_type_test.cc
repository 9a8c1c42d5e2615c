// An Any in a call's messages may be of a type that no descriptor defines; the
// call's messages wait while the server is asked for it.

#include <string>
#include <vector>

#include "google/protobuf/any.pb.h"
#include "google/protobuf/descriptor.pb.h"
#include "google/protobuf/text_format.h"
#include "tests/session/call_fixture.h"

namespace headgate {
namespace {

using ::google::protobuf::FileDescriptorProto;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

FileDescriptorProto FileOf(const char* text) {
  FileDescriptorProto file;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &file));
  return file;
}

class CallTypeTest : public CallFixture {
 protected:
  CallTypeTest() {
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
          method { name: "Talk" input_type: ".s.M" output_type: ".s.M"
                   client_streaming: true server_streaming: true }
        })")},
                           &warnings);
    EXPECT_THAT(warnings, IsEmpty());
    schemas_->asks_for_types = true;
    schemas_->schema =
        Schema::Share(built_, [this](const std::string&) { return asks_; });
    Start(&kJsonDialect, "/s.S/Talk");
    Steps();
  }

  // What the server has answered: the type t.T, or that it has none.
  void AnswerT() {
    built_->Learn({FileOf(R"(
        name: "t.proto" package: "t" syntax: "proto3"
        message_type {
          name: "T"
          field { name: "n" number: 1 label: LABEL_OPTIONAL type: TYPE_INT32 }
        })")});
    asks_ = false;
    schemas_->AnswerTypes();
  }
  void AnswerNothing() {
    asks_ = false;
    schemas_->AnswerTypes();
  }
  void Tick(absl::Duration later) {
    now_ += later;
    session_->OnTick(now_);
  }
  void TickPastPatience() {
    Tick(absl::Seconds(1));
    Tick(absl::Seconds(6));
  }

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

  bool asks_ = true;
  std::shared_ptr<const Schema> built_;
};

TEST_F(CallTypeTest, ARequestWaitsForTheType) {
  Text(kJson);
  EXPECT_THAT(Steps(), IsEmpty());
  EXPECT_THAT(schemas_->awaited_types(), ElementsAre("t.T"));
  EXPECT_FALSE(session_->is_at_rest());
  AnswerT();
  ASSERT_THAT(upstream_->call(0).written(), ElementsAre(Message()));
  EXPECT_EQ(Steps().back(), "ws read");
}

TEST_F(CallTypeTest, MessagesBehindTheOneThatWaitsKeepTheirOrder) {
  Text(std::string("{}") + kJson + "{}");
  backend().OnWritten();
  EXPECT_THAT(upstream_->call(0).written(), ElementsAre(""));
  AnswerT();
  backend().OnWritten();
  backend().OnWritten();
  EXPECT_THAT(upstream_->call(0).written(), ElementsAre("", Message(), ""));
}

TEST_F(CallTypeTest, ARequestOfATypeThatTheServerDoesNotKnowIsInvalid) {
  Text(kJson);
  AnswerNothing();
  EXPECT_THAT(Steps(), Contains(AllOf(
                           HasSubstr("ws close 4003"),
                           HasSubstr("the gateway knows no type \"a/t.T\""))));
}

TEST_F(CallTypeTest, AServerThatDoesNotAnswerIsNotWaitedForLong) {
  Text(kJson);
  Tick(absl::Seconds(1));
  Tick(absl::Seconds(4));
  EXPECT_THAT(Steps(), IsEmpty());
  Tick(absl::Seconds(2));
  EXPECT_THAT(Steps(), Contains(HasSubstr("ws close 4003")));
}

TEST_F(CallTypeTest, AResponseWaitsForTheType) {
  backend().OnMessage(Message());
  EXPECT_THAT(Steps(), IsEmpty());
  EXPECT_GE(session_->held_bytes(), Message().size());
  AnswerT();
  EXPECT_THAT(Steps(), ElementsAre(std::string("ws text ") + kJson, "read"));
}

TEST_F(CallTypeTest, AResponseOfATypeThatTheServerDoesNotKnowIsBase64) {
  backend().OnMessage(Message());
  AnswerNothing();
  EXPECT_THAT(Steps(), ElementsAre(std::string("ws text ") + kBase64, "read"));
}

TEST_F(CallTypeTest, AResponseIsBase64WhereTheServerDoesNotAnswer) {
  backend().OnMessage(Message());
  TickPastPatience();
  EXPECT_THAT(Steps(), ElementsAre(std::string("ws text ") + kBase64, "read"));
}

TEST_F(CallTypeTest, AResponseThatWaitsIsDeliveredWhenTheCallBreaksOff) {
  backend().OnMessage(Message());
  backend().OnDone({absl::UnavailableError("gone"), ""});
  EXPECT_THAT(Steps(), ElementsAre(std::string("ws text ") + kBase64));
  session_->OnWritten();
  EXPECT_THAT(Steps(), ElementsAre("ws close 4014 gone"));
}

TEST_F(CallTypeTest, NothingWaitsWhereTheServerIsNotAsked) {
  asks_ = false;
  backend().OnMessage(Message());
  EXPECT_THAT(Steps(), ElementsAre(std::string("ws text ") + kBase64, "read"));
  session_->OnWritten();
  Text(kJson);
  EXPECT_THAT(Steps(), Contains(HasSubstr("ws close 4003")));
  EXPECT_THAT(schemas_->awaited_types(), IsEmpty());
}

TEST_F(CallTypeTest, TheEndWaitsForTheTypeOfItsDetails) {
  const std::string any = Any();
  backend().OnDone(
      {absl::NotFoundError("no"), std::string("\x08\x05\x12\x02no\x1a") +
                                      static_cast<char>(any.size()) + any});
  EXPECT_THAT(Steps(), IsEmpty());
  Text("{}");  // Comes too late.
  AnswerT();
  EXPECT_THAT(Steps(), ElementsAre("ws read", "ws close 4005 no"));
}

TEST_F(CallTypeTest, AClientThatLeavesEndsTheWaiting) {
  Text(kJson);
  backend().OnMessage(Message());
  session_->OnClosed({});
  EXPECT_THAT(Steps(), ElementsAre("cancel"));
  AnswerT();
  EXPECT_THAT(Steps(), IsEmpty());
}

TEST_F(CallTypeTest, ADrainDeliversTheResponseThatWaits) {
  backend().OnMessage(Message());
  TellToDrain();
  EXPECT_THAT(Steps(), IsEmpty());
  AnswerT();
  EXPECT_EQ(Steps().front(), std::string("ws text ") + kJson);
}

}  // namespace
}  // namespace headgate
