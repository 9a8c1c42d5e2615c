#ifndef TESTS_UPSTREAM_SCHEMA_SOURCE_FIXTURE_H_
#define TESTS_UPSTREAM_SCHEMA_SOURCE_FIXTURE_H_

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
#include "gateway/upstream/schema_source.h"
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

using ::google::protobuf::FileDescriptorProto;
using ::google::protobuf::FileDescriptorSet;
using reflection::ServerReflectionResponse;
using testing::AnswerOrTicket;
using testing::FakeUpstream;
using testing::Log;

// A file "NAME.proto" with the service NAME, whose methods are unary.
inline FileDescriptorProto ServiceFile(
    const std::string& name, const std::vector<std::string>& methods = {"M"}) {
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
inline FileDescriptorProto RuleFile(const std::string& name,
                                    const std::string& path) {
  FileDescriptorProto file = ServiceFile(name);
  file.add_dependency("google/api/annotations.proto");
  auto* options = file.mutable_service(0)->mutable_method(0)->mutable_options();
  options->MutableExtension(google::api::http)->set_get(path);
  return file;
}

// The files that RuleFile imports.
inline std::vector<FileDescriptorProto> AnnotationFiles() {
  std::vector<FileDescriptorProto> files(3);
  google::api::HttpRule::descriptor()->file()->CopyTo(&files[0]);
  google::protobuf::DescriptorPool::generated_pool()
      ->FindFileByName("google/api/annotations.proto")
      ->CopyTo(&files[1]);
  FileDescriptorProto::descriptor()->file()->CopyTo(&files[2]);
  return files;
}

// As protoc --include_imports writes it.
inline std::string Set(const std::vector<FileDescriptorProto>& files) {
  FileDescriptorSet set;
  for (const auto& file : files) {
    if (file.dependency_size() == 0) continue;
    for (const auto& import : AnnotationFiles()) *set.add_file() = import;
    break;
  }
  for (const auto& file : files) *set.add_file() = file;
  return set.SerializeAsString();
}

class SchemaSourceFixture : public ::testing::Test {
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

}  // namespace headgate

#endif  // TESTS_UPSTREAM_SCHEMA_SOURCE_FIXTURE_H_
