#include "gateway/codec/json_stream.h"

#include <algorithm>
#include <boost/json/basic_parser_impl.hpp>
#include <utility>

#include "absl/strings/str_cat.h"

namespace headgate {
namespace {

// Neither clear() nor the assignment of an empty string frees a buffer, which a
// session that is silent now should not hold.
void Free(std::string& buffer) { std::string().swap(buffer); }

bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

void Advance(absl::string_view bytes, StreamPosition& position) {
  position.byte += bytes.size();
  // Seldom any: find() goes over many bytes at a time.
  for (std::size_t at = bytes.find('\n'); at != absl::string_view::npos;
       at = bytes.find('\n', at + 1)) {
    ++position.line;
  }
}

// Takes notice of nothing: the texts are only checked and measured.
struct NullHandler {
  using Error = boost::json::error_code;
  using View = boost::json::string_view;
  static constexpr std::size_t max_object_size = -1;
  static constexpr std::size_t max_array_size = -1;
  static constexpr std::size_t max_key_size = -1;
  static constexpr std::size_t max_string_size = -1;

  bool on_document_begin(Error&) { return true; }
  bool on_document_end(Error&) { return true; }
  bool on_object_begin(Error&) { return true; }
  bool on_object_end(std::size_t, Error&) { return true; }
  bool on_array_begin(Error&) { return true; }
  bool on_array_end(std::size_t, Error&) { return true; }
  bool on_key_part(View, std::size_t, Error&) { return true; }
  bool on_key(View, std::size_t, Error&) { return true; }
  bool on_string_part(View, std::size_t, Error&) { return true; }
  bool on_string(View, std::size_t, Error&) { return true; }
  bool on_number_part(View, Error&) { return true; }
  bool on_int64(std::int64_t, View, Error&) { return true; }
  bool on_uint64(std::uint64_t, View, Error&) { return true; }
  bool on_double(double, View, Error&) { return true; }
  bool on_bool(bool, Error&) { return true; }
  bool on_null(Error&) { return true; }
  bool on_comment_part(View, Error&) { return true; }
  bool on_comment(View, Error&) { return true; }
};

boost::json::parse_options ParseOptions(int max_depth) {
  boost::json::parse_options options;
  options.max_depth = static_cast<std::size_t>(max_depth);
  return options;
}

}  // namespace

std::string ToString(const StreamPosition& position) {
  return absl::StrCat("line ", position.line, ", byte ", position.byte);
}

class JsonStream::Parser : public boost::json::basic_parser<NullHandler> {
 public:
  explicit Parser(int max_depth) : basic_parser(ParseOptions(max_depth)) {}
};

JsonStream::JsonStream(std::size_t max_text_bytes, int max_depth)
    : max_text_bytes_(
          std::min<std::size_t>(max_text_bytes, std::string().max_size())),
      max_depth_(max_depth),
      parser_(std::make_unique<Parser>(max_depth)) {}

JsonStream::~JsonStream() = default;

void JsonStream::Feed(std::string piece) {
  DropText();
  piece_ = std::move(piece);
  read_ = 0;
}

JsonStream::Event JsonStream::Next() {
  DropText();
  if (begun_.empty()) SkipSpace();
  if (read_ == piece_.size()) {
    Free(piece_);
    read_ = 0;
    return NeedBytes{};
  }

  // One byte more than a text may have, so that its end shows.
  const absl::string_view rest = absl::string_view(piece_).substr(read_).substr(
      0, max_text_bytes_ - begun_.size() + 1);
  const bool is_number =
      begun_.empty() && (rest[0] == '-' || (rest[0] >= '0' && rest[0] <= '9'));
  boost::json::error_code error;
  std::size_t parsed =
      parser_->write_some(true, rest.data(), rest.size(), error);
  if (!error && !parser_->done() && is_number &&
      rest.size() <= max_text_bytes_) {
    parser_->write_some(false, rest.data() + parsed, 0, error);
  }
  if (error) return InvalidAt(begun_.size() + parsed, error.message());
  if (parser_->done()) {
    while (parsed > 0 && IsSpace(rest[parsed - 1])) --parsed;
  }
  if (begun_.size() + parsed > max_text_bytes_) {
    return FaultAt(0, absl::ResourceExhaustedError(absl::StrCat(
                          "a JSON text is over max_message_bytes (",
                          max_text_bytes_, ")")));
  }
  if (parser_->done()) return Complete(parsed);

  // Only at the end of the piece: else the text would be too long.
  begun_.append(rest.data(), rest.size());
  Free(piece_);
  read_ = 0;
  return NeedBytes{};
}

// The text ends after `bytes` more of the piece.
JsonStream::Event JsonStream::Complete(std::size_t bytes) {
  const absl::string_view tail = absl::string_view(piece_).substr(read_, bytes);
  read_ += bytes;
  parser_->reset();
  if (begun_.empty()) {
    text_bytes_ = tail.size();
    return Text{tail};
  }
  begun_.append(tail.data(), tail.size());
  text_bytes_ = begun_.size();
  return Text{begun_};
}

void JsonStream::DropText() {
  if (text_bytes_ == 0) return;
  text_start_ = PositionOf(text_bytes_);
  text_bytes_ = 0;
  Free(begun_);
}

void JsonStream::SkipSpace() {
  const std::size_t start = read_;
  while (read_ < piece_.size() && IsSpace(piece_[read_])) ++read_;
  Advance(absl::string_view(piece_).substr(start, read_ - start), text_start_);
}

StreamPosition JsonStream::PositionOf(std::size_t offset) const {
  StreamPosition position = text_start_;
  const std::size_t in_begun = std::min(offset, begun_.size());
  Advance(absl::string_view(begun_).substr(0, in_begun), position);
  if (offset > in_begun) {
    // The text, or its rest, is in the piece: before read_ when it is whole.
    const std::size_t in_piece = offset - in_begun;
    const std::size_t start = text_bytes_ == 0 ? read_ : read_ - text_bytes_;
    Advance(absl::string_view(piece_).substr(start, in_piece), position);
  }
  return position;
}

// The parser has found the text invalid near the byte `offset`. How near
// depends on its fast paths, which need several bytes at once; given single
// bytes it stops at the first that cannot be.
JsonStream::Fault JsonStream::InvalidAt(std::size_t offset,
                                        std::string what) const {
  constexpr std::size_t kInaccuracy = 16;  // Two escapes have 12 bytes.
  const std::string text =
      absl::StrCat(begun_, absl::string_view(piece_).substr(
                               read_, offset + kInaccuracy - begun_.size()));
  const std::size_t valid = offset - std::min(offset, kInaccuracy);
  Parser parser(max_depth_);
  boost::json::error_code error;
  parser.write_some(true, text.data(), valid, error);
  for (std::size_t i = valid; i < text.size() && !error; ++i) {
    parser.write_some(true, text.data() + i, 1, error);
    if (!error) continue;
    offset = i;
    what = error.message();
  }
  return FaultAt(
      offset, absl::InvalidArgumentError(absl::StrCat("invalid JSON: ", what)));
}

JsonStream::Fault JsonStream::FaultAt(std::size_t offset,
                                      absl::Status status) const {
  return Fault{PositionOf(offset), std::move(status)};
}

}  // namespace headgate
