#ifndef GATEWAY_SESSION_TAP_H_
#define GATEWAY_SESSION_TAP_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "gateway/base/clock.h"
#include "gateway/base/status.h"
#include "gateway/codec/dialect.h"
#include "gateway/http/session_request.h"

namespace headgate {

// What an event of a tap says of its session. Nothing of it is a credential.
struct TapSession {
  std::string id;
  std::string peer;
  std::shared_ptr<const Route> route;
  std::string method;  // Empty: several.
  // Where the same session could be opened; empty: it is not known any more
  // (HTTP rules). Without the query.
  std::string path;
  // The client's handshake chose the codec by its subprotocol.
  const Dialect* chosen = nullptr;
};

// Something that has happened to a session.
struct TapEvent {
  enum class Kind { kOpened, kRequest, kResponse, kEnded };
  // What the payload is.
  enum class Form {
    kWire,  // A WebSocket message, in the session's codec.
    // A message of the call, serialized: binary. Empty text: the client has
    // ended its side.
    kMessage,
  };

  std::shared_ptr<const TapSession> session;
  Kind kind = Kind::kRequest;
  Form form = Form::kWire;
  Moment at;
  const Dialect* codec = nullptr;  // Null until it is chosen.
  std::string method;  // Of kMessage, where the session has several.
  Opcode opcode = Opcode::kBinary;
  std::size_t bytes = 0;  // Of the whole message.
  // A sink's copy of the message; empty where it is longer than the sink wants.
  std::string payload;
  bool has_payload = false;
  // Of kEnded.
  CloseCode close = CloseCode::kNormal;
  bool by_gateway = false;  // Else by the client, or the connection was lost.
  absl::Status status;
};

// Which sessions a tap sees; what is empty is any.
struct TapFilter {
  std::string id = {};
  std::string route = {};   // Its name.
  std::string method = {};  // "/package.Service/Method"
  // One session in so many, chosen by its id, so that a session is seen wholly
  // or not at all.
  std::uint32_t sample = 1;

  bool Matches(const SessionRequest& request) const;
};

// Takes events of the sessions that fit its filter.
//
// Thread: Offer is called by all workers, and must not wait for anything.
class TapSink {
 public:
  virtual ~TapSink() = default;
  // `payload`: of the message. The sink copies it, and the event, if it has
  // room for them.
  virtual void Offer(const TapEvent& event, absl::string_view payload) = 0;
  // Events that it had no room for. Thread: any.
  virtual std::uint64_t dropped() const = 0;

  const TapFilter& filter() const { return filter_; }

 protected:
  explicit TapSink(TapFilter filter) : filter_(std::move(filter)) {}

 private:
  const TapFilter filter_;
};

// The taps of one worker. As long as there are none, a message costs a look at
// active().
//
// Thread: its worker's.
class SessionTaps {
 public:
  bool active() const { return !sinks_.empty(); }
  // Another one with each change.
  std::uint32_t generation() const { return generation_; }
  const std::vector<std::shared_ptr<TapSink>>& sinks() const { return sinks_; }

  void Add(std::shared_ptr<TapSink> sink);
  void Remove(const TapSink* sink);

 private:
  std::vector<std::shared_ptr<TapSink>> sinks_;
  std::uint32_t generation_ = 0;
};

// What taps see of a session that speaks `codec`, null where that is not chosen
// yet: WebSocket messages in the gateway's own codecs; of other dialects, whose
// frames mean nothing by themselves, the messages of the calls.
TapEvent::Form TappedForm(const Dialect* codec);

// What one session knows of its taps; made with the first that is active.
class TappedSession {
 public:
  // Offers it to the sinks that want this session.
  void Offer(const SessionTaps& taps, const SessionRequest& request,
             TapEvent event, absl::string_view payload);

 private:
  std::uint32_t generation_ = 0;
  std::vector<std::shared_ptr<TapSink>> wanted_by_;
  std::shared_ptr<const TapSession> session_;
};

// A path that leads to the route and method of `request`, without its query;
// empty: none can be told.
std::string PathOf(const SessionRequest& request);

}  // namespace headgate

#endif  // GATEWAY_SESSION_TAP_H_
