// What workers share: the SchemaStore of an upstream.

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/upstream/schema_source_fixture.h"

namespace headgate {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::StartsWith;
using ::testing::UnorderedElementsAre;

// Two sources of one store, as two workers have them.
class SharedStoreTest : public SchemaSourceFixture {
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

// The files are read while the server is asked: a call that needs no answer of
// the server's does not wait for it.
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
