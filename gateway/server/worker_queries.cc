// What operators ask of a worker: its figures, sessions, taps, and what holds
// memory.

#include <algorithm>
#include <utility>
#include <vector>

#include <boost/asio/post.hpp>

#include "gateway/server/worker.h"

namespace headgate {
namespace {

// At a time, of one worker.
constexpr std::ptrdiff_t kMostHolders = 10'000;

// By what asks for sessions: some ten microseconds.
constexpr std::size_t kScannedPerIteration = 256;

}  // namespace

void Worker::AddTap(std::shared_ptr<TapSink> sink,
                    std::function<void(bool)> done) {
  boost::asio::post(io_context_,
                    [this, sink = std::move(sink), done = std::move(done)] {
                      taps_->Add(sink);
                      done(true);
                    });
}

void Worker::RemoveTap(std::shared_ptr<const TapSink> sink) {
  boost::asio::post(io_context_, [this, sink = std::move(sink)] {
    taps_->Remove(sink.get());
  });
}

void Worker::GetStats(std::function<void(Stats)> callback) {
  struct Sum {
    std::vector<std::uint64_t> open;  // By listener.
    Buffered buffered;
  };
  auto sum = std::make_shared<Sum>();
  auto scan = std::make_shared<Scan>();
  scan->visit = [this, sum](const Connections::Entry& entry) {
    if (sum->open.size() <= entry.listener)
      sum->open.resize(entry.listener + 1);
    if (!entry.connection->is_stream()) ++sum->open[entry.listener];
    if (const Session* session = entry.connection->session()) {
      recorder_.OnVisited(*session);
      const Buffered buffered = session->buffered();
      sum->buffered.in += buffered.in;
      sum->buffered.out += buffered.out;
    }
    return true;
  };
  scan->done = [this, sum, callback = std::move(callback)] {
    Stats stats = recorder_.stats();
    stats.buffered_in = sum->buffered.in;
    stats.buffered_out = sum->buffered.out;
    stats.hub_pinned_bytes = pinned_ == nullptr ? 0 : pinned_->bytes();
    stats.tls_floods = tls_buffers_.floods;
    for (std::size_t i = 0; i < sum->open.size(); ++i) {
      const std::string& address =
          configuration_->settings.listeners[i].address;
      stats.listeners[address].open += sum->open[i];
    }
    for (const auto& [name, entry] : upstreams_) {
      Stats::PerUpstream& upstream = stats.upstreams[name];
      upstream.connections += entry.upstream->channel_count();
      if (voice_ == WorkerUpstream::Voice::kSilent) continue;
      upstream.known = true;
      upstream.reachable = entry.upstream->reachable().value_or(false);
    }
    callback(std::move(stats));
  };
  Continue(std::move(scan));
}

void Worker::Continue(std::shared_ptr<Scan> scan) {
  boost::asio::post(io_context_, [this, scan = std::move(scan)]() mutable {
    if (stopping_) return;
    bool wanted = true;
    const std::uint64_t last =
        connections_.Visit(scan->after, kScannedPerIteration,
                           [&](const Connections::Entry& entry) {
                             wanted = wanted && scan->visit(entry);
                           });
    if (last == 0 || !wanted) return scan->done();
    scan->after = last;
    Continue(std::move(scan));
  });
}

void Worker::ListSessions(SessionFilter filter, SessionPage page,
                          std::function<void(SessionList)> callback) {
  auto list = std::make_shared<SessionList>();
  auto scan = std::make_shared<Scan>();
  scan->visit = [list, page,
                 filter = std::move(filter)](const Connections::Entry& entry) {
    const Session* session = entry.connection->session();
    if (session == nullptr || !Matches(filter, *session)) return true;
    ++list->matching;
    if (entry.number <= page.after) return true;
    if (list->sessions.size() < page.limit) {
      list->sessions.push_back(InfoOf(*session, entry.number));
    } else {
      list->has_more = true;
    }
    return true;
  };
  scan->done = [list, callback = std::move(callback)] {
    callback(std::move(*list));
  };
  Continue(std::move(scan));
}

void Worker::CloseSession(std::string id,
                          std::function<void(bool found)> callback) {
  auto found = std::make_shared<std::shared_ptr<Connection>>();
  auto scan = std::make_shared<Scan>();
  scan->visit = [found, id = std::move(id)](const Connections::Entry& entry) {
    const Session* session = entry.connection->session();
    const bool is_it = session != nullptr && session->request().id == id;
    if (is_it) *found = entry.connection;
    return !is_it;
  };
  scan->done = [found, callback = std::move(callback)] {
    if (*found != nullptr) (*found)->CloseSession();
    callback(*found != nullptr);
  };
  Continue(std::move(scan));
}

void Worker::FindHolders(std::function<void(std::vector<Holder>)> callback) {
  boost::asio::post(io_context_, [this, callback = std::move(callback)] {
    if (stopping_) return;
    std::vector<Holder> holders;
    connections_.ForEach([&](const Connections::Entry& entry) {
      const std::size_t bytes = entry.connection->held_bytes();
      if (bytes >= kLeastHeldBytes) {
        holders.push_back({bytes, entry.connection});
      }
    });
    if (holders.size() > kMostHolders) {
      std::nth_element(
          holders.begin(), holders.begin() + kMostHolders, holders.end(),
          [](const Holder& a, const Holder& b) { return a.bytes > b.bytes; });
      holders.resize(kMostHolders);
    }
    callback(std::move(holders));
  });
}

void Worker::CloseForMemory(std::vector<std::weak_ptr<Connection>> connections,
                            absl::Duration patience,
                            std::function<void(bool)> done) {
  boost::asio::post(io_context_, [this, connections = std::move(connections),
                                  patience, done = std::move(done)]() mutable {
    if (stopping_) return;
    for (const std::weak_ptr<Connection>& weak : connections) {
      const std::shared_ptr<Connection> connection = weak.lock();
      if (connection != nullptr) connection->CloseForMemory(now(), patience);
    }
    turn_.Run();
    // Behind the handlers of their cancelled operations, which keep them.
    boost::asio::post(io_context_, [done = std::move(done)] { done(true); });
  });
}

}  // namespace headgate
