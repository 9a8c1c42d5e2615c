#include "gateway/hub/known_fields.h"

#include "absl/strings/str_cat.h"
#include "google/protobuf/message.h"
#include "google/protobuf/unknown_field_set.h"

namespace headgate {
namespace {

// Collects the first unknown field of several messages.
class KnownFields {
 public:
  template <typename Message>
  KnownFields& In(const Message& message) {
    const google::protobuf::UnknownFieldSet& unknown =
        message.GetReflection()->GetUnknownFields(message);
    if (!unknown.empty() && status_.ok()) {
      status_ = absl::UnimplementedError(absl::StrCat(
          "field ", unknown.field(0).number(), " of ",
          Message::descriptor()->full_name(), " is not known to this gateway"));
    }
    return *this;
  }
  KnownFields& In(const v1::Audience& audience) {
    return In<v1::Audience>(audience).In(audience.filters());
  }
  template <typename Message>
  KnownFields& In(const google::protobuf::RepeatedPtrField<Message>& list) {
    for (const Message& message : list) In(message);
    return *this;
  }

  const absl::Status& status() const { return status_; }

 private:
  absl::Status status_;
};

}  // namespace

absl::Status CheckKnown(const v1::Command& command) {
  KnownFields known;
  known.In(command);
  switch (command.kind_case()) {
    case v1::Command::kAccept:
      known.In(command.accept()).In(command.accept().greeting());
      break;
    case v1::Command::kReject:
      known.In(command.reject());
      break;
    case v1::Command::kSend:
      known.In(command.send()).In(command.send().payload());
      break;
    case v1::Command::kBroadcast:
      known.In(command.broadcast())
          .In(command.broadcast().to())
          .In(command.broadcast().payload());
      break;
    case v1::Command::kClose:
      known.In(command.close())
          .In(command.close().to())
          .In(command.close().farewell());
      break;
    case v1::Command::kSetData:
      known.In(command.set_data());
      break;
    case v1::Command::kJoin:
      known.In(command.join());
      break;
    case v1::Command::kLeave:
      known.In(command.leave());
      break;
    case v1::Command::kRefuse:
      known.In(command.refuse());
      break;
    case v1::Command::kExpire:
      known.In(command.expire());
      break;
    case v1::Command::kAck:
      known.In(command.ack());
      break;
    case v1::Command::KIND_NOT_SET:
      break;
  }
  return known.status();
}

absl::Status CheckKnown(const v1::HubClientFrame& frame) {
  return KnownFields()
      .In(frame)
      .In(frame.payload())
      .In(frame.payload().packet())
      .In(frame.join())
      .In(frame.join().after())
      .In(frame.publish())
      .In(frame.publish().payload())
      .In(frame.publish().payload().packet())
      .status();
}

absl::Status CheckKnown(const v1::PublishRequest& request) {
  return KnownFields()
      .In(request)
      .In(request.payload())
      .In(request.filters())
      .status();
}

absl::Status CheckKnown(const v1::SendRequest& request) {
  return KnownFields().In(request).In(request.payload()).status();
}

absl::Status CheckKnown(const v1::CloseRequest& request) {
  return KnownFields()
      .In(request)
      .In(request.to())
      .In(request.farewell())
      .status();
}

absl::Status CheckKnown(const v1::UpdateRequest& request) {
  return KnownFields().In(request).In(request.to()).status();
}

absl::Status CheckKnown(const v1::MembershipRequest& request) {
  return KnownFields().In(request).In(request.to()).status();
}

absl::Status CheckKnown(const v1::GetSessionRequest& request) {
  return KnownFields().In(request).status();
}

absl::Status CheckKnown(const v1::ListSessionsRequest& request) {
  return KnownFields().In(request).In(request.of()).status();
}

absl::Status CheckKnown(const v1::GetHistoryRequest& request) {
  return KnownFields().In(request).In(request.after()).status();
}

absl::Status CheckKnown(const v1::WatchRequest& request) {
  return KnownFields().In(request).status();
}

absl::Status CheckKnown(const v1::CountSessionsRequest& request) {
  return KnownFields().In(request).In(request.of()).status();
}

}  // namespace headgate
