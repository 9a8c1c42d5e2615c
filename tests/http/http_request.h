#ifndef TESTS_HTTP_HTTP_REQUEST_H_
#define TESTS_HTTP_HTTP_REQUEST_H_

#include <deque>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gateway/http/request.h"

namespace headgate {

// A request as the wire has it, up to and with the empty line.
inline HttpRequest ParseRequest(const std::string& text) {
  // What a request views lives until the end of the process.
  static auto& texts = *new std::deque<std::string>();
  texts.push_back(text);
  HttpRequest request;
  bool is_first = true;
  for (const absl::string_view line :
       absl::StrSplit(texts.back(), "\r\n", absl::SkipEmpty())) {
    if (is_first) {
      const std::vector<absl::string_view> parts = absl::StrSplit(line, ' ');
      EXPECT_EQ(parts.size(), 3u) << text;
      request.method = parts[0];
      request.target = parts[1];
      request.version = parts[2] == "HTTP/1.0" ? 10 : 11;
    } else {
      const std::size_t colon = line.find(':');
      EXPECT_NE(colon, line.npos) << text;
      request.headers.Add(line.substr(0, colon),
                          absl::StripAsciiWhitespace(line.substr(colon + 1)));
    }
    is_first = false;
  }
  EXPECT_FALSE(is_first);
  return request;
}

// A GET with these header lines, each with its line end.
inline HttpRequest RequestWith(const std::string& headers) {
  return ParseRequest(absl::StrCat("GET / HTTP/1.1\r\n", headers, "\r\n"));
}

}  // namespace headgate

#endif  // TESTS_HTTP_HTTP_REQUEST_H_
