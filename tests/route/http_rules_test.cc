#include "gateway/route/http_rules.h"

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.pb.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "gateway/route/path_segments.h"
#include "gateway/route/path_tree.h"
#include "google/api/annotations.pb.h"

namespace headgate {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// A service whose methods have one rule each; the message has the fields name,
// parent and child (a message of the same type).
class Rules {
 public:
  Rules() {
    file_.set_name("rules.proto");
    file_.set_syntax("proto3");
    auto& message = *file_.add_message_type();
    message.set_name("M");
    int number = 0;
    for (const char* name : {"name", "parent", "child"}) {
      auto& field = *message.add_field();
      field.set_name(name);
      field.set_number(++number);
      field.set_label(google::protobuf::FieldDescriptorProto::LABEL_OPTIONAL);
      field.set_type(google::protobuf::FieldDescriptorProto::TYPE_STRING);
    }
    auto& child = *message.mutable_field(2);
    child.set_type(google::protobuf::FieldDescriptorProto::TYPE_MESSAGE);
    child.set_type_name(".M");
    file_.add_service()->set_name("S");
  }

  Rules& Custom(const std::string& method, const std::string& verb,
                const std::string& path) {
    auto& custom = *Add(method).mutable_custom();
    custom.set_kind(verb);
    custom.set_path(path);
    return *this;
  }
  google::api::HttpRule& Add(const std::string& method) {
    auto& added = *file_.mutable_service(0)->add_method();
    added.set_name(method);
    added.set_input_type(".M");
    added.set_output_type(".M");
    return *added.mutable_options()->MutableExtension(google::api::http);
  }
  Rules& Get(const std::string& method, const std::string& path) {
    Add(method).set_get(path);
    return *this;
  }
  Rules& Post(const std::string& method, const std::string& path) {
    Add(method).set_post(path);
    return *this;
  }
  Rules& Put(const std::string& method, const std::string& path) {
    Add(method).set_put(path);
    return *this;
  }

  std::shared_ptr<const HttpRules> Build() {
    std::vector<std::string> warnings;
    auto schema = Schema::Build({file_}, &warnings);
    EXPECT_THAT(warnings, ElementsAre());
    return HttpRules::Build(std::move(schema), &warnings_);
  }
  const std::vector<std::string>& warnings() const { return warnings_; }

  // Of the method that was added last.
  Rules& Streaming(bool client, bool server) {
    auto& service = *file_.mutable_service(0);
    auto& method = *service.mutable_method(service.method_size() - 1);
    method.set_client_streaming(client);
    method.set_server_streaming(server);
    return *this;
  }

 private:
  google::protobuf::FileDescriptorProto file_;
  std::vector<std::string> warnings_;
};

// The method's name and the variables: "Get name=a".
std::string ToString(const absl::StatusOr<HttpRules::Match>& match) {
  if (!match.ok()) return absl::StatusCodeToString(match.status().code());
  std::string text = match->method->path.substr(3);
  for (const Parameter& variable : match->variables) {
    absl::StrAppend(&text, " ", variable.field, "=", variable.value);
  }
  return text;
}

TEST(HttpRulesTest, VerbAndTemplateChooseTheMethod) {
  const auto rules = Rules()
                         .Get("Get", "/v1/{name=shelves/*}")
                         .Put("Update", "/v1/{child.name=shelves/*}")
                         .Post("Create", "/v1/shelves")
                         .Build();
  EXPECT_EQ(ToString(rules->Find("GET", "/v1/shelves/a")),
            "Get name=shelves/a");
  EXPECT_EQ(ToString(rules->Find("PUT", "/v1/shelves/a")),
            "Update child.name=shelves/a");
  EXPECT_EQ(ToString(rules->Find("POST", "/v1/shelves")), "Create");
  EXPECT_EQ(ToString(rules->Find("GET", "/v1/shelves")), "UNIMPLEMENTED");
  EXPECT_EQ(ToString(rules->Find("GET", "/v1/shelves/a/b")), "NOT_FOUND");
  EXPECT_EQ(ToString(rules->Find("GET", "/v1/shelves/")), "NOT_FOUND");
  EXPECT_EQ(ToString(rules->Find("GET", "nonsense")), "NOT_FOUND");
}

TEST(HttpRulesTest, TheMoreExactTemplateWins) {
  const auto rules = Rules()
                         .Get("Any", "/v1/{name=**}")
                         .Get("One", "/v1/{name}")
                         .Get("Literal", "/v1/x")
                         .Get("Deep", "/v1/{parent}/{name}")
                         .Get("Verb", "/v1/{name}:move")
                         .Build();
  EXPECT_EQ(ToString(rules->Find("GET", "/v1/x")), "Literal");
  EXPECT_EQ(ToString(rules->Find("GET", "/v1/y")), "One name=y");
  EXPECT_EQ(ToString(rules->Find("GET", "/v1/y/z")), "Deep parent=y name=z");
  EXPECT_EQ(ToString(rules->Find("GET", "/v1/a/b/c")), "Any name=a/b/c");
  EXPECT_EQ(ToString(rules->Find("GET", "/v1/x:move")), "Verb name=x");
  // A colon is part of a name where no rule has such a verb.
  EXPECT_EQ(ToString(rules->Find("GET", "/v1/x:sing")), "One name=x:sing");
  EXPECT_EQ(ToString(rules->Find("GET", "/v1")), "Any name=");
}

// A better template of another verb does not hide a rule.
TEST(HttpRulesTest, TheVerbIsLookedForInEveryTemplateThatFits) {
  const auto rules =
      Rules().Post("Create", "/v1/x").Get("Any", "/v1/{name=**}").Build();
  EXPECT_EQ(ToString(rules->Find("GET", "/v1/x")), "Any name=x");
}

// As lists of operations are published beside the operations in them.
TEST(HttpRulesTest, ATemplateThatEndsIsBetterThanNoSegment) {
  const auto rules = Rules()
                         .Get("All", "/v1/{name=operations/**}")
                         .Get("List", "/v1/{name=operations}")
                         .Get("Behind", "/v2/{name=a/**}")
                         .Get("One", "/v2/{name=*}")
                         .Build();
  EXPECT_EQ(ToString(rules->Find("GET", "/v1/operations")),
            "List name=operations");
  EXPECT_EQ(ToString(rules->Find("GET", "/v1/operations/a")),
            "All name=operations/a");
  // But a literal is better than "*", from left to right.
  EXPECT_EQ(ToString(rules->Find("GET", "/v2/a")), "Behind name=a");
}

TEST(HttpRulesTest, HeadIsGetUnlessItHasARule) {
  const auto rules = Rules()
                         .Get("Get", "/a")
                         .Get("Other", "/b")
                         .Custom("Head", "HEAD", "/b")
                         .Build();
  EXPECT_EQ(ToString(rules->Find("HEAD", "/a")), "Get");
  EXPECT_EQ(ToString(rules->Find("HEAD", "/b")), "Head");
}

TEST(HttpRulesTest, ARuleMayBeForAnyVerb) {
  const auto rules = Rules().Custom("Any", "*", "/a").Build();
  EXPECT_EQ(ToString(rules->Find("BREW", "/a")), "Any");
  EXPECT_EQ(ToString(rules->FindForWebSocket("/a", "brew")), "Any");
}

// Whichever was declared first.
TEST(HttpRulesTest, ARuleForTheVerbIsBetterThanOneForAny) {
  const auto rules = Rules()
                         .Custom("Any", "*", "/a")
                         .Custom("Brew", "BREW", "/a")
                         .Get("Get", "/a")
                         .Build();
  EXPECT_EQ(ToString(rules->Find("GET", "/a")), "Get");
  EXPECT_EQ(ToString(rules->Find("BREW", "/a")), "Brew");
  EXPECT_EQ(ToString(rules->Find("PUT", "/a")), "Any");
  EXPECT_EQ(ToString(rules->FindForWebSocket("/a", "brew")), "Brew");
  EXPECT_EQ(ToString(rules->FindForWebSocket("/a", "put")), "Any");
}

TEST(HttpRulesTest, VerbsAtAPath) {
  const auto rules = Rules().Get("Get", "/a").Post("Create", "/{name}").Build();
  EXPECT_THAT(rules->VerbsAt("/a"), ElementsAre("GET", "HEAD", "POST"));
  EXPECT_THAT(rules->VerbsAt("/b"), ElementsAre("POST"));
  EXPECT_THAT(rules->VerbsAt("/a/b"), ElementsAre());
}

// "*" is no method of HTTP's, and so nothing for Allow.
TEST(HttpRulesTest, ARuleForAnyVerbIsToldByTheUsualOnes) {
  const auto rules =
      Rules().Custom("Any", "*", "/a").Custom("Brew", "BREW", "/a").Build();
  EXPECT_THAT(rules->VerbsAt("/a"), ElementsAre("BREW", "DELETE", "GET", "HEAD",
                                                "PATCH", "POST", "PUT"));
}

// It is opened for a stream. Among calls without one the GET does no harm: a
// client that connects and leaves must not have updated anything.
TEST(HttpRulesTest, AWebSocketMeansTheStreamElseTheGet) {
  const auto rules = Rules()
                         .Put("Update", "/a")
                         .Get("Get", "/a")
                         .Get("Only", "/b")
                         .Get("GetRoom", "/room")
                         .Put("Watch", "/room")
                         .Streaming(false, true)
                         .Post("Talk", "/room")
                         .Streaming(true, true)
                         .Put("PutItem", "/item")
                         .Post("PostItem", "/item")
                         .Get("List", "/list")
                         .Streaming(false, true)
                         .Post("Upload", "/list")
                         .Streaming(true, false)
                         .Build();
  EXPECT_EQ(ToString(rules->FindForWebSocket("/a", "")), "Get");
  EXPECT_EQ(ToString(rules->FindForWebSocket("/a", "put")), "Update");
  EXPECT_EQ(ToString(rules->FindForWebSocket("/room", "")), "Talk");
  EXPECT_EQ(ToString(rules->FindForWebSocket("/room", "PUT")), "Watch");
  EXPECT_EQ(ToString(rules->FindForWebSocket("/room", "GET")), "GetRoom");
  EXPECT_EQ(ToString(rules->FindForWebSocket("/item", "")), "PostItem");
  EXPECT_EQ(ToString(rules->FindForWebSocket("/list", "")), "Upload");
  EXPECT_EQ(ToString(rules->FindForWebSocket("/a", "POST")), "NOT_FOUND");
  EXPECT_EQ(ToString(rules->FindForWebSocket("/b", "")), "Only");
  EXPECT_EQ(ToString(rules->FindForWebSocket("/c", "")), "NOT_FOUND");
}

TEST(HttpRulesTest, OnAWebSocketTheVerbChoosesAmongTheRulesOfOneTemplate) {
  const auto rules = Rules()
                         .Get("Get", "/v1/{name=rooms/*}")
                         .Put("Update", "/v1/rooms/{child.name}")
                         .Post("Create", "/v1/{name=**}")
                         .Build();
  EXPECT_EQ(ToString(rules->FindForWebSocket("/v1/rooms/a", "")),
            "Get name=rooms/a");
  EXPECT_EQ(ToString(rules->FindForWebSocket("/v1/rooms/a", "put")),
            "Update child.name=a");
  EXPECT_EQ(ToString(rules->FindForWebSocket("/v1/a", "")), "Create name=a");
  // Who asks for a verb gets it wherever it is.
  EXPECT_EQ(ToString(rules->FindForWebSocket("/v1/rooms/a", "POST")),
            "Create name=rooms/a");
}

TEST(HttpRulesTest, AVerbOfOnesOwnIsChosenInAnyCase) {
  const auto rules =
      Rules().Get("Get", "/a").Custom("Brew", "Brew", "/a").Build();
  EXPECT_EQ(ToString(rules->FindForWebSocket("/a", "brew")), "Brew");
}

TEST(HttpRulesTest, RulesThatCannotWorkAreLeftOutWithAWord) {
  Rules source;
  source.Get("A", "/a/{nothing}").Get("B", "/b/{").Get("C", "/c/{name.x}");
  source.Add("D").set_post("/d");
  auto& body = source.Add("E");
  body.set_post("/e");
  body.set_body("nothing");
  auto& response_body = source.Add("F");
  response_body.set_get("/f");
  response_body.set_response_body("nothing");
  const auto rules = source.Build();
  EXPECT_THAT(
      source.warnings(),
      ElementsAre(HasSubstr("M has no field nothing"),
                  HasSubstr("} is missing"), HasSubstr("M has no field name.x"),
                  HasSubstr("body: M has no field nothing"),
                  HasSubstr("response_body: M has no field nothing")));
  EXPECT_EQ(ToString(rules->Find("POST", "/d")), "D");
  // Their paths are not left to others.
  EXPECT_EQ(ToString(rules->Find("GET", "/b/x")), "FAILED_PRECONDITION");
  EXPECT_EQ(rules->Find("POST", "/e").status(),
            absl::FailedPreconditionError(
                "the google.api.http rule of S/E cannot be used: body: M has "
                "no field nothing"));
  EXPECT_EQ(ToString(rules->FindForWebSocket("/e", "")), "FAILED_PRECONDITION");
  EXPECT_EQ(ToString(rules->Find("GET", "/a/x")), "FAILED_PRECONDITION");
}

// Another method's rule is worse, but would work.
TEST(HttpRulesTest, ARuleThatCannotBeUsedKeepsItsPathsFromOthers) {
  Rules source;
  source.Post("Any", "/v1/{name=**}");
  auto& nested = source.Add("Nested");
  nested.set_post("/v1/a");
  nested.set_body("child.name");
  const auto rules = source.Build();
  EXPECT_EQ(ToString(rules->Find("POST", "/v1/a")), "FAILED_PRECONDITION");
  EXPECT_EQ(ToString(rules->Find("POST", "/v1/b")), "Any name=b");
  EXPECT_THAT(rules->VerbsAt("/v1/a"), ElementsAre("POST"));
}

// What is not well formed is taken for what it most likely means.
TEST(HttpRulesTest, ATemplateThatDoesNotParseKeepsItsPathsFromOthers) {
  const struct {
    const char* path_template;
    const char* path;   // Not for others.
    const char* other;  // For others.
  } kCases[] = {
      {"/v1/{name=a/*", "/v1/a/b", "/v1/b/b"},
      {"/v1/{na-me}/x", "/v1/1/x", "/v1/1/y"},
      {"/v1/{name}/{name}", "/v1/1/2", "/v1/1"},
      {"/v1/{name=**}/x/**", "/v1/1/2/x/3", "/v1/1/2/y"},
      {"/v1/{name={parent}}", "/v1/1", "/v1/1/2"},
      {"/v1/b{name}", "/v1/b1", "/v1/b1/2"},
      {"/v1/a*", "/v1/ab", "/v1/a/b"},
      {"/v1/%zz/x", "/v1/1/x", "/v1/1/y"},
      {"/v1//x", "/v1//x", "/v1/x"},
      {"v1/x", "/v1/x", "/v1/y"},
      {"/v1/{name}:", "/v1/1", "/v1/1/2"},
      {"/v1/{na-me}:do", "/v1/1:do", "/v1/1:undo"},
  };
  for (const auto& one : kCases) {
    Rules source;
    source.Get("Any", "/v1/{name=**}").Get("Bad", one.path_template);
    const auto rules = source.Build();
    EXPECT_EQ(source.warnings().size(), 1u) << one.path_template;
    EXPECT_EQ(ToString(rules->Find("GET", one.path)), "FAILED_PRECONDITION")
        << one.path_template;
    EXPECT_THAT(ToString(rules->Find("GET", one.other)),
                ::testing::StartsWith("Any "))
        << one.path_template;
  }
}

TEST(HttpRulesTest, AVerbMayHaveColons) {
  const auto rules = Rules()
                         .Post("Do", "/v1/{name}:do")
                         .Post("DoDo", "/v1/{name}:do:do")
                         .Post("Literal", "/v1/x:y:z")
                         .Build();
  EXPECT_EQ(ToString(rules->Find("POST", "/v1/a:do")), "Do name=a");
  EXPECT_EQ(ToString(rules->Find("POST", "/v1/a:do:do")), "DoDo name=a");
  EXPECT_EQ(ToString(rules->Find("POST", "/v1/a:do%3Ado")), "DoDo name=a");
  EXPECT_EQ(ToString(rules->Find("POST", "/v1/a:b:do")), "Do name=a:b");
  EXPECT_EQ(ToString(rules->Find("POST", "/v1/a:b:do:do")), "DoDo name=a:b");
  EXPECT_EQ(ToString(rules->Find("POST", "/v1/x:y:z")), "Literal");
  EXPECT_EQ(ToString(rules->Find("POST", "/v1/a:do:")), "NOT_FOUND");
}

// As Firestore publishes it.
TEST(HttpRulesTest, SegmentsMayFollowTwoStars) {
  const auto rules = Rules()
                         .Get("List", "/v1/{parent=p/*/d/*/**}/{name}")
                         .Get("Get", "/v1/{name=p/*/d/*/**}")
                         .Get("Runs", "/v1/{name=**}/runs:watch")
                         .Build();
  EXPECT_EQ(ToString(rules->Find("GET", "/v1/p/1/d/2/c")),
            "List parent=p/1/d/2 name=c");
  EXPECT_EQ(ToString(rules->Find("GET", "/v1/p/1/d/2/a/b%2Fc/d")),
            "List parent=p/1/d/2/a/b%2Fc name=d");
  EXPECT_EQ(ToString(rules->Find("GET", "/v1/p/1/d/2")), "Get name=p/1/d/2");
  EXPECT_EQ(ToString(rules->Find("GET", "/v1/p/1/d")), "NOT_FOUND");
  EXPECT_EQ(ToString(rules->Find("GET", "/v1/runs:watch")), "Runs name=");
  EXPECT_EQ(ToString(rules->Find("GET", "/v1/a/runs/runs:watch")),
            "Runs name=a/runs");
}

TEST(HttpRulesTest, TheLastSegmentMayBeEmpty) {
  const auto rules = Rules()
                         .Get("Root", "/")
                         .Get("List", "/v1/things/")
                         .Get("Get", "/v1/things/{name}")
                         .Build();
  EXPECT_EQ(ToString(rules->Find("GET", "/")), "Root");
  EXPECT_EQ(ToString(rules->Find("GET", "/v1/things/")), "List");
  EXPECT_EQ(ToString(rules->Find("GET", "/v1/things")), "NOT_FOUND");
  EXPECT_EQ(ToString(rules->Find("GET", "/v1/things/a")), "Get name=a");
}

// --- what a lookup costs ---

std::size_t Visits(const PathTree& tree, const std::string& path) {
  std::size_t visited = 0;
  tree.Find(*SplitPath(path), &visited);
  return visited;
}

TEST(PathTreeTest, TemplatesThatDoNotFitCostNothing) {
  PathTree small, large;
  for (int i = 0; i < 10'000; ++i) {
    const auto path_template =
        *PathTemplate::Parse(absl::StrCat("/service", i, "/{name}/x"));
    if (i < 10) small.Add(path_template, static_cast<std::size_t>(i));
    large.Add(path_template, static_cast<std::size_t>(i));
  }
  EXPECT_EQ(Visits(small, "/service7/a/x"), 4u);
  EXPECT_EQ(Visits(large, "/service7/a/x"), 4u);
  EXPECT_EQ(Visits(large, "/none/a/x"), 1u);
}

// Every segment may be "*" or a literal; a search that goes back would take
// 2^20 steps.
TEST(PathTreeTest, APathThatFitsAlmostEverythingIsNoTrouble) {
  PathTree tree;
  std::size_t id = 0;
  const auto add = [&](const std::string& text) {
    tree.Add(*PathTemplate::Parse(text), id++);
  };
  for (int star = 0; star < 20; ++star) {
    std::string text;
    for (int i = 0; i < 20; ++i) text += i == star ? "/*" : "/a";
    add(text + "/end");
  }
  std::string path;
  for (int i = 0; i < 20; ++i) path += "/a";
  // At each depth no more nodes than there are templates.
  EXPECT_LE(Visits(tree, path + "/none"), 21u * 21u);
  std::string long_path;
  for (int i = 0; i < 8000; ++i) long_path += "/a";
  EXPECT_LE(Visits(tree, long_path), 21u * 21u);
}

// Segments behind "**" may begin anywhere: each place is tried once.
TEST(PathTreeTest, SegmentsBehindTwoStarsAreNoTrouble) {
  PathTree tree;
  std::size_t id = 0;
  for (int i = 1; i < 20; ++i) {
    std::string text = "/**";
    for (int n = 0; n < i; ++n) text += "/a";
    tree.Add(*PathTemplate::Parse(text + "/end"), id++);
  }
  std::string path;
  for (int i = 0; i < 8000; ++i) path += "/a";
  EXPECT_LE(Visits(tree, path), 8001u * 22u);
}

// A colon more than any verb has is no reason to look.
TEST(PathTreeTest, ColonsAreNoTrouble) {
  PathTree tree;
  tree.Add(*PathTemplate::Parse("/{a}:x:y"), 0);
  EXPECT_EQ(
      tree.Find(*SplitPath("/" + std::string(16'000, ':') + "x:y")).size(), 1u);
  EXPECT_LE(Visits(tree, "/" + std::string(16'000, ':')), 4u);
}

// Descriptors are a peer's bytes: a template may be as long as they are.
TEST(PathTreeTest, ATemplateOfAnyDepthIsNoTroubleToBuildAndDestroy) {
  std::string text;
  for (int i = 0; i < 100'000; ++i) text += "/*";
  PathTree tree;
  tree.Add(*PathTemplate::Parse(text), 7);
  EXPECT_EQ(Visits(tree, "/a"), 2u);
  EXPECT_EQ(Visits(tree, "/"), 1u);
}

}  // namespace
}  // namespace headgate
