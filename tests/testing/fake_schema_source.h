#ifndef TESTS_TESTING_FAKE_SCHEMA_SOURCE_H_
#define TESTS_TESTING_FAKE_SCHEMA_SOURCE_H_

#include <algorithm>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "gateway/upstream/schema_source.h"

namespace headgate::testing {

// Knows what the test says, at once or when the test says so.
class FakeSchemaSource final : public SchemaSource {
 public:
  Resolution Resolve(absl::string_view path, absl::Time,
                     Callback callback) override {
    ++asked_;
    if (answers_at_once) return Lookup(path);
    auto ticket =
        std::make_unique<FakeTicket>(std::string(path), std::move(callback));
    waiting_.push_back(ticket->question);
    return ticket;
  }

  SnapshotOr Get(absl::Time, SnapshotCallback) override {
    if (schema == nullptr) return why_unknown;
    return SchemaSnapshot{schema, nullptr};
  }

  std::unique_ptr<Ticket> AwaitType(absl::string_view full_name,
                                    std::function<void()> callback) override {
    if (!asks_for_types) return nullptr;
    awaited_types_.emplace_back(full_name);
    auto ticket = std::make_unique<TypeTicket>(std::move(callback));
    type_waiting_.push_back(ticket->callback);
    return ticket;
  }

  void Refresh(absl::Time) override {}

  // How many have asked for a method, and how many of them still wait for an
  // answer.
  std::size_t asked() const { return asked_; }
  std::size_t waiting() const {
    return std::count_if(waiting_.begin(), waiting_.end(),
                         [](const auto& asked) { return !asked.expired(); });
  }

  // Answers everybody who waits, in turn.
  void Answer() {
    for (const auto& asked : std::exchange(waiting_, {})) {
      const std::shared_ptr<const Question> question = asked.lock();
      if (question != nullptr) question->callback(Lookup(question->path));
    }
  }

  // The types that were waited for, in turn.
  const std::vector<std::string>& awaited_types() const {
    return awaited_types_;
  }
  // Calls everybody back who waits for a type.
  void AnswerTypes() {
    for (const auto& waiting : std::exchange(type_waiting_, {})) {
      const auto callback = waiting.lock();
      if (callback != nullptr) (*callback)();
    }
  }

  std::shared_ptr<const Schema> schema;  // Null: no method is known.
  absl::Status why_unknown = absl::UnimplementedError("unknown method");
  bool answers_at_once = true;
  bool asks_for_types = false;

 private:
  struct Question {
    std::string path;
    Callback callback;
  };
  struct FakeTicket final : Ticket {
    FakeTicket(std::string path, Callback callback)
        : question(std::make_shared<Question>(
              Question{std::move(path), std::move(callback)})) {}
    const std::shared_ptr<const Question> question;
  };

  struct TypeTicket final : Ticket {
    explicit TypeTicket(std::function<void()> callback)
        : callback(std::make_shared<const std::function<void()>>(
              std::move(callback))) {}
    const std::shared_ptr<const std::function<void()>> callback;
  };

  ResolvedMethod Lookup(absl::string_view path) const {
    ResolvedMethod resolved;
    resolved.schema = schema;
    if (schema != nullptr) resolved.method = schema->FindMethod(path);
    if (resolved.method == nullptr) resolved.why_unknown = why_unknown;
    return resolved;
  }

  std::size_t asked_ = 0;
  std::vector<std::weak_ptr<const Question>> waiting_;
  std::vector<std::string> awaited_types_;
  std::vector<std::weak_ptr<const std::function<void()>>> type_waiting_;
};

}  // namespace headgate::testing

#endif  // TESTS_TESTING_FAKE_SCHEMA_SOURCE_H_
