#include "gateway/net/http2_stream.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "gateway/net/http2_connection.h"

namespace headgate {
namespace {

// What nghttp2 sends (NGHTTP2_MAX_HEADERSLEN), with some to spare.
constexpr std::size_t kMaxListBytes = 65'000;

// Fields that belong to a connection of HTTP/1.1 (RFC 9113 section 8.2.2).
bool IsOfConnection(absl::string_view name) {
  return name == "connection" || name == "transfer-encoding" ||
         name == "upgrade" || name == "keep-alive" ||
         name == "proxy-connection";
}

// As in HTTP/1.1 (ResponseHead), characters that a value cannot have become
// '?'.
std::string FieldValue(absl::string_view value) {
  std::string text(value);
  for (char& c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x20 && c != '\t') || byte == 0x7F) c = '?';
  }
  return text;
}

// Names and values, one after the other, as HTTP/2 has them.
std::vector<std::string> FieldTexts(const HttpFields& fields) {
  std::vector<std::string> texts;
  texts.reserve(2 * fields.size());
  for (const auto& [name, value] : fields) {
    std::string lower = absl::AsciiStrToLower(name);
    if (IsOfConnection(lower)) continue;
    texts.push_back(std::move(lower));
    texts.push_back(FieldValue(value));
  }
  return texts;
}

void AddFields(const std::vector<std::string>& texts,
               std::vector<h2::Field>& fields) {
  for (std::size_t i = 0; i + 1 < texts.size(); i += 2) {
    fields.push_back(h2::MakeField(texts[i], texts[i + 1]));
  }
}

}  // namespace

Http2Stream::Http2Stream(std::shared_ptr<Http2Connection> connection)
    : connection_(std::move(connection)),
      request_(std::make_unique<Http2Request>()) {}

Http2Stream::~Http2Stream() { assert(session() == nullptr); }

// --- What comes from the client ---

void Http2Stream::OnField(absl::string_view name, absl::string_view value) {
  // Trailers of a request have no meaning here.
  if (!head_is_complete_) request_->Add(name, value);
}

void Http2Stream::OnFieldsEnd(bool end_stream) {
  if (end_stream) peer_ended_ = true;
  if (!std::exchange(head_is_complete_, true)) {
    return connection_->OnRequestHead(*this);
  }
  Notify();
}

void Http2Stream::OnData(absl::string_view bytes) {
  // A user that has gone gives no window back, so that no more than that comes.
  if (is_closed_) return;
  absl::StrAppend(&received_, bytes);
  Notify();
}

void Http2Stream::OnEndStream() {
  peer_ended_ = true;
  Notify();
}

void Http2Stream::OnEnd(const h2::StreamEnd& end) {
  const bool is_complete = end.cause == h2::StreamEnd::Cause::kReset &&
                           end.code == h2::kNoError && peer_ended_;
  if (!is_complete || sending_ != Sending::kEnding) {
    failure_ = absl::UnavailableError(
        absl::StrCat("the stream was reset: ", h2::ErrorName(end.code)));
  }
  Notify();
  connection_->OnStreamEnd(*this, end);
}

void Http2Stream::Fail(absl::Status why) {
  if (failure_.ok()) failure_ = std::move(why);
  Notify();
}

std::string Http2Stream::Take(std::size_t max_bytes) {
  std::string bytes;
  if (received_.size() <= max_bytes) {
    bytes = std::exchange(received_, {});
  } else {
    bytes = received_.substr(0, max_bytes);
    received_.erase(0, max_bytes);
  }
  if (!bytes.empty()) connection_->Consume(*this, bytes.size());
  if (at_end()) end_seen_ = true;
  return bytes;
}

ByteStream::Result Http2Stream::Read(absl::Span<char> buffer) {
  if (!received_.empty()) {
    const std::size_t size = std::min(buffer.size(), received_.size());
    std::memcpy(buffer.data(), received_.data(), size);
    if (size == received_.size()) {
      std::string().swap(received_);
    } else {
      received_.erase(0, size);
    }
    connection_->Consume(*this, size);
    return {Result::Kind::kDone, size, {}};
  }
  if (peer_ended_) {
    end_seen_ = true;
    return {Result::Kind::kEnd, 0, absl::UnavailableError("End of file")};
  }
  if (!failure_.ok()) return {Result::Kind::kFailed, 0, failure_};
  return {Result::Kind::kWouldBlock, 0, {}};
}

// --- What goes to the client ---

void Http2Stream::Continue() {
  if (session() == nullptr) return;
  session()->Inform(*this, {h2::MakeField(":status", "100")});
  connection_->FlushSoon();
}

void Http2Stream::Respond(int status, const HttpFields& fields, bool is_last) {
  assert(sending_ == Sending::kHead);
  sending_ = is_last ? Sending::kEnding : Sending::kBody;
  if (session() == nullptr) return;
  const std::string status_text = absl::StrCat(status);
  const std::vector<std::string> texts = FieldTexts(fields);
  std::vector<h2::Field> all = {h2::MakeField(":status", status_text)};
  AddFields(texts, all);
  if (IsTooLong(all)) return;
  session()->Respond(*this, all, /*has_body=*/!is_last);
  connection_->FlushSoon();
}

// RFC 9113 section 10.5.1: a longer list costs this stream, while some clients
// (gRPC's core) would end the others with it. gRPC takes the code for
// RESOURCE_EXHAUSTED.
bool Http2Stream::IsTooLong(const std::vector<h2::Field>& fields) {
  const std::size_t bytes = h2::HeaderListBytes(fields);
  if (bytes <= kMaxListBytes &&
      bytes <= session()->peer_max_header_list_bytes()) {
    return false;
  }
  failure_ = absl::ResourceExhaustedError(
      "the response's header list is longer than the client takes, or than "
      "65,000 bytes");
  Reset(h2::kEnhanceYourCalm);
  return true;
}

ByteStream::Result Http2Stream::Write(
    absl::Span<const absl::string_view> pieces) {
  if (!failure_.ok()) return {Result::Kind::kFailed, 0, failure_};
  if (session() == nullptr || sending_ != Sending::kBody) {
    return {Result::Kind::kFailed, 0,
            absl::UnavailableError("the stream has ended")};
  }
  std::size_t taken = 0;
  for (const absl::string_view piece : pieces) {
    const std::size_t room =
        kMaxUnsentBytes - std::min(kMaxUnsentBytes, unsent_bytes());
    const std::size_t size = std::min(piece.size(), room);
    unsent_.append(piece.data(), size);
    taken += size;
    if (size < piece.size()) break;
  }
  if (taken == 0) return {Result::Kind::kWouldBlock, 0, {}};
  Resume();
  return {Result::Kind::kDone, taken, {}};
}

void Http2Stream::EndWrite(const HttpFields& trailers) {
  if (sending_ == Sending::kEnding) return;
  assert(sending_ == Sending::kBody);
  sending_ = Sending::kEnding;
  trailers_ = FieldTexts(trailers);
  if (session() != nullptr && !trailers_.empty() && IsTooLong(TakeTrailers())) {
    return;
  }
  Resume();
}

void Http2Stream::Resume() {
  if (session() == nullptr) return;
  session()->Resume(*this);
  connection_->FlushSoon();
}

h2::Stream::Outgoing Http2Stream::PeekOutgoing(std::size_t max) {
  const std::size_t size = std::min(max, unsent_bytes());
  return {size, sending_ == Sending::kEnding && size == unsent_bytes()};
}

void Http2Stream::MoveOutgoing(std::size_t bytes, std::string& to) {
  to.append(unsent_, unsent_begin_, bytes);
  moved_bytes_ += bytes;
  written_up_to_.reset();
  unsent_begin_ += bytes;
  if (unsent_begin_ == unsent_.size()) {
    std::string().swap(unsent_);
    unsent_begin_ = 0;
  } else if (unsent_begin_ >= kMaxUnsentBytes) {
    unsent_.erase(0, std::exchange(unsent_begin_, 0));
  }
  Notify();
}

std::vector<h2::Field> Http2Stream::TakeTrailers() {
  std::vector<h2::Field> fields;
  AddFields(trailers_, fields);
  return fields;
}

// --- The user ---

void Http2Stream::SetUser(User* user) {
  user_ = user;
  readable_awaited_ = writable_awaited_ = false;
}

void Http2Stream::AwaitReadable() {
  readable_awaited_ = true;
  Notify();
}

void Http2Stream::AwaitWritable() {
  writable_awaited_ = true;
  Notify();
}

bool Http2Stream::is_readable() const {
  return !received_.empty() || (peer_ended_ && !end_seen_) || !failure_.ok();
}

bool Http2Stream::is_writable() const {
  return unsent_bytes() < kMaxUnsentBytes / 2 || !failure_.ok() ||
         session() == nullptr;
}

void Http2Stream::Notify() {
  if ((readable_awaited_ && is_readable()) ||
      (writable_awaited_ && is_writable())) {
    connection_->turn().Soon(*this);
  }
}

// Many streams may become readable at once, each with a large message.
void Http2Stream::OnTurn() {
  const auto self = shared_from_this();
  Turn& turn = connection_->turn();
  if (turn.has_worked_long()) return turn.Postpone(*this);
  const Turn::Work work(turn);
  if (readable_awaited_ && is_readable()) {
    readable_awaited_ = false;
    user_->OnReadable();
  }
  if (writable_awaited_ && is_writable()) {
    writable_awaited_ = false;
    user_->OnWritable();
  }
}

// --- How it ends ---

void Http2Stream::Close() {
  if (std::exchange(is_closed_, true)) return;
  SetUser(nullptr);
  std::string().swap(received_);
  if (session() == nullptr) return;
  // Where both sides are done, that is the end.
  if (peer_ended_ && sending_ == Sending::kBody) EndWrite();
  if (sending_ != Sending::kEnding) return Reset(h2::kCancel);
  connection_->FinishWhenSent(*this);
}

void Http2Stream::Reset(h2::ErrorCode code) {
  is_closed_ = true;
  SetUser(nullptr);
  std::string().swap(received_);
  std::string().swap(unsent_);
  unsent_begin_ = 0;
  if (session() != nullptr) connection_->ResetStream(*this, code);
}

std::uint64_t Http2Stream::BytesTaken() {
  if (!written_up_to_ && connection_->has_written_all()) {
    written_up_to_ = connection_->BytesWritten();
  }
  const std::uint64_t taken = connection_->BytesTaken();
  return moved_bytes_ +
         (written_up_to_ ? std::min(taken, *written_up_to_) : taken);
}

std::uint64_t Http2Stream::BytesWritten() const {
  return moved_bytes_ + unsent_bytes() + connection_->BytesWritten();
}

StreamSocket::executor_type Http2Stream::executor() {
  return connection_->executor();
}

}  // namespace headgate
