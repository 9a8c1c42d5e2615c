#include "gateway/net/tls_stream.h"

#include <algorithm>
#include <utility>

#include <boost/asio/post.hpp>

namespace headgate {
namespace {

// The most that goes into one record (RFC 8446 section 5.1).
constexpr std::size_t kMostPlaintext = 16 * 1024;
// What a record, and the others in one read, may add to their content.
constexpr std::size_t kRecordRoom = 1024;
// Records that are not taken. More than one of messages and those of a
// handshake are responses of TLS's own, to a client that asks for them (key
// updates, renegotiation) and does not take them.
constexpr std::size_t kMostUnsent = 64 * 1024;

}  // namespace

TlsStream::TlsStream(std::shared_ptr<ByteStream> carrier,
                     std::shared_ptr<const TlsContext> context,
                     TlsBuffers& buffers)
    : carrier_(std::move(carrier)),
      context_(std::move(context)),
      buffers_(buffers) {
  carrier_->SetUser(this);
}

template <typename Call>
absl::Status TlsStream::Exchange(Call call) {
  std::swap(engine_->output(), buffers_.outgoing);
  absl::Status result = call();
  std::swap(engine_->output(), buffers_.outgoing);
  SendRecords(buffers_.outgoing);
  buffers_.outgoing.clear();
  return result;
}

void TlsStream::SendRecords(absl::string_view records) {
  while (unsent_.empty() && !records.empty() && send_failure_.ok()) {
    const Result sent = carrier_->Write({records});
    if (sent.kind == Result::Kind::kWouldBlock) break;
    if (sent.kind != Result::Kind::kDone) {
      send_failure_ = sent.why;
      break;
    }
    records.remove_prefix(sent.bytes);
  }
  if (records.empty() || !send_failure_.ok()) return;
  if (unsent_.empty()) carrier_->AwaitWritable();
  unsent_.append(records.data(), records.size());
}

absl::StatusOr<bool> TlsStream::Handshake() {
  if (!engine_) engine_.emplace(std::exchange(context_, nullptr));
  if (const std::optional<Result> nothing = Fetch(kMostPlaintext)) {
    if (nothing->kind == Result::Kind::kWouldBlock) return false;
    return nothing->kind == Result::Kind::kEnd
               ? absl::UnavailableError("TLS: the client has hung up")
               : nothing->why;
  }
  const absl::Status status = Exchange([&] { return engine_->Handshake(); });
  KeepUnread();
  if (!status.ok()) return status;
  return engine_->established();
}

std::optional<ByteStream::Result> TlsStream::Fetch(std::size_t max) {
  if (!unread_.empty()) {
    engine_->Feed(unread_);
    return std::nullopt;
  }
  const Result read = carrier_->Read(
      absl::MakeSpan(buffers_.incoming).subspan(0, max + kRecordRoom));
  if (read.kind != Result::Kind::kDone) return read;
  engine_->Feed({buffers_.incoming.data(), read.bytes});
  return std::nullopt;
}

void TlsStream::KeepUnread() {
  const absl::string_view left = engine_->unread();
  if (left.empty()) {
    std::string().swap(unread_);
  } else {
    unread_ = std::string(left);
  }
  engine_->Feed({});
}

ByteStream::Result TlsStream::Read(absl::Span<char> buffer) {
  if (read_failure_.ok() && unsent_.size() > kMostUnsent) {
    read_failure_ =
        absl::UnavailableError("TLS: the client takes no responses");
    ++buffers_.floods;
  }
  if (!read_failure_.ok()) return ReadFailed();
  if (!unread_.empty() || !engine_->has_plaintext()) {
    std::optional<Result> nothing = Fetch(buffer.size());
    if (nothing && nothing->kind == Result::Kind::kEnd) {
      nothing = {Result::Kind::kFailed, 0,
                 absl::UnavailableError(
                     "TLS: the client has hung up without close_notify")};
    }
    if (nothing) return *std::move(nothing);
  }
  std::size_t bytes = 0;
  const absl::Status status = Exchange([&] {
    while (bytes < buffer.size()) {
      const absl::StatusOr<std::size_t> read =
          engine_->Read(buffer.data() + bytes, buffer.size() - bytes);
      if (!read.ok()) return read.status();
      if (*read == 0) break;
      bytes += *read;
    }
    return absl::OkStatus();
  });
  KeepUnread();
  read_failure_ = status;
  if (engine_->is_flooded()) ++buffers_.floods;
  if (bytes > 0) return {Result::Kind::kDone, bytes, {}};
  if (!read_failure_.ok()) return ReadFailed();
  return {Result::Kind::kWouldBlock, 0, {}};
}

ByteStream::Result TlsStream::ReadFailed() const {
  return {engine_->peer_ended() ? Result::Kind::kEnd : Result::Kind::kFailed, 0,
          read_failure_};
}

ByteStream::Result TlsStream::Write(
    absl::Span<const absl::string_view> pieces) {
  if (!send_failure_.ok()) return {Result::Kind::kFailed, 0, send_failure_};
  if (!unsent_.empty()) return {Result::Kind::kWouldBlock, 0, {}};
  while (!pieces.empty() && pieces.front().empty()) pieces.remove_prefix(1);
  while (!pieces.empty() && pieces.back().empty()) pieces.remove_suffix(1);
  absl::string_view plaintext =
      pieces.empty() ? absl::string_view() : pieces.front();
  if (pieces.size() > 1 && plaintext.size() < kMostPlaintext) {
    buffers_.plaintext.clear();
    for (const absl::string_view piece : pieces) {
      const std::size_t room = kMostPlaintext - buffers_.plaintext.size();
      buffers_.plaintext.append(piece.data(), std::min(piece.size(), room));
    }
    plaintext = buffers_.plaintext;
  }
  plaintext = plaintext.substr(0, kMostPlaintext);
  const absl::Status status =
      Exchange([&] { return engine_->Write(plaintext); });
  if (!status.ok()) return {Result::Kind::kFailed, 0, status};
  if (!send_failure_.ok()) return {Result::Kind::kFailed, 0, send_failure_};
  return {Result::Kind::kDone, plaintext.size(), {}};
}

void TlsStream::EndWrite() {
  if (sending_ != Sending::kOpen) return;
  sending_ = Sending::kEnding;
  Exchange([&] {
    engine_->Shutdown();
    return absl::OkStatus();
  }).IgnoreError();
  EndIfSent();
}

void TlsStream::EndIfSent() {
  if (sending_ != Sending::kEnding || !unsent_.empty()) return;
  sending_ = Sending::kEnded;
  carrier_->EndWrite();
}

void TlsStream::SetUser(ByteStream::User* user) {
  user_ = user;
  readable_awaited_ = writable_awaited_ = false;
}

void TlsStream::AwaitReadable() {
  readable_awaited_ = true;
  if (!HasBytes()) return carrier_->AwaitReadable();
  boost::asio::post(executor(), [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->OnReadable();
  });
}

bool TlsStream::HasBytes() const {
  return !unread_.empty() || !read_failure_.ok() ||
         (engine_ && engine_->has_plaintext());
}

void TlsStream::OnReadable() {
  if (std::exchange(readable_awaited_, false)) user_->OnReadable();
}

void TlsStream::AwaitWritable() {
  writable_awaited_ = true;
  if (unsent_.empty()) carrier_->AwaitWritable();
}

void TlsStream::OnWritable() {
  const std::string records = std::exchange(unsent_, {});
  SendRecords(records);
  if (!unsent_.empty()) return;
  EndIfSent();
  if (std::exchange(writable_awaited_, false)) user_->OnWritable();
}

void TlsStream::Close() {
  SetUser(nullptr);
  carrier_->Close();
}

std::size_t TlsStream::held_bytes() const {
  return unread_.size() + unsent_.size() + carrier_->held_bytes();
}

}  // namespace headgate
