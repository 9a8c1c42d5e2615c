#ifndef TESTS_TESTING_FAKE_UPSTREAM_H_
#define TESTS_TESTING_FAKE_UPSTREAM_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gateway/upstream/upstream.h"

namespace headgate::testing {

// Writes every step of a call into one shared log, so that a test can compare
// the whole conversation with a list it can read.
using Log = std::vector<std::string>;

// An upstream whose backend is the test: it keeps the calls it started, and
// the test gives their events.
//
//   Log log;
//   FakeUpstream upstream(log);
//   ... code under test starts a call, reads, writes ...
//   upstream.call(0).observer().OnMessage("b");
//   upstream.call(0).observer().OnDone({absl::OkStatus(), ""});
//   EXPECT_THAT(log, ElementsAre("start /s/m", "read", "write a", ...));
//
// With several calls the entries of the second begin with "#1 ", and so on.
class FakeUpstream final : public Upstream {
 public:
  // What the test knows of one call. It outlives the UpstreamCall.
  class Call final : public UpstreamCallObserver {
   public:
    Call(CallRequest request, UpstreamCallObserver& observer)
        : request_(std::move(request)), observer_(observer) {}

    const std::string& method() const { return request_.method; }
    const CallRequest& request() const { return request_; }
    // Whether the UpstreamCall exists; no event may be given afterwards.
    bool alive() const { return alive_; }
    // What was asked for and not answered by the test.
    bool reading() const { return reading_; }
    bool writing() const { return writing_; }
    // Of the last Write.
    WriteHint hint() const { return hint_; }
    bool writes_done() const { return writes_done_; }
    // Every payload written so far.
    const std::vector<std::string>& written() const { return written_; }

    // What UpstreamCall::bytes_taken says.
    std::uint64_t bytes_taken = 0;

    // The test gives the backend's events here; the code under test gets them.
    UpstreamCallObserver& observer() { return *this; }

    void OnHeaders(Metadata headers) override {
      observer_.OnHeaders(std::move(headers));
    }
    void OnMessage(std::string payload) override {
      reading_ = false;
      observer_.OnMessage(std::move(payload));
    }
    void OnWritten() override {
      writing_ = false;
      observer_.OnWritten();
    }
    void OnDraining() override { observer_.OnDraining(); }
    // Destroying the call afterwards is not a cancellation.
    void OnDone(CallEnd end) override {
      reading_ = false;
      done_ = true;
      observer_.OnDone(std::move(end));
    }

   private:
    friend class FakeUpstream;

    CallRequest request_;
    UpstreamCallObserver& observer_;
    bool alive_ = true;
    bool done_ = false;
    bool reading_ = false;
    bool writing_ = false;
    WriteHint hint_ = WriteHint::kLast;
    bool writes_done_ = false;
    std::vector<std::string> written_;
  };

  explicit FakeUpstream(Log& log) : log_(log) {}

  std::unique_ptr<UpstreamCall> StartCall(
      CallRequest request, UpstreamCallObserver& observer) override {
    const std::string prefix =
        calls_.empty() ? "" : absl::StrCat("#", calls_.size(), " ");
    log_.push_back(absl::StrCat(prefix, "start ", request.method));
    calls_.push_back(std::make_shared<Call>(std::move(request), observer));
    if (on_start_) on_start_();
    return std::make_unique<FakeCall>(log_, prefix, calls_.back());
  }

  std::size_t call_count() const { return calls_.size(); }
  // In the order in which they were started.
  Call& call(std::size_t index) { return *calls_.at(index); }
  // Called within StartCall. May be empty.
  std::function<void()> on_start_;

  std::size_t call_bytes() const override { return call_bytes_; }
  std::size_t call_bytes_ = 0;

 private:
  class FakeCall final : public UpstreamCall {
   public:
    FakeCall(Log& log, std::string prefix, std::shared_ptr<Call> call)
        : log_(log), prefix_(std::move(prefix)), call_(std::move(call)) {}
    ~FakeCall() override {
      call_->alive_ = false;
      if (!call_->done_) Add("cancel");
    }

    // A second Read or Write while one is pending breaks UpstreamCall's
    // contract: the log shows it.
    void Read() override {
      Add(call_->reading_ ? "read while reading" : "read");
      call_->reading_ = true;
    }
    void Write(std::string payload, WriteHint hint) override {
      Add(absl::StrCat(call_->writing_ ? "write while writing " : "write ",
                       payload));
      call_->writing_ = true;
      call_->hint_ = hint;
      call_->written_.push_back(std::move(payload));
    }
    void WritesDone() override {
      Add(call_->writing_ ? "writes-done while writing" : "writes-done");
      call_->writes_done_ = true;
    }

    std::uint64_t bytes_taken() const override { return call_->bytes_taken; }

   private:
    void Add(const std::string& entry) {
      log_.push_back(absl::StrCat(prefix_, entry));
    }

    Log& log_;
    const std::string prefix_;
    const std::shared_ptr<Call> call_;
  };

  Log& log_;
  std::vector<std::shared_ptr<Call>> calls_;
};

}  // namespace headgate::testing

#endif  // TESTS_TESTING_FAKE_UPSTREAM_H_
