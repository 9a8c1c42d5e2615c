#ifndef TESTS_NET_HTTP_REQUEST_H_
#define TESTS_NET_HTTP_REQUEST_H_

#include <string>

#include <gtest/gtest.h>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>

#include "absl/strings/str_cat.h"
#include "gateway/net/http.h"

namespace headgate {

// A request as the wire has it, up to and with the empty line.
inline HttpRequest ParseRequest(const std::string& text) {
  boost::beast::http::request_parser<boost::beast::http::empty_body> parser;
  boost::system::error_code error;
  parser.put(boost::asio::buffer(text), error);
  EXPECT_FALSE(error) << error.message() << " in " << text;
  EXPECT_TRUE(parser.is_header_done()) << text;
  return parser.release();
}

// A GET with these header lines, each with its line end.
inline HttpRequest RequestWith(const std::string& headers) {
  return ParseRequest(absl::StrCat("GET / HTTP/1.1\r\n", headers, "\r\n"));
}

}  // namespace headgate

#endif  // TESTS_NET_HTTP_REQUEST_H_
