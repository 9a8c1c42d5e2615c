#include "gateway/net/arrival.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "gateway/http/header_rules.h"
#include "gateway/net/http2_connection.h"
#include "gateway/net/http_connection.h"
#include "gateway/net/proxy_header.h"
#include "gateway/net/refused_connection.h"

namespace headgate {

Arrival::Arrival(std::shared_ptr<SocketStream> socket, std::string peer,
                 std::size_t listener,
                 std::shared_ptr<const ConnectionSettings> settings,
                 ConnectionHost& host)
    : socket_(std::move(socket)),
      listener_(listener),
      settings_(std::move(settings)),
      host_(host),
      since_(host.now()) {
  peer_.address = std::move(peer);
  socket_->SetUser(this);
}

void Arrival::Start() {
  host_.SetIdle(*this, true);
  if (!settings_->proxy_protocol) return Secure();
  socket_->AwaitReadable();
}

void Arrival::OnReadable() {
  const auto self = shared_from_this();
  assert(state_ != State::kFinished);
  if (state_ == State::kProxyHeader) return ReadProxyHeader();
  // A step of a handshake takes up to some ms, and many may come at once.
  if (host_.turn().has_worked_long()) return host_.turn().Postpone(*this);
  state_ == State::kHello ? BeginTls() : ContinueTls();
}

void Arrival::OnTurn() {
  if (state_ == State::kHello || state_ == State::kTls) OnReadable();
}

// Reads no byte of what is behind the header: that is TLS's, or HTTP's.
void Arrival::ReadProxyHeader() {
  absl::StatusOr<ProxyHeader> header = ParseProxyHeader(header_);
  while (header.ok() && header->missing > 0) {
    const ByteStream::Result read =
        socket_->Read(host_.ReadBuffer().subspan(0, header->missing));
    if (read.kind == ByteStream::Result::Kind::kWouldBlock) {
      return socket_->AwaitReadable();
    }
    if (read.kind != ByteStream::Result::Kind::kDone) {
      return Fail(read.why.message());
    }
    header_.append(host_.ReadBuffer().data(), read.bytes);
    header = ParseProxyHeader(header_);
  }
  if (!header.ok()) return Fail(header.status().message());
  if (!header->source.empty()) peer_.address = header->source;
  if (Admit()) Secure();
}

bool Arrival::Admit() {
  std::unique_ptr<Place> place;
  const Capacity capacity = host_.AdmitConnection(
      CountedAddress(peer_.address, settings_->policy.trusted_proxies), &place);
  if (capacity == Capacity::kFree) {
    socket_->Hold(std::move(place));
    return true;
  }
  state_ = State::kFinished;
  RefuseConnection(socket_, listener_, peer_.address, settings_->tls != nullptr,
                   capacity, host_);
  host_.Remove(*this);
  return false;
}

void Arrival::Secure() {
  if (settings_->tls == nullptr) return Serve(socket_);
  state_ = State::kHello;
  tls_ =
      std::make_shared<TlsStream>(socket_, settings_->tls, host_.tls_buffers());
  tls_->SetUser(this);
  tls_->AwaitReadable();
}

void Arrival::BeginTls() {
  assert(state_ == State::kHello);
  tls_began_ = host_.now();
  state_ = State::kQueued;
  if (host_.AdmitHandshake(listener_, weak_from_this())) OnHandshakeAllowed();
}

void Arrival::OnHandshakeAllowed() {
  const auto self = shared_from_this();
  if (state_ != State::kQueued) return;
  state_ = State::kTls;
  ContinueTls();
}

void Arrival::ContinueTls() {
  const Turn::Work work(host_.turn());
  const absl::StatusOr<bool> complete = tls_->Handshake();
  if (!complete.ok()) {
    return Fail(absl::StripPrefix(complete.status().message(), "TLS: "));
  }
  if (!*complete) return tls_->AwaitReadable();
  host_.TlsEstablished(listener_, tls_->engine(), host_.now() - tls_began_);
  peer_.is_tls = true;
  peer_.client_subject = tls_->engine().peer_subject();
  is_http2_ = tls_->engine().protocol() == "h2";
  Serve(std::move(tls_));
}

void Arrival::Serve(std::shared_ptr<ByteStream> stream) {
  state_ = State::kFinished;
  if (is_http2_) {
    auto connection = std::make_shared<Http2Connection>(
        std::move(stream), std::move(peer_), listener_, since_, host_);
    host_.Add(connection, listener_);
    connection->Start("");
    return host_.Remove(*this);
  }
  auto connection = std::make_shared<HttpConnection>(
      std::move(stream), std::move(peer_), listener_, since_, host_);
  host_.Add(connection, listener_);
  connection->Start();
  host_.Remove(*this);
}

void Arrival::Fail(absl::string_view why) {
  host_.ArrivalFailed(listener_,
                      state_ == State::kProxyHeader ? ArrivalStep::kProxyHeader
                                                    : ArrivalStep::kTls,
                      peer_.address, std::string(why));
  Finish();
}

void Arrival::Finish() {
  if (state_ == State::kFinished) return;
  state_ = State::kFinished;
  if (tls_ != nullptr) tls_->Close();
  socket_->Close();
  host_.Remove(*this);
}

bool Arrival::MayMakeRoom(absl::Time now) const {
  return now - since_ >= kLeastIdle;
}

void Arrival::OnTick(absl::Time now) {
  if (state_ == State::kFinished ||
      now - since_ < settings_->handshake_timeout) {
    return;
  }
  Fail(absl::StrCat("not done within ",
                    absl::FormatDuration(settings_->handshake_timeout)));
}

void Arrival::Drain(const DrainOrder& /*order*/) { Finish(); }

void Arrival::Abort() { Finish(); }

}  // namespace headgate
