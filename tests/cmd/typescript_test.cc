#include "cmd/headgate/gen/typescript.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "gateway/schema/schema.h"
#include "google/protobuf/descriptor.pb.h"

namespace headgate {
namespace {

namespace pb = ::google::protobuf;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Key;
using ::testing::Not;

struct Source {
  std::string name;
  std::string text;
};

// What protoc makes of the files.
std::vector<pb::FileDescriptorProto> Compile(
    const std::vector<Source>& sources) {
  static int compiled = 0;
  const std::filesystem::path directory =
      std::filesystem::path(testing::TempDir()) /
      absl::StrCat("headgate-typescript-", getpid(), "-", ++compiled);
  std::filesystem::create_directory(directory);
  std::string command = absl::StrCat(
      PROTOC, " --include_source_info --proto_path=", directory.string(),
      " -o ", (directory / "set").string());
  for (const Source& source : sources) {
    std::ofstream(directory / source.name) << source.text;
    absl::StrAppend(&command, " ", source.name);
  }
  EXPECT_EQ(std::system(command.c_str()), 0);
  pb::FileDescriptorSet set;
  std::ifstream file(directory / "set", std::ios::binary);
  EXPECT_TRUE(set.ParseFromIstream(&file));
  std::filesystem::remove_all(directory);
  return {set.file().begin(), set.file().end()};
}

struct Generated {
  absl::Status status;
  std::map<std::string, std::string> modules;
};

Generated Generate(const std::vector<pb::FileDescriptorProto>& files,
                   const std::vector<std::string>& names = {}) {
  std::vector<std::string> warnings;
  const auto schema = Schema::Build(files, &warnings);
  EXPECT_THAT(warnings, IsEmpty());
  std::vector<std::string> file_names;
  for (const auto& file : files) file_names.push_back(file.name());
  const auto modules = GenerateTypeScript(schema->pool(), file_names, names);
  if (!modules.ok()) return {modules.status(), {}};
  Generated generated;
  for (const auto& module : *modules) {
    generated.modules[module.file_name] = module.text;
  }
  return generated;
}

// The module of package p, from the body of a proto3 file.
std::string Module(const std::string& body,
                   const std::string& syntax = "proto3") {
  const std::string source =
      absl::StrCat("syntax = \"", syntax, "\"; package p;", body);
  return Generate(Compile({{"p.proto", source}})).modules["p.ts"];
}

TEST(TypeScript, ScalarsHaveTheTypesOfProtoJson) {
  EXPECT_THAT(
      Module("message M { int32 a = 1; fixed32 b = 2; uint64 c = 3; double d = "
             "4; bool e = 5; string f = 6; bytes g = 7; repeated sint64 h = 8; "
             "optional float two_words = 9; }"),
      HasSubstr(R"(
export interface M {
  a?: number;
  b?: number;
  /** A 64-bit integer. */
  c?: string;
  d?: $Float;
  e?: boolean;
  f?: string;
  /** Base64. */
  g?: string;
  /** A 64-bit integer. */
  h?: string[];
  twoWords?: $Float;
}
)"));
}

TEST(TypeScript, MapsNestedTypesAndEnums) {
  const std::string module = Module(
      "message M { map<int32, N> m = 1; enum E { A = 0; B = 1; } E e = 2; "
      "message N { repeated E es = 1; M up = 2; } }");
  EXPECT_THAT(module, HasSubstr(R"(
export interface M {
  m?: {[key: string]: M_N};
  e?: M_E;
}

export interface M_N {
  es?: M_E[];
  up?: M;
}

export type M_E =
  | "A"
  | "B";
)"));
  EXPECT_THAT(module, Not(HasSubstr("MEntry")));
}

TEST(TypeScript, FieldsOfAOneofExcludeEachOther) {
  EXPECT_THAT(Module("message M { string s = 1; oneof o { int32 a = 2; M b = "
                     "3; } oneof p { bool c = 4; } }"),
              HasSubstr(R"(
export type M = {
  s?: string;
} & $OneOf<{
  a: number;
  b: M;
}> & $OneOf<{
  c: boolean;
}>;
)"));
}

TEST(TypeScript, AMessageWithoutFieldsTakesNone) {
  EXPECT_THAT(Module("message M {}"),
              HasSubstr("export type M = {[field: string]: never};\n"));
}

TEST(TypeScript, RequiredFieldsGroupsAndExtensionsOfProto2) {
  const std::string module = Module(
      "message M { required string r = 1; optional group G = 2 { optional "
      "int32 i = 1; } extensions 100 to 200; } extend M { repeated M ext = "
      "100; }",
      "proto2");
  EXPECT_THAT(module, HasSubstr(R"(
export interface M {
  r: string;
  g?: M_G;
  "[p.ext]"?: M[];
}
)"));
}

TEST(TypeScript, ServicesSayOfWhatKindAMethodIs) {
  EXPECT_THAT(Module("message M {} service S { rpc A(M) returns (M); rpc B(M) "
                     "returns (stream M); rpc C(stream M) returns (M); rpc "
                     "D(stream M) returns (stream M); }"),
              HasSubstr(R"(
export const S = {
  A: "p.S/A" as $Method<"unary", M, M>,
  B: "p.S/B" as $Method<"serverStream", M, M>,
  C: "p.S/C" as $Method<"clientStream", M, M>,
  D: "p.S/D" as $Method<"bidi", M, M>,
};
)"));
}

TEST(TypeScript, TypesOfOtherPackagesAreImported) {
  const Generated generated = Generate(Compile(
      {{"a.proto", "syntax = \"proto3\"; package a.b; message M {}"},
       {"c.proto",
        "syntax = \"proto3\"; package c; import \"a.proto\"; import "
        "\"google/protobuf/timestamp.proto\"; message b { .a.b.M m = 1; "
        "google.protobuf.Timestamp t = 2; }"}}));
  EXPECT_THAT(generated.modules, ElementsAre(Key("a.b.ts"), Key("c.ts"),
                                             Key("google.protobuf.ts")));
  EXPECT_THAT(generated.modules.at("c.ts"),
              AllOf(HasSubstr("import type * as a$b from \"./a.b.js\";\n"),
                    HasSubstr("import type * as google$protobuf from "
                              "\"./google.protobuf.js\";\n"),
                    HasSubstr("m?: a$b.M;"),
                    HasSubstr("t?: google$protobuf.Timestamp;")));
  EXPECT_THAT(generated.modules.at("google.protobuf.ts"),
              AllOf(HasSubstr("export type Timestamp = string;"),
                    Not(HasSubstr("Value"))));
}

TEST(TypeScript, WellKnownTypesHaveTheirJsonForms) {
  const Generated generated = Generate(Compile(
      {{"p.proto",
        "syntax = \"proto3\"; package p; import "
        "\"google/protobuf/struct.proto\";"
        "import \"google/protobuf/any.proto\"; import "
        "\"google/protobuf/wrappers.proto\"; import "
        "\"google/protobuf/empty.proto\"; message M { google.protobuf.Struct s "
        "= 1; google.protobuf.Any a = 2; google.protobuf.Int64Value i = 3; "
        "google.protobuf.Empty e = 4; google.protobuf.NullValue n = 5; }"}}));
  EXPECT_THAT(
      generated.modules.at("google.protobuf.ts"),
      AllOf(HasSubstr("export type Struct = {[key: string]: Value};"),
            HasSubstr("export type Value = null | number | string | boolean | "
                      "{[key: string]: Value} | Value[];"),
            HasSubstr("export type Any = {\"@type\": string; [field: string]: "
                      "unknown};"),
            HasSubstr("export type Int64Value = string;"),
            HasSubstr("export type Empty = {[field: string]: never};"),
            HasSubstr("export type NullValue = null;")));
}

TEST(TypeScript, CommentsComeAlongAndCannotEndEarly) {
  EXPECT_THAT(Module(R"(
// What it is.
//
// More */ alert(1) /* of it.
message M {
  // Leading.
  string s = 1 [deprecated = true];  // Trailing.
  enum E {
    A = 0;
    // The second.
    B = 1;
  }
}
// Calls.
service S {
  // One.
  rpc A(M) returns (M);
})"),
              AllOf(HasSubstr(R"(
/**
 * What it is.
 *
 * More *\/ alert(1) /* of it.
 */
export interface M {
  /**
   * Leading.
   *
   * Trailing.
   *
   * @deprecated
   */
  s?: string;
})"),
                    HasSubstr("  /** The second. */\n  | \"B\";\n"),
                    HasSubstr("/** Calls. */\nexport const S = {\n  /** One. "
                              "*/\n  A: ")));
}

TEST(TypeScript, NamesThatTypeScriptReservesGetADollar) {
  EXPECT_THAT(
      Module("message string { class c = 1; bytes delete = 2; } message class "
             "{} service default { rpc new(class) returns (p.string); }"),
      AllOf(HasSubstr("export interface $string {\n  c?: $class;"),
            HasSubstr("  delete?: string;"),
            HasSubstr("export const $default = {\n  new: \"p.default/new\" as "
                      "$Method<\"unary\", $class, $string>,")));
}

TEST(TypeScript, ANestedTypeWithTheNameOfAnotherIsKeptApart) {
  EXPECT_THAT(
      Module("message A { message B { int32 x = 1; } B b = 1; } message A_B { "
             "int32 y = 1; A_B self = 2; }"),
      AllOf(HasSubstr("export interface A$B {\n  x?: number;"),
            HasSubstr("  b?: A$B;"),
            HasSubstr("export interface A_B {\n  y?: number;"),
            HasSubstr("  self?: A_B;")));
}

TEST(TypeScript, JsonNamesMayBeAnyText) {
  EXPECT_THAT(
      Module("message M { int32 a = 1 [json_name = \"a-b\"]; int32 b = 2 "
             "[json_name = \"\\\"}; alert(1); //\\n\"]; int32 c = 3 [json_name "
             "= \"1\"]; } service S { rpc __proto__(M) returns (M); }"),
      AllOf(HasSubstr("  \"a-b\"?: number;\n"),
            HasSubstr("  \"\\\"}; alert(1); //\\n\"?: number;\n"),
            HasSubstr("  \"1\"?: number;\n"),
            HasSubstr("  [\"__proto__\"]: \"p.S/__proto__\" as ")));
}

TEST(TypeScript, NamesChooseWhatTheyReferTo) {
  const std::vector<pb::FileDescriptorProto> files = Compile(
      {{"a.proto",
        "syntax = \"proto3\"; package a; message Used { Deep d = 1; } "
        "message Deep {} message Unused {} service S { rpc R(Used) returns "
        "(Used); } service T {}"},
       {"b.proto",
        "syntax = \"proto3\"; package b.c; message M {} enum E { Z = 0; "
        "}"}});
  EXPECT_THAT(Generate(files, {"a.S"}).modules,
              ElementsAre(testing::Pair(
                  "a.ts", AllOf(HasSubstr("const S "), HasSubstr("Used "),
                                HasSubstr("Deep "), Not(HasSubstr("Unused")),
                                Not(HasSubstr("const T"))))));
  EXPECT_THAT(Generate(files, {"b.c.M"}).modules.at("b.c.ts"),
              AllOf(HasSubstr("type M "), Not(HasSubstr("type E"))));
  EXPECT_THAT(Generate(files, {"b"}).modules.at("b.c.ts"),
              AllOf(HasSubstr("type M "), HasSubstr("type E ")));
  EXPECT_EQ(Generate(files, {"a.S", "a.Nothing"}).status.message(),
            "there is no package, service, message or enum a.Nothing");
}

TEST(TypeScript, WithoutAPackage) {
  EXPECT_THAT(
      Generate(Compile({{"x.proto", "syntax = \"proto3\"; message M {}"}}))
          .modules,
      ElementsAre(Key("no-package.ts")));
}

TEST(TypeScript, WhatIsNotUtf8IsReplaced) {
  pb::FileDescriptorProto file =
      Compile({{"p.proto", "syntax = \"proto2\"; package p; message M {}"}})[0];
  for (auto& location : *file.mutable_source_code_info()->mutable_location()) {
    location.set_leading_comments("\xFF!");
  }
  EXPECT_THAT(Generate({file}).modules.at("p.ts"), HasSubstr("/** ?! */"));
}

TEST(TypeScript, NothingToWriteIsAnError) {
  EXPECT_EQ(Generate(Compile({{"p.proto", "syntax = \"proto3\"; package p;"}}))
                .status.message(),
            "there are no services, messages or enums");
}

}  // namespace
}  // namespace headgate
