#include "gateway/schema/schema.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "google/protobuf/any.pb.h"
#include "google/protobuf/timestamp.pb.h"
#include "gtest/gtest.h"
#include "schema_test.pb.h"

namespace headgate {
namespace {

using ::google::protobuf::FileDescriptorProto;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kNode[] = "headgate.test.Node";

FileDescriptorProto NodeFile() {
  FileDescriptorProto file;
  test::Node::descriptor()->file()->CopyTo(&file);
  return file;
}

FileDescriptorProto File(const std::string& name,
                         const std::vector<std::string>& imports = {}) {
  FileDescriptorProto file;
  file.set_name(name);
  for (const auto& import : imports) file.add_dependency(import);
  return file;
}

std::string AnyOf(const google::protobuf::Message& message) {
  google::protobuf::Any any;
  any.PackFrom(message);
  return any.SerializeAsString();
}

// A length-delimited field of a number below 16.
std::string Field(int number, const std::string& value) {
  std::string size;
  for (std::size_t rest = value.size();; rest >>= 7) {
    size += static_cast<char>(rest < 128 ? rest : (rest & 127) | 128);
    if (rest < 128) break;
  }
  return absl::StrCat(std::string(1, static_cast<char>(number << 3 | 2)), size,
                      value);
}

class SchemaTest : public ::testing::Test {
 protected:
  absl::StatusOr<std::string> ToJson(const std::string& message) {
    return schema_->ProtoToJson(kNode, message, options_);
  }
  std::string ToJson(const test::Node& node) {
    auto json = ToJson(node.SerializeAsString());
    return json.ok() ? *json : json.status().ToString();
  }
  test::Node FromJson(const std::string& json) {
    test::Node node;
    auto message = schema_->JsonToProto(kNode, json, options_, error_);
    EXPECT_TRUE(message.ok()) << json << ": " << message.status();
    EXPECT_TRUE(node.ParseFromString(message.value_or("")));
    return node;
  }
  // "FIELD | MESSAGE" of a JSON text that does not fit.
  std::string Error(const std::string& json) {
    auto message = schema_->JsonToProto(kNode, json, options_, error_);
    EXPECT_EQ(message.status().code(), absl::StatusCode::kInvalidArgument);
    return absl::StrCat(error_.field, " | ", error_.message);
  }

  std::vector<std::string> warnings_;
  std::shared_ptr<const Schema> schema_ =
      Schema::Build({NodeFile()}, &warnings_);
  JsonOptions options_;
  JsonError error_;
};

// --- Build ---

// A kind is told by the two "stream" words of the method.
TEST_F(SchemaTest, KnowsTheFourKindsOfCall) {
  EXPECT_THAT(warnings_, IsEmpty());
  std::vector<std::pair<std::string, MethodKind>> kinds;
  for (const auto* method : schema_->methods()) {
    kinds.emplace_back(method->path, method->kind);
    EXPECT_EQ(method->input, kNode);
    EXPECT_EQ(method->output, kNode);
  }
  EXPECT_THAT(
      kinds,
      ElementsAre(
          std::pair("/headgate.test.Kinds/Bidi", MethodKind::kBidiStreaming),
          std::pair("/headgate.test.Kinds/Client",
                    MethodKind::kClientStreaming),
          std::pair("/headgate.test.Kinds/Server",
                    MethodKind::kServerStreaming),
          std::pair("/headgate.test.Kinds/Unary", MethodKind::kUnary)));
  EXPECT_NE(schema_->FindMethod("/headgate.test.Kinds/Unary"), nullptr);
  EXPECT_EQ(schema_->FindMethod("headgate.test.Kinds/Unary"), nullptr);
  EXPECT_EQ(schema_->FindMethod("/headgate.test.Kinds/Nope"), nullptr);
}

// The gateway's own services need no reflection.
TEST(SchemaBuildTest, BuiltInHasTheGatewaysServices) {
  const auto schema = Schema::BuiltIn();
  std::vector<std::string> paths;
  for (const auto* method : schema->methods()) paths.push_back(method->path);
  EXPECT_THAT(paths, ElementsAre("/headgate.v1.MessageService/Connect",
                                 "/headgate.v1.PacketService/Connect"));
  EXPECT_EQ(schema->methods()[1]->kind, MethodKind::kBidiStreaming);
  EXPECT_EQ(schema->methods()[1]->input, "headgate.v1.Packet");
}

// A server may list its files in any order.
TEST(SchemaBuildTest, AnyOrderOfFilesWillDo) {
  std::vector<std::string> warnings;
  auto file = NodeFile();
  file.add_dependency("b.proto");
  const auto schema = Schema::Build(
      {file, File("b.proto", {"c.proto"}), File("c.proto")}, &warnings);
  EXPECT_THAT(warnings, IsEmpty());
  EXPECT_EQ(schema->methods().size(), 4u);
}

// Most imports that a server does not serve are needed for options only
// (validate/validate.proto).
TEST(SchemaBuildTest, MissingImportsAreDoneWithout) {
  std::vector<std::string> warnings;
  auto file = NodeFile();
  const std::string first = file.dependency(0);
  file.set_dependency(0, "validate/validate.proto");
  file.add_dependency("google/api/annotations.proto");
  file.add_dependency(first);
  file.add_public_dependency(file.dependency_size() - 1);
  file.add_weak_dependency(0);
  const auto schema = Schema::Build(
      {file, File("b.proto", {"gone.proto", "also_gone.proto"})}, &warnings);
  EXPECT_THAT(warnings, IsEmpty());
  EXPECT_EQ(schema->methods().size(), 4u);
}

using ProtoField = google::protobuf::FieldDescriptorProto;

void AddField(google::protobuf::DescriptorProto* message,
              const std::string& name, int number, ProtoField::Type type,
              const std::string& type_name = "") {
  ProtoField* const field = message->add_field();
  field->set_name(name);
  field->set_number(number);
  field->set_type(type);
  field->set_label(ProtoField::LABEL_OPTIONAL);
  if (!type_name.empty()) field->set_type_name(type_name);
}

void AddMethod(google::protobuf::ServiceDescriptorProto* service,
               const std::string& name, const std::string& input,
               const std::string& output) {
  auto* const method = service->add_method();
  method->set_name(name);
  method->set_input_type(input);
  method->set_output_type(output);
}

// What nobody defines takes along no more than it must.
TEST(SchemaBuildTest, TypesThatNothingDefinesAreDoneWithout) {
  auto file = File("a.proto", {"lost.proto"});
  file.set_package("a");
  auto* const message = file.add_message_type();
  message->set_name("M");
  AddField(message, "text", 1, ProtoField::TYPE_STRING);
  AddField(message, "lost", 2, ProtoField::TYPE_MESSAGE, ".lost.Message");
  AddField(message, "kind", 3, ProtoField::TYPE_ENUM, ".lost.Kind");
  auto* const service = file.add_service();
  service->set_name("S");
  AddMethod(service, "Good", ".a.M", ".a.M");
  AddMethod(service, "Bad", ".a.M", ".lost.Message");
  std::vector<std::string> warnings;
  const auto schema = Schema::Build({file}, &warnings);
  EXPECT_THAT(
      warnings,
      ElementsAre("a.proto: a.M.lost counts as bytes, as nothing defines "
                  ".lost.Message",
                  "a.proto: a.M.kind counts as int32, as nothing defines "
                  ".lost.Kind",
                  "a.proto: a.S/Bad is left out, as nothing defines "
                  ".lost.Message"));
  EXPECT_NE(schema->FindMethod("/a.S/Good"), nullptr);
  EXPECT_EQ(schema->FindMethod("/a.S/Bad"), nullptr);
  // Field 2 holds a message with a string, field 3 a number.
  EXPECT_EQ(schema->ProtoToJson("a.M", "\x0a\x01x\x12\x03\x0a\x01y\x18\x02", {})
                .value_or(""),
            R"({"text":"x","lost":"CgF5","kind":2})");
}

// Go servers that were generated from another directory serve "types.proto",
// which others import as "common/types.proto".
TEST(SchemaBuildTest, FileServedUnderAnotherNameIsFound) {
  auto types = File("types.proto");
  types.set_package("common");
  types.add_message_type()->set_name("Shared");
  auto file = File("a.proto", {"common/types.proto"});
  file.set_package("a");
  auto* const service = file.add_service();
  service->set_name("S");
  AddMethod(service, "M", ".common.Shared", ".common.Shared");
  std::vector<std::string> warnings;
  const auto schema = Schema::Build({file, types}, &warnings);
  EXPECT_THAT(warnings, IsEmpty());
  EXPECT_NE(schema->FindMethod("/a.S/M"), nullptr);
}

TEST(SchemaBuildTest, OfTwoDefinitionsTheFirstCounts) {
  std::vector<std::string> warnings;
  auto twin = NodeFile();
  twin.set_name("twin.proto");
  auto* const service = twin.add_service();
  service->set_name("More");
  AddMethod(service, "M", absl::StrCat(".", kNode), absl::StrCat(".", kNode));
  const auto schema = Schema::Build({NodeFile(), twin}, &warnings);
  EXPECT_THAT(warnings,
              ElementsAre(AllOf(HasSubstr("twin.proto: "),
                                HasSubstr("as schema_test.proto defines"))));
  EXPECT_EQ(schema->methods().size(), 5u);
}

TEST(SchemaBuildTest, GooglesApiTypesAreTheLibrarysWhereTheyAreNotServed) {
  auto file = File("a.proto", {"google/api/httpbody.proto"});
  file.set_package("a");
  auto* const service = file.add_service();
  service->set_name("S");
  AddMethod(service, "M", ".google.api.HttpBody", ".google.api.HttpBody");
  std::vector<std::string> warnings;
  const auto schema = Schema::Build({file}, &warnings);
  EXPECT_THAT(warnings, IsEmpty());
  EXPECT_NE(schema->FindMethod("/a.S/M"), nullptr);
  EXPECT_TRUE(schema->HasField("google.api.HttpBody", "content_type"));

  // Under a name of its own they are the server's.
  auto own = File("third_party/httpbody.proto");
  own.set_package("google.api");
  own.add_message_type()->set_name("HttpBody");
  const auto other = Schema::Build({file, own}, &warnings);
  EXPECT_THAT(warnings, IsEmpty());
  EXPECT_NE(other->FindMethod("/a.S/M"), nullptr);
  EXPECT_FALSE(other->HasField("google.api.HttpBody", "content_type"));
}

// Each thread has its own, of the same descriptors.
TEST(SchemaBuildTest, ShareHasTheSameMethods) {
  std::vector<std::string> warnings;
  auto schema = Schema::Build({NodeFile()}, &warnings);
  const Schema::Method* const method =
      schema->FindMethod("/headgate.test.Kinds/Unary");
  const auto share = Schema::Share(schema);
  schema.reset();
  EXPECT_EQ(share->FindMethod("/headgate.test.Kinds/Unary"), method);
  JsonError error;
  EXPECT_TRUE(share->JsonToProto(kNode, "{}", {}, error).ok());
  EXPECT_EQ(Schema::Share(nullptr), nullptr);
}

TEST(SchemaBuildTest, FirstOfTwoFilesOfOneNameWins) {
  std::vector<std::string> warnings;
  const auto schema =
      Schema::Build({NodeFile(), File("schema_test.proto")}, &warnings);
  EXPECT_EQ(schema->methods().size(), 4u);
}

TEST(SchemaBuildTest, ImportCyclesAreLeftOut) {
  std::vector<std::string> warnings;
  const auto schema =
      Schema::Build({File("a.proto", {"b.proto"}), File("b.proto", {"a.proto"}),
                     File("self.proto", {"self.proto"}),
                     File("behind.proto", {"a.proto"}), NodeFile()},
                    &warnings);
  EXPECT_EQ(warnings.size(), 4u);
  for (const auto& warning : warnings) {
    EXPECT_THAT(warning, HasSubstr("import cycle"));
  }
  EXPECT_EQ(schema->methods().size(), 4u);
}

// A chain of imports as long as a server likes takes no stack.
TEST(SchemaBuildTest, LongChainOfImportsIsFine) {
  std::vector<FileDescriptorProto> files;
  for (int i = 0; i < 5000; ++i) {
    files.push_back(File(absl::StrCat(i), {absl::StrCat(i + 1)}));
  }
  files.push_back(File("5000"));
  std::vector<std::string> warnings;
  Schema::Build(std::move(files), &warnings);
  EXPECT_THAT(warnings, IsEmpty());
}

// protobuf's JSON conversion relies on the shape of the well-known types.
TEST(SchemaBuildTest, WellKnownTypesAreTheLibrarys) {
  auto evil = File("google/protobuf/timestamp.proto");
  evil.set_package("google.protobuf");
  evil.add_message_type()->set_name("Timestamp");
  auto disguised = evil;
  disguised.set_name("evil.proto");
  std::vector<std::string> warnings;
  const auto schema = Schema::Build({evil, disguised, NodeFile()}, &warnings);
  EXPECT_THAT(warnings, IsEmpty());  // Neither was taken up.
  JsonError error;
  EXPECT_TRUE(
      schema->JsonToProto(kNode, R"({"t":"2020-01-01T00:00:00Z"})", {}, error)
          .ok());
}

// @grpc/reflection names a file after its package, and so has one file of its
// own for all of google.protobuf.
TEST(SchemaBuildTest, AFileOfWellKnownTypesGivesWayToTheLibrarys) {
  auto well_known = File("google_protobuf.proto");
  well_known.set_package("google.protobuf");
  well_known.add_message_type()->set_name("Timestamp");
  well_known.add_message_type()->set_name("Any");
  auto node = NodeFile();
  node.clear_dependency();
  node.add_dependency("google_protobuf.proto");
  std::vector<std::string> warnings;
  const auto schema = Schema::Build({node, well_known}, &warnings);
  EXPECT_THAT(warnings, IsEmpty());
  JsonError error;
  EXPECT_TRUE(
      schema->JsonToProto(kNode, R"({"t":"2020-01-01T00:00:00Z"})", {}, error)
          .ok());
}

// Nor does it list imports, or name a map's entry as protoc does.
TEST(SchemaBuildTest, MissingImportsAndOddMapEntriesAreRepaired) {
  auto types = File("types.proto");
  types.set_package("library");
  types.add_message_type()->set_name("Book");
  auto file = File("service.proto");
  file.set_package("library.v1");
  auto* shelf = file.add_message_type();
  shelf->set_name("Shelf");
  auto* entry = shelf->add_nested_type();
  entry->set_name("BooksByName");
  entry->mutable_options()->set_map_entry(true);
  const auto add = [](google::protobuf::DescriptorProto* message,
                      const std::string& name, int number,
                      ProtoField::Type type, ProtoField::Label label,
                      const std::string& type_name) {
    ProtoField* field = message->add_field();
    field->set_name(name);
    field->set_number(number);
    field->set_type(type);
    field->set_label(label);
    if (!type_name.empty()) field->set_type_name(type_name);
  };
  add(entry, "key", 1, ProtoField::TYPE_STRING, ProtoField::LABEL_OPTIONAL, "");
  add(entry, "value", 2, ProtoField::TYPE_MESSAGE, ProtoField::LABEL_OPTIONAL,
      "Book");
  add(shelf, "books_by_name", 1, ProtoField::TYPE_MESSAGE,
      ProtoField::LABEL_REPEATED, "BooksByName");
  add(shelf, "opened", 2, ProtoField::TYPE_MESSAGE, ProtoField::LABEL_OPTIONAL,
      "google.protobuf.Timestamp");

  std::vector<std::string> warnings;
  const auto schema = Schema::Build({file, types}, &warnings);
  EXPECT_THAT(warnings, IsEmpty());
  JsonError error;
  const std::string json =
      R"({"booksByName":{"a":{}},"opened":"2020-01-01T00:00:00Z"})";
  const auto message = schema->JsonToProto("library.v1.Shelf", json, {}, error);
  ASSERT_TRUE(message.ok()) << message.status();
  EXPECT_EQ(schema->ProtoToJson("library.v1.Shelf", *message, {}).value_or(""),
            json);
}

// Imports that only descriptors need are the library's too.
TEST(SchemaBuildTest, LibraryFilesAreFoundWhenMissing) {
  std::vector<std::string> warnings;
  Schema::Build({File("a.proto", {"google/protobuf/descriptor.proto",
                                  "google/protobuf/api.proto"})},
                &warnings);
  EXPECT_THAT(warnings, IsEmpty());
}

// Some serializers (protobufjs) write default values out. JSON leaves them out
// all the same, unless they say something: of a oneof that it was chosen.
TEST_F(SchemaTest, LeavesOutDefaultsThatAreSpelledOut) {
  EXPECT_EQ(*ToJson(Field(2, "") + std::string("\x08\x00", 2)), "{}");
  EXPECT_EQ(*ToJson(Field(3, std::string("\x08\x00\x58\x01", 4))),
            R"({"kids":[{"color":"RED"}]})");
  EXPECT_EQ(*ToJson(std::string("\x48\x00", 2)), R"({"a":0})");
  EXPECT_EQ(*ToJson(Field(2, std::string("\0", 1))), R"({"s":"\u0000"})");
}

// --- JSON -> protobuf ---

TEST_F(SchemaTest, ReadsBothSpellingsOfAFieldAndOfAnEnum) {
  EXPECT_EQ(FromJson(R"({"twoWords":"x"})").two_words(), "x");
  EXPECT_EQ(FromJson(R"({"two_words":"x"})").two_words(), "x");
  EXPECT_EQ(FromJson(R"({"color":"RED"})").color(), test::RED);
  EXPECT_EQ(FromJson(R"({"color":1})").color(), test::RED);
}

TEST_F(SchemaTest, UnknownFieldsAreRejectedUnlessIgnored) {
  EXPECT_EQ(Error(R"({"zz":1})"), "zz | no such field");
  options_.unknown_fields = JsonOptions::UnknownFields::kIgnore;
  EXPECT_EQ(FromJson(R"({"zz":{"q":[1]},"n":2})").n(), 2);
}

// The field's path is what a person looks for first.
TEST_F(SchemaTest, ErrorsNameTheirPlace) {
  EXPECT_EQ(Error(R"({"n":"x"})"), R"(n | must be an int32, is "x")");
  EXPECT_EQ(Error(R"({"kids":[{"n":1},{"n":1.5}]})"),
            "kids[1].n | must be an int32, is 1.5");
  EXPECT_EQ(Error(R"({"kids":[{"zz":1}]})"), "kids[0].zz | no such field");
  EXPECT_EQ(Error(R"({"m":{"k":{"n":[]}}})"),
            R"(m["k"].n | must be an int32, is a list)");
  EXPECT_EQ(Error(R"({"s":{}})"), "s | must be a string, is an object");
  EXPECT_EQ(Error("5"), " | must be an object, is 5");
  EXPECT_EQ(Error(R"({"t":"foo"})"),
            R"(t | must be a time like "2006-01-02T15:04:05Z", is "foo")");
  EXPECT_EQ(Error(R"({"color":"PUCE"})"),
            R"(color | must be a value of headgate.test.Color, is "PUCE")");
  EXPECT_EQ(Error(R"({"a b":1})"), R"(["a b"] | no such field)");
  EXPECT_THAT(Error(R"({"a":1,"b":"x"})"),
              HasSubstr("another field of the oneof"));
  EXPECT_THAT(Error(R"({"raw":"%%%"})"), HasSubstr("raw | "));
}

TEST_F(SchemaTest, StatusSaysFieldAndFault) {
  const absl::Status status =
      schema_->JsonToProto(kNode, R"({"zz":1})", options_, error_).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), "zz: no such field");
}

// Not even protobuf's parser needs to be right about these.
TEST_F(SchemaTest, BrokenJsonNeverPasses) {
  for (const char* json : {"", "{", "[", "{\"n\":", "{\"n\" 1}", "nul",
                           "{\"s\":\"\\ud800\"}", "{\"s\":\"\xff\"}"}) {
    EXPECT_FALSE(schema_->JsonToProto(kNode, json, options_, error_).ok())
        << json;
  }
}

TEST_F(SchemaTest, DeepJsonIsRefusedAtOnce) {
  const auto nested = [](int depth) {
    return absl::StrCat("{\"v\":", std::string(depth, '['),
                        std::string(depth, ']'), "}");
  };
  EXPECT_TRUE(schema_->JsonToProto(kNode, nested(99), options_, error_).ok());
  EXPECT_THAT(Error(nested(100)), HasSubstr(" | nested deeper than 100"));
  EXPECT_THAT(Error(nested(1'000'000)), HasSubstr(" | nested deeper than 100"));
  // Brackets in a string are no nesting.
  EXPECT_EQ(
      FromJson(absl::StrCat("{\"s\":\"\\\"", std::string(200, '['), "\"}"))
          .s()
          .size(),
      201u);
}

// --- protobuf -> JSON ---

TEST_F(SchemaTest, WritesTheDefaultMapping) {
  test::Node node;
  node.set_two_words("x");
  node.set_color(test::RED);
  EXPECT_EQ(ToJson(node), R"({"color":"RED","twoWords":"x"})");
  EXPECT_EQ(ToJson(test::Node()), "{}");
}

TEST_F(SchemaTest, OptionsChangeNamesEnumsAndDefaults) {
  test::Node node;
  node.set_two_words("x");
  node.set_color(test::RED);
  options_.field_names = JsonOptions::FieldNames::kProto;
  options_.enums = JsonOptions::Enums::kNumber;
  EXPECT_EQ(ToJson(node), R"({"color":1,"two_words":"x"})");
  options_.unpopulated = JsonOptions::Unpopulated::kEmit;
  EXPECT_THAT(ToJson(node), HasSubstr(R"("n":0,"s":"","kids":[])"));
}

TEST_F(SchemaTest, AnswerIsOneLineOfUtf8) {
  test::Node node;
  node.set_s("a\nb\r\xe2\x80\xa8\"");
  const std::string json = ToJson(node);
  EXPECT_EQ(json.find_first_of("\r\n"), std::string::npos);
  EXPECT_EQ(FromJson(json).s(), node.s());
}

TEST_F(SchemaTest, WellKnownTypesHaveTheirJsonForm) {
  const std::string json = R"({"v":{"x":[1,null]},"t":"2020-01-01T00:00:00Z",)"
                           R"("wrapped":"w","d":"1.500s","mask":"a,bC"})";
  const test::Node node = FromJson(json);
  EXPECT_EQ(node.t().seconds(), 1577836800);
  EXPECT_EQ(node.mask().paths(1), "b_c");
  EXPECT_EQ(ToJson(node), json);
  // As a whole message, too.
  auto text = schema_->JsonToProto("google.protobuf.StringValue", "\"x\"",
                                   options_, error_);
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_EQ(
      *schema_->ProtoToJson("google.protobuf.StringValue", *text, options_),
      "\"x\"");
  EXPECT_EQ(*schema_->ProtoToJson("google.protobuf.Value", "", options_),
            "null");
}

// Also one with another prefix than type.googleapis.com (any.proto).
TEST_F(SchemaTest, AnyOfAKnownTypeWorksBothWays) {
  const std::string json =
      R"({"any":{"@type":"example.com/headgate.test.Node","n":1}})";
  const test::Node node = FromJson(json);
  EXPECT_EQ(node.any().value(), "\x08\x01");
  EXPECT_EQ(ToJson(node), json);
  EXPECT_THAT(Error(R"({"any":{"@type":"type.googleapis.com/none","x":1}})"),
              HasSubstr("any.@type | "));
}

// Members have no order (RFC 8259 section 4), and a key may be escaped.
TEST_F(SchemaTest, TypeOfAnAnyMayComeLast) {
  const std::string canonical =
      R"({"any":{"@type":"x/google.protobuf.Any","value":)"
      R"({"@type":"x/headgate.test.Node","n":1,"s":"]}\""}}})";
  for (const char* json :
       {R"({"any":{"value":{"n":1,"s":"]}\"","@type":"x/headgate.test.Node"},)"
        R"("@type":"x/google.protobuf.Any"}})",
        R"({"any":{"value":{"n":1 ,"@type" : "x/headgate.test.Node",)"
        R"("s":"]}\""} , "\u0040typ\u0065": "x/google.protobuf.Any" } })"}) {
    EXPECT_EQ(ToJson(FromJson(json)), canonical) << json;
  }
  // A key of a Struct as any other.
  const std::string value = R"({"v":{"@type":"a"}})";
  EXPECT_EQ(ToJson(FromJson(value)), value);
  EXPECT_EQ(FromJson(R"({"v":{"a":[{"@type":1}],"b":"@type","@type":"c"}})")
                .v()
                .struct_value()
                .fields_size(),
            3);
}

// It costs no more for each Any around it.
TEST_F(SchemaTest, MuchMayBeInNestedAnys) {
  std::string json = R"({"@type":"x/headgate.test.Node","s":")" +
                     std::string(1'000'000, 'x') + "\"}";
  std::string bytes = Field(1, "x/headgate.test.Node") +
                      Field(2, Field(2, std::string(1'000'000, 'x')));
  for (int i = 1; i < 99; ++i) {
    json = R"({"value":)" + json + R"(,"@type":"x/google.protobuf.Any"})";
    bytes = Field(1, "x/google.protobuf.Any") + Field(2, bytes);
  }
  EXPECT_EQ(FromJson(R"({"any":)" + json + "}").SerializeAsString(),
            Field(5, bytes));
  EXPECT_TRUE(ToJson(Field(5, bytes)).ok());
}

// Another reader may know it.
TEST_F(SchemaTest, AnAnyOfAnUnknownTypeIsHandedOn) {
  test::Node node;
  node.mutable_any()->set_type_url("type.googleapis.com/none");
  node.mutable_any()->set_value("x");
  EXPECT_EQ(ToJson(node),
            R"({"any":{"@type":"type.googleapis.com/none","value":"eA=="}})");
  EXPECT_EQ(schema_->ProtoToJson("none", "", options_).status().code(),
            absl::StatusCode::kInternal);
}

// protobuf's conversion takes each of these for a message.
TEST_F(SchemaTest, MalformedBytesAreInternal) {
  const std::string kCases[] = {
      std::string("\x08"),      // A varint cut off.
      std::string(11, '\x80'),  // No end of a varint.
      std::string("\x12\x05"
                  "ab"),                        // A string cut off.
      std::string("\x1a\x01\x08"),              // A sub-message cut off.
      std::string("\x00\x01", 2),               // Field number zero.
      std::string("\x0c"),                      // The end of no group.
      std::string("\x0f\x01"),                  // Wire type seven.
      std::string("\x42\x01\x80"),              // A packed varint cut off.
      std::string("\xf3\x07\x08\x01\xfc\x07"),  // Another group's end.
      std::string("\xf3\x07\x08\x01"),          // A group without end.
      std::string("\x12\x01\xff"),              // A string that is not UTF-8.
      std::string("\x22\x03\x0a\x01\xff"),      // A key that is not UTF-8.
      Field(5, Field(1, "x/headgate.test.Node") + Field(2, "\x08")),
  };
  for (const std::string& bytes : kCases) {
    EXPECT_EQ(ToJson(bytes).status().code(), absl::StatusCode::kInternal)
        << ::testing::PrintToString(bytes) << ToJson(bytes).value_or("");
  }
}

TEST_F(SchemaTest, UnknownFieldsOfAnAnswerAreLeftOut) {
  EXPECT_EQ(*ToJson(std::string("\x08\x01\xa0\x06\x05"
                                "\xf3\x07\x08\x01\xf4\x07")),
            R"({"n":1})");
  // A known number with another wire type is an unknown field.
  EXPECT_EQ(*ToJson(std::string("\x0a\x01x")), "{}");
}

// Serialized messages may be concatenated to merge them (protobuf's encoding
// guide, "Last One Wins"); JSON has no such thing.
TEST_F(SchemaTest, FieldsInSeveralPiecesAreMerged) {
  EXPECT_EQ(*ToJson(std::string("\x08\x01\x08\x02")), R"({"n":2})");
  EXPECT_EQ(*ToJson(std::string("\x40\x01\x08\x02\x40\x03")),
            R"({"n":2,"r":[1,3]})");
  EXPECT_EQ(*ToJson(std::string("\x42\x01\x01\x42\x01\x02")), R"({"r":[1,2]})");
  EXPECT_EQ(*ToJson(std::string("\x48\x01\x52\x01x")), R"({"b":"x"})");
  // A map's entry without its value, and with the value first.
  EXPECT_EQ(*ToJson(std::string("\x22\x03\x0a\x01k")), R"({"m":{"k":{}}})");
  EXPECT_EQ(*ToJson(std::string("\x22\x07\x12\x02\x08\x01\x0a\x01k")),
            R"({"m":{"k":{"n":1}}})");
  EXPECT_EQ(*ToJson(Field(5, Field(1, "x/headgate.test.Node") +
                                 Field(2, "\x08\x01\x08\x02"))),
            R"({"any":{"@type":"x/headgate.test.Node","n":2}})");
}

// Repeated fields in one piece, of any length, are not merged but as they are.
TEST_F(SchemaTest, ListsAndMapsComeWhole) {
  const std::string json = R"({"kids":[{"n":1},{},{"n":3}],"r":[1,2,3]})";
  EXPECT_EQ(ToJson(FromJson(json)), json);
  // A map has no order.
  const std::string map = ToJson(FromJson(R"({"m":{"a":{"n":1},"b":{}}})"));
  EXPECT_THAT(map, ::testing::AnyOf(R"({"m":{"a":{"n":1},"b":{}}})",
                                    R"({"m":{"b":{},"a":{"n":1}}})"));
}

// A backend can nest for free: an Any in an Any in an Any.
TEST_F(SchemaTest, DeepMessagesAreInternal) {
  test::Node node;
  std::string nodes;
  for (int i = 0; i < 3'000; ++i) nodes = Field(3, nodes);
  EXPECT_EQ(ToJson(nodes).status().code(), absl::StatusCode::kInternal);

  std::string any;
  for (int i = 0; i < 3'000; ++i) {
    any = Field(1, "type.googleapis.com/google.protobuf.Any") + Field(2, any);
  }
  EXPECT_EQ(ToJson(Field(5, any)).status().code(), absl::StatusCode::kInternal);

  std::string groups(3'000, '\x4b');  // The start of group 9.
  EXPECT_EQ(ToJson(groups).status().code(), absl::StatusCode::kInternal);

  std::string value;
  for (int i = 0; i < 3'000; ++i) value = Field(6, Field(1, value));
  EXPECT_EQ(ToJson(Field(6, value)).status().code(),
            absl::StatusCode::kInternal);
}

// --- google.rpc.Status ---

TEST_F(SchemaTest, StatusDetailsAreAnArrayOfAnys) {
  test::Node node;
  node.set_n(1);
  const std::string status = std::string("\x08\x05") + Field(2, "gone") +
                             Field(3, AnyOf(node)) +
                             Field(3, Field(1, "x/none") + Field(2, "a\xff"));
  EXPECT_EQ(schema_->StatusDetailsToJson(status, options_),
            R"([{"@type":"type.googleapis.com/headgate.test.Node","n":1},)"
            R"({"@type":"x/none","value":"Yf8="}])");
  EXPECT_EQ(schema_->StatusDetailsToJson("", options_), "[]");
}

// A known type whose bytes are none is told as they are.
TEST_F(SchemaTest, BrokenDetailIsToldAsBytes) {
  EXPECT_EQ(schema_->StatusDetailsToJson(
                Field(3, Field(1, "x/headgate.test.Node") + Field(2, "\x08")),
                options_),
            R"([{"@type":"x/headgate.test.Node","value":"CA=="}])");
}

TEST_F(SchemaTest, GarbageForAStatusHasNoDetails) {
  for (const std::string& bytes :
       {std::string("\x1a\x05x"), std::string("\x1a\xff\xff\xff\xff\xff"),
        std::string("\x08"), std::string("\x0b"), std::string("\x00", 1),
        Field(3, "garbage"), Field(3, Field(1, "\xff")),
        Field(3, AnyOf(test::Node())) + "\x08"}) {
    EXPECT_EQ(schema_->StatusDetailsToJson(bytes, options_), "[]")
        << ::testing::PrintToString(bytes);
  }
}

// protoc refuses them, what a server's reflection tells need not be protoc's.
TEST(SchemaJsonNamesTest, FieldsWithOneJsonNameHaveDifferentKeys) {
  FileDescriptorProto file = File("twice.proto");
  file.set_syntax("proto2");
  auto* const message = file.add_message_type();
  message->set_name("Twice");
  const auto add = [&](int number, const char* name, const char* json_name) {
    auto* const field = message->add_field();
    field->set_name(name);
    field->set_number(number);
    field->set_json_name(json_name);
    field->set_label(google::protobuf::FieldDescriptorProto::LABEL_OPTIONAL);
    field->set_type(google::protobuf::FieldDescriptorProto::TYPE_STRING);
  };
  add(1, "one", "same");
  add(2, "two", "same");
  add(3, "three", "two");
  add(4, "four", "same");
  std::vector<std::string> warnings;
  const auto schema = Schema::Build({file}, &warnings);
  EXPECT_THAT(warnings, IsEmpty());
  const std::string bytes =
      Field(1, "a") + Field(2, "b") + Field(3, "c") + Field(4, "d");
  const auto json = schema->ProtoToJson("Twice", bytes, {});
  ASSERT_TRUE(json.ok()) << json.status();
  EXPECT_EQ(*json, R"({"same":"a","two_2":"b","two":"c","four":"d"})");
  JsonError error;
  const auto back = schema->JsonToProto("Twice", *json, {}, error);
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(*back, bytes);
}

TEST(SchemaFieldsTest, FileOfAMessageWithTooManyFieldsIsLeftOut) {
  FileDescriptorProto wide = File("wide.proto");
  auto* const message = wide.add_message_type();
  message->set_name("Outer");
  auto* const nested = message->add_nested_type();
  nested->set_name("Wide");
  for (int i = 0; i < 10'001; ++i) {
    auto* const field = nested->add_field();
    field->set_name(absl::StrCat("f", i));
    field->set_number(i + 1);
    field->set_label(google::protobuf::FieldDescriptorProto::LABEL_OPTIONAL);
    field->set_type(google::protobuf::FieldDescriptorProto::TYPE_BOOL);
  }
  std::vector<std::string> warnings;
  auto schema = Schema::Build({wide, NodeFile()}, &warnings);
  EXPECT_THAT(warnings,
              ElementsAre("wide.proto: message Wide has 10001 fields, may have "
                          "10000"));
  EXPECT_TRUE(schema->HasField(kNode, "n"));
  EXPECT_FALSE(schema->HasField("Outer.Wide", "f0"));

  nested->mutable_field()->RemoveLast();
  warnings.clear();
  schema = Schema::Build({wide}, &warnings);
  EXPECT_THAT(warnings, IsEmpty());
  EXPECT_TRUE(schema->HasField("Outer.Wide", "f0"));
}

}  // namespace
}  // namespace headgate
