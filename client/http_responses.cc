#include "client/http_responses.h"

#include <cstddef>

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include "absl/status/status.h"

namespace headgate {
namespace {

namespace http = boost::beast::http;

constexpr std::size_t kMaxBodyBytes = 64 * 1024 * 1024;

}  // namespace

struct HttpResponses::Parser {
  Parser() {
    http.eager(true);
    http.body_limit(kMaxBodyBytes);
  }

  http::response_parser<http::string_body> http;
};

HttpResponses::HttpResponses() = default;
HttpResponses::~HttpResponses() = default;

void HttpResponses::Feed(absl::string_view bytes) {
  bytes_.append(bytes.data(), bytes.size());
}

absl::StatusOr<std::optional<HttpResponses::Response>> HttpResponses::Next() {
  if (bytes_.empty()) return std::nullopt;
  if (parser_ == nullptr) parser_ = std::make_unique<Parser>();
  boost::system::error_code error;
  bytes_.erase(
      0, parser_->http.put(boost::asio::buffer(bytes_.data(), bytes_.size()),
                           error));
  if (error && error != http::error::need_more) {
    return absl::InvalidArgumentError(error.message());
  }
  if (error || !parser_->http.is_done()) return std::nullopt;
  const std::unique_ptr<Parser> parser = std::move(parser_);
  auto& response = parser->http.get();
  const auto status = response["grpc-status"];
  return Response{static_cast<int>(response.result_int()),
                  std::string(status.data(), status.size()),
                  std::move(response.body())};
}

}  // namespace headgate
