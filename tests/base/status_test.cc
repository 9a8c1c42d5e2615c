#include "gateway/base/status.h"

#include <gtest/gtest.h>

#include <string>

namespace headgate {
namespace {

// docs/protocol.md: OK -> 1000, any other status -> 4000 + code; HTTP as in
// google/rpc/code.proto.
TEST(StatusTest, EachCodeHasItsCloseCodeAndHttpStatus) {
  const struct {
    absl::StatusCode code;
    int close;
    int http;
  } table[] = {
      {absl::StatusCode::kOk, 1000, 200},
      {absl::StatusCode::kCancelled, 4001, 499},
      {absl::StatusCode::kUnknown, 4002, 500},
      {absl::StatusCode::kInvalidArgument, 4003, 400},
      {absl::StatusCode::kDeadlineExceeded, 4004, 504},
      {absl::StatusCode::kNotFound, 4005, 404},
      {absl::StatusCode::kAlreadyExists, 4006, 409},
      {absl::StatusCode::kPermissionDenied, 4007, 403},
      {absl::StatusCode::kResourceExhausted, 4008, 429},
      {absl::StatusCode::kFailedPrecondition, 4009, 400},
      {absl::StatusCode::kAborted, 4010, 409},
      {absl::StatusCode::kOutOfRange, 4011, 400},
      {absl::StatusCode::kUnimplemented, 4012, 501},
      {absl::StatusCode::kInternal, 4013, 500},
      {absl::StatusCode::kUnavailable, 4014, 503},
      {absl::StatusCode::kDataLoss, 4015, 500},
      {absl::StatusCode::kUnauthenticated, 4016, 401},
  };
  for (const auto& row : table) {
    EXPECT_EQ(static_cast<int>(CloseCodeFor(row.code)), row.close);
    EXPECT_EQ(HttpStatusFor(row.code), row.http) << row.close;
  }
}

// grpc/grpc doc/statuscodes.md: a code that is not defined counts as UNKNOWN.
TEST(StatusTest, UndefinedCodesAreUnknown) {
  EXPECT_EQ(StatusCodeFromWire(0), absl::StatusCode::kOk);
  EXPECT_EQ(StatusCodeFromWire(5), absl::StatusCode::kNotFound);
  EXPECT_EQ(StatusCodeFromWire(16), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(StatusCodeFromWire(17), absl::StatusCode::kUnknown);
  EXPECT_EQ(StatusCodeFromWire(-1), absl::StatusCode::kUnknown);
  EXPECT_EQ(StatusCodeFromWire(1 << 30), absl::StatusCode::kUnknown);
}

// RFC 6455 section 5.5: a control frame carries 125 bytes; section 5.5.1: the
// reason is UTF-8.
TEST(StatusTest, CloseReasonIsUtf8OfAtMost123Bytes) {
  EXPECT_EQ(CloseReason("no such room"), "no such room");
  EXPECT_EQ(CloseReason(""), "");
  EXPECT_EQ(CloseReason("bad \xFF byte"), "bad ? byte");
  EXPECT_EQ(CloseReason(std::string(123, 'a')), std::string(123, 'a'));
  EXPECT_EQ(CloseReason(std::string(124, 'a')), std::string(123, 'a'));
  EXPECT_EQ(CloseReason(std::string(122, 'a') + "\xC3\xBC"),
            std::string(122, 'a'));
}

TEST(StatusTest, EndingOfACallHasTheCloseCodeOfItsStatus) {
  const Ending ending = EndingOf(CallEnd{absl::NotFoundError("x"), "details"});
  EXPECT_EQ(static_cast<int>(ending.close), 4005);
  EXPECT_EQ(ending.end.status, absl::NotFoundError("x"));
  EXPECT_EQ(ending.end.details, "details");
  EXPECT_EQ(EndingOf(absl::OkStatus()).close, CloseCode::kNormal);
}

// google.rpc.Status {int32 code = 1; string message = 2; repeated Any details
// = 3;}
TEST(StatusTest, RpcStatusHasCodeAndMessage) {
  EXPECT_EQ(SerializeRpcStatus({absl::NotFoundError("gone"), ""}),
            "\x08\x05\x12\x04gone");
  EXPECT_EQ(SerializeRpcStatus({absl::NotFoundError(""), ""}), "\x08\x05");
  EXPECT_EQ(SerializeRpcStatus({absl::OkStatus(), ""}), "");
}

TEST(StatusTest, RpcStatusOfALongMessageHasALengthOfTwoBytes) {
  const std::string message(300, 'm');
  EXPECT_EQ(SerializeRpcStatus({absl::AbortedError(message), ""}),
            "\x08\x0A\x12\xAC\x02" + message);
}

TEST(StatusTest, RpcStatusIsTheBackendsOwnWhenTheCodesAgree) {
  const std::string own = "\x08\x05\x12\x01x\x1A\x01z";
  EXPECT_EQ(SerializeRpcStatus({absl::NotFoundError("other"), own}), own);
  EXPECT_EQ(SerializeRpcStatus({absl::InternalError("m"), own}),
            "\x08\x0D\x12\x01m");
  // Not a google.rpc.Status at all.
  EXPECT_EQ(SerializeRpcStatus({absl::InternalError("m"), "\x08"}),
            "\x08\x0D\x12\x01m");
  EXPECT_EQ(SerializeRpcStatus({absl::InternalError("m"), "\x08\x8D\x01"}),
            "\x08\x0D\x12\x01m");
}

// A string field of proto3 must be UTF-8, or no client can read the status.
TEST(StatusTest, RpcStatusMessageIsUtf8) {
  EXPECT_EQ(SerializeRpcStatus({absl::InternalError("a\xFF"), ""}),
            "\x08\x0D\x12\x02"
            "a?");
}

TEST(StatusTest, AnnotateAddsContextToFailuresOnly) {
  EXPECT_EQ(Annotate(absl::NotFoundError("no such file"), "tls.crt"),
            absl::NotFoundError("tls.crt: no such file"));
  EXPECT_EQ(Annotate(absl::OkStatus(), "tls.crt"), absl::OkStatus());
}

TEST(StatusTest, ADetailForTheLogStaysOutOfTheMessage) {
  const absl::Status status = Annotate(
      WithDetailForLog(absl::UnavailableError("away"), "10.0.0.1"), "asking");
  EXPECT_EQ(status.message(), "asking: away");
  EXPECT_EQ(MessageForLog(status), "asking: away (10.0.0.1)");
  EXPECT_EQ(MessageForLog(absl::UnavailableError("away")), "away");
  EXPECT_EQ(SerializeRpcStatus({status, ""}).find("10.0.0.1"),
            std::string::npos);
}

TEST(StatusTest, WhatAClientHasWrittenIsNotForTheLog) {
  const absl::Status status = Annotate(
      WithMessageForLog(absl::InvalidArgumentError("must be a date, is \"x\""),
                        "must be a date"),
      "born");
  EXPECT_EQ(status.message(), "born: must be a date, is \"x\"");
  EXPECT_EQ(MessageForLog(status), "born: must be a date");
}

}  // namespace
}  // namespace headgate
