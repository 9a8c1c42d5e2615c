#ifndef GATEWAY_HUB_ENGINE_H_
#define GATEWAY_HUB_ENGINE_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "headgate/v1/hub_engine.pb.h"

namespace headgate {

// What somebody's sessions are known by.
enum class HubScope { kGroup, kUser };

// Hears which groups have members, and which users sessions.
class HubInterest {
 public:
  // Of one hub: the first has come (`begins`), or the last has gone.
  virtual void OnInterest(HubScope scope, const std::string& name,
                          bool begins) = 0;

 protected:
  ~HubInterest() = default;
};

// The other gateways that share this one's hubs, which may be none.
//
// Thread: the hub thread, which also runs all callbacks: each once, possibly
// before the function returns, unless the engine is destroyed before.
class HubEngine : public HubInterest {
 public:
  // What a question has come to.
  struct Answers {
    std::vector<v1::EngineReply> replies;
    // Names of gateways that should have answered and have not.
    std::vector<std::string> silent;
  };
  using PublishedCallback = std::function<void(const absl::Status&)>;
  using AnswersCallback = std::function<void(Answers)>;
  // Whether a reply makes the others needless.
  using IsEnough = bool (*)(const v1::EngineReply&);

  virtual ~HubEngine() = default;

  // Hands a publication over to the other gateways; not to this one. `done`
  // gets UNAVAILABLE where they cannot be reached: at once if that is known,
  // and nothing was sent then; RESOURCE_EXHAUSTED where too much waits already;
  // INVALID_ARGUMENT for one that is too large.
  virtual void Publish(const v1::EnginePublication& publication,
                       PublishedCallback done) = 0;
  // The same for one whose way nobody follows: what is known at once.
  virtual absl::Status Publish(const v1::EnginePublication& publication) = 0;
  // Asks every other gateway; `done` comes with the last answer, with one that
  // `is_enough` (null: none is), or when they have had the time for it, and
  // `patience` more.
  virtual void Ask(v1::EngineQuestion question, absl::Duration patience,
                   IsEnough is_enough, AnswersCallback done) = 0;
  // Whether all other gateways are known and can be reached.
  virtual bool is_up() const = 0;
};

// A gateway alone.
class MemoryEngine final : public HubEngine {
 public:
  void Publish(const v1::EnginePublication&, PublishedCallback done) override {
    done(absl::OkStatus());
  }
  absl::Status Publish(const v1::EnginePublication&) override {
    return absl::OkStatus();
  }
  void Ask(v1::EngineQuestion, absl::Duration, IsEnough,
           AnswersCallback done) override {
    done({});
  }
  bool is_up() const override { return true; }
  void OnInterest(HubScope, const std::string&, bool) override {}
};

}  // namespace headgate

#endif  // GATEWAY_HUB_ENGINE_H_
