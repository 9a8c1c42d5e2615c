#include "gateway/codec/http_form.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace headgate {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;
using ::testing::SizeIs;

// What a form makes of a call, as a log: "head 200 CONTENT-TYPE", "data ...",
// "end".
class HttpFormTest : public ::testing::Test {
 protected:
  std::vector<std::string> Sent() {
    std::vector<std::string> log;
    if (const auto head = out_.TakeHead()) {
      log.push_back(absl::StrCat(
          "head ", head->http_status, " ", head->fields.at(0).second,
          head->is_whole ? " whole" : "",
          head->preamble.empty() ? "" : absl::StrCat(" ", head->preamble),
          head->metadata.empty()
              ? ""
              : absl::StrCat(" ", absl::StrJoin(head->metadata, ",",
                                                absl::PairFormatter("=")))));
    }
    while (out_.has_messages()) {
      log.push_back(absl::StrCat("data ", out_.TakeMessage(0).payload));
    }
    if (const OutEnd* end = out_.end()) {
      log.push_back(absl::StrCat(
          "end", end->coda.empty() ? "" : absl::StrCat(" ", end->coda),
          end->is_cut_off ? " cut off" : "",
          end->trailers.empty()
              ? ""
              : absl::StrCat(" ", absl::StrJoin(end->trailers, ",",
                                                absl::PairFormatter("=")))));
    }
    return log;
  }

  const Ending ok_ = EndingOf(absl::OkStatus());
  const Ending not_found_ = EndingOf(absl::NotFoundError("no"));
  Outgoing out_{Watermarks()};
};

TEST_F(HttpFormTest, OneResponseIsTheWholeBodyOnceTheStatusIsKnown) {
  const auto form = MakeWholeForm();
  form->Head({{"x-branch", "main"}}, out_);
  form->Message("{}", "", out_);
  EXPECT_THAT(Sent(), ElementsAre());
  EXPECT_EQ(form->held_bytes(), 2u);
  form->End(ok_, "", out_);
  EXPECT_THAT(Sent(), ElementsAre("head 200 application/json whole "
                                  "Grpc-Metadata-X-Branch=main",
                                  "data {}", "end"));
}

TEST_F(HttpFormTest, AFailureIsInThePlaceOfTheResponse) {
  const auto form = MakeWholeForm();
  form->Message("{}", "image/png", out_);
  form->End(not_found_, "{\"code\":5}", out_);
  EXPECT_THAT(Sent(), ElementsAre("head 404 application/json whole",
                                  "data {\"code\":5}", "end"));
}

TEST_F(HttpFormTest, LinesLeaveAtOnce) {
  const auto form = MakeLinesForm();
  form->Head({}, out_);
  EXPECT_THAT(Sent(), ElementsAre("head 200 application/json"));
  form->Message("1", "", out_);
  EXPECT_THAT(Sent(), ElementsAre("data 1\n"));
  form->End(EndingOf(CallEnd{absl::OkStatus(), "", {{"k-bin", "\xFF"}}}), "",
            out_);
  EXPECT_THAT(Sent(), ElementsAre("end Grpc-Trailer-K-Bin=/w=="));
}

TEST_F(HttpFormTest, AStreamWithoutMetadataHasItsHeadWithTheFirstResponse) {
  MakeLinesForm()->Message("1", "", out_);
  EXPECT_THAT(Sent(), ElementsAre("head 200 application/json", "data 1\n"));
}

TEST_F(HttpFormTest, AFailureReplacesAHeadThatHasNotLeft) {
  const auto form = MakeEventsForm();
  form->Head({{"a", "b"}}, out_);
  form->End(not_found_, "{}", out_);
  EXPECT_THAT(Sent(), ElementsAre("head 404 application/json whole "
                                  "Grpc-Metadata-A=b",
                                  "data {}", "end"));
}

TEST_F(HttpFormTest, AFailureAfterTheHeadIsTheLastLine) {
  const auto form = MakeLinesForm();
  form->Head({}, out_);
  Sent();
  out_.set_head_is_sent(true);
  form->End(not_found_, "{}", out_);
  EXPECT_THAT(Sent(), ElementsAre("data {}\n", "end"));
}

TEST_F(HttpFormTest, EventsBeginWithRetryAndEndWithAnEvent) {
  const auto form = MakeEventsForm();
  form->Message("1", "", out_);
  EXPECT_THAT(Sent(), ElementsAre("head 200 text/event-stream retry: 3000\n\n",
                                  "data data: 1\n\n"));
  form->End(ok_, "", out_);
  EXPECT_THAT(Sent(), ElementsAre("end event: end\ndata: {\"code\":0,"
                                  "\"message\":\"\",\"details\":[]}\n\n"));
}

TEST_F(HttpFormTest, AFailureAmongEventsIsAnEventOfItsOwn) {
  const auto form = MakeEventsForm();
  form->Message("1", "", out_);
  Sent();
  form->End(not_found_, "{}", out_);
  EXPECT_THAT(Sent(),
              ElementsAre("data event: status-error\ndata: {}\n\n", "end"));
}

TEST_F(HttpFormTest, OnlyEventsHaveAFiller) {
  MakeEventsForm()->Message("1", "", out_);
  EXPECT_EQ(out_.TakeHead()->filler, ":\n\n");
  MakeLinesForm()->Message("1", "", out_);
  EXPECT_EQ(out_.TakeHead()->filler, "");
}

TEST_F(HttpFormTest, BytesHaveTheMediaTypeOfTheFirst) {
  const auto form = MakeBytesForm();
  form->Head({{"a", "b"}}, out_);
  EXPECT_THAT(Sent(), ElementsAre());
  form->Message("x", "image/png", out_);
  form->Message("y", "text/plain", out_);
  EXPECT_THAT(Sent(), ElementsAre("head 200 image/png Grpc-Metadata-A=b",
                                  "data x", "data y"));
}

TEST_F(HttpFormTest, AFailureAmongBytesHasNoPlace) {
  const auto form = MakeBytesForm();
  form->Message("x", "image/png", out_);
  Sent();
  form->End(not_found_, "{}", out_);
  EXPECT_THAT(Sent(), ElementsAre("end cut off"));
}

TEST_F(HttpFormTest, AMessageThatIsTooBigIs413) {
  MakeLinesForm()->End(
      {CloseCode::kMessageTooBig, {absl::ResourceExhaustedError("x"), ""}},
      "{}", out_);
  EXPECT_THAT(Sent(),
              ElementsAre("head 413 application/json whole", "data {}", "end"));
}

TEST(HttpFieldsTest, MetadataIsNamedAsGrpcGatewayDoes) {
  EXPECT_THAT(
      MetadataFields("Grpc-Metadata-", {{"x-branch", "main"},
                                        {"x-branch", "other"},
                                        {"a_b.c", "v"},
                                        {"key-bin", std::string("\0\xFF", 2)},
                                        {"bad key", "x"},
                                        {"", "x"}}),
      ElementsAre(Pair("Grpc-Metadata-X-Branch", "main"),
                  Pair("Grpc-Metadata-X-Branch", "other"),
                  Pair("Grpc-Metadata-A_b.c", "v"),
                  Pair("Grpc-Metadata-Key-Bin", "AP8=")));
}

TEST(HttpFieldsTest, MetadataIsBounded) {
  Metadata metadata = {{"first", "v"}, {"long", std::string(9000, 'x')}};
  EXPECT_THAT(MetadataFields("P-", metadata), SizeIs(1));
  metadata.assign(5000, {"k", ""});
  EXPECT_LT(MetadataFields("P-", metadata).size(), 3000u);
}

TEST(HttpFieldsTest, StatusIsThatOfTheTable) {
  EXPECT_EQ(HttpStatusOf(EndingOf(absl::OkStatus())), 200);
  EXPECT_EQ(HttpStatusOf(EndingOf(absl::NotFoundError(""))), 404);
  EXPECT_EQ(HttpStatusOf(EndingOf(absl::ResourceExhaustedError(""))), 429);
  EXPECT_EQ(HttpStatusOf({CloseCode::kMessageTooBig,
                          {absl::ResourceExhaustedError(""), ""}}),
            413);
  EXPECT_EQ(
      HttpStatusOf({CloseCode::kGoingAway, {absl::UnavailableError(""), ""}}),
      503);
}

}  // namespace
}  // namespace headgate
