#include "cmd/headgate/bench/h2_link.h"

#include <array>
#include <utility>

namespace headgate {
namespace {

// So much is framed at a time.
constexpr std::size_t kSendBytes = 256 * 1024;
// The plaintext of a record (RFC 8446 section 5.1).
constexpr std::size_t kRecordBytes = 16 * 1024;

h2::SessionOptions LinkOptions() {
  h2::SessionOptions options;
  options.role = h2::Role::kClient;
  options.stream_window_bytes = 1024 * 1024;
  return options;
}

}  // namespace

H2Link::H2Link(const std::shared_ptr<const TlsContext>& tls,
               const std::string& server, h2::Time now)
    : tls_(tls == nullptr ? nullptr : std::make_unique<TlsEngine>(tls, server)),
      session_(LinkOptions(), nullptr, now) {}

absl::Status H2Link::Start() {
  return tls_ == nullptr ? absl::OkStatus() : tls_->Handshake();
}

absl::Status H2Link::Receive(absl::string_view bytes, h2::Time now) {
  if (tls_ == nullptr) return ReceiveFrames(bytes, now);
  tls_->Feed(bytes);
  if (!tls_->established()) {
    const absl::Status status = tls_->Handshake();
    if (!status.ok() || !tls_->established()) return status;
  }
  for (std::array<char, kRecordBytes> plaintext;;) {
    const auto size = tls_->Read(plaintext.data(), plaintext.size());
    if (!size.ok() || *size == 0) return size.status();
    const absl::Status status = ReceiveFrames({plaintext.data(), *size}, now);
    if (!status.ok()) return status;
  }
}

absl::Status H2Link::ReceiveFrames(absl::string_view bytes, h2::Time now) {
  const absl::Status status = session_.Receive(bytes, now);
  if (session_.TakeSettingsCame()) is_ready_ = true;
  return status;
}

absl::string_view H2Link::Front() {
  if (sent_ == output_.size()) {
    output_.clear();
    sent_ = 0;
    if (tls_ == nullptr) {
      failure_.Update(session_.Send(kSendBytes, output_));
    } else {
      if (tls_->established()) {
        std::string frames;
        failure_.Update(session_.Send(kSendBytes, frames));
        if (!frames.empty()) failure_.Update(tls_->Write(frames));
      }
      std::swap(output_, tls_->output());
    }
  }
  return absl::string_view(output_).substr(sent_);
}

}  // namespace headgate
