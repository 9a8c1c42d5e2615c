#ifndef GATEWAY_NET_HTTP_DISPATCHER_H_
#define GATEWAY_NET_HTTP_DISPATCHER_H_

#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "gateway/http/handshake.h"
#include "gateway/net/connection.h"
#include "gateway/net/http_transport.h"

namespace headgate {

// A response of the gateway's own. Its body has a known length.
struct OwnResponse {
  int status = 200;
  HttpFields fields;  // Without Content-Length; empty body of 204.
  std::string body;
  // The connection may serve another request.
  bool keep_alive = false;
  // To be kept until it has been sent; may be null.
  std::unique_ptr<Place> place = nullptr;
};

// What every response says of the gateway.
HttpFields CommonFields(absl::Time now);

// Finds out what one request leads to, whatever version of HTTP it came by: a
// response of the gateway's own (the console, OPTIONS, a refusal), a
// WebSocket, or a call over plain HTTP.
//
// Thread: the worker's.
class HttpDispatcher {
 public:
  using Judgement = std::variant<Refusal, Admission>;

  // One of the first three ends the dispatcher's work, perhaps within Start;
  // they may destroy it.
  class Owner {
   public:
    virtual void OnOwnResponse(OwnResponse response) = 0;
    // Accept it: a refusal is told by a Close frame.
    virtual void OnWebSocket(Judgement judgement) = 0;
    // `options`: what the request says of its response. The rest of them is
    // the connection's.
    virtual void OnCall(Admission admission,
                        HttpTransport::Options options) = 0;
    // Held while the owner is called from outside of its connection.
    virtual std::shared_ptr<void> KeepAlive() = 0;

   protected:
    ~Owner() = default;
  };

  // All must outlive it. `peer`: the connection's.
  HttpDispatcher(const HttpRequest& request, const Peer& peer,
                 std::shared_ptr<const ConnectionSettings> settings,
                 ConnectionHost& host, Owner& owner);

  // Once, first. What it needs of an upstream may come later.
  void Start();

  // The request is of no interest any more: no event follows.
  void Cancel();

  // Refuses the request over HTTP, as the listener does it for the request's
  // origin; OnOwnResponse follows.
  void Refuse(const Refusal& refusal);

  // The session's place, after OnWebSocket with an Admission or OnCall.
  std::unique_ptr<Place> TakePlace() { return std::move(place_); }
  const Peer& peer() const { return peer_; }

 private:
  // Whether the request is for the console.
  bool AnswerConsole();
  void OnConsoleSchema(const absl::StatusOr<SchemaSnapshot>& snapshot);
  // Calls `then` at once where the schema is known, else by ticket_. This may
  // be gone afterwards.
  void AwaitSchema(
      const std::string& upstream,
      void (HttpDispatcher::*then)(const absl::StatusOr<SchemaSnapshot>&));
  void FindRules();
  void OnRules(const absl::StatusOr<SchemaSnapshot>& snapshot);
  // An OPTIONS that no rule is for; false when it is another request.
  bool AnswerOptionsOf(const HttpRules& rules);
  // Answers an OPTIONS where `verbs` are served; false when it is another
  // request, or none are.
  bool AnswerOptions(const std::vector<std::string>& verbs);
  void Judge(const HttpRules* rules);
  // Asks the backend, where the route is a hub that does.
  void AskAdmission(Admission admission);
  void OnVerdict(Admission admission, const absl::Status& verdict);
  void EndWith(Judgement judgement);
  HttpTransport::Options OptionsOf(const Admission& admission,
                                   MethodKind kind) const;
  // In the form of the request's dialect.
  OwnResponse ResponseOf(const Refusal& refusal) const;
  HttpFields Cors() const;

  const HttpRequest& request_;
  const std::shared_ptr<const ConnectionSettings> settings_;
  ConnectionHost& host_;
  Owner& owner_;
  Peer peer_;
  std::optional<Located> located_;
  std::unique_ptr<Place> place_;  // Among the sessions.
  std::unique_ptr<SchemaSource::Ticket> ticket_;
  std::unique_ptr<ConnectionHost::AdmissionTicket> admission_ticket_;
};

}  // namespace headgate

#endif  // GATEWAY_NET_HTTP_DISPATCHER_H_
