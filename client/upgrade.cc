#include "client/upgrade.h"

#include <algorithm>
#include <cstddef>
#include <random>
#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/field.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/rfc7230.hpp>
#include <boost/beast/http/string_body.hpp>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gateway/ws/handshake.h"

namespace headgate {
namespace {

namespace http = boost::beast::http;

constexpr std::size_t kMaxResponseBytes = 64 * 1024;

bool HasHost(const UpgradeHeaders& headers) {
  return std::any_of(headers.headers.begin(), headers.headers.end(),
                     [](const auto& header) {
                       return absl::EqualsIgnoreCase(header.first, "Host");
                     });
}

std::string Of(boost::beast::string_view text) {
  return std::string(text.data(), text.size());
}

ClientFailure Unacceptable(absl::string_view why) {
  return Unreachable{absl::StrCat("in the handshake: ", why)};
}

}  // namespace

std::string RandomUpgradeKey() {
  std::random_device random;
  std::string key(16, '\0');
  for (char& byte : key) byte = static_cast<char>(random());
  return key;
}

UpgradeRequest::UpgradeRequest(const WsUrl& url, const UpgradeHeaders& headers,
                               absl::string_view user_agent,
                               absl::string_view key)
    : offered_(headers.subprotocols) {
  const std::string encoded_key = absl::Base64Escape(key);
  accept_ = ws::AcceptFor(encoded_key);
  text_ = absl::StrCat("GET ", url.target, " HTTP/1.1\r\n");
  if (!HasHost(headers)) {
    absl::StrAppend(&text_, "Host: ", url.authority, "\r\n");
  }
  absl::StrAppend(&text_,
                  "Upgrade: websocket\r\n"
                  "Connection: Upgrade\r\n"
                  "Sec-WebSocket-Version: 13\r\n"
                  "Sec-WebSocket-Key: ",
                  encoded_key, "\r\nUser-Agent: ", user_agent, "\r\n");
  if (!offered_.empty()) {
    absl::StrAppend(&text_,
                    "Sec-WebSocket-Protocol: ", absl::StrJoin(offered_, ", "),
                    "\r\n");
  }
  for (const auto& [name, value] : headers.headers) {
    absl::StrAppend(&text_, name, ": ", value, "\r\n");
  }
  absl::StrAppend(&text_, "\r\n");
}

struct UpgradeResponse::Parser {
  http::response_parser<http::string_body> http;
};

UpgradeResponse::UpgradeResponse(const UpgradeRequest& request)
    : request_(request), parser_(std::make_unique<Parser>()) {
  parser_->http.header_limit(kMaxResponseBytes);
  parser_->http.body_limit(kMaxResponseBytes);
  parser_->http.eager(true);
}

UpgradeResponse::~UpgradeResponse() = default;

std::optional<UpgradeResponse::Outcome> UpgradeResponse::Take(
    absl::string_view bytes) {
  absl::StrAppend(&bytes_, bytes);
  boost::system::error_code error;
  const std::size_t used = parser_->http.put(
      boost::asio::buffer(bytes_.data(), bytes_.size()), error);
  bytes_.erase(0, used);
  if (error == http::error::need_more) return std::nullopt;
  if (error) return Unacceptable(error.message());
  if (!parser_->http.is_done()) return std::nullopt;
  return Judge();
}

ClientFailure UpgradeResponse::AtEnd(absl::string_view why) const {
  if (parser_->http.is_header_done() &&
      parser_->http.get().result_int() != 101) {
    return Refusal();
  }
  return Unacceptable(why.empty() ? "the connection ended" : why);
}

Refused UpgradeResponse::Refusal() const {
  const auto& response = parser_->http.get();
  return Refused{static_cast<int>(response.result_int()), response.body(),
                 Of(response[http::field::retry_after])};
}

// RFC 6455 section 4.1, page 19.
UpgradeResponse::Outcome UpgradeResponse::Judge() const {
  const auto& response = parser_->http.get();
  if (response.result_int() != 101) return ClientFailure(Refusal());
  if (response.version() < 11) return Unacceptable("the response is HTTP/1.0");
  if (!boost::beast::iequals(response[http::field::upgrade], "websocket")) {
    return Unacceptable("the response has no 'Upgrade: websocket'");
  }
  if (!http::token_list{response[http::field::connection]}.exists("upgrade")) {
    return Unacceptable("the response has no 'Connection: Upgrade'");
  }
  if (Of(response[http::field::sec_websocket_accept]) != request_.accept()) {
    return Unacceptable("Sec-WebSocket-Accept is not that of the request");
  }
  const std::string extensions =
      Of(response[http::field::sec_websocket_extensions]);
  if (!extensions.empty()) {
    return Unacceptable(absl::StrCat(
        "the server selected an extension that was not offered: ", extensions));
  }
  std::string selected = Of(response[http::field::sec_websocket_protocol]);
  const auto& offered = request_.subprotocols();
  if (!selected.empty() &&
      std::find(offered.begin(), offered.end(), selected) == offered.end()) {
    return Unacceptable(absl::StrCat(
        "the server selected a subprotocol that was not offered: ", selected));
  }
  return Accepted{std::move(selected), bytes_};
}

}  // namespace headgate
