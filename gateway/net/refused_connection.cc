#include "gateway/net/refused_connection.h"

#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/beast/core/bind_handler.hpp>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "gateway/net/http_response.h"

namespace headgate {
namespace {

// The whole response: small enough for any socket's buffer.
std::string AnswerOf(const Refusal& refusal, absl::Time now) {
  const std::string body = RefusalBody(refusal);
  HttpFields fields = refusal.headers;
  fields.emplace_back("Server", "headgate");
  fields.emplace_back("Date", HttpDate(now));
  fields.emplace_back("Content-Type", "application/json");
  fields.emplace_back("Content-Length", absl::StrCat(body.size()));
  fields.emplace_back("Connection", "close");
  return absl::StrCat(ResponseHead(refusal.http_status, fields), body);
}

}  // namespace

RefusedConnection::RefusedConnection(Wire wire, std::unique_ptr<Place> place,
                                     std::string answer, ConnectionHost& host)
    : wire_(std::move(wire)),
      place_(std::move(place)),
      answer_(std::move(answer)),
      host_(host),
      since_(host.now()) {}

void RefusedConnection::Start() { Await(); }

void RefusedConnection::Await() {
  wire_.AsyncWait(StreamSocket::wait_read,
                  boost::beast::bind_front_handler(
                      &RefusedConnection::OnReadable, shared_from_this()));
}

void RefusedConnection::OnReadable(Error error) {
  if (finished_) return;
  if (error) return Finish();
  const absl::Span<char> buffer = host_.ReadBuffer();
  wire_.ReadNow(boost::asio::buffer(buffer.data(), buffer.size()), error);
  const bool would_block = error == boost::asio::error::would_block ||
                           error == boost::asio::error::try_again;
  if (error && !would_block) return Finish();
  if (!error) Answer();
  if (!finished_) Await();
}

void RefusedConnection::Answer() {
  if (answer_.empty()) return;
  Error error;
  wire_.WriteNow(boost::asio::buffer(answer_), error);
  answer_.clear();
  if (error) return Finish();
  wire_.socket().shutdown(StreamSocket::shutdown_send, error);
}

void RefusedConnection::OnTick(absl::Time now) {
  if (finished_ || now - since_ < kRefusalPatience) return;
  Answer();  // A client that waits for the gateway's word gets it.
  Finish();
}

void RefusedConnection::Finish() {
  if (finished_) return;
  finished_ = true;
  wire_.Close();
  place_.reset();
  host_.Remove(*this);
}

void RefuseConnection(Wire wire, std::size_t listener, const std::string& peer,
                      bool needs_tls, Capacity capacity, ConnectionHost& host) {
  const Refusal refusal = NoConnection(capacity);
  std::unique_ptr<Place> place =
      host.ConnectionRefused(listener, refusal, peer);
  if (needs_tls) return wire.Close();
  std::string answer = AnswerOf(refusal, host.now());
  if (place == nullptr) {
    // What has come is read first: closing with bytes unread resets the
    // connection, and may take the answer away from the client.
    boost::beast::error_code ignored;
    const absl::Span<char> buffer = host.ReadBuffer();
    wire.ReadNow(boost::asio::buffer(buffer.data(), buffer.size()), ignored);
    wire.WriteNow(boost::asio::buffer(answer), ignored);
    return wire.Close();
  }
  auto connection = std::make_shared<RefusedConnection>(
      std::move(wire), std::move(place), std::move(answer), host);
  host.Add(connection, listener);
  connection->Start();
}

void RefuseConnection(AcceptedConnection accepted, Capacity capacity,
                      ConnectionHost& host) {
  RefuseConnection(Wire(std::move(accepted.socket), std::move(accepted.place)),
                   accepted.listener, accepted.address,
                   host.SettingsOf(accepted.listener)->tls != nullptr, capacity,
                   host);
}

}  // namespace headgate
