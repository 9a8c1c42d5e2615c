#include "tests/codec/test_schema.h"

#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "google/protobuf/text_format.h"

namespace headgate {
namespace {

constexpr char kFile[] = R"pb(
  name: "test.proto"
  package: "test"
  syntax: "proto3"
  dependency: "google/protobuf/any.proto"
  dependency: "google/protobuf/struct.proto"
  dependency: "google/protobuf/wrappers.proto"
  enum_type {
    name: "Color"
    value { name: "NONE" number: 0 }
    value { name: "RED" number: 1 }
  }
  message_type {
    name: "Node"
    field { name: "name" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
    field { name: "n" number: 2 type: TYPE_INT32 label: LABEL_OPTIONAL }
    field {
      name: "kids"
      number: 3
      type: TYPE_MESSAGE
      label: LABEL_REPEATED
      type_name: ".test.Node"
    }
    field {
      name: "by_name"
      number: 4
      type: TYPE_MESSAGE
      label: LABEL_REPEATED
      type_name: ".test.Node.ByNameEntry"
    }
    field {
      name: "color"
      number: 5
      type: TYPE_ENUM
      label: LABEL_OPTIONAL
      type_name: ".test.Color"
    }
    field {
      name: "big_number"
      number: 6
      type: TYPE_INT64
      label: LABEL_OPTIONAL
    }
    field {
      name: "any"
      number: 7
      type: TYPE_MESSAGE
      label: LABEL_OPTIONAL
      type_name: ".google.protobuf.Any"
    }
    nested_type {
      name: "ByNameEntry"
      field { name: "key" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
      field {
        name: "value"
        number: 2
        type: TYPE_MESSAGE
        label: LABEL_OPTIONAL
        type_name: ".test.Node"
      }
      options { map_entry: true }
    }
  }
  service {
    name: "Nodes"
    method { name: "Unary" input_type: ".test.Node" output_type: ".test.Node" }
    method {
      name: "Server"
      input_type: ".test.Node"
      output_type: ".test.Node"
      server_streaming: true
    }
    method {
      name: "Client"
      input_type: ".test.Node"
      output_type: ".test.Node"
      client_streaming: true
    }
    method {
      name: "Bidi"
      input_type: ".test.Node"
      output_type: ".test.Node"
      client_streaming: true
      server_streaming: true
    }
    method {
      name: "Words"
      client_streaming: true
      server_streaming: true
      input_type: ".google.protobuf.StringValue"
      output_type: ".google.protobuf.StringValue"
    }
    method {
      name: "Numbers"
      client_streaming: true
      server_streaming: true
      input_type: ".google.protobuf.Int32Value"
      output_type: ".google.protobuf.Int32Value"
    }
    method {
      name: "Values"
      client_streaming: true
      server_streaming: true
      input_type: ".google.protobuf.Value"
      output_type: ".google.protobuf.Value"
    }
  }
)pb";

}  // namespace

std::shared_ptr<const Schema> TestSchema() {
  google::protobuf::FileDescriptorProto file;
  std::vector<std::string> warnings;
  if (!google::protobuf::TextFormat::ParseFromString(kFile, &file)) {
    std::abort();
  }
  std::shared_ptr<const Schema> schema = Schema::Build({file}, &warnings);
  for (const std::string& warning : warnings) {
    std::cerr << warning << '\n';
    std::abort();
  }
  return schema;
}

}  // namespace headgate
