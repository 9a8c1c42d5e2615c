#include "backend/lobby_service.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/synchronization/mutex.h"
#include "backend/stream_reactor.h"
#include "headgate/demo/v1/game.grpc.pb.h"

namespace headgate {
namespace {

using demo::v1::ChatLine;
using demo::v1::LobbyEvent;
using Context = grpc::CallbackServerContext;

// Players whose points are remembered.
constexpr std::size_t kMaxPlayers = 10000;

LobbyEvent MakeEvent(const std::string& player, LobbyEvent::Kind kind,
                     const std::string& text = "") {
  LobbyEvent event;
  event.set_player(player);
  event.set_kind(kind);
  event.set_text(text);
  return event;
}

using Player = StreamReactor<demo::v1::JoinRequest, LobbyEvent>;

// Who has joined, and who has how many points. Safe for any thread.
class Lobby {
 public:
  void Join(std::shared_ptr<Player> player) {
    absl::MutexLock lock(&mu_);
    joined_.insert(std::move(player));
  }
  void Leave(Player* player) {
    absl::MutexLock lock(&mu_);
    joined_.erase(player);
  }
  // The queues are filled under the lock, so that all get the events in one
  // order; sending waits until it is released.
  void Tell(LobbyEvent event) {
    const auto shared = std::make_shared<const LobbyEvent>(std::move(event));
    std::vector<std::shared_ptr<Player>> players;
    {
      absl::MutexLock lock(&mu_);
      players.assign(joined_.begin(), joined_.end());
      for (const auto& player : players) player->Enqueue(shared);
    }
    for (const auto& player : players) player->Flush();
  }
  // RESOURCE_EXHAUSTED: there are too many players.
  grpc::Status Score(const std::string& player, std::int64_t points,
                     std::int64_t* total) {
    {
      absl::MutexLock lock(&mu_);
      if (points_.size() >= kMaxPlayers && !points_.contains(player)) {
        return grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED,
                            "too many players");
      }
      // Wraps rather than overflows, whatever a client sends.
      std::int64_t& sum = points_[player];
      sum = static_cast<std::int64_t>(static_cast<std::uint64_t>(sum) +
                                      static_cast<std::uint64_t>(points));
      *total = sum;
    }
    Tell(MakeEvent(player, LobbyEvent::KIND_SCORED));
    return grpc::Status::OK;
  }

 private:
  absl::Mutex mu_;
  // Hashes a shared_ptr as the pointer in it, and finds it by that.
  absl::flat_hash_set<std::shared_ptr<Player>> joined_ ABSL_GUARDED_BY(mu_);
  absl::flat_hash_map<std::string, std::int64_t> points_ ABSL_GUARDED_BY(mu_);
};

// One player's stay. The first message says who it is.
class JoinReactor final : public Player {
 public:
  explicit JoinReactor(std::shared_ptr<Lobby> lobby)
      : lobby_(std::move(lobby)) {}

 private:
  void OnMessage(demo::v1::JoinRequest& request) override {
    const std::string& name = request.player();
    {
      absl::MutexLock lock(&mu_);
      if (ended_) return;  // Nobody would take it out of the lobby again.
      if (name.empty() || !player_.empty()) {
        refused_ = true;
      } else {
        player_ = name;
        lobby_->Join(self());
      }
    }
    if (refused_) {
      return End(grpc::Status(
          grpc::StatusCode::INVALID_ARGUMENT,
          "player: must be named in the first message, and only there"));
    }
    lobby_->Tell(MakeEvent(name, LobbyEvent::KIND_JOINED));
  }
  void OnEnding() override {
    std::string name;
    {
      absl::MutexLock lock(&mu_);
      ended_ = true;
      name = player_;
    }
    if (name.empty()) return;
    lobby_->Leave(this);
    lobby_->Tell(MakeEvent(name, LobbyEvent::KIND_LEFT));
  }

  const std::shared_ptr<Lobby> lobby_;
  bool refused_ = false;  // Of the thread that reads.
  absl::Mutex mu_;        // Taken before the lobby's.
  bool ended_ ABSL_GUARDED_BY(mu_) = false;
  std::string player_ ABSL_GUARDED_BY(mu_);
};

class ChatReactor final : public StreamReactor<ChatLine, ChatLine> {
 public:
  explicit ChatReactor(std::shared_ptr<Lobby> lobby)
      : lobby_(std::move(lobby)) {}

 private:
  void OnMessage(ChatLine& line) override {
    lobby_->Tell(MakeEvent(line.player(), LobbyEvent::KIND_SAID, line.text()));
    Send(std::move(line));
  }

  const std::shared_ptr<Lobby> lobby_;
};

class ReplayReactor final : public grpc::ServerReadReactor<demo::v1::Move> {
 public:
  explicit ReplayReactor(demo::v1::ReplayResponse* response)
      : response_(*response) {
    StartRead(&move_);
  }

  void OnReadDone(bool ok) override {
    if (!ok) return Finish(grpc::Status::OK);
    response_.set_moves(response_.moves() + 1);
    response_.set_distance(response_.distance() +
                           std::abs(std::int64_t{move_.x()}) +
                           std::abs(std::int64_t{move_.y()}));
    StartRead(&move_);
  }

  void OnDone() override { delete this; }

 private:
  demo::v1::ReplayResponse& response_;  // gRPC's, until Finish.
  demo::v1::Move move_;
};

class LobbyService final : public demo::v1::LobbyService::CallbackService {
  grpc::ServerBidiReactor<demo::v1::JoinRequest, LobbyEvent>* Join(
      Context*) override {
    return JoinReactor::Start(std::make_shared<JoinReactor>(lobby_));
  }

  grpc::ServerBidiReactor<ChatLine, ChatLine>* Chat(Context*) override {
    return ChatReactor::Start(std::make_shared<ChatReactor>(lobby_));
  }

  grpc::ServerUnaryReactor* Score(Context* context,
                                  const demo::v1::ScoreRequest* request,
                                  demo::v1::ScoreResponse* response) override {
    std::int64_t total = 0;
    const grpc::Status status =
        lobby_->Score(request->player(), request->points(), &total);
    response->set_total(total);
    grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
    reactor->Finish(status);
    return reactor;
  }

  grpc::ServerReadReactor<demo::v1::Move>* Replay(
      Context*, demo::v1::ReplayResponse* response) override {
    return new ReplayReactor(response);
  }

  const std::shared_ptr<Lobby> lobby_ = std::make_shared<Lobby>();
};

}  // namespace

std::unique_ptr<grpc::Service> MakeLobbyService() {
  return std::make_unique<LobbyService>();
}

}  // namespace headgate
