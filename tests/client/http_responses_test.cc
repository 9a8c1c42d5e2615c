#include "client/http_responses.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace headgate {
namespace {

TEST(HttpResponsesTest, ComeOneAfterTheOtherInAnyPieces) {
  const std::string bytes = absl::StrCat(
      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\ngrpc-status: 5\r\n\r\n",
      "1\r\nc\r\n2\r\nde\r\n0\r\n\r\n",
      "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
  for (std::size_t piece = 1; piece <= bytes.size(); ++piece) {
    HttpResponses responses;
    std::string seen;
    for (std::size_t at = 0; at < bytes.size(); at += piece) {
      responses.Feed(absl::string_view(bytes).substr(at, piece));
      for (;;) {
        const auto next = responses.Next();
        ASSERT_TRUE(next.ok()) << next.status();
        if (!next->has_value()) break;
        absl::StrAppend(&seen, (*next)->http_status, " ", (*next)->grpc_status,
                        " ", (*next)->body, ";");
      }
    }
    EXPECT_EQ(seen, "200  ab;200 5 cde;404  ;") << piece;
  }
}

TEST(HttpResponsesTest, OtherBytesAreAFault) {
  HttpResponses responses;
  responses.Feed("SSH-2.0-OpenSSH\r\n\r\n");
  EXPECT_FALSE(responses.Next().ok());
}

}  // namespace
}  // namespace headgate
