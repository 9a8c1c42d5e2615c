#include "gateway/net/request_head.h"

#include <cstdint>
#include <vector>

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/optional/optional.hpp>

#include "absl/strings/match.h"

namespace headgate {

namespace http = boost::beast::http;

RequestHead::RequestHead(std::size_t max_bytes) : max_bytes_(max_bytes) {
  parser_.header_limit(static_cast<std::uint32_t>(max_bytes + 1));
  parser_.body_limit(boost::none);  // The body is read elsewhere.
}

RequestHead::Result RequestHead::Parse(absl::string_view bytes) {
  boost::beast::error_code error;
  while (!parser_.is_header_done()) {
    const absl::string_view rest = bytes.substr(bytes_);
    if (rest.empty()) break;
    bytes_ += parser_.put(boost::asio::buffer(rest.data(), rest.size()), error);
    if (error) break;
  }
  if (error == http::error::header_limit || (!error && bytes_ > max_bytes_) ||
      (error == http::error::need_more && bytes.size() > max_bytes_)) {
    return Result::kTooLong;
  }
  if (error && error != http::error::need_more) {
    error_ = error.message();
    return Result::kMalformed;
  }
  if (!parser_.is_header_done()) return Result::kNeedMore;
  return FramingIsClear() ? Result::kDone : Result::kMalformed;
}

// Beast has refused lengths that contradict each other or a
// Transfer-Encoding. Any other coding than "chunked" it takes for no body.
bool RequestHead::FramingIsClear() {
  const std::vector<absl::string_view> codings =
      HeaderValues(request(), "Transfer-Encoding");
  if (codings.empty()) return true;
  if (codings.size() > 1 || !absl::EqualsIgnoreCase(codings[0], "chunked")) {
    error_ = "the one Transfer-Encoding that is understood is chunked";
    return false;
  }
  if (request().version() < 11) {
    error_ = "HTTP/1.0 has no Transfer-Encoding";
    return false;
  }
  return true;
}

RequestBody RequestHead::body() const {
  if (parser_.chunked()) return RequestBody::Chunked();
  const boost::optional<std::uint64_t> length = parser_.content_length();
  return RequestBody::OfLength(length ? *length : 0);
}

bool RequestHead::keep_alive() const {
  return request().version() >= 11 && parser_.keep_alive();
}

}  // namespace headgate
