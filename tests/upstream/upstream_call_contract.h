#ifndef TESTS_UPSTREAM_UPSTREAM_CALL_CONTRACT_H_
#define TESTS_UPSTREAM_UPSTREAM_CALL_CONTRACT_H_

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <grpcpp/server.h>
#include <gtest/gtest.h>
#include <boost/asio/io_context.hpp>

#include "gateway/upstream/loop_turn.h"
#include "gateway/upstream/pooled_upstream.h"
#include "tests/testing/test_folder.h"
#include "tests/upstream/scripted_service.h"

namespace headgate {

// The transport under test.
struct ContractedTransport {
  // For the calls of `worker`.
  std::unique_ptr<PooledUpstream> (*make)(UpstreamOptions options,
                                          boost::asio::io_context& worker,
                                          Turn& turn);
  enum class Security { kPlaintext, kTls } security;
};

// What every transport behind UpstreamCall must do, against a real gRPC server.
// The tests are in upstream_call_contract.cc and, those of the backend's
// metadata, in upstream_call_metadata_contract.cc; a transport runs them with
//
//   INSTANTIATE_TEST_SUITE_P(Grpc, UpstreamCallContract,
//                            InPlaintextAndWithTls<GrpcUpstream>(),
//                            SecurityName);
//
// The fixture is the observer of one call, and looks after the rules that hold
// at any time: events come on the worker's thread, never from within a method,
// never after OnDone or after the call was destroyed.
class UpstreamCallContract
    : public ::testing::TestWithParam<ContractedTransport>,
      public UpstreamCallObserver {
 protected:
  static constexpr std::size_t kMaxAnswerBytes = 4 * 1024 * 1024;

  UpstreamCallContract();
  ~UpstreamCallContract();

  // The upstream is this one from now on.
  void Connect(const std::string& target);
  // Starts a call of the method; see ScriptedService for what they do.
  void Start(const std::string& method, Metadata metadata = {},
             absl::Duration timeout = absl::InfiniteDuration());
  // The same, with the backend's metadata.
  void StartWithMetadata(const std::string& method);
  void Read();
  void Write(std::string payload, WriteHint hint = WriteHint::kLast);
  void WritesDone();
  void Destroy();
  // Writes these one after the other, as OnWritten allows, then half-closes.
  void WriteAll(std::deque<std::string> payloads);

  // Runs the worker until no call is left.
  void Run();
  // Runs it until `done`; gives up after some seconds.
  bool RunUntil(const std::function<bool()>& done);
  // Runs it until so many calls have begun at the backend, or were cancelled.
  bool CallsBegin(int count);
  bool CancellationsArrive(int count);

  const absl::Status& status() const { return end_->status; }

  void OnHeaders(Metadata headers) override;
  void OnMessage(std::string payload) override;
  void OnWritten() override;
  void OnDone(CallEnd end) override;

  const TestFolder folder_;
  ScriptedService service_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
  boost::asio::io_context worker_{1};
  LoopTurn turn_{worker_};
  UpstreamOptions options_;
  std::unique_ptr<Upstream> upstream_;
  std::unique_ptr<UpstreamCall> call_;

  bool reads_on_ = true;  // OnMessage reads again.
  std::function<void()> on_headers_;
  std::function<void()> on_message_;
  std::function<void()> on_written_;
  std::function<void()> on_done_;

  std::optional<Metadata> headers_;
  std::vector<std::string> messages_;
  int written_ = 0;
  std::optional<CallEnd> end_;

 private:
  void CheckEvent();
  void WriteNext();

  const std::thread::id thread_ = std::this_thread::get_id();
  bool inside_ = false;  // A method of the call or the upstream.
  std::optional<std::deque<std::string>> queue_;
};

template <typename Transport>
auto InPlaintextAndWithTls() {
  const auto make = [](UpstreamOptions options, boost::asio::io_context& worker,
                       Turn& turn) -> std::unique_ptr<PooledUpstream> {
    return std::make_unique<Transport>(std::move(options), worker, turn);
  };
  using Security = ContractedTransport::Security;
  return ::testing::Values(ContractedTransport{make, Security::kPlaintext},
                           ContractedTransport{make, Security::kTls});
}
inline std::string SecurityName(
    const ::testing::TestParamInfo<ContractedTransport>& transport) {
  return transport.param.security == ContractedTransport::Security::kTls
             ? "Tls"
             : "Plaintext";
}

}  // namespace headgate

#endif  // TESTS_UPSTREAM_UPSTREAM_CALL_CONTRACT_H_
