#ifndef GATEWAY_NET_REQUEST_HEAD_H_
#define GATEWAY_NET_REQUEST_HEAD_H_

#include <cstddef>
#include <string>

#include <boost/beast/http/parser.hpp>

#include "absl/strings/string_view.h"
#include "gateway/net/http.h"
#include "gateway/net/request_body.h"

namespace headgate {

// Reads the head of one request, however its bytes arrive.
class RequestHead {
 public:
  explicit RequestHead(std::size_t max_bytes);

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
  const HttpRequest& request() const { return parser_.get(); }
  std::size_t bytes() const { return bytes_; }
  // What the head says of the body.
  RequestBody body() const;
  // Whether the client would send another request on the connection.
  bool keep_alive() const;

  const std::string& error() const { return error_; }

 private:
  // Whether the body's length is said in a way that all who read the request
  // understand alike (RFC 9112 section 6.3).
  bool FramingIsClear();

  const std::size_t max_bytes_;
  boost::beast::http::request_parser<boost::beast::http::empty_body> parser_;
  std::size_t bytes_ = 0;
  std::string error_;
};

}  // namespace headgate

#endif  // GATEWAY_NET_REQUEST_HEAD_H_
