#ifndef TESTS_H2_PEERS_H_
#define TESTS_H2_PEERS_H_

#include <algorithm>
#include <cstddef>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gateway/h2/session.h"
#include "tests/h2/frames.h"

namespace headgate::h2 {

// What happens, in order.
using Log = std::vector<std::string>;

inline std::vector<Field> Views(const Fields& fields) {
  std::vector<Field> views;
  for (const auto& [name, value] : fields) {
    views.push_back(MakeField(name, value));
  }
  return views;
}

// A stream whose events are in the log: "NAME field a=b", "NAME head",
// "NAME data 5", "NAME end".
class LoggedStream final : public Stream {
 public:
  LoggedStream(std::string name, Log& log)
      : name_(std::move(name)), log_(log) {}
  ~LoggedStream() {
    if (session() != nullptr) session()->Reset(*this, kCancel);
  }

  // What PeekOutgoing gives; `last`: nothing follows.
  void Put(const std::string& bytes, bool last = false) {
    to_send_ += bytes;
    last_ = last;
    if (session() != nullptr) session()->Resume(*this);
  }
  void EndWith(Fields trailers) {
    trailers_ = std::move(trailers);
    Put("", /*last=*/true);
  }

  bool logs_fields = true;
  bool consumes = true;
  std::deque<std::string> follow_ups;  // One is put whenever all is moved out.
  const std::string& received() const { return received_; }
  std::size_t unsent() const { return to_send_.size(); }
  const std::vector<StreamEnd>& ends() const { return ends_; }

 private:
  void Add(const std::string& what) {
    log_.push_back(absl::StrCat(name_, " ", what));
  }
  void OnFieldsBegin() override {}
  void OnField(absl::string_view name, absl::string_view value) override {
    if (logs_fields) Add(absl::StrCat("field ", name, "=", value));
  }
  void OnFieldsEnd(bool end_stream) override {
    Add(end_stream ? "head, end" : "head");
  }
  void OnData(absl::string_view bytes) override {
    if (received_.empty()) Add("data");
    received_.append(bytes.data(), bytes.size());
    if (consumes) (void)session()->Consume(*this, bytes.size());
  }
  void OnEndStream() override { Add("end"); }
  void OnEnd(const StreamEnd& end) override {
    ends_.push_back(end);
    static constexpr const char* kCauses[] = {
        "refused",       "reset",           "peer's fault",
        "list too long", "list unsendable", "stalled"};
    Add(absl::StrCat("gone: ", kCauses[static_cast<int>(end.cause)], " ",
                     ErrorName(end.code)));
  }
  Outgoing PeekOutgoing(std::size_t max) override {
    const std::size_t bytes = std::min(max, to_send_.size());
    return {bytes, last_ && bytes == to_send_.size()};
  }
  void MoveOutgoing(std::size_t bytes, std::string& to) override {
    to.append(to_send_, 0, bytes);
    to_send_.erase(0, bytes);
    if (!to_send_.empty() || follow_ups.empty()) return;
    const std::string next = std::move(follow_ups.front());
    follow_ups.pop_front();
    Put(next);
  }
  std::vector<Field> TakeTrailers() override { return Views(trailers_); }

  const std::string name_;
  Log& log_;
  std::string to_send_;
  bool last_ = false;
  Fields trailers_;
  std::string received_;
  std::vector<StreamEnd> ends_;
};

// A server's streams, as requests come: "s0", "s1".
class LoggedAcceptor final : public Acceptor {
 public:
  explicit LoggedAcceptor(Log& log) : log_(log) {}

  bool refuses = false;
  bool logs_fields = true;
  std::deque<LoggedStream> streams;

 private:
  Stream* OnRequest() override {
    if (refuses) return nullptr;
    streams.emplace_back(absl::StrCat("s", streams.size()), log_);
    streams.back().logs_fields = logs_fields;
    return &streams.back();
  }

  Log& log_;
};

inline const Fields kRequest = {{":method", "POST"},
                                {":scheme", "http"},
                                {":path", "/s/m"},
                                {":authority", "h"}};

}  // namespace headgate::h2

#endif  // TESTS_H2_PEERS_H_
