#include "gateway/upstream/h2/health.h"

#include <algorithm>
#include <cassert>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gateway/upstream/h2/request_head.h"
#include "google/protobuf/unknown_field_set.h"

namespace headgate {
namespace {

constexpr absl::string_view kMethod = "/grpc.health.v1.Health/Watch";
// An answer has two bytes; the rest is for what it may hold one day.
constexpr std::size_t kMaxAnswerBytes = 4096;

// HealthCheckRequest { string service = 1; }
std::string MakeRequest(absl::string_view service) {
  std::string message;
  if (!service.empty()) {
    google::protobuf::UnknownFieldSet fields;
    fields.AddLengthDelimited(1, std::string(service));
    fields.SerializeToString(&message);
  }
  const MessagePrefix prefix = MakeMessagePrefix(false, message.size());
  return absl::StrCat(absl::string_view(prefix.data(), prefix.size()), message);
}

// HealthCheckResponse { ServingStatus status = 1; }
enum ServingStatus : std::uint64_t {
  kUnknownStatus = 0,
  kServingStatus = 1,
  kNotServingStatus = 2,
  kServiceUnknownStatus = 3,
};

std::string Name(std::uint64_t status) {
  switch (status) {
    case kUnknownStatus:
      return "UNKNOWN";
    case kNotServingStatus:
      return "NOT_SERVING";
    case kServiceUnknownStatus:
      return "SERVICE_UNKNOWN";
    default:
      return absl::StrCat("status ", status);
  }
}

absl::StatusOr<std::uint64_t> ParseAnswer(const std::string& message) {
  google::protobuf::UnknownFieldSet fields;
  if (!fields.ParseFromString(message)) {
    return absl::InternalError("the answer is no HealthCheckResponse");
  }
  std::uint64_t status = kUnknownStatus;
  for (int i = 0; i < fields.field_count(); ++i) {
    const google::protobuf::UnknownField& field = fields.field(i);
    if (field.number() == 1 &&
        field.type() == google::protobuf::UnknownField::TYPE_VARINT) {
      status = field.varint();
    }
  }
  return status;
}

}  // namespace

H2HealthWatch::H2HealthWatch(const H2CallHost::Options& options,
                             absl::string_view service)
    : options_(options), request_(MakeRequest(service)) {}

H2HealthWatch::~H2HealthWatch() {
  if (connection() != nullptr) connection()->Reset(*this, h2::kCancel);
}

void H2HealthWatch::Ask(H2Connection& connection) {
  assert(!asking());
  sent_ = 0;
  reader_.emplace(kMaxAnswerBytes);
  head_came_ = false;
  answered_ = false;
  std::vector<h2::Field> fields = H2RequestHead(options_, kMethod);
  fields.push_back(h2::MakeField("grpc-accept-encoding", "identity"));
  if (!connection.Open(*this, fields)) {
    End(absl::UnavailableError("the connection takes no more streams"));
  }
}

void H2HealthWatch::OnTick(H2Connection& connection,
                           Backoff::Clock::time_point now,
                           const Backoff::Limits& limits,
                           std::minstd_rand& random) {
  if (std::exchange(ended_, false)) {
    if (answered_) {
      backoff_.Reset();
    } else {
      backoff_.Fail(now, limits, random);
    }
  }
  if (asking() || unimplemented_ || backoff_.waits(now) ||
      connection.room() == 0) {
    return;
  }
  Ask(connection);
}

void H2HealthWatch::OnHeaderBlock(HeaderBlock block, bool end_stream) {
  if (block.is_informational()) return;
  if (end_stream) {
    connection()->Finish(*this);
    return End(block.TakeEnd(head_came_).status);
  }
  absl::Status status = block.CheckHead();
  if (!status.ok()) return Break(std::move(status));
  head_came_ = true;
}

void H2HealthWatch::OnData(absl::string_view bytes) {
  connection()->Consume(*this, bytes.size());
  while (!bytes.empty()) {
    const absl::StatusOr<std::size_t> taken = reader_->Feed(bytes);
    if (!taken.ok()) return Break(taken.status());
    bytes.remove_prefix(*taken);
    if (!reader_->complete()) return;
    absl::Status status = TakeAnswer();
    if (!status.ok()) return Break(std::move(status));
  }
}

absl::Status H2HealthWatch::TakeAnswer() {
  if (reader_->compressed()) {
    return absl::InternalError("the answer is compressed, unasked");
  }
  const absl::StatusOr<std::uint64_t> status = ParseAnswer(reader_->Take());
  if (!status.ok()) return status.status();
  answered_ = true;
  health_ = *status == kServingStatus ? Health::kServing : Health::kNotServing;
  why_ = absl::StrCat("health check: ", Name(*status));
  return absl::OkStatus();
}

void H2HealthWatch::OnEndStream() {
  connection()->Finish(*this);
  End(absl::UnknownError("ended without a status"));
}

void H2HealthWatch::OnRefused() { End(absl::UnavailableError("refused")); }

void H2HealthWatch::OnClosed(absl::Status why) { End(why); }

void H2HealthWatch::Break(absl::Status why) {
  connection()->Reset(*this, h2::kCancel);
  answered_ = false;
  End(why);
}

void H2HealthWatch::End(const absl::Status& status) {
  unimplemented_ = absl::IsUnimplemented(status);
  ended_ = true;
  health_ = unimplemented_ ? Health::kServing : Health::kNotServing;
  why_ = absl::StrCat("health check: the watch has ended, ", status.ToString());
}

h2::Stream::Outgoing H2HealthWatch::PeekOutgoing(std::size_t max) {
  const std::size_t left = request_.size() - sent_;
  return {std::min(left, max), left <= max};
}

void H2HealthWatch::MoveOutgoing(std::size_t bytes, std::string& to) {
  to.append(request_, sent_, bytes);
  sent_ += bytes;
}

}  // namespace headgate
