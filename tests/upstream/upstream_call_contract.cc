#include "tests/upstream/upstream_call_contract.h"

#include <atomic>
#include <chrono>
#include <random>
#include <thread>
#include <utility>

#include <gmock/gmock.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>
#include <boost/asio/ip/tcp.hpp>

#include "absl/strings/str_cat.h"
#include "tests/testing/certificates.h"
#include "tests/upstream/test_call.h"

namespace headgate {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

UpstreamCallContract::UpstreamCallContract() {
  options_.max_answer_bytes = kMaxAnswerBytes;
  std::shared_ptr<grpc::ServerCredentials> credentials =
      grpc::InsecureServerCredentials();
  if (GetParam().security == ContractedTransport::Security::kTls) {
    static const Authority authority("test");
    static const Identity identity = authority.Issue("server");
    options_.settings.tls.emplace();
    options_.settings.tls->ca =
        folder_.Write("ca.crt", authority.certificate());
    grpc::SslServerCredentialsOptions tls;
    tls.pem_key_cert_pairs = {{identity.key, identity.certificate}};
    credentials = grpc::SslServerCredentials(tls);
  }
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", credentials, &port_);
  builder.RegisterCallbackGenericService(&service_);
  server_ = builder.BuildAndStart();
  Connect(absl::StrCat("127.0.0.1:", port_));
}

UpstreamCallContract::~UpstreamCallContract() {
  Destroy();
  Run();
}

void UpstreamCallContract::Connect(const std::string& target) {
  options_.settings.target = target;
  upstream_ = GetParam().make(options_, worker_, turn_);
}

void UpstreamCallContract::Start(const std::string& method, Metadata metadata,
                                 absl::Duration timeout) {
  inside_ = true;
  call_ = upstream_->StartCall({method, std::move(metadata), timeout}, *this);
  inside_ = false;
}
void UpstreamCallContract::StartWithMetadata(const std::string& method) {
  inside_ = true;
  CallRequest request;
  request.method = method;
  request.metadata_delivery = MetadataDelivery::kDelivered;
  call_ = upstream_->StartCall(std::move(request), *this);
  inside_ = false;
}
void UpstreamCallContract::Read() {
  inside_ = true;
  call_->Read();
  inside_ = false;
}
void UpstreamCallContract::Write(std::string payload, WriteHint hint) {
  inside_ = true;
  call_->Write(std::move(payload), hint);
  inside_ = false;
}
void UpstreamCallContract::WritesDone() {
  inside_ = true;
  call_->WritesDone();
  inside_ = false;
}
void UpstreamCallContract::Destroy() {
  inside_ = true;
  call_.reset();
  inside_ = false;
}

void UpstreamCallContract::WriteAll(std::deque<std::string> payloads) {
  queue_ = std::move(payloads);
  WriteNext();
}
void UpstreamCallContract::WriteNext() {
  if (!queue_ || call_ == nullptr) return;
  if (queue_->empty()) {
    queue_.reset();
    return WritesDone();
  }
  std::string payload = std::move(queue_->front());
  queue_->pop_front();
  Write(std::move(payload),
        queue_->empty() ? WriteHint::kLast : WriteHint::kMoreFollows);
}

void UpstreamCallContract::Run() {
  worker_.restart();
  worker_.run_for(std::chrono::seconds(20));
  EXPECT_TRUE(worker_.stopped()) << "a call is left over";
}
bool UpstreamCallContract::RunUntil(const std::function<bool()>& done) {
  return headgate::RunUntil(worker_, done);
}
bool UpstreamCallContract::CallsBegin(int count) {
  return RunUntil([&] { return service_.calls() >= count; });
}
bool UpstreamCallContract::CancellationsArrive(int count) {
  return RunUntil([&] { return service_.cancellations() >= count; });
}

void UpstreamCallContract::CheckEvent() {
  EXPECT_FALSE(inside_) << "an event from within a method";
  EXPECT_NE(call_, nullptr) << "an event after the call was destroyed";
  EXPECT_FALSE(end_) << "an event after OnDone";
  EXPECT_EQ(std::this_thread::get_id(), thread_);
}
void UpstreamCallContract::OnHeaders(Metadata headers) {
  CheckEvent();
  EXPECT_FALSE(headers_) << "headers for a second time";
  EXPECT_TRUE(messages_.empty()) << "headers after a message";
  headers_ = std::move(headers);
  if (on_headers_) on_headers_();
}
void UpstreamCallContract::OnMessage(std::string payload) {
  CheckEvent();
  messages_.push_back(std::move(payload));
  if (on_message_) on_message_();
  if (reads_on_ && call_ != nullptr) Read();
}
void UpstreamCallContract::OnWritten() {
  CheckEvent();
  ++written_;
  if (on_written_) on_written_();
  WriteNext();
}
void UpstreamCallContract::OnDone(CallEnd end) {
  CheckEvent();
  end_ = std::move(end);
  if (on_done_) on_done_();
}

TEST_P(UpstreamCallContract, MessagesArriveInOrderBothWays) {
  std::vector<std::string> expected;
  for (int i = 0; i < 100; ++i) expected.push_back(absl::StrCat("m", i));
  Start("/echo");
  Read();
  WriteAll({expected.begin(), expected.end()});
  Run();
  EXPECT_EQ(messages_, expected);
  EXPECT_EQ(written_, 100);
  ASSERT_TRUE(end_);
  EXPECT_TRUE(status().ok()) << status();
}

// Above and below what fits one HTTP/2 frame, one window, one slice; and none
// at all, which is a message too.
TEST_P(UpstreamCallContract, MessagesOfAnySizeArriveWhole) {
  std::vector<std::string> expected;
  for (const std::size_t size :
       {0u, 1u, 0u, 1023u, 1024u, 16'384u, 65'536u, 1u << 20, 3u << 20, 0u}) {
    std::string message(size, 'a');
    if (size > 0) message.back() = '\0';
    expected.push_back(message);
  }
  Start("/echo");
  Read();
  WriteAll({expected.begin(), expected.end()});
  Run();
  ASSERT_EQ(messages_.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_TRUE(messages_[i] == expected[i]) << i;
  }
  ASSERT_TRUE(end_);
  EXPECT_TRUE(status().ok()) << status();
}

TEST_P(UpstreamCallContract, MetadataArrives) {
  const std::string bytes("\0\xFF,=", 4);
  Start("/metadata", {{"x-b", "1"},
                      {"x-a", "first, and more"},
                      {"x-b", "2"},
                      {"x-raw-bin", bytes},
                      {"x-empty", ""},
                      {"x-raw-bin", ""}});
  Read();
  WritesDone();
  Run();
  EXPECT_THAT(messages_, UnorderedElementsAre("x-a=first, and more", "x-b=1",
                                              "x-b=2", "x-raw-bin=" + bytes,
                                              "x-empty=", "x-raw-bin="));
}

TEST_P(UpstreamCallContract, StatusArrivesWithMessageAndDetails) {
  Start("/fail");
  Read();
  Write("x");
  Run();
  ASSERT_TRUE(end_);
  EXPECT_EQ(status(), absl::NotFoundError("no room"));
  EXPECT_EQ(end_->details, std::string("de\0tails\xFF", 9));
}

// grpc/grpc doc/statuscodes.md: what is not in the table is UNKNOWN. (Above 31
// gRPC's own enum cannot hold the number, and UBSan stops the server.)
TEST_P(UpstreamCallContract, UnknownCodeIsUnknown) {
  for (const char* method : {"/code-17", "/code-31"}) {
    end_.reset();
    Start(method);
    Read();
    Run();
    ASSERT_TRUE(end_);
    EXPECT_EQ(status().code(), absl::StatusCode::kUnknown) << method;
    EXPECT_THAT(std::string(status().message()), HasSubstr("by number"));
    Destroy();
  }
}

TEST_P(UpstreamCallContract, OkWithoutAnyMessageArrives) {
  Start("/ok");
  Read();
  Run();
  EXPECT_THAT(messages_, IsEmpty());
  ASSERT_TRUE(end_);
  EXPECT_TRUE(status().ok()) << status();
  EXPECT_EQ(end_->details, "");
}

// A write that comes too late is answered before the end or not at all.
TEST_P(UpstreamCallContract, NothingFollowsTheEnd) {
  on_written_ = [&] { Write("on and on"); };
  Start("/fail");
  Read();
  Write("x");
  ASSERT_TRUE(RunUntil([&] { return end_.has_value(); }));
  Run();
  EXPECT_EQ(status(), absl::NotFoundError("no room"));
}

// A write that fails says only that the backend listens no longer; what it said
// before must be delivered, however late it is read.
TEST_P(UpstreamCallContract, MessagesBeforeTheStatusArriveWhenWritesFail) {
  reads_on_ = false;
  Start("/burst");
  Write("x");
  on_written_ = [&] {
    if (written_ < 500) Write("unheard");
  };
  // All writes are answered although nobody reads at either end.
  ASSERT_TRUE(RunUntil([&] { return written_ == 500; }));
  EXPECT_FALSE(end_);
  reads_on_ = true;
  Read();
  Run();
  EXPECT_THAT(messages_, ElementsAre("x", "x", "x"));
  ASSERT_TRUE(end_);
  EXPECT_EQ(status(), absl::AbortedError("enough"));
}

// OnDone answers a Read: without one there is no event, and with one per
// message none is lost.
TEST_P(UpstreamCallContract, NothingIsDeliveredUnasked) {
  reads_on_ = false;
  Start("/burst");
  Write("x");
  ASSERT_TRUE(RunUntil([&] { return written_ == 1; }));
  for (std::size_t count = 1; count <= 3; ++count) {
    Read();
    ASSERT_TRUE(RunUntil([&] { return messages_.size() >= count; }));
    worker_.restart();
    worker_.poll();
    EXPECT_EQ(messages_.size(), count);
    EXPECT_FALSE(end_);
  }
  Read();
  Run();
  ASSERT_TRUE(end_);
}

TEST_P(UpstreamCallContract, AnswersArriveAfterHalfClose) {
  Start("/count");
  Read();
  WriteAll({"a", "b", "c"});
  Run();
  EXPECT_THAT(messages_, ElementsAre("3"));
  ASSERT_TRUE(end_);
  EXPECT_TRUE(status().ok()) << status();
}

TEST_P(UpstreamCallContract, HalfCloseWithoutAnyMessageIsSeen) {
  Start("/count");
  WritesDone();
  Read();
  Run();
  EXPECT_THAT(messages_, ElementsAre("0"));
}

TEST_P(UpstreamCallContract, DeadlineEndsACallWithASilentBackend) {
  Start("/silent", {}, absl::Milliseconds(100));
  Read();
  Run();
  ASSERT_TRUE(end_);
  EXPECT_EQ(status().code(), absl::StatusCode::kDeadlineExceeded) << status();
}

// A Grpc-Timeout of zero is a client's to send.
TEST_P(UpstreamCallContract, DeadlineOfZeroHasPassed) {
  Start("/echo", {}, absl::ZeroDuration());
  Read();
  Write("x");
  Run();
  ASSERT_TRUE(end_);
  EXPECT_EQ(status().code(), absl::StatusCode::kDeadlineExceeded) << status();
}

// What no clock can hold is no deadline.
TEST_P(UpstreamCallContract, HugeDeadlineIsNone) {
  Start("/echo", {}, absl::Hours(99'999'999));
  Read();
  WriteAll({"x"});
  Run();
  EXPECT_THAT(messages_, ElementsAre("x"));
  ASSERT_TRUE(end_);
  EXPECT_TRUE(status().ok()) << status();
}

TEST_P(UpstreamCallContract, NobodyListeningIsUnavailable) {
  // Bound, so that nobody else takes the port, and not listening.
  boost::asio::ip::tcp::acceptor bound(worker_);
  bound.open(boost::asio::ip::tcp::v4());
  bound.bind({boost::asio::ip::address_v4::loopback(), 0});
  Connect(absl::StrCat("127.0.0.1:", bound.local_endpoint().port()));
  Start("/echo");
  Write("x");
  Read();
  Run();
  ASSERT_TRUE(end_);
  EXPECT_EQ(status().code(), absl::StatusCode::kUnavailable) << status();
}

TEST_P(UpstreamCallContract, BackendThatDiesIsUnavailable) {
  Start("/echo");
  Read();
  Write("x");
  ASSERT_TRUE(RunUntil([&] { return messages_.size() == 1; }));
  server_->Shutdown(std::chrono::system_clock::now());
  Run();
  ASSERT_TRUE(end_);
  EXPECT_EQ(status().code(), absl::StatusCode::kUnavailable) << status();
}

TEST_P(UpstreamCallContract, AnswerOverTheLimitIsResourceExhausted) {
  Start("/large");
  Read();
  Write(absl::StrCat(kMaxAnswerBytes));
  ASSERT_TRUE(RunUntil([&] { return messages_.size() == 1; }));
  EXPECT_EQ(messages_[0].size(), kMaxAnswerBytes);
  Write(absl::StrCat(kMaxAnswerBytes + 1));
  Run();
  EXPECT_EQ(messages_.size(), 1u);
  ASSERT_TRUE(end_);
  EXPECT_EQ(status().code(), absl::StatusCode::kResourceExhausted) << status();
}

TEST_P(UpstreamCallContract, DestroyingACallCancelsItAtTheBackend) {
  Start("/silent");
  Read();
  Write("x");
  ASSERT_TRUE(CallsBegin(1));
  Destroy();
  EXPECT_TRUE(CancellationsArrive(1));
  Run();
  EXPECT_FALSE(end_);
}

// Ended calls are not cancelled: the backend would take its work for lost.
TEST_P(UpstreamCallContract, DestroyingAnEndedCallCancelsNothing) {
  Start("/count");
  Read();
  WriteAll({"x"});
  Run();
  Destroy();
  ASSERT_TRUE(end_);
  // Returns when the backend is done with the call and its connection.
  std::atomic<bool> done = false;
  std::thread shutdown([&] {
    server_->Shutdown();
    done = true;
  });
  EXPECT_TRUE(RunUntil([&] { return done.load(); }));
  shutdown.join();
  EXPECT_EQ(service_.cancellations(), 0);
}

TEST_P(UpstreamCallContract, MayBeDestroyedInOnMessage) {
  on_message_ = [&] { Destroy(); };
  Start("/echo");
  Read();
  WriteAll({"a", "b", "c"});
  Run();
  EXPECT_THAT(messages_, ElementsAre("a"));
  EXPECT_FALSE(end_);
}

TEST_P(UpstreamCallContract, MayBeDestroyedInOnWritten) {
  on_written_ = [&] { Destroy(); };
  Start("/echo");
  Read();
  Write("a");
  Run();
  EXPECT_EQ(written_, 1);
  EXPECT_FALSE(end_);
}

TEST_P(UpstreamCallContract, MayBeDestroyedInOnDone) {
  on_done_ = [&] { Destroy(); };
  Start("/fail");
  Read();
  Write("a");
  Run();
  ASSERT_TRUE(end_);
  EXPECT_EQ(call_, nullptr);
}

// No event may reach the observer of a destroyed call, whatever was in flight.
TEST_P(UpstreamCallContract, MayBeDestroyedAtAnyMoment) {
  std::mt19937 random(1);
  const char* methods[] = {"/echo", "/fail", "/burst", "/ok", "/count"};
  for (int i = 0; i < 200; ++i) {
    messages_.clear();
    end_.reset();
    Start(methods[i % 5]);
    Read();
    WriteAll({"a", std::string(random() % 100'000, 'b'), "c"});
    worker_.restart();
    for (int steps = random() % 8; steps > 0; --steps) {
      worker_.run_one_for(std::chrono::milliseconds(random() % 3));
    }
    Destroy();
  }
  Run();
}

// Not a byte is taken beyond what the transport itself holds: the write stays
// pending, and its owner sees that.
TEST_P(UpstreamCallContract, BackendThatDoesNotReadHoldsTheWritePending) {
  constexpr std::size_t kBytes = 256 * 1024;
  Start("/silent");
  Read();
  on_written_ = [&] { Write(std::string(kBytes, 'x')); };
  Write(std::string(kBytes, 'x'));
  ASSERT_TRUE(CallsBegin(1));
  // Until nothing has happened for a while.
  for (int before = -1; before != written_ && written_ < 100;) {
    before = written_;
    worker_.restart();
    worker_.run_one_for(std::chrono::milliseconds(500));
  }
  EXPECT_LT(written_, 20);
  Destroy();
  EXPECT_TRUE(CancellationsArrive(1));
  Run();
}

// A worker that stops must outlast its calls: run() waits for the last of
// them, with or without events left for anyone.
TEST_P(UpstreamCallContract, WorkerHasWorkWhileACallLives) {
  Start("/silent");
  ASSERT_TRUE(CallsBegin(1));
  worker_.restart();
  worker_.run_one_for(std::chrono::milliseconds(20));
  EXPECT_FALSE(worker_.stopped());
  Destroy();
  Run();
}

}  // namespace headgate
