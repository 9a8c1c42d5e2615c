#include "gateway/net/arrival.h"

#include <algorithm>
#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/beast/core/bind_handler.hpp>

#include "absl/strings/str_cat.h"
#include "gateway/net/http_connection.h"
#include "gateway/net/refused_connection.h"
#include "gateway/net/request_metadata.h"
#include "gateway/net/tls.h"

namespace headgate {

Arrival::Arrival(Wire wire, std::string peer, std::size_t listener,
                 std::shared_ptr<const ConnectionSettings> settings,
                 ConnectionHost& host)
    : wire_(std::move(wire)),
      listener_(listener),
      settings_(std::move(settings)),
      host_(host),
      since_(host.now()) {
  peer_.address = std::move(peer);
}

void Arrival::Start() {
  if (!settings_->proxy_protocol) return Secure();
  ReadProxyHeader(ParseProxyHeader("")->missing);
}

void Arrival::ReadProxyHeader(std::size_t missing) {
  wire_.async_read_some(
      boost::asio::buffer(incoming_.data(),
                          std::min(missing, incoming_.size())),
      boost::beast::bind_front_handler(&Arrival::OnProxyBytes,
                                       shared_from_this()));
}

void Arrival::OnProxyBytes(Error error, std::size_t bytes) {
  if (finished_) return;
  if (error) return Fail(ArrivalStep::kProxyHeader, error.message());
  header_.append(incoming_.data(), bytes);
  const absl::StatusOr<ProxyHeader> header = ParseProxyHeader(header_);
  if (!header.ok()) {
    return Fail(ArrivalStep::kProxyHeader,
                std::string(header.status().message()));
  }
  if (header->missing > 0) return ReadProxyHeader(header->missing);
  if (!header->source.empty()) peer_.address = header->source;
  if (Admit()) Secure();
}

bool Arrival::Admit() {
  std::unique_ptr<Place> place;
  const Capacity capacity = host_.AdmitConnection(
      CountedAddress(peer_.address, settings_->policy.trusted_proxies), &place);
  if (capacity == Capacity::kFree) {
    wire_.Hold(std::move(place));
    return true;
  }
  finished_ = true;
  RefuseConnection(std::move(wire_), listener_, peer_.address,
                   settings_->tls != nullptr, capacity, host_);
  host_.Remove(*this);
  return false;
}

void Arrival::Secure() {
  if (settings_->tls == nullptr) return Serve();
  step_ = ArrivalStep::kTls;
  wire_.AsyncStartTls(settings_->tls, [self = shared_from_this()](Error error) {
    if (self->finished_) return;
    if (error) return self->Fail(ArrivalStep::kTls, error.message());
    self->peer_.client_subject = PeerSubject(self->wire_.tls_handle());
    self->Serve();
  });
}

void Arrival::Serve() {
  finished_ = true;
  auto connection = std::make_shared<HttpConnection>(
      std::move(wire_), std::move(peer_), listener_, since_, host_);
  host_.Add(connection, listener_);
  connection->Start();
  host_.Remove(*this);
}

void Arrival::Fail(ArrivalStep step, const std::string& why) {
  host_.ArrivalFailed(listener_, step, peer_.address, why);
  Finish();
}

void Arrival::Finish() {
  if (finished_) return;
  finished_ = true;
  wire_.Close();
  host_.Remove(*this);
}

void Arrival::OnTick(absl::Time now) {
  if (finished_ || now - since_ < settings_->handshake_timeout) return;
  Fail(step_, absl::StrCat("not done within ",
                           absl::FormatDuration(settings_->handshake_timeout)));
}

void Arrival::Drain(const DrainOrder& /*order*/) { Finish(); }

void Arrival::Abort() { Finish(); }

}  // namespace headgate
