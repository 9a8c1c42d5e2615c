#include "client/web_socket.h"

#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"

namespace headgate {
namespace {

ws::Endpoint::Options EndpointOptions(ws::MaskSource& masks,
                                      const ClientWebSocket::Options& options) {
  ws::Endpoint::Options endpoint;
  endpoint.role = ws::Role::kClient;
  endpoint.delivery = options.delivery;
  endpoint.max_message_bytes = options.max_message_bytes;
  endpoint.masks = &masks;
  return endpoint;
}

}  // namespace

ClientWebSocket::ClientWebSocket(const UpgradeRequest& request,
                                 ws::MaskSource& masks, const Options& options)
    : max_message_bytes_(options.max_message_bytes),
      response_(std::in_place, request),
      endpoint_(EndpointOptions(masks, options)) {
  endpoint_.PutHandshake(request.text());
}

std::optional<ClientFailure> ClientWebSocket::Receive(
    absl::string_view bytes, ClientWebSocketObserver& observer) {
  if (is_open()) return ReceiveFrames(bytes, observer);
  auto outcome = response_->Take(bytes);
  if (!outcome) return std::nullopt;
  if (auto* failure = std::get_if<ClientFailure>(&*outcome)) {
    return std::move(*failure);
  }
  response_.reset();
  const auto& accepted = std::get<UpgradeResponse::Accepted>(*outcome);
  observer.OnOpen(accepted.subprotocol);
  return ReceiveFrames(accepted.rest, observer);
}

std::optional<ClientFailure> ClientWebSocket::ReceiveFrames(
    absl::string_view bytes, ClientWebSocketObserver& observer) {
  while (!bytes.empty()) {
    switch (endpoint_.Next(bytes)) {
      case ws::Endpoint::Event::kMessage:
        observer.OnMessage(endpoint_.TakeMessage());
        break;
      case ws::Endpoint::Event::kPiece:
        observer.OnPiece(endpoint_.piece(), endpoint_.ends_message());
        break;
      case ws::Endpoint::Event::kTooBig: {
        std::string why = absl::StrCat("a message is longer than ",
                                       max_message_bytes_, " bytes");
        endpoint_.Close(CloseCode::kMessageTooBig, why);
        return Lost{std::move(why)};
      }
      case ws::Endpoint::Event::kViolation: {
        const ws::Reader::Fault& fault = endpoint_.violation();
        if (endpoint_.may_write()) endpoint_.Close(fault.code, fault.what);
        return Lost{absl::StrCat(
            "the other side broke the WebSocket protocol: ", fault.what)};
      }
      case ws::Endpoint::Event::kClose:
        observer.OnClose(endpoint_.peer_close_code(), endpoint_.close_reason());
        break;
      case ws::Endpoint::Event::kNeedsBytes:
      case ws::Endpoint::Event::kPing:
      case ws::Endpoint::Event::kPong:
        break;
    }
  }
  return std::nullopt;
}

ClientFailure ClientWebSocket::AtEnd(absl::string_view why) const {
  if (!is_open()) return response_->AtEnd(why);
  std::string lost = "connection broken without a Close frame";
  if (!why.empty()) absl::StrAppend(&lost, " (", why, ")");
  return Lost{std::move(lost)};
}

}  // namespace headgate
