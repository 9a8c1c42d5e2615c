#include "cmd/headgate/bench/ws_handshake.h"

#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <random>
#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/field.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace headgate {
namespace {

namespace http = boost::beast::http;

// RFC 6455 section 1.3.
constexpr absl::string_view kGuid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
constexpr std::size_t kMaxAnswerBytes = 64 * 1024;

std::string RandomKey() {
  std::random_device random;
  std::string nonce(16, '\0');
  for (char& byte : nonce) byte = static_cast<char>(random());
  return absl::Base64Escape(nonce);
}

std::string AcceptOf(absl::string_view key) {
  const std::string text = absl::StrCat(key, kGuid);
  std::array<unsigned char, SHA_DIGEST_LENGTH> digest;
  SHA1(reinterpret_cast<const unsigned char*>(text.data()), text.size(),
       digest.data());
  return absl::Base64Escape(absl::string_view(
      reinterpret_cast<const char*>(digest.data()), digest.size()));
}

bool HasHost(const DialHandshake& handshake) {
  return std::any_of(handshake.headers.begin(), handshake.headers.end(),
                     [](const auto& header) {
                       return absl::EqualsIgnoreCase(header.first, "Host");
                     });
}

std::string Of(boost::beast::string_view text) {
  return std::string(text.data(), text.size());
}

}  // namespace

WsRequest::WsRequest(const DialUrl& url, const DialHandshake& handshake)
    : offered_(handshake.subprotocols) {
  const std::string key = RandomKey();
  accept_ = AcceptOf(key);
  text_ = absl::StrCat("GET ", url.target, " HTTP/1.1\r\n");
  if (!HasHost(handshake)) {
    absl::StrAppend(&text_, "Host: ", url.authority, "\r\n");
  }
  absl::StrAppend(&text_,
                  "Upgrade: websocket\r\n"
                  "Connection: Upgrade\r\n"
                  "Sec-WebSocket-Version: 13\r\n"
                  "Sec-WebSocket-Key: ",
                  key, "\r\nUser-Agent: headgate-bench\r\n");
  if (!offered_.empty()) {
    absl::StrAppend(&text_,
                    "Sec-WebSocket-Protocol: ", absl::StrJoin(offered_, ", "),
                    "\r\n");
  }
  for (const auto& [name, value] : handshake.headers) {
    absl::StrAppend(&text_, name, ": ", value, "\r\n");
  }
  absl::StrAppend(&text_, "\r\n");
}

struct WsAnswer::Parser {
  http::response_parser<http::string_body> http;
};

WsAnswer::WsAnswer(const WsRequest& request)
    : request_(request), parser_(std::make_unique<Parser>()) {
  parser_->http.header_limit(kMaxAnswerBytes);
  parser_->http.body_limit(kMaxAnswerBytes);
  parser_->http.eager(true);
}

WsAnswer::~WsAnswer() = default;

std::optional<WsAnswer::Outcome> WsAnswer::Take(absl::string_view bytes) {
  absl::StrAppend(&bytes_, bytes);
  boost::system::error_code error;
  const std::size_t used = parser_->http.put(
      boost::asio::buffer(bytes_.data(), bytes_.size()), error);
  bytes_.erase(0, used);
  if (error == http::error::need_more) return std::nullopt;
  if (error) {
    return DialEnding(
        Unreachable{absl::StrCat("in the handshake: ", error.message())});
  }
  if (!parser_->http.is_done()) return std::nullopt;
  return Judge();
}

DialEnding WsAnswer::AtEnd() {
  if (parser_->http.is_header_done() &&
      parser_->http.get().result_int() != 101) {
    return Refused{static_cast<int>(parser_->http.get().result_int()),
                   parser_->http.get().body()};
  }
  return Unreachable{"the connection ended in the handshake"};
}

WsAnswer::Outcome WsAnswer::Judge() const {
  const auto& response = parser_->http.get();
  if (response.result_int() != 101) {
    return DialEnding(
        Refused{static_cast<int>(response.result_int()), response.body()});
  }
  if (!boost::beast::iequals(response[http::field::upgrade], "websocket") ||
      Of(response[http::field::sec_websocket_accept]) != request_.accept()) {
    return DialEnding(Unreachable{"the answer to the handshake is not one"});
  }
  std::string chosen = Of(response[http::field::sec_websocket_protocol]);
  const auto& offered = request_.subprotocols();
  if (!chosen.empty() &&
      std::find(offered.begin(), offered.end(), chosen) == offered.end()) {
    return DialEnding(Unreachable{absl::StrCat(
        "the subprotocol that was chosen was not offered: ", chosen)});
  }
  return Accepted{std::move(chosen), bytes_};
}

}  // namespace headgate
