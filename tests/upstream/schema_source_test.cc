#include "gateway/upstream/schema_source.h"

#include <cstdint>
#include <deque>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gateway/upstream/schema_store.h"
#include "gmock/gmock.h"
#include "google/api/annotations.pb.h"
#include "google/api/http.pb.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/descriptor.pb.h"
#include "gtest/gtest.h"
#include "headgate/reflection/reflection.pb.h"
#include "tests/testing/fake_upstream.h"
#include "tests/testing/now_or_ticket.h"
#include "tests/testing/test_folder.h"

// Descriptor sets, and what they are together with reflection. The
// conversation with the server is in reflection_test.cc.

namespace headgate {
namespace {

using ::google::protobuf::FileDescriptorProto;
using ::google::protobuf::FileDescriptorSet;
using reflection::ServerReflectionResponse;
using ::testing::AllOf;
using testing::AnswerOrTicket;
using ::testing::ElementsAre;
using testing::FakeUpstream;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::Log;
using ::testing::StartsWith;
using ::testing::UnorderedElementsAre;

// A file "NAME.proto" with the service NAME, whose methods are unary.
FileDescriptorProto ServiceFile(const std::string& name,
                                const std::vector<std::string>& methods = {
                                    "M"}) {
  FileDescriptorProto file;
  file.set_name(name + ".proto");
  file.set_syntax("proto3");
  file.add_message_type()->set_name(name + "Message");
  auto* service = file.add_service();
  service->set_name(name);
  for (const auto& one : methods) {
    auto* method = service->add_method();
    method->set_name(one);
    method->set_input_type("." + name + "Message");
    method->set_output_type("." + name + "Message");
  }
  return file;
}

// The same, whose method M is GET `path`.
FileDescriptorProto RuleFile(const std::string& name, const std::string& path) {
  FileDescriptorProto file = ServiceFile(name);
  file.add_dependency("google/api/annotations.proto");
  auto* options = file.mutable_service(0)->mutable_method(0)->mutable_options();
  options->MutableExtension(google::api::http)->set_get(path);
  return file;
}

// The files that RuleFile imports.
std::vector<FileDescriptorProto> AnnotationFiles() {
  std::vector<FileDescriptorProto> files(3);
  google::api::HttpRule::descriptor()->file()->CopyTo(&files[0]);
  google::protobuf::DescriptorPool::generated_pool()
      ->FindFileByName("google/api/annotations.proto")
      ->CopyTo(&files[1]);
  FileDescriptorProto::descriptor()->file()->CopyTo(&files[2]);
  return files;
}

// As protoc --include_imports writes it.
std::string Set(const std::vector<FileDescriptorProto>& files) {
  FileDescriptorSet set;
  for (const auto& file : files) {
    if (file.dependency_size() == 0) continue;
    for (const auto& import : AnnotationFiles()) *set.add_file() = import;
    break;
  }
  for (const auto& file : files) *set.add_file() = file;
  return set.SerializeAsString();
}

class SchemaSourceTest : public ::testing::Test {
 protected:
  // A descriptor set, and a source's option to read it.
  void Write(const std::string& name, const std::string& bytes) {
    folder_.Write(name, bytes);
  }
  void Make(bool reflection, const std::vector<std::string>& names) {
    options_.reflection = reflection;
    options_.files.clear();
    for (const auto& name : names) options_.files.push_back(folder_.Path(name));
    const auto at_once = [](const std::function<void()>& task) { task(); };
    source_ = MakeSchemaSource(
        upstream_, SchemaStore::Make(options_, at_once), at_once,
        [this](const absl::Status& status, const Schema* schema,
               const std::vector<std::string>& warnings) {
          EXPECT_EQ(status.ok(), schema != nullptr);
          fetched_.push_back(status.ToString());
          warnings_ = warnings;
        });
  }

  std::unique_ptr<SchemaSource::Ticket> Resolve(const std::string& path) {
    const auto answer = [this, path](const ResolvedMethod& r) {
      EXPECT_EQ(r.method != nullptr, r.why_unknown.ok());
      EXPECT_EQ(r.method != nullptr, r.schema != nullptr);
      answers_.push_back(absl::StrCat(
          path, ": ",
          r.method != nullptr ? "known" : r.why_unknown.ToString()));
    };
    return AnswerOrTicket(source_->Resolve(path, now_, answer), answer);
  }
  // Its answer, which must come at once.
  std::string Ask(const std::string& path) {
    answers_.clear();
    EXPECT_EQ(Resolve(path), nullptr);
    return answers_.size() == 1 ? answers_[0].substr(path.size() + 2)
                                : "no answer";
  }
  // The same with all rules: the method of GET `path`.
  std::unique_ptr<SchemaSource::Ticket> Get(const std::string& path) {
    const auto answer = [this,
                         path](const absl::StatusOr<SchemaSnapshot>& snapshot) {
      answers_.push_back(RuleAt(snapshot, path));
      if (snapshot.ok()) last_ = *snapshot;
    };
    return AnswerOrTicket(source_->Get(now_, answer), answer);
  }
  std::string AskRule(const std::string& path) {
    answers_.clear();
    EXPECT_EQ(Get(path), nullptr);
    return answers_.size() == 1 ? answers_[0] : "no answer";
  }
  static std::string RuleAt(const absl::StatusOr<SchemaSnapshot>& snapshot,
                            const std::string& path) {
    if (!snapshot.ok()) return snapshot.status().ToString();
    const auto match = snapshot->http_rules->Find("GET", path);
    return match.ok() ? match->method->path : match.status().ToString();
  }

  FakeUpstream::Call& call() {
    return upstream_.call(upstream_.call_count() - 1);
  }
  void Answer(const ServerReflectionResponse& response) {
    while (call().writing()) call().OnWritten();
    ASSERT_TRUE(call().reading());
    call().OnMessage(response.SerializeAsString());
  }
  // A whole fetch from a server that has these, each with a service of its own.
  void Serve(const std::vector<FileDescriptorProto>& files) {
    ServerReflectionResponse services;
    for (const auto& file : files) {
      services.mutable_list_services_response()->add_service()->set_name(
          file.service(0).name());
    }
    if (files.empty()) services.mutable_list_services_response();
    Answer(services);
    for (const auto& file : files) {
      ServerReflectionResponse response;
      auto* sent = response.mutable_file_descriptor_response();
      sent->add_file_descriptor_proto(file.SerializeAsString());
      for (const auto& import : AnnotationFiles()) {
        sent->add_file_descriptor_proto(import.SerializeAsString());
      }
      Answer(response);
    }
    while (call().writing()) call().OnWritten();
    ASSERT_TRUE(call().writes_done());
    call().OnDone({absl::OkStatus(), ""});
  }
  void Fail(absl::Status status) { call().OnDone({std::move(status), ""}); }

  Log log_;
  FakeUpstream upstream_{log_};
  TestFolder folder_;
  SchemaSourceOptions options_;
  absl::Time now_ = absl::FromUnixSeconds(1'000'000);
  std::vector<std::string> fetched_;
  std::vector<std::string> warnings_;
  std::vector<std::string> answers_;
  SchemaSnapshot last_;
  std::unique_ptr<SchemaSource> source_;
};

// --- descriptor sets alone ---

TEST_F(SchemaSourceTest, FilesAreKnownAtOnceAndNobodyIsAsked) {
  Write("a.pb", Set({ServiceFile("A")}));
  Write("b.pb", Set({ServiceFile("B"), ServiceFile("C")}));
  Make(false, {"a.pb", "b.pb"});
  EXPECT_THAT(fetched_, ElementsAre("OK"));
  EXPECT_THAT(warnings_, IsEmpty());
  EXPECT_EQ(Ask("/A/M"), "known");
  EXPECT_EQ(Ask("/B/M"), "known");
  EXPECT_EQ(Ask("/C/M"), "known");
  EXPECT_EQ(upstream_.call_count(), 0u);
}

// The client sees the name of the set, the log its path.
TEST_F(SchemaSourceTest, UnknownMethodNamesItselfAndTheFiles) {
  Write("a.pb", Set({ServiceFile("A")}));
  Write("b.pb", Set({ServiceFile("B")}));
  Make(false, {"a.pb", "b.pb"});
  EXPECT_EQ(Ask("/A/X"),
            "UNIMPLEMENTED: unknown method A/X: the upstream's descriptors "
            "come from a.pb, b.pb");
  now_ += absl::Hours(1);
  EXPECT_THAT(Ask("/A/X"), StartsWith("UNIMPLEMENTED"));
}

TEST_F(SchemaSourceTest, WhatIsBuiltInNeedsNoFiles) {
  Write("a.pb", Set({ServiceFile("A")}));
  Make(false, {"a.pb"});
  EXPECT_EQ(Ask("/headgate.v1.PacketService/Connect"), "known");
}

TEST_F(SchemaSourceTest, NoSourceAtAllKnowsWhatIsBuiltIn) {
  Make(false, {});
  EXPECT_EQ(Ask("/headgate.v1.PacketService/Connect"), "known");
  EXPECT_THAT(Ask("/A/M"), StartsWith("UNIMPLEMENTED: "));
  EXPECT_THAT(AskRule("/v1/a"), StartsWith("UNIMPLEMENTED: the upstream has "
                                           "neither"));
}

TEST_F(SchemaSourceTest, FirstOfTwoFilesOfOneNameCounts) {
  Write("a.pb", Set({ServiceFile("A", {"New"})}));
  Write("b.pb", Set({ServiceFile("A", {"Old"})}));
  Make(false, {"a.pb", "b.pb"});
  EXPECT_EQ(Ask("/A/New"), "known");
  EXPECT_THAT(Ask("/A/Old"), StartsWith("UNIMPLEMENTED"));
}

TEST_F(SchemaSourceTest, SetWithoutImportsIsToldInTheWarnings) {
  auto file = ServiceFile("A");
  file.add_dependency("lost.proto");
  file.mutable_service(0)->mutable_method(0)->set_input_type(".Lost");
  Write("a.pb", Set({file, ServiceFile("B")}));
  Make(false, {"a.pb"});
  EXPECT_THAT(warnings_, ElementsAre(HasSubstr("nothing defines .Lost"),
                                     HasSubstr("protoc --include_imports")));
  EXPECT_EQ(Ask("/B/M"), "known");
}

TEST_F(SchemaSourceTest, ChangedFileIsReadAgainAfterASecond) {
  Write("a.pb", Set({ServiceFile("A")}));
  Make(false, {"a.pb"});
  EXPECT_EQ(Ask("/A/M"), "known");
  Write("a.pb", Set({ServiceFile("B")}));
  now_ += absl::Milliseconds(999);
  EXPECT_THAT(Ask("/B/M"), StartsWith("UNIMPLEMENTED"));
  now_ += absl::Milliseconds(1);
  EXPECT_EQ(Ask("/B/M"), "known");
  EXPECT_THAT(Ask("/A/M"), StartsWith("UNIMPLEMENTED"));
  EXPECT_THAT(fetched_, ElementsAre("OK", "OK"));
}

// Written in place: neither the inode nor, within a tick of the clock, the time
// need be others, but the length is.
TEST_F(SchemaSourceTest, FileWrittenInPlaceIsReadAgain) {
  Write("a.pb", Set({ServiceFile("A")}));
  Make(false, {"a.pb"});
  std::ofstream(folder_.Path("a.pb"), std::ios::binary)
      << Set({ServiceFile("Longer")});
  EXPECT_EQ(Ask("/Longer/M"), "known");
}

// Sessions keep the schema that they began with.
TEST_F(SchemaSourceTest, SchemaInUseOutlivesTheChange) {
  Write("a.pb", Set({ServiceFile("A")}));
  Make(false, {"a.pb"});
  const auto held =
      std::get<ResolvedMethod>(source_->Resolve("/A/M", now_, nullptr));
  Write("a.pb", Set({ServiceFile("B")}));
  now_ += absl::Seconds(1);
  EXPECT_EQ(Ask("/B/M"), "known");
  EXPECT_EQ(held.schema->FindMethod("/A/M"), held.method);
}

TEST_F(SchemaSourceTest, UnusableFileKeepsTheOldDescriptorsAndWarnsOnce) {
  const std::string good = Set({ServiceFile("A")});
  Write("a.pb", good);
  Make(false, {"a.pb"});
  fetched_.clear();
  const std::string kBad[] = {"", "no descriptors",
                              good.substr(0, good.size() / 2),
                              Set({FileDescriptorProto()})};
  for (const std::string& bad : kBad) {
    Write("a.pb", bad);
    for (int i = 0; i < 3; ++i) {
      now_ += absl::Seconds(1);
      EXPECT_EQ(Ask("/A/M"), "known");
    }
    EXPECT_THAT(fetched_, ElementsAre("OK"));
    EXPECT_THAT(warnings_,
                ElementsAre(AllOf(StartsWith(folder_.Path("a.pb")),
                                  HasSubstr("is no descriptor set"))));
    fetched_.clear();
  }
  folder_.Remove("a.pb");
  now_ += absl::Seconds(1);
  EXPECT_EQ(Ask("/A/M"), "known");
  EXPECT_THAT(warnings_, ElementsAre(HasSubstr("cannot be read")));
  // Those that it still has are good to say no.
  EXPECT_THAT(Ask("/B/M"), StartsWith("UNIMPLEMENTED"));

  Write("a.pb", Set({ServiceFile("B")}));
  now_ += absl::Seconds(1);
  EXPECT_EQ(Ask("/B/M"), "known");
  EXPECT_THAT(warnings_, IsEmpty());
}

// A guess at the kind of a call would do harm where a file would tell.
TEST_F(SchemaSourceTest, FileThatWasNeverReadMakesMethodsUnavailable) {
  Write("a.pb", Set({ServiceFile("A")}));
  Make(false, {"a.pb", "b.pb"});
  EXPECT_THAT(fetched_, ElementsAre("OK"));
  EXPECT_THAT(warnings_, ElementsAre(HasSubstr(folder_.Path("b.pb"))));
  EXPECT_EQ(Ask("/A/M"), "known");
  EXPECT_THAT(Ask("/B/M"),
              AllOf(StartsWith("UNAVAILABLE"), HasSubstr("descriptor sets")));
  Write("b.pb", Set({ServiceFile("B")}));
  now_ += absl::Seconds(1);
  EXPECT_EQ(Ask("/B/M"), "known");
}

TEST_F(SchemaSourceTest, NoFileReadableIsUnavailable) {
  Make(false, {"a.pb"});
  EXPECT_THAT(fetched_, ElementsAre(StartsWith("UNAVAILABLE")));
  EXPECT_THAT(warnings_, ElementsAre(HasSubstr("a.pb cannot be read")));
  EXPECT_THAT(Ask("/A/M"), StartsWith("UNAVAILABLE"));
  EXPECT_THAT(AskRule("/v1/a"), StartsWith("UNAVAILABLE"));
}

// --- with reflection ---

TEST_F(SchemaSourceTest, MethodOfAFileDoesNotWaitForReflection) {
  Write("a.pb", Set({ServiceFile("A")}));
  Make(true, {"a.pb"});
  EXPECT_EQ(upstream_.call_count(), 0u);
  EXPECT_EQ(Ask("/A/M"), "known");
  EXPECT_EQ(upstream_.call_count(), 1u);  // In the background.
  auto ticket = Resolve("/B/M");
  ASSERT_NE(ticket, nullptr);
  Serve({ServiceFile("B")});
  EXPECT_EQ(answers_.back(), "/B/M: known");
  EXPECT_EQ(Ask("/A/M"), "known");
  EXPECT_EQ(upstream_.call_count(), 1u);
}

TEST_F(SchemaSourceTest, FilesComeBeforeReflection) {
  Write("a.pb", Set({ServiceFile("A", {"Mine"})}));
  Make(true, {"a.pb"});
  EXPECT_EQ(Ask("/A/Mine"), "known");
  Serve({ServiceFile("A", {"Theirs"})});
  EXPECT_EQ(Ask("/A/Mine"), "known");
  EXPECT_EQ(Ask("/A/Theirs"),
            "UNIMPLEMENTED: unknown method A/Theirs: the upstream's "
            "descriptors come from a.pb and its server reflection");
  EXPECT_THAT(warnings_, IsEmpty());
}

TEST_F(SchemaSourceTest, FailedReflectionLeavesTheFiles) {
  Write("a.pb", Set({ServiceFile("A")}));
  Make(true, {"a.pb"});
  auto ticket = Resolve("/B/M");
  Fail(absl::UnavailableError("gone"));
  EXPECT_EQ(answers_.back(), "/B/M: UNAVAILABLE: server reflection: gone");
  EXPECT_THAT(fetched_, ElementsAre(StartsWith("UNAVAILABLE")));
  EXPECT_EQ(Ask("/A/M"), "known");
}

TEST_F(SchemaSourceTest, ServerWithoutReflectionLeavesTheFiles) {
  Write("a.pb", Set({ServiceFile("A")}));
  Make(true, {"a.pb"});
  auto ticket = Resolve("/B/M");
  Fail(absl::UnimplementedError(""));
  Fail(absl::UnimplementedError(""));
  EXPECT_EQ(answers_.back(),
            "/B/M: UNIMPLEMENTED: unknown method B/M: the upstream's "
            "descriptors come from a.pb");
  EXPECT_EQ(Ask("/A/M"), "known");
}

TEST_F(SchemaSourceTest, ChangedFileKeepsWhatReflectionTold) {
  Write("a.pb", Set({ServiceFile("A")}));
  Make(true, {"a.pb"});
  Ask("/A/M");
  Serve({ServiceFile("B")});
  Write("a.pb", Set({ServiceFile("C")}));
  now_ += absl::Seconds(1);
  EXPECT_EQ(Ask("/C/M"), "known");
  EXPECT_EQ(Ask("/B/M"), "known");
  EXPECT_THAT(fetched_, ElementsAre("OK", "OK"));
}

// What the last fetch came to is told again, so that a file says nothing about
// the server.
TEST_F(SchemaSourceTest, ChangedFileDoesNotMakeAServerReachable) {
  Write("a.pb", Set({ServiceFile("A")}));
  Make(true, {"a.pb"});
  EXPECT_THAT(fetched_, IsEmpty());
  Ask("/A/M");
  Fail(absl::UnavailableError("gone"));
  Write("a.pb", "x");
  now_ += absl::Seconds(1);
  EXPECT_EQ(Ask("/A/M"), "known");
  EXPECT_THAT(fetched_, ElementsAre(StartsWith("UNAVAILABLE"),
                                    StartsWith("UNAVAILABLE")));
  EXPECT_THAT(warnings_, ElementsAre(HasSubstr("is no descriptor set")));
}

// A warning that went and came with each failure would fill the log.
TEST_F(SchemaSourceTest, FailedRefreshKeepsTheWarnings) {
  Make(true, {});
  auto ticket = Resolve("/A/M");
  auto file = ServiceFile("A");
  file.mutable_service(0)->mutable_method(0)->set_input_type(".Lost");
  Serve({file});
  EXPECT_THAT(warnings_, ElementsAre(HasSubstr("Lost")));
  now_ += absl::Minutes(1);
  auto again = Resolve("/A/M");
  Fail(absl::UnavailableError("gone"));
  EXPECT_THAT(warnings_, ElementsAre(HasSubstr("Lost")));
}

TEST_F(SchemaSourceTest, BackgroundRefreshLooksAtTheFilesToo) {
  Write("a.pb", Set({ServiceFile("A")}));
  Make(true, {"a.pb"});
  Ask("/A/M");
  Write("a.pb", Set({ServiceFile("C")}));
  Serve({ServiceFile("B")});
  EXPECT_EQ(Ask("/C/M"), "known");  // Within the same second.
}

// --- all that is known ---

TEST_F(SchemaSourceTest, RulesOfFilesAreFoundAtOnce) {
  Write("a.pb", Set({RuleFile("A", "/v1/a")}));
  Make(false, {"a.pb"});
  EXPECT_EQ(AskRule("/v1/a"), "/A/M");
  EXPECT_THAT(AskRule("/v1/b"), StartsWith("NOT_FOUND"));
}

TEST_F(SchemaSourceTest, RulesAreMadeOncePerSchema) {
  Write("a.pb", Set({RuleFile("A", "/v1/a")}));
  Make(false, {"a.pb"});
  EXPECT_EQ(AskRule("/v1/a"), "/A/M");
  const SchemaSnapshot first = last_;
  EXPECT_EQ(AskRule("/v1/a"), "/A/M");
  EXPECT_EQ(last_.http_rules, first.http_rules);
  Write("a.pb", Set({RuleFile("A", "/v2/a")}));
  now_ += absl::Seconds(1);
  EXPECT_EQ(AskRule("/v2/a"), "/A/M");
  EXPECT_EQ(RuleAt(first, "/v1/a"), "/A/M");
}

// Who never asks for rules hears nothing of bad ones; afterwards they are part
// of each report, so that they do not come and go.
TEST_F(SchemaSourceTest, BadRulesAreToldOnceTheyAreAskedFor) {
  Write("a.pb", Set({RuleFile("A", "no slash"), RuleFile("B", "/v1/b")}));
  Make(false, {"a.pb"});
  EXPECT_EQ(Ask("/A/M"), "known");
  EXPECT_THAT(warnings_, IsEmpty());
  EXPECT_EQ(AskRule("/v1/b"), "/B/M");
  EXPECT_EQ(warnings_.size(), 1u);
  EXPECT_EQ(fetched_.size(), 2u);
  EXPECT_EQ(AskRule("/v1/b"), "/B/M");
  EXPECT_EQ(fetched_.size(), 2u);
  Write("a.pb", Set({RuleFile("A", "still none"), RuleFile("B", "/v1/b")}));
  now_ += absl::Seconds(1);
  EXPECT_EQ(Ask("/A/M"), "known");
  EXPECT_EQ(warnings_.size(), 1u);
}

TEST_F(SchemaSourceTest, RulesOfServiceConfigurationsReplaceAnnotations) {
  Write("a.pb", Set({RuleFile("A", "/v1/a"), RuleFile("B", "/v1/b")}));
  Write("one.yaml", "http: {rules: [{selector: A.M, get: /v2/a}]}");
  Write("two.yaml", "http: {rules: [{selector: none.S.M, get: /v2/c}]}");
  options_.http_rules_files = {folder_.Path("one.yaml"),
                               folder_.Path("two.yaml")};
  Make(false, {"a.pb"});
  EXPECT_EQ(AskRule("/v2/a"), "/A/M");
  EXPECT_THAT(AskRule("/v1/a"), StartsWith("NOT_FOUND"));
  EXPECT_EQ(AskRule("/v1/b"), "/B/M");
  EXPECT_THAT(warnings_, ElementsAre("http_rules_files: the selector none.S.M "
                                     "names no method"));
  Write("one.yaml", "http: {rules: [{selector: A.M, get: /v3/a}]}");
  now_ += absl::Seconds(1);
  EXPECT_EQ(AskRule("/v3/a"), "/A/M");
  // One that cannot be used leaves what it said.
  Write("one.yaml", "http: {rules: [{get: /v3/a}]}");
  now_ += absl::Seconds(1);
  EXPECT_EQ(AskRule("/v3/a"), "/A/M");
  EXPECT_THAT(warnings_, ::testing::Contains(HasSubstr("selector is missing")));
}

// Reflection may know the method; nothing is known before it has answered.
TEST_F(SchemaSourceTest, RulesOfServiceConfigurationsAreForReflectionToo) {
  Write("one.yaml",
        "http: {rules: [{selector: B.M, get: /v1/b},"
        "{selector: C.M, get: /v1/c}]}");
  options_.http_rules_files = {folder_.Path("one.yaml")};
  Make(true, {});
  EXPECT_THAT(warnings_, IsEmpty());
  auto ticket = Get("/v1/b");
  Serve({ServiceFile("B")});
  EXPECT_THAT(answers_, ElementsAre("/B/M"));
  EXPECT_THAT(warnings_, ElementsAre(HasSubstr("C.M names no method")));
  Write("one.yaml", "http: {rules: [{selector: B.M, get: /v2/b}]}");
  now_ += absl::Seconds(1);
  EXPECT_EQ(AskRule("/v2/b"), "/B/M");
}

// --- types of Anys that no descriptor defines ---

class UnknownTypeTest : public SchemaSourceTest {
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

// The first answer of the server may have the rule: without it "there is none"
// would be wrong.
TEST_F(SchemaSourceTest, GetWaitsForTheFirstFetch) {
  Write("a.pb", Set({RuleFile("A", "/v1/a")}));
  Make(true, {"a.pb"});
  auto first = Get("/v1/b");
  auto second = Get("/v1/a");
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(upstream_.call_count(), 1u);
  Serve({RuleFile("B", "/v1/b")});
  EXPECT_THAT(answers_, ElementsAre("/B/M", "/A/M"));
}

TEST_F(SchemaSourceTest, GetHasTheFilesWhenReflectionFails) {
  Write("a.pb", Set({RuleFile("A", "/v1/a")}));
  Make(true, {"a.pb"});
  auto ticket = Get("/v1/a");
  Fail(absl::UnavailableError("gone"));
  EXPECT_THAT(answers_, ElementsAre("/A/M"));
  EXPECT_EQ(AskRule("/v1/a"), "/A/M");
  EXPECT_EQ(upstream_.call_count(), 1u);
  // It has never been heard of: it is asked again soon, in the background.
  now_ += absl::Seconds(1);
  EXPECT_EQ(AskRule("/v1/a"), "/A/M");
  EXPECT_EQ(upstream_.call_count(), 2u);
}

TEST_F(SchemaSourceTest, GetFailsWhenNothingIsKnown) {
  Make(true, {});
  auto ticket = Get("/v1/a");
  Fail(absl::UnavailableError("gone"));
  EXPECT_THAT(answers_, ElementsAre("UNAVAILABLE: server reflection: gone"));
  EXPECT_THAT(AskRule("/v1/a"), StartsWith("UNAVAILABLE"));
  now_ += absl::Seconds(1);
  auto later = Get("/v1/a");
  ASSERT_NE(later, nullptr);
  Serve({RuleFile("A", "/v1/a")});
  EXPECT_EQ(answers_.back(), "/A/M");
}

TEST_F(SchemaSourceTest, GetOfAServerWithoutReflectionIsUnimplemented) {
  Make(true, {});
  auto ticket = Get("/v1/a");
  Fail(absl::UnimplementedError(""));
  Fail(absl::UnimplementedError(""));
  EXPECT_THAT(answers_, ElementsAre(HasSubstr("no server reflection")));
  EXPECT_THAT(answers_, ElementsAre(StartsWith("UNIMPLEMENTED")));
}

TEST_F(SchemaSourceTest, GetRefreshesInTheBackground) {
  Make(true, {});
  auto ticket = Get("/v1/a");
  Serve({RuleFile("A", "/v1/a")});
  EXPECT_EQ(AskRule("/v1/a"), "/A/M");
  now_ += absl::Minutes(1);
  EXPECT_EQ(AskRule("/v1/a"), "/A/M");
  EXPECT_EQ(upstream_.call_count(), 2u);
  Serve({RuleFile("A", "/v2/a")});
  EXPECT_EQ(AskRule("/v2/a"), "/A/M");
}

TEST_F(SchemaSourceTest, DestroyedTicketOfGetIsNotCalled) {
  Make(true, {});
  auto ticket = Get("/v1/a");
  auto other = Get("/v1/b");
  ticket.reset();
  Serve({RuleFile("A", "/v1/a")});
  EXPECT_THAT(answers_, ElementsAre(StartsWith("NOT_FOUND")));
}

TEST_F(SchemaSourceTest, CallbackOfGetMayDestroyTheSource) {
  Make(true, {});
  auto ticket = source_->Get(
      now_, [&](const absl::StatusOr<SchemaSnapshot>&) { source_.reset(); });
  auto other = Get("/v1/a");
  Serve({RuleFile("A", "/v1/a")});
  EXPECT_THAT(answers_, IsEmpty());
}

// --- what workers share ---

// Two sources of one store, as two workers have them.
class SharedStoreTest : public SchemaSourceTest {
 protected:
  // What goes posts tasks.
  ~SharedStoreTest() override {
    source_.reset();
    other_.reset();
    last_ = {};
    RunTasks();
  }

  void MakeTwo(bool reflection, const std::vector<std::string>& names,
               SchemaStore::Executor builder) {
    options_.reflection = reflection;
    for (const auto& name : names) options_.files.push_back(folder_.Path(name));
    const auto store = SchemaStore::Make(options_, std::move(builder));
    for (auto* source : {&source_, &other_}) {
      *source = MakeSchemaSource(
          upstream_, store, [](const std::function<void()>& task) { task(); },
          nullptr);
    }
  }
  // Keeps tasks until the test runs them.
  SchemaStore::Executor Later() {
    return [this](std::function<void()> task) {
      tasks_.push_back(std::move(task));
    };
  }
  void RunTasks() {
    while (!tasks_.empty()) {
      const std::function<void()> task = std::move(tasks_.front());
      tasks_.pop_front();
      task();
    }
  }
  static SchemaStore::Executor AtOnce() {
    return [](const std::function<void()>& task) { task(); };
  }
  std::unique_ptr<SchemaSource::Ticket> ResolveByOther(
      const std::string& path) {
    const auto answer = [this, path](const ResolvedMethod& r) {
      answers_.push_back(absl::StrCat(
          "other ", path, ": ",
          r.method != nullptr ? "known" : r.why_unknown.ToString()));
    };
    return AnswerOrTicket(other_->Resolve(path, now_, answer), answer);
  }

  std::deque<std::function<void()>> tasks_;
  std::unique_ptr<SchemaSource> other_;
};

TEST_F(SharedStoreTest, OneFetchIsForAll) {
  MakeTwo(true, {}, AtOnce());
  const auto ticket = Resolve("/A/M");
  const auto other = ResolveByOther("/A/M");
  EXPECT_EQ(upstream_.call_count(), 1u);
  Serve({ServiceFile("A")});
  EXPECT_THAT(answers_,
              UnorderedElementsAre("/A/M: known", "other /A/M: known"));
  EXPECT_EQ(upstream_.call_count(), 1u);
}

TEST_F(SharedStoreTest, AnotherTakesOverWhatWasBegun) {
  MakeTwo(true, {}, AtOnce());
  auto ticket = Resolve("/A/M");
  const auto other = ResolveByOther("/A/M");
  ticket.reset();
  source_.reset();  // Its worker has another upstream now.
  EXPECT_EQ(upstream_.call_count(), 2u);
  Serve({ServiceFile("A")});
  EXPECT_THAT(answers_, ElementsAre("other /A/M: known"));
}

TEST_F(SharedStoreTest, ClientsWaitUntilTheFilesAreRead) {
  Write("a.pb", Set({ServiceFile("A")}));
  MakeTwo(false, {"a.pb"}, Later());
  const auto known = Resolve("/A/M");
  const auto unknown = ResolveByOther("/B/M");
  EXPECT_NE(known, nullptr);
  EXPECT_NE(unknown, nullptr);
  EXPECT_THAT(answers_, IsEmpty());
  RunTasks();
  EXPECT_THAT(answers_, UnorderedElementsAre("/A/M: known",
                                             StartsWith("other /B/M: UNI")));
}

// The files are read while the server is asked; who needs no answer of the
// server's does not wait for it.
TEST_F(SharedStoreTest, MethodOfAFileIsKnownWhenTheFileIsRead) {
  Write("a.pb", Set({ServiceFile("A")}));
  MakeTwo(true, {"a.pb"}, Later());
  const auto ticket = Resolve("/A/M");
  const auto other = ResolveByOther("/B/M");
  EXPECT_THAT(answers_, IsEmpty());
  RunTasks();
  EXPECT_THAT(answers_, ElementsAre("/A/M: known"));
  Serve({ServiceFile("B")});
  RunTasks();
  EXPECT_THAT(answers_, ElementsAre("/A/M: known", "other /B/M: known"));
}

TEST_F(SharedStoreTest, UnchangedDescriptorsAreNotBuiltAgain) {
  MakeTwo(true, {}, AtOnce());
  const FileDescriptorProto a = RuleFile("A", "/a");
  const FileDescriptorProto b = RuleFile("B", "/b");
  auto ticket = Get("/a");
  Serve({a, b});
  const auto rules = last_.http_rules;
  now_ += options_.refresh_after;
  EXPECT_EQ(AskRule("/a"), "/A/M");
  Serve({b, a});  // Servers list their services in any order.
  EXPECT_EQ(AskRule("/a"), "/A/M");
  EXPECT_EQ(last_.http_rules, rules);

  now_ += options_.refresh_after;
  EXPECT_EQ(AskRule("/a"), "/A/M");
  Serve({a, RuleFile("B", "/c")});
  EXPECT_EQ(AskRule("/c"), "/B/M");
  EXPECT_NE(last_.http_rules, rules);
}

// A file that was written again with the same content.
TEST_F(SharedStoreTest, TouchedFileIsNotBuiltAgain) {
  Write("a.pb", Set({RuleFile("A", "/a")}));
  MakeTwo(false, {"a.pb"}, AtOnce());
  EXPECT_EQ(AskRule("/a"), "/A/M");
  const auto rules = last_.http_rules;
  Write("a.pb", Set({RuleFile("A", "/a")}));
  now_ += absl::Seconds(1);
  EXPECT_EQ(AskRule("/a"), "/A/M");
  EXPECT_EQ(last_.http_rules, rules);
}

// Clients can ask for any name, on every worker.
TEST_F(SharedStoreTest, FetchesForUnknownMethodsBackOff) {
  MakeTwo(true, {}, AtOnce());
  auto ticket = Resolve("/A/M");
  Serve({ServiceFile("A")});
  std::vector<std::int64_t> fetches;  // Seconds after the first.
  const absl::Time begin = now_;
  while (now_ < begin + absl::Seconds(400)) {
    now_ += absl::Seconds(1);
    const std::size_t before = upstream_.call_count();
    const auto one = Resolve("/A/No");
    const auto other = ResolveByOther("/A/No");
    ASSERT_LE(upstream_.call_count(), before + 1);
    if (upstream_.call_count() == before) continue;
    Serve({ServiceFile("A")});
    fetches.push_back(absl::ToInt64Seconds(now_ - begin));
  }
  EXPECT_THAT(fetches,
              ElementsAre(1, 2, 4, 8, 16, 32, 64, 124, 184, 244, 304, 364));

  // A method that is there after all makes the next one cheap again.
  now_ += options_.refresh_after;
  ticket = Resolve("/A/No");
  Serve({ServiceFile("A", {"M", "No"})});
  now_ += absl::Seconds(1);
  const std::size_t before = upstream_.call_count();
  ticket = Resolve("/A/Other");
  EXPECT_EQ(upstream_.call_count(), before + 1);
}

// The upstream was restarted: it is asked whatever the pause.
TEST_F(SharedStoreTest, RefreshDoesNotWait) {
  MakeTwo(true, {}, AtOnce());
  const auto ticket = Resolve("/A/M");
  Serve({ServiceFile("A")});
  EXPECT_THAT(Ask("/A/M"), "known");
  other_->Refresh(now_);
  EXPECT_EQ(upstream_.call_count(), 2u);
  other_->Refresh(now_);
  EXPECT_EQ(upstream_.call_count(), 2u);
  Serve({ServiceFile("B")});
  EXPECT_EQ(Ask("/B/M"), "known");
}

}  // namespace
}  // namespace headgate
