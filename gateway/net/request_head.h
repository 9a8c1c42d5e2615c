#ifndef GATEWAY_NET_REQUEST_HEAD_H_
#define GATEWAY_NET_REQUEST_HEAD_H_

#include <cstddef>
#include <string>

#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>

#include "absl/strings/string_view.h"
#include "gateway/http/request.h"
#include "gateway/http/request_body.h"

namespace headgate {

// Reads the head of one request, however its bytes arrive: Beast's parser, and
// what it leaves to its caller.
class RequestHead {
 public:
  explicit RequestHead(std::size_t max_bytes);
  RequestHead(const RequestHead&) = delete;
  RequestHead& operator=(const RequestHead&) = delete;

  enum class Result {
    kNeedMore,
    kDone,
    kTooLong,
    kMalformed,  // error() says why.
  };
  // `bytes`: all that has come since the head began, and what is behind it.
  // The same bytes and more in each call until the result is another one than
  // kNeedMore.
  Result Parse(absl::string_view bytes);

  // What follows requires kDone.
  // Views into this.
  const HttpRequest& request() const { return request_; }
  std::size_t bytes() const { return bytes_; }
  // What the head says of the body.
  RequestBody body() const;
  // Whether the client would send another request on the connection.
  bool keep_alive() const;

  const std::string& error() const { return error_; }

 private:
  void TakeRequest();
  // Whether the body's length is said in a way that all who read the request
  // understand alike (RFC 9112 section 6.3).
  bool FramingIsClear();

  const std::size_t max_bytes_;
  boost::beast::http::request_parser<boost::beast::http::empty_body> parser_;
  HttpRequest request_;  // Views into `parser_`, from kDone on.
  std::size_t bytes_ = 0;
  std::string error_;
};

}  // namespace headgate

#endif  // GATEWAY_NET_REQUEST_HEAD_H_
