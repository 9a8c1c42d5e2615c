#ifndef TESTS_SESSION_CALL_FIXTURE_H_
#define TESTS_SESSION_CALL_FIXTURE_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "gateway/codec/dialect.h"
#include "gateway/session/call_session.h"
#include "tests/session/hello.h"
#include "tests/testing/fake_schema_source.h"
#include "tests/testing/fake_transport.h"
#include "tests/testing/fake_upstream.h"

namespace headgate {

// A session with one call, over a transport and an upstream that are the
// test's. The log shows what the session does to both.
class CallFixture : public ::testing::Test {
 protected:
  // A session without descriptors: its call is bidirectional.
  CallSession& Start(const Dialect* codec, const std::string& method = "/s/m") {
    SessionRequest request;
    request.id = "id";
    request.route = route_;
    request.method = method;
    request.codec = codec;
    if (binding_) {
      request.binding = std::make_shared<const RequestBinding>(*binding_);
    }
    request.metadata = handshake_metadata_;
    request.wants_status = wants_status_;
    session_.emplace(std::move(request),
                     std::make_shared<const SessionContext>(SessionContext{
                         limits_, upstream_, schemas_, nullptr,
                         [this] {
                           return Moment{now_, now_};
                         },
                         taps_, nullptr, identity_claim_, count_identity_}),
                     transport_);
    session_->Start(now_);
    return *session_;
  }
  CallSession& StartHello(const std::string& method, const Dialect* codec) {
    schemas_->schema = HelloSchema();
    return Start(codec, "/headgate.demo.v1.HelloService/" + method);
  }
  void Binary(std::string payload) {
    session_->OnMessage({Opcode::kBinary, std::move(payload)});
  }
  void Text(std::string payload) {
    session_->OnMessage({Opcode::kText, std::move(payload)});
  }
  void Violate() {
    session_->OnViolation(
        Ending{
            CloseCode::kProtocolError,
            CallEnd{absl::InvalidArgumentError("a reserved bit is set"), ""}},
        {now_, now_ + absl::Seconds(5)});
  }
  UpstreamCallObserver& backend() { return upstream_->call(0).observer(); }
  // The gateway stops, and the backends have nothing more to say.
  void Drain() {
    TellToDrain();
    now_ += absl::Milliseconds(100);
    session_->OnTick(now_);
  }
  void TellToDrain() {
    session_->Drain(
        {now_, now_ + absl::Seconds(10), "the gateway is shutting down"});
  }

  // What happened since the last look.
  testing::Log Steps() { return std::exchange(log_, {}); }

  testing::Log log_;
  const std::shared_ptr<testing::FakeUpstream> upstream_ =
      std::make_shared<testing::FakeUpstream>(log_);
  const std::shared_ptr<testing::FakeSchemaSource> schemas_ =
      std::make_shared<testing::FakeSchemaSource>();
  const std::shared_ptr<SessionTaps> taps_ = std::make_shared<SessionTaps>();
  testing::FakeTransport transport_{log_};
  std::shared_ptr<Route> route_ = std::make_shared<Route>();
  SessionLimits limits_;
  absl::Time now_ = absl::UnixEpoch();
  Metadata handshake_metadata_;
  std::string identity_claim_;
  std::function<std::shared_ptr<void>(const std::string&)> count_identity_;
  std::optional<RequestBinding> binding_;
  bool wants_status_ = false;
  std::optional<CallSession> session_;
};

}  // namespace headgate

#endif  // TESTS_SESSION_CALL_FIXTURE_H_
