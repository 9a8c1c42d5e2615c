#ifndef TESTS_HTTP_API_RULES_H_
#define TESTS_HTTP_API_RULES_H_

#include <memory>
#include <string>
#include <vector>

#include <google/protobuf/descriptor.pb.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "gateway/route/http_rules.h"
#include "google/api/annotations.pb.h"

namespace headgate {

// The rules of a service with a method of each kind:
//   /p.S/Get     GET and POST /api/things/{name}, PUT /api/things/{name}
//   /p.S/Watch   GET /api/things/{name}:watch, server streaming
//   /p.S/Add     POST /api/things:add, client streaming
//   /p.S/Talk    POST /api/things:talk, bidirectional
inline std::shared_ptr<const HttpRules> ApiRules() {
  google::protobuf::FileDescriptorProto file;
  file.set_name("api.proto");
  file.set_package("p");
  file.set_syntax("proto3");
  auto& message = *file.add_message_type();
  message.set_name("M");
  auto& field = *message.add_field();
  field.set_name("name");
  field.set_number(1);
  field.set_label(google::protobuf::FieldDescriptorProto::LABEL_OPTIONAL);
  field.set_type(google::protobuf::FieldDescriptorProto::TYPE_STRING);
  auto& service = *file.add_service();
  service.set_name("S");
  const auto add = [&](const char* name, bool client, bool server) {
    auto& method = *service.add_method();
    method.set_name(name);
    method.set_input_type(".p.M");
    method.set_output_type(".p.M");
    method.set_client_streaming(client);
    method.set_server_streaming(server);
    return method.mutable_options()->MutableExtension(google::api::http);
  };
  google::api::HttpRule* get = add("Get", false, false);
  get->set_get("/api/things/{name}");
  google::api::HttpRule* post = get->add_additional_bindings();
  post->set_post("/api/things/{name}");
  post->set_body("*");
  google::api::HttpRule* put = get->add_additional_bindings();
  put->set_put("/api/things/{name}");
  put->set_body("name");
  put->set_response_body("name");
  add("Watch", false, true)->set_get("/api/things/{name}:watch");
  google::api::HttpRule* add_things = add("Add", true, false);
  add_things->set_post("/api/things:add");
  add_things->set_body("*");
  google::api::HttpRule* talk = add("Talk", true, true);
  talk->set_post("/api/things:talk");
  talk->set_body("*");

  std::vector<std::string> warnings;
  std::shared_ptr<const HttpRules> rules =
      HttpRules::Build(Schema::Build({file}, &warnings), &warnings);
  EXPECT_TRUE(warnings.empty()) << warnings[0];
  return rules;
}

// As in "name=a b".
inline std::vector<std::string> Texts(
    const std::vector<Parameter>& parameters) {
  std::vector<std::string> texts;
  for (const Parameter& parameter : parameters) {
    texts.push_back(absl::StrCat(parameter.field, "=", parameter.value));
  }
  return texts;
}

}  // namespace headgate

#endif  // TESTS_HTTP_API_RULES_H_
