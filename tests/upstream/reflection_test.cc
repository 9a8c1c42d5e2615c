#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gateway/upstream/schema_source.h"
#include "gateway/upstream/schema_store.h"
#include "gmock/gmock.h"
#include "google/protobuf/timestamp.pb.h"
#include "gtest/gtest.h"
#include "headgate/reflection/reflection.pb.h"
#include "headgate/v1/packet.pb.h"
#include "tests/testing/fake_upstream.h"
#include "tests/testing/now_or_ticket.h"

namespace headgate {
namespace {

using ::google::protobuf::FileDescriptorProto;
using reflection::ServerReflectionRequest;
using reflection::ServerReflectionResponse;
using testing::AnswerOrTicket;
using ::testing::ElementsAre;
using testing::FakeUpstream;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::Log;
using ::testing::StartsWith;

constexpr char kV1[] =
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
constexpr char kV1Alpha[] =
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";
constexpr char kConnect[] = "/headgate.v1.PacketService/Connect";

// A file "NAME.proto" with the service NAME, whose method M is unary.
FileDescriptorProto ServiceFile(const std::string& name,
                                const std::vector<std::string>& imports = {}) {
  FileDescriptorProto file;
  file.set_name(name + ".proto");
  for (const auto& import : imports) file.add_dependency(import);
  file.add_message_type()->set_name(name + "Message");
  auto* service = file.add_service();
  service->set_name(name);
  auto* method = service->add_method();
  method->set_name("M");
  method->set_input_type("." + name + "Message");
  method->set_output_type("." + name + "Message");
  return file;
}

FileDescriptorProto PlainFile(const std::string& name,
                              const std::vector<std::string>& imports = {}) {
  FileDescriptorProto file;
  file.set_name(name);
  for (const auto& import : imports) file.add_dependency(import);
  return file;
}

std::string Services(const std::vector<std::string>& names) {
  ServerReflectionResponse response;
  auto* list = response.mutable_list_services_response();
  for (const auto& name : names) list->add_service()->set_name(name);
  return response.SerializeAsString();
}

std::string Files(const std::vector<FileDescriptorProto>& files) {
  ServerReflectionResponse response;
  auto* list = response.mutable_file_descriptor_response();
  for (const auto& file : files) {
    list->add_file_descriptor_proto(file.SerializeAsString());
  }
  return response.SerializeAsString();
}

std::string Error(int code, const std::string& message) {
  ServerReflectionResponse response;
  response.mutable_error_response()->set_error_code(code);
  response.mutable_error_response()->set_error_message(message);
  return response.SerializeAsString();
}

class ReflectionTest : public ::testing::Test {
 protected:
  ReflectionTest() { Renew(); }

  void Renew() {
    const auto at_once = [](const std::function<void()>& task) { task(); };
    source_ = MakeSchemaSource(
        upstream_, SchemaStore::Make(options_, at_once), at_once,
        [this](const absl::Status& status, const Schema* schema,
               const std::vector<std::string>& warnings) {
          fetched_.push_back(absl::StrCat(status.ToString(),
                                          schema != nullptr ? " schema" : ""));
          warnings_ = warnings;
        });
  }

  // Keeps what was answered in answers_, as "PATH: known" or "PATH: STATUS".
  std::unique_ptr<SchemaSource::Ticket> Resolve(const std::string& path) {
    const auto answer = [this, path](const ResolvedMethod& r) {
      answers_.push_back(absl::StrCat(
          path, ": ",
          r.method != nullptr ? "known" : r.why_unknown.ToString()));
      EXPECT_EQ(r.method != nullptr, r.why_unknown.ok());
      EXPECT_EQ(r.method != nullptr, r.schema != nullptr);
      last_ = r;
    };
    return AnswerOrTicket(source_->Resolve(path, now_, answer), answer);
  }

  FakeUpstream::Call& call() {
    return upstream_.call(upstream_.call_count() - 1);
  }

  // Takes every write that is pending, and gives the questions asked so far.
  std::vector<std::string> Questions() {
    while (call().alive() && call().writing()) call().OnWritten();
    std::vector<std::string> questions;
    for (const auto& payload : call().written()) {
      ServerReflectionRequest request;
      EXPECT_TRUE(request.ParseFromString(payload));
      questions.push_back(request.has_list_services() ? "services"
                          : request.has_file_containing_symbol()
                              ? "symbol " + request.file_containing_symbol()
                              : "file " + request.file_by_filename());
    }
    return questions;
  }

  void Answer(std::string payload) {
    Questions();
    ASSERT_TRUE(call().alive());
    ASSERT_TRUE(call().reading());
    call().OnMessage(std::move(payload));
  }
  void End(absl::Status status) { call().OnDone({std::move(status), ""}); }

  // A whole fetch of a server that has service A.
  void Serve(const std::vector<std::string>& names = {"A"}) {
    Answer(Services(names));
    for (const auto& name : names) Answer(Files({ServiceFile(name)}));
    Questions();
    ASSERT_TRUE(call().writes_done());
    End(absl::OkStatus());
  }

  Log log_;
  FakeUpstream upstream_{log_};
  SchemaSourceOptions options_;
  absl::Time now_ = absl::FromUnixSeconds(1'000'000);
  std::vector<std::string> fetched_;
  std::vector<std::string> warnings_;
  std::vector<std::string> answers_;
  ResolvedMethod last_;
  std::unique_ptr<SchemaSource> source_;
};

// --- the conversation ---

// grpc/grpc doc/server-reflection.md. One write in flight, a read always.
TEST_F(ReflectionTest, AsksForServicesThenForTheFileOfEach) {
  auto ticket = Resolve("/A/M");
  EXPECT_NE(ticket, nullptr);
  EXPECT_EQ(call().method(), kV1);
  EXPECT_EQ(call().request().timeout, absl::Seconds(5));
  EXPECT_THAT(Questions(), ElementsAre("services"));
  Answer(Services({"A", "B", "A"}));
  EXPECT_EQ(call().written().size(), 2u);  // The second waits for the first.
  EXPECT_THAT(Questions(), ElementsAre("services", "symbol A", "symbol B"));
  Answer(Files({ServiceFile("A")}));
  EXPECT_FALSE(call().writes_done());
  Answer(Files({ServiceFile("B"), ServiceFile("A")}));
  EXPECT_TRUE(call().writes_done());
  EXPECT_THAT(answers_, IsEmpty());
  End(absl::OkStatus());
  EXPECT_THAT(answers_, ElementsAre("/A/M: known"));
  EXPECT_THAT(fetched_, ElementsAre("OK schema"));
  EXPECT_THAT(warnings_, IsEmpty());
  EXPECT_EQ(last_.method->input, "AMessage");
  for (const auto& entry : log_) {
    EXPECT_THAT(entry, ::testing::Not(HasSubstr("while")));
    EXPECT_NE(entry, "cancel");
  }
}

TEST_F(ReflectionTest, NextQuestionWaitsForTheWrite) {
  auto ticket = Resolve("/A/M");
  EXPECT_TRUE(call().writing());
  call().OnMessage(Services({"A"}));  // Faster than the write's own event.
  EXPECT_EQ(call().written().size(), 1u);
  call().OnWritten();
  EXPECT_EQ(call().written().size(), 2u);
  call().OnMessage(Files({ServiceFile("A")}));
  EXPECT_FALSE(call().writes_done());
  call().OnWritten();
  EXPECT_TRUE(call().writes_done());
}

// A server need not send what a file imports.
TEST_F(ReflectionTest, MissingImportsAreAskedForByName) {
  auto ticket = Resolve("/A/M");
  Answer(Services({"A"}));
  Answer(
      Files({ServiceFile("A", {"x.proto", "y.proto"}), PlainFile("y.proto")}));
  Answer(Files({PlainFile("x.proto", {"z.proto", "y.proto"})}));
  EXPECT_THAT(Questions(), ElementsAre("services", "symbol A", "file x.proto",
                                       "file z.proto"));
  Answer(Files({PlainFile("z.proto")}));
  EXPECT_TRUE(call().writes_done());
  End(absl::OkStatus());
  EXPECT_THAT(answers_, ElementsAre("/A/M: known"));
  EXPECT_THAT(warnings_, IsEmpty());
}

TEST_F(ReflectionTest, LibraryHasTheGoogleFilesThatTheServerHasNot) {
  auto ticket = Resolve("/A/M");
  Answer(Services({"A"}));
  Answer(Files({ServiceFile("A", {"google/protobuf/timestamp.proto"})}));
  Answer(Error(5, "no such file"));
  End(absl::OkStatus());
  EXPECT_THAT(answers_, ElementsAre("/A/M: known"));
  EXPECT_THAT(warnings_, IsEmpty());
}

TEST_F(ReflectionTest, ImportThatIsNowhereIsDoneWithout) {
  auto ticket = Resolve("/A/M");
  Answer(Services({"A", "B"}));
  Answer(Files({ServiceFile("A", {"x.proto"})}));
  Answer(Files({ServiceFile("B")}));
  Answer(Error(5, "no such file"));
  EXPECT_TRUE(call().writes_done());
  End(absl::OkStatus());
  EXPECT_THAT(answers_, ElementsAre("/A/M: known"));
  EXPECT_THAT(warnings_, IsEmpty());
}

// The file of a type that is imported under another name than it is served by.
TEST_F(ReflectionTest, TypesOfMissingImportsAreAskedForByName) {
  auto ticket = Resolve("/A/M");
  Answer(Services({"A"}));
  FileDescriptorProto file = ServiceFile("A", {"common/x.proto"});
  file.mutable_service(0)->mutable_method(0)->set_input_type(".X");
  Answer(Files({file}));
  Answer(Error(5, "no such file"));
  EXPECT_THAT(Questions(), ElementsAre("services", "symbol A",
                                       "file common/x.proto", "symbol X"));
  FileDescriptorProto types = PlainFile("x.proto");
  types.add_message_type()->set_name("X");
  Answer(Files({types}));
  EXPECT_TRUE(call().writes_done());
  End(absl::OkStatus());
  EXPECT_THAT(answers_, ElementsAre("/A/M: known"));
  EXPECT_THAT(warnings_, IsEmpty());
}

// tonic ends the call for a name that it does not know.
TEST_F(ReflectionTest, NameThatEndsTheCallIsLeftOut) {
  auto ticket = Resolve("/C/M");
  Answer(Services({"A", "B", "C"}));
  Answer(Files({ServiceFile("A")}));
  End(absl::NotFoundError("no B"));
  // The rest is asked one by one, so that it is clear who ends a call.
  EXPECT_EQ(upstream_.call_count(), 2u);
  EXPECT_THAT(Questions(), ElementsAre("symbol B"));
  End(absl::NotFoundError("no B"));
  EXPECT_EQ(upstream_.call_count(), 3u);
  EXPECT_THAT(Questions(), ElementsAre("symbol C"));
  Answer(Files({ServiceFile("C")}));
  EXPECT_TRUE(call().writes_done());
  End(absl::OkStatus());
  EXPECT_THAT(answers_, ElementsAre("/C/M: known"));
  EXPECT_THAT(warnings_,
              ElementsAre(AllOf(StartsWith("B: "), HasSubstr("no B"))));
}

TEST_F(ReflectionTest, ServerThatAnswersOnceACallIsAskedAgain) {
  auto ticket = Resolve("/B/M");
  Answer(Services({"A", "B"}));
  End(absl::OkStatus());
  Answer(Files({ServiceFile("A")}));
  End(absl::OkStatus());
  Answer(Files({ServiceFile("B")}));
  End(absl::OkStatus());
  EXPECT_EQ(upstream_.call_count(), 3u);
  EXPECT_THAT(answers_, ElementsAre("/B/M: known"));
  EXPECT_THAT(warnings_, IsEmpty());
}

// The last name ends the call: what is known is used.
TEST_F(ReflectionTest, CallMayEndWithTheLastName) {
  auto ticket = Resolve("/A/M");
  Answer(Services({"A", "B"}));
  Answer(Files({ServiceFile("A")}));
  End(absl::UnknownError("x"));
  End(absl::UnknownError("x"));
  EXPECT_EQ(upstream_.call_count(), 2u);
  EXPECT_THAT(answers_, ElementsAre("/A/M: known"));
}

TEST_F(ReflectionTest, LostConnectionIsNoNamesFault) {
  auto ticket = Resolve("/A/M");
  Answer(Services({"A"}));
  End(absl::UnavailableError("lost"));
  EXPECT_EQ(upstream_.call_count(), 1u);
  EXPECT_THAT(answers_, ElementsAre(HasSubstr("UNAVAILABLE")));
}

// A file that is sent for every name, or that imports itself, is no loop.
TEST_F(ReflectionTest, WrongFilesAreNotAskedForForEver) {
  auto ticket = Resolve("/A/M");
  Answer(Services({"A"}));
  Answer(Files({ServiceFile("A", {"x.proto"})}));
  Answer(Files({PlainFile("w.proto", {"x.proto", "w.proto"})}));
  EXPECT_TRUE(call().writes_done());
  End(absl::OkStatus());
  EXPECT_THAT(warnings_, ElementsAre(HasSubstr("w.proto")));
}

TEST_F(ReflectionTest, ServiceThatCannotBeLookedUpIsSkipped) {
  auto ticket = Resolve("/B/M");
  Answer(Services({"A", "B"}));
  Answer(Error(5, "lost"));
  Answer(Files({ServiceFile("B")}));
  End(absl::OkStatus());
  EXPECT_THAT(answers_, ElementsAre("/B/M: known"));
  EXPECT_THAT(warnings_, ElementsAre("A: lost"));
}

TEST_F(ReflectionTest, EndAfterAllWasToldIsSuccessWhateverItSays) {
  auto ticket = Resolve("/A/M");
  Answer(Services({"A"}));
  Answer(Files({ServiceFile("A")}));
  End(absl::DeadlineExceededError("x"));
  EXPECT_THAT(answers_, ElementsAre("/A/M: known"));
}

// --- versions ---

TEST_F(ReflectionTest, FallsBackToV1AlphaAndRemembersIt) {
  auto ticket = Resolve("/A/M");
  End(absl::UnimplementedError("unknown service"));
  EXPECT_THAT(fetched_, IsEmpty());
  EXPECT_EQ(call().method(), kV1Alpha);
  Serve();
  EXPECT_THAT(answers_, ElementsAre("/A/M: known"));
  now_ += absl::Minutes(2);
  Resolve("/A/M");
  ASSERT_EQ(upstream_.call_count(), 3u);
  EXPECT_EQ(call().method(), kV1Alpha);
  // The server was replaced by one that has v1 only.
  End(absl::UnimplementedError("unknown service"));
  EXPECT_EQ(call().method(), kV1);
}

TEST_F(ReflectionTest, ServerWithoutReflectionIsNotAskedAgainForAWhile) {
  auto ticket = Resolve("/A/M");
  End(absl::UnimplementedError("unknown service"));
  End(absl::UnimplementedError("unknown service"));
  EXPECT_THAT(answers_,
              ElementsAre("/A/M: UNIMPLEMENTED: the upstream has no server "
                          "reflection, so A/M is not known"));
  now_ += absl::Seconds(30);
  EXPECT_EQ(Resolve("/A/M"), nullptr);
  EXPECT_EQ(upstream_.call_count(), 2u);
  now_ += absl::Seconds(30);
  auto later = Resolve("/A/M");
  EXPECT_NE(later, nullptr);
  EXPECT_EQ(upstream_.call_count(), 3u);
}

// --- failures ---

TEST_F(ReflectionTest, UpstreamThatIsDownKeepsItsStatus) {
  auto ticket = Resolve("/A/M");
  End(absl::UnavailableError("connection refused"));
  EXPECT_EQ(upstream_.call_count(), 1u);
  EXPECT_THAT(answers_, ElementsAre("/A/M: UNAVAILABLE: server reflection: "
                                    "connection refused"));
  EXPECT_THAT(fetched_, ElementsAre(StartsWith("UNAVAILABLE")));
  // At once the same again; a second later it is asked anew.
  EXPECT_EQ(Resolve("/A/M"), nullptr);
  EXPECT_EQ(answers_.size(), 2u);
  now_ += absl::Seconds(1);
  auto later = Resolve("/A/M");
  Serve();
  EXPECT_EQ(answers_.back(), "/A/M: known");
}

// DEADLINE_EXCEEDED would be taken for the client's own deadline.
TEST_F(ReflectionTest, SilentServerIsUnavailable) {
  auto ticket = Resolve("/A/M");
  End(absl::DeadlineExceededError("Deadline Exceeded"));
  EXPECT_THAT(answers_,
              ElementsAre("/A/M: UNAVAILABLE: server reflection: the upstream "
                          "did not answer within 5s"));
}

TEST_F(ReflectionTest, OddServersGetAClearStatus) {
  ServerReflectionResponse broken_file;
  broken_file.mutable_file_descriptor_response()->add_file_descriptor_proto(
      "\xff");
  const struct {
    std::vector<std::string> answers;
    const char* message;
  } kCases[] = {
      {{"\xff"}, "no reflection response"},
      {{""}, "other than the services"},
      {{Files({})}, "other than the services"},
      {{Services({"A"}), Services({"A"})}, "other than the files"},
      {{Services({"A"}), broken_file.SerializeAsString()},
       "for A that is no file descriptor"},
      {{Services({"A"}), Files({PlainFile("")})}, "no file descriptor"},
      {{Services({}), Services({})}, "nobody asked for"},
      {{Error(13, "boom")}, "listing the services: boom"},
      {{Error(0, "odd")}, "listing the services: odd"},
  };
  for (const auto& c : kCases) {
    Renew();
    answers_.clear();
    auto ticket = Resolve("/A/M");
    for (const auto& answer : c.answers) Answer(answer);
    ASSERT_EQ(answers_.size(), 1u) << c.message;
    EXPECT_THAT(answers_[0],
                AllOf(StartsWith("/A/M: "), HasSubstr("server reflection: "),
                      HasSubstr(c.message)));
    EXPECT_FALSE(call().alive());
    EXPECT_EQ(log_.back().substr(log_.back().size() - 6), "cancel");
  }
}

TEST_F(ReflectionTest, EarlyOkIsAnError) {
  auto ticket = Resolve("/A/M");
  End(absl::OkStatus());
  EXPECT_THAT(answers_, ElementsAre(AllOf(HasSubstr("INTERNAL"),
                                          HasSubstr("before all was told"))));
}

TEST_F(ReflectionTest, TooManyServicesAreRefused) {
  auto ticket = Resolve("/A/M");
  std::vector<std::string> names;
  for (int i = 0; i <= 10'000; ++i) names.push_back(absl::StrCat("S", i));
  Answer(Services(names));
  EXPECT_THAT(answers_, ElementsAre(HasSubstr("RESOURCE_EXHAUSTED")));
}

TEST_F(ReflectionTest, TooManyFilesAreRefused) {
  auto ticket = Resolve("/A/M");
  Answer(Services({"A"}));
  std::vector<FileDescriptorProto> files;
  for (int i = 0; i <= 10'000; ++i) files.push_back(PlainFile(absl::StrCat(i)));
  Answer(Files(files));
  EXPECT_THAT(answers_, ElementsAre(HasSubstr("RESOURCE_EXHAUSTED")));
}

TEST_F(ReflectionTest, TooManyImportsAreRefused) {
  auto ticket = Resolve("/A/M");
  Answer(Services({"A"}));
  std::vector<std::string> imports;
  for (int i = 0; i <= 10'000; ++i) imports.push_back(absl::StrCat(i));
  Answer(Files({PlainFile("a", imports)}));
  EXPECT_THAT(answers_, ElementsAre(HasSubstr("RESOURCE_EXHAUSTED")));
}

// The same file again costs nothing: many servers send all imports each time.
TEST_F(ReflectionTest, TooManyBytesAreRefusedButNotTheSameAgain) {
  auto ticket = Resolve("/A/M");
  Answer(Services({"A", "B", "C", "D"}));
  auto large = PlainFile("large");
  large.mutable_options()->set_go_package(std::string(40 << 20, 'x'));
  Answer(Files({large}));
  Answer(Files({large}));
  EXPECT_THAT(answers_, IsEmpty());
  large.set_name("larger");
  Answer(Files({large}));
  EXPECT_THAT(answers_, ElementsAre(HasSubstr("RESOURCE_EXHAUSTED")));
}

// --- what is known, and for how long ---

TEST_F(ReflectionTest, KnownMethodIsAnsweredAtOnce) {
  auto ticket = Resolve("/A/M");
  Serve();
  now_ += absl::Seconds(59);
  EXPECT_EQ(Resolve("/A/M"), nullptr);
  EXPECT_THAT(answers_, ElementsAre("/A/M: known", "/A/M: known"));
  EXPECT_EQ(upstream_.call_count(), 1u);
}

TEST_F(ReflectionTest, OldSchemaIsRefreshedInTheBackground) {
  auto ticket = Resolve("/A/M");
  Serve();
  now_ += absl::Minutes(1);
  EXPECT_EQ(Resolve("/A/M"), nullptr);
  EXPECT_EQ(Resolve("/A/M"), nullptr);
  EXPECT_EQ(answers_.size(), 3u);
  EXPECT_EQ(upstream_.call_count(), 2u);
  Serve({"B"});
  Resolve("/B/M");
  EXPECT_EQ(answers_.back(), "/B/M: known");
  Resolve("/A/M");
  EXPECT_EQ(answers_.back(), "/A/M: UNIMPLEMENTED: unknown method A/M");
}

TEST_F(ReflectionTest, FailedRefreshKeepsTheOldSchema) {
  auto ticket = Resolve("/A/M");
  Serve();
  now_ += absl::Minutes(1);
  Resolve("/A/M");
  End(absl::UnavailableError("gone"));
  Resolve("/A/M");
  EXPECT_EQ(answers_.back(), "/A/M: known");
  // What it does not know may be known to the server, which cannot be asked.
  Resolve("/B/M");
  EXPECT_EQ(answers_.back(), "/B/M: UNAVAILABLE: server reflection: gone");
}

// Clients can ask for any name: that must not become a fetch each.
TEST_F(ReflectionTest, UnknownMethodFetchesAtMostOncePerInterval) {
  auto first = Resolve("/B/M");
  Serve();
  EXPECT_EQ(Resolve("/B/M"), nullptr);
  EXPECT_EQ(Resolve("/C/M"), nullptr);
  EXPECT_EQ(upstream_.call_count(), 1u);
  now_ += absl::Seconds(1);
  auto second = Resolve("/B/M");
  EXPECT_NE(second, nullptr);
  Serve({"A", "B"});
  EXPECT_EQ(answers_.back(), "/B/M: known");
}

TEST_F(ReflectionTest, WaitingResolvesShareOneFetch) {
  auto a = Resolve("/A/M");
  auto b = Resolve("/B/M");
  auto c = Resolve("/A/M");
  Serve();
  EXPECT_EQ(upstream_.call_count(), 1u);
  EXPECT_THAT(answers_, ElementsAre("/A/M: known",
                                    "/B/M: UNIMPLEMENTED: unknown method B/M",
                                    "/A/M: known"));
}

// --- what is built in ---

TEST_F(ReflectionTest, BuiltInMethodNeedsNoReflection) {
  auto ticket = Resolve(kConnect);
  End(absl::UnimplementedError(""));
  End(absl::UnimplementedError(""));
  EXPECT_THAT(answers_, ElementsAre(absl::StrCat(kConnect, ": known")));
  EXPECT_EQ(Resolve(kConnect), nullptr);
  EXPECT_EQ(answers_.size(), 2u);
}

// Whether the upstream is there, the call itself will tell.
TEST_F(ReflectionTest, BuiltInMethodDoesNotWaitForAnUpstreamThatIsDown) {
  auto ticket = Resolve(kConnect);
  End(absl::UnavailableError("gone"));
  EXPECT_THAT(answers_, ElementsAre(absl::StrCat(kConnect, ": known")));
  now_ += absl::Minutes(5);
  EXPECT_EQ(Resolve(kConnect), nullptr);  // Asked again in the background.
  EXPECT_EQ(upstream_.call_count(), 2u);
  EXPECT_EQ(Resolve(kConnect), nullptr);
  EXPECT_EQ(answers_.size(), 3u);
}

TEST_F(ReflectionTest, UpstreamsOwnDescriptorsWinOverTheBuiltIn) {
  auto file = ServiceFile("PacketService");
  file.set_package("headgate.v1");
  auto* method = file.mutable_service(0)->mutable_method(0);
  method->set_name("Connect");
  method->set_input_type(".headgate.v1.PacketServiceMessage");
  method->set_output_type(".headgate.v1.PacketServiceMessage");
  auto ticket = Resolve(kConnect);
  Answer(Services({"headgate.v1.PacketService"}));
  Answer(Files({file}));
  End(absl::OkStatus());
  ASSERT_NE(last_.method, nullptr);
  EXPECT_EQ(last_.method->input, "headgate.v1.PacketServiceMessage");
}

// --- lifetimes ---

TEST_F(ReflectionTest, DestroyedTicketIsNotCalled) {
  auto a = Resolve("/A/M");
  auto b = Resolve("/B/M");
  a.reset();
  Serve();
  EXPECT_THAT(answers_, ElementsAre(StartsWith("/B/M: ")));
}

TEST_F(ReflectionTest, CallbackMayDestroyTicketsAndResolveAgain) {
  std::unique_ptr<SchemaSource::Ticket> own, other, again;
  const auto answer = [&](const ResolvedMethod&) {
    own.reset();
    other.reset();
    now_ += absl::Seconds(1);
    again = Resolve("/C/M");
  };
  own = AnswerOrTicket(source_->Resolve("/B/M", now_, answer), answer);
  other = Resolve("/A/M");
  Serve();
  EXPECT_THAT(answers_, IsEmpty());
  ASSERT_NE(again, nullptr);
  EXPECT_EQ(upstream_.call_count(), 2u);
  Serve({"C"});
  EXPECT_THAT(answers_, ElementsAre("/C/M: known"));
}

TEST_F(ReflectionTest, CallbackMayDestroyTheSource) {
  auto a = source_->Resolve("/A/M", now_,
                            [&](const ResolvedMethod&) { source_.reset(); });
  auto b = Resolve("/B/M");
  Serve();
  EXPECT_THAT(answers_, IsEmpty());
}

TEST_F(ReflectionTest, DestroyingTheSourceCancelsItsFetch) {
  auto ticket = Resolve("/A/M");
  source_.reset();
  EXPECT_EQ(log_.back(), "cancel");
  ticket.reset();
  EXPECT_THAT(answers_, IsEmpty());
}

// Methods live as long as the schema that came with them.
TEST_F(ReflectionTest, MethodOutlivesTheSource) {
  auto ticket = Resolve("/A/M");
  Serve();
  source_.reset();
  EXPECT_EQ(last_.method->path, "/A/M");
}

}  // namespace
}  // namespace headgate
