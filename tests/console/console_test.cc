#include "gateway/console/console.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "gateway/console/schema_cache.h"
#include "google/protobuf/descriptor.pb.h"
#include "headgate/demo/v1/hello.pb.h"
#include "schema_test.pb.h"

namespace headgate {
namespace {

namespace pb = ::google::protobuf;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pair;

std::string At(const boost::json::value& json, const std::string& pointer) {
  boost::json::error_code error;
  const auto* found = json.find_pointer(pointer, error);
  return found == nullptr ? "absent" : boost::json::serialize(*found);
}

class ConsoleTest : public ::testing::Test {
 protected:
  ConsoleResponse Get(const std::string& path, const std::string& fetch = "") {
    return std::get<ConsoleResponse>(Answer("GET", path, {}, fetch));
  }
  std::variant<ConsoleResponse, NeedsSchema> Answer(
      const std::string& verb, const std::string& path,
      std::vector<Parameter> query = {}, const std::string& fetch = "") {
    return AnswerConsole({verb, path, std::move(query), fetch}, *index_);
  }

  std::shared_ptr<const ConsoleIndex> index_ = MakeConsoleIndex(Settings());
};

TEST(IsConsolePath, ItAndWhatIsBelow) {
  EXPECT_TRUE(IsConsolePath("/_headgate"));
  EXPECT_TRUE(IsConsolePath("/_headgate/"));
  EXPECT_TRUE(IsConsolePath("/_headgate/api/index"));
  EXPECT_FALSE(IsConsolePath("/_headgates"));
  EXPECT_FALSE(IsConsolePath("/x/_headgate"));
  EXPECT_FALSE(IsConsolePath("/%5Fheadgate/"));
  EXPECT_FALSE(IsConsolePath("/"));
}

TEST_F(ConsoleTest, PagesAllowNothingButTheConsole) {
  for (const char* path : {"/_headgate/", "/_headgate/chat",
                           "/_headgate/console.js", "/_headgate/api/index"}) {
    const ConsoleResponse response = Get(path);
    EXPECT_EQ(response.status, 200) << path;
    EXPECT_THAT(
        response.fields,
        AllOf(Contains(Pair("Content-Security-Policy",
                            AllOf(HasSubstr("default-src 'none'"),
                                  HasSubstr("frame-ancestors 'none'"),
                                  HasSubstr("script-src 'self';"),
                                  Not(HasSubstr("unsafe"))))),
              Contains(Pair("X-Content-Type-Options", "nosniff")),
              Contains(Pair("Cross-Origin-Resource-Policy", "same-origin")),
              Contains(Pair("Cache-Control", "no-store"))))
        << path;
  }
}

TEST_F(ConsoleTest, FilesHaveTheirMediaTypes) {
  EXPECT_THAT(Get("/_headgate/").fields,
              Contains(Pair("Content-Type", "text/html; charset=utf-8")));
  EXPECT_THAT(Get("/_headgate/style.css").fields,
              Contains(Pair("Content-Type", "text/css; charset=utf-8")));
  EXPECT_THAT(Get("/_headgate/console.js").fields,
              Contains(Pair("Content-Type", "text/javascript; charset=utf-8")));
  EXPECT_THAT(Get("/_headgate/icon.svg").fields,
              Contains(Pair("Content-Type", "image/svg+xml")));
}

TEST_F(ConsoleTest, PagesNameOnlyFilesThatThereAre) {
  for (const char* page : {"/_headgate/", "/_headgate/chat"}) {
    const std::string html = Get(page).body;
    std::size_t files = 0;
    for (const std::string attribute : {"src=\"", "href=\""}) {
      for (std::size_t at = 0;
           (at = html.find(attribute, at)) != std::string::npos; ++files) {
        at += attribute.size();
        const std::string link = html.substr(at, html.find('"', at) - at);
        if (link[0] != '#') {
          EXPECT_EQ(Get(link).status, 200) << link;
        }
      }
    }
    EXPECT_GE(files, 4u);
  }
}

TEST_F(ConsoleTest, WithoutItsSlashItRedirects) {
  const ConsoleResponse response = Get("/_headgate");
  EXPECT_EQ(response.status, 308);
  EXPECT_THAT(response.fields, Contains(Pair("Location", "/_headgate/")));
}

TEST_F(ConsoleTest, OtherPathsAreNotFound) {
  for (const char* path : {"/_headgate/no", "/_headgate/api/",
                           "/_headgate/../console.js", "/_headgate/api/no"}) {
    EXPECT_EQ(Get(path).status, 404) << path;
  }
}

TEST_F(ConsoleTest, OtherVerbsAreNotAllowed) {
  const auto response =
      std::get<ConsoleResponse>(Answer("POST", "/_headgate/"));
  EXPECT_EQ(response.status, 405);
  EXPECT_THAT(response.fields, Contains(Pair("Allow", "GET, HEAD")));
  EXPECT_EQ(std::get<ConsoleResponse>(Answer("HEAD", "/_headgate/")).status,
            200);
}

TEST_F(ConsoleTest, DataIsNotForPagesOfOtherSites) {
  EXPECT_EQ(Get("/_headgate/api/index", "cross-site").status, 403);
  EXPECT_EQ(Get("/_headgate/api/index", "same-site").status, 403);
  EXPECT_EQ(Get("/_headgate/api/index", "same-origin").status, 200);
  EXPECT_EQ(Get("/_headgate/api/index", "none").status, 200);
  // A link may lead to the page.
  EXPECT_EQ(Get("/_headgate/", "cross-site").status, 200);
}

TEST_F(ConsoleTest, SchemasAreThoseOfUpstreamsByName) {
  const auto found =
      Answer("GET", "/_headgate/api/schema", {{"upstream", "default"}});
  EXPECT_EQ(std::get<NeedsSchema>(found).upstream, "default");
  for (const std::vector<Parameter>& query :
       {std::vector<Parameter>{}, {{"upstream", "other"}}}) {
    const auto missing = Answer("GET", "/_headgate/api/schema", query);
    EXPECT_EQ(std::get<ConsoleResponse>(missing).status, 404);
  }
}

TEST_F(ConsoleTest, AnUpstreamThatIsNotKnownSaysWhy) {
  const ConsoleResponse response =
      SchemaUnknownResponse(absl::UnavailableError("<b>away</b>"));
  EXPECT_EQ(response.status, 503);
  EXPECT_EQ(At(boost::json::parse(response.body), "/message"),
            "\"<b>away</b>\"");
}

TEST(ConsoleIndexTest, HasWhatRoutesLeadTo) {
  Settings settings;
  settings.upstreams[0].name = "one \"two\"";
  Route fixed;
  fixed.path = "/chat";
  fixed.hosts = {"*.example.com"};
  fixed.target = FixedMethod{"/p.S/M"};
  fixed.codec = &kJsonDialect;
  Route service;
  service.prefix = "/s";
  service.target = ServicePath{"/p.S"};
  Route rules;
  rules.prefix = "/v1";
  rules.strip_prefix = true;
  rules.target = HttpRuleSet{};
  Route table;
  table.path = "/game";
  MethodTable methods;
  methods.methods = {{2, "/p.S/B"}, {1, "/p.S/A"}};
  table.target = methods;
  table.allowed_codecs = {&kPacketDialect};
  table.packet.endian = PacketOptions::Endian::kLittle;
  table.packet.container_types = {5};
  Route hub;
  hub.path_template = "/rooms/{room}";
  hub.target.emplace<HubTarget>().message = "p.M";
  settings.routes = {fixed, service, rules, table, Route{}, hub, hub};
  std::get<HubTarget>(settings.routes[6].target).message.clear();
  const auto json = boost::json::parse(MakeConsoleIndex(settings)->json);
  EXPECT_EQ(At(json, "/upstreams"), R"(["one \"two\""])");
  EXPECT_EQ(
      At(json, "/routes/0"),
      R"({"hosts":["*.example.com"],"path":"/chat","upstream":"default",)"
      R"("method":"/p.S/M","codec":"json","codecs":["json","protobuf"]})");
  EXPECT_EQ(At(json, "/routes/1/service"), R"("/p.S")");
  EXPECT_EQ(At(json, "/routes/2/httpRules"), "true");
  EXPECT_EQ(At(json, "/routes/2/stripPrefix"), "true");
  EXPECT_EQ(At(json, "/routes/3/packet"),
            R"({"order":"type-length-who","endian":"little",)"
            R"("lengthCounts":"content","containerTypes":[5],)"
            R"("methods":{"1":"/p.S/A","2":"/p.S/B"},"content":"protobuf"})");
  EXPECT_EQ(
      At(json, "/routes/4"),
      R"({"hosts":[],"upstream":"default","codecs":["json","protobuf"]})");
  EXPECT_EQ(At(json, "/routes/5/hub"), R"({"message":"p.M"})");
  EXPECT_EQ(At(json, "/routes/6/hub"), "{}");
}

std::shared_ptr<const Schema> SchemaOf(const pb::FileDescriptor* file) {
  pb::FileDescriptorProto proto;
  file->CopyTo(&proto);
  std::vector<std::string> warnings;
  return Schema::Build({proto}, &warnings);
}

TEST(SchemaJsonTest, MethodsAndTheTypesThatTheyUse) {
  const auto schema = SchemaOf(test::Node::descriptor()->file());
  const auto json = boost::json::parse(SchemaJson(*schema, 1 << 20));
  EXPECT_EQ(At(json, "/services/0/name"), R"("headgate.test.Kinds")");
  EXPECT_EQ(At(json, "/services/0/methods/0"),
            R"({"name":"Bidi","kind":"bidi","input":"headgate.test.Node",)"
            R"("output":"headgate.test.Node"})");
  EXPECT_EQ(At(json, "/services/0/methods/1/kind"), R"("clientStream")");
  EXPECT_EQ(At(json, "/services/0/methods/2/kind"), R"("serverStream")");
  EXPECT_EQ(At(json, "/services/0/methods/3/kind"), R"("unary")");
  const std::string node = "/messages/headgate.test.Node/fields";
  EXPECT_EQ(At(json, node + "/0"), R"({"name":"n","number":1,"type":"int32"})");
  EXPECT_EQ(At(json, node + "/2"),
            R"({"name":"kids","number":3,"repeated":true,"type":"message",)"
            R"("message":"headgate.test.Node"})");
  EXPECT_EQ(At(json, node + "/3"),
            R"({"name":"m","number":4,"key":"string","type":"message",)"
            R"("message":"headgate.test.Node"})");
  EXPECT_EQ(At(json, node + "/8/oneof"), R"("choice")");
  EXPECT_EQ(At(json, node + "/10/enum"), R"("headgate.test.Color")");
  EXPECT_EQ(At(json, node + "/11/name"), R"("twoWords")");
  EXPECT_EQ(At(json, "/enums/headgate.test.Color"), R"(["NONE","RED"])");
  EXPECT_EQ(At(json, "/truncated"), "absent");
}

TEST(SchemaJsonTest, CommentsComeAlongInPart) {
  pb::FileDescriptorProto file;
  demo::v1::HelloRequest::descriptor()->file()->CopyTo(&file);
  auto& location = *file.mutable_source_code_info()->add_location();
  location.add_path(pb::FileDescriptorProto::kServiceFieldNumber);
  location.add_path(0);
  for (const int at : {0, 0, 1}) location.add_span(at);
  location.set_leading_comments(" </script>\xFF" + std::string(2000, 'x'));
  std::vector<std::string> warnings;
  const auto schema = Schema::Build({file}, &warnings);
  const std::string json = SchemaJson(*schema, 1 << 20);
  EXPECT_THAT(json, Not(HasSubstr("</script>")));
  const std::string comment =
      At(boost::json::parse(json), "/services/0/comment");
  EXPECT_THAT(comment, HasSubstr("/script>?xxx"));
  EXPECT_LT(comment.size(), 1100u);
}

TEST(SchemaJsonTest, IsBounded) {
  const auto schema = SchemaOf(test::Node::descriptor()->file());
  for (const std::size_t most : {0, 100, 1000}) {
    const std::string text = SchemaJson(*schema, most);
    EXPECT_LT(text.size(), most + 4000);
    EXPECT_EQ(At(boost::json::parse(text), "/truncated"), "true");
  }
}

// To write it takes a worker tens of milliseconds where a schema is large.
TEST(ConsoleSchemaCacheTest, EachSchemaIsWrittenOnce) {
  std::vector<std::string> warnings;
  ConsoleSchemaCache cache;
  std::shared_ptr<const Schema> schema = Schema::BuiltIn();
  const ConsoleResponse first = cache.Respond(schema);
  EXPECT_EQ(first.body, SchemaResponse(*schema).body);
  EXPECT_EQ(cache.Respond(schema).body, first.body);
  EXPECT_EQ(cache.size(), 1u);
  const std::shared_ptr<const Schema> other = Schema::Build({}, &warnings);
  EXPECT_NE(cache.Respond(other).body, first.body);
  EXPECT_EQ(cache.size(), 2u);
  schema.reset();
  cache.Respond(other);
  EXPECT_EQ(cache.size(), 1u) << "of one that is gone nothing is kept";
}

}  // namespace
}  // namespace headgate
