#ifndef TESTS_HUB_QUIET_ENGINE_H_
#define TESTS_HUB_QUIET_ENGINE_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "gateway/hub/engine.h"

namespace headgate {

// An engine that is up and takes everything, has no history, and never answers:
// tests override what they look at.
class QuietEngine : public HubEngine {
 public:
  void Publish(const v1::EnginePublication&, PublishedCallback) override {}
  absl::Status Publish(const v1::EnginePublication&) override {
    return absl::OkStatus();
  }
  bool HasHistory(absl::string_view) const override { return false; }
  void Store(const v1::EnginePublication&, const StoreOptions&,
             StoredCallback) override {}
  void Recover(const std::string&, const std::optional<v1::Position>&,
               RecoveredCallback) override {}
  void Ask(v1::EngineQuestion, absl::Duration, IsEnough,
           AnswersCallback) override {}
  void Read(const std::string&, const std::optional<v1::Position>&, std::size_t,
            PageCallback) override {}
  void AnnounceWatched(const std::vector<std::string>&) override {}
  bool Tell(const std::string&, const v1::EngineMemberships&) override {
    return true;
  }
  bool is_up() const override { return true; }
  void OnInterest(HubScope, const std::string&, bool) override {}
};

}  // namespace headgate

#endif  // TESTS_HUB_QUIET_ENGINE_H_
