#include "gateway/net/request_head.h"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <vector>

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/optional/optional.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"

namespace headgate {

namespace http = boost::beast::http;

namespace {

// What Beast takes in the lines of a head although another reader of the same
// bytes may see other lines (RFC 9112 sections 2.2 and 5.2); empty: nothing.
absl::string_view FaultOfLines(absl::string_view head) {
  bool is_field = false;
  while (!head.empty()) {
    const std::size_t end = head.find("\r\n");
    if (end == absl::string_view::npos) return "a line without CRLF";
    const absl::string_view line = head.substr(0, end);
    head.remove_prefix(end + 2);
    if (line.find_first_of(absl::string_view("\r\n\0", 3)) != line.npos) {
      return "CR, LF or NUL within a line";
    }
    if (is_field &&
        (absl::StartsWith(line, " ") || absl::StartsWith(line, "\t"))) {
      return "a header is folded over several lines";
    }
    is_field = true;
  }
  return "";
}

}  // namespace

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
  TakeRequest();
  error_ = std::string(FaultOfLines(bytes.substr(0, bytes_)));
  return error_.empty() && FramingIsClear() ? Result::kDone
                                            : Result::kMalformed;
}

void RequestHead::TakeRequest() {
  const auto view = [](boost::beast::string_view text) {
    return absl::string_view(text.data(), text.size());
  };
  const auto& message = parser_.get();
  request_.version = static_cast<int>(message.version());
  request_.method = view(message.method_string());
  request_.target = view(message.target());
  request_.headers.Reserve(
      static_cast<std::size_t>(std::distance(message.begin(), message.end())));
  for (const auto& field : message) {
    request_.headers.Add(view(field.name_string()), view(field.value()));
  }
}

// Beast has refused lengths that contradict each other or a
// Transfer-Encoding. Any other coding than "chunked" it takes for no body, and
// the same length several times for that length.
bool RequestHead::FramingIsClear() {
  const std::vector<absl::string_view> lengths =
      request_.headers.Values("Content-Length");
  if (lengths.size() > 1 ||
      (lengths.size() == 1 && !std::all_of(lengths[0].begin(), lengths[0].end(),
                                           absl::ascii_isdigit))) {
    error_ = "Content-Length must be one number";
    return false;
  }
  const std::vector<absl::string_view> codings =
      request_.headers.Values("Transfer-Encoding");
  if (codings.empty()) return true;
  if (codings.size() > 1 || !absl::EqualsIgnoreCase(codings[0], "chunked")) {
    error_ = "the one Transfer-Encoding that is understood is chunked";
    return false;
  }
  if (request_.version < 11) {
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
  return request_.version >= 11 && parser_.keep_alive();
}

}  // namespace headgate
