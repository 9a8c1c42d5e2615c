#include "cmd/headgate/dial/answers.h"

#include <utility>

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "cmd/headgate/dial/text.h"
#include "gateway/codec/grpc_websockets.h"

namespace headgate {
namespace {

namespace json = boost::json;

constexpr std::size_t kMaxFrameBytes = 64 * 1024 * 1024;

std::string Note(absl::string_view name, absl::string_view value) {
  return OneLine(absl::StrCat("< ", name, ": ", value));
}

std::string StatusNote(int code, absl::string_view message) {
  std::string note = absl::StrCat("< status: ", CodeName(code));
  if (!message.empty()) absl::StrAppend(&note, ": ", OneLine(message));
  return note;
}

// The only member of an object, if it is that one; null: no.
const json::value* OnlyMember(const json::value& value,
                              absl::string_view name) {
  const json::object* const object = value.if_object();
  if (object == nullptr || object->size() != 1) return nullptr;
  return object->if_contains({name.data(), name.size()});
}

// {"name": ["value", ...], ...}
bool AppendFields(const json::value* fields, std::vector<std::string>& notes) {
  const json::object* const object =
      fields == nullptr ? nullptr : fields->if_object();
  if (object == nullptr) return false;
  for (const auto& field : *object) {
    const json::array* const values = field.value().if_array();
    if (values == nullptr) return false;
    for (const json::value& value : *values) {
      if (!value.is_string()) return false;
      const absl::string_view key(field.key().data(), field.key().size());
      notes.push_back(Note(key, std::string(value.as_string())));
    }
  }
  return true;
}

// Of grpc-message; what is not percent-encoded is taken as it is.
std::string PercentDecoded(absl::string_view text) {
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() &&
        absl::ascii_isxdigit(text[i + 1]) &&
        absl::ascii_isxdigit(text[i + 2])) {
      decoded += absl::HexStringToBytes(text.substr(i + 1, 2));
      i += 2;
    } else {
      decoded += text[i];
    }
  }
  return decoded;
}

}  // namespace

std::optional<std::vector<std::string>> NotesOfHeaders(absl::string_view text) {
  if (!absl::StartsWith(text, "{\"headers\":")) return std::nullopt;
  json::error_code error;
  const json::value value = json::parse({text.data(), text.size()}, error);
  std::vector<std::string> notes;
  if (error || !AppendFields(OnlyMember(value, "headers"), notes)) {
    return std::nullopt;
  }
  return notes;
}

std::optional<std::vector<std::string>> NotesOfStatus(absl::string_view text) {
  if (!absl::StartsWith(text, "{\"status\":")) return std::nullopt;
  json::error_code error;
  const json::value value = json::parse({text.data(), text.size()}, error);
  const json::value* const member =
      error ? nullptr : OnlyMember(value, "status");
  if (member == nullptr || !member->is_object()) return std::nullopt;
  const json::object& status = member->as_object();
  const json::value* const code = status.if_contains("code");
  if (code == nullptr || !code->is_int64()) return std::nullopt;
  const json::value* const message = status.if_contains("message");
  std::vector<std::string> notes = {
      StatusNote(static_cast<int>(code->as_int64()),
                 message != nullptr && message->is_string()
                     ? std::string(message->as_string())
                     : std::string())};
  const json::value* const details = status.if_contains("details");
  if (details != nullptr && details->is_array()) {
    for (const json::value& detail : details->as_array()) {
      notes.push_back(Note("detail", json::serialize(detail)));
    }
  }
  AppendFields(status.if_contains("trailers"), notes);
  return notes;
}

AnswerReader::AnswerReader(const LineOptions& options, Verbosity verbosity)
    : options_(options),
      verbosity_(verbosity),
      frames_(kMaxFrameBytes, kGrpcWebTrailersFlag) {}

PrintedMessage AnswerReader::Take(const WireMessage& message) {
  if (options_.codec == &kGrpcWebSocketsDialect) return TakeGrpcWeb(message);
  if (options_.codec == &kJsonDialect && verbosity_ == Verbosity::kMetadata) {
    return TakeJson(message);
  }
  return PrintMessage(message, options_);
}

PrintedMessage AnswerReader::TakeRest() {
  PrintedMessage printed;
  if (const auto held = std::exchange(held_, std::nullopt)) {
    printed.notes =
        NotesOfStatus(held->payload).value_or(std::vector<std::string>());
  }
  return printed;
}

// --- json ---

PrintedMessage AnswerReader::TakeJson(const WireMessage& message) {
  PrintedMessage before;
  // It was a response, as it is not the last message.
  if (held_)
    before = PrintMessage(*std::exchange(held_, std::nullopt), options_);
  const bool is_first = std::exchange(is_first_, false);
  if (is_first) {
    if (auto notes = NotesOfHeaders(message.payload)) {
      before.notes = *std::move(notes);
      return before;
    }
  }
  if (NotesOfStatus(message.payload)) {
    held_ = message;
    return before;
  }
  PrintedMessage printed = PrintMessage(message, options_);
  printed.text.insert(0, before.text);
  return printed;
}

// --- grpc-websockets ---

PrintedMessage AnswerReader::TakeGrpcWeb(const WireMessage& message) {
  PrintedMessage printed;
  absl::string_view bytes = message.payload;
  while (!bytes.empty() && printed.fault.ok()) {
    const absl::StatusOr<std::size_t> taken = frames_.Feed(bytes);
    if (!taken.ok()) {
      printed.fault = taken.status();
      break;
    }
    bytes.remove_prefix(*taken);
    if (!frames_.complete()) break;
    const bool is_block = (frames_.flags() & kGrpcWebTrailersFlag) != 0;
    const std::string content = frames_.Take();
    if (is_block) {
      TakeBlock(content, printed);
    } else {
      absl::StrAppend(&printed.text,
                      PrintMessage({Opcode::kBinary, content}, options_).text);
    }
  }
  return printed;
}

// Lines "name: value": the headers, then the trailers. A call that fails at
// once may have trailers only.
void AnswerReader::TakeBlock(absl::string_view block, PrintedMessage& printed) {
  std::optional<RpcStatus> status;
  std::vector<std::string> notes;
  std::vector<std::string> details;
  for (absl::string_view line :
       absl::StrSplit(block, "\r\n", absl::SkipEmpty())) {
    const std::pair<absl::string_view, absl::string_view> field =
        absl::StrSplit(line, absl::MaxSplits(':', 1));
    const absl::string_view value = absl::StripAsciiWhitespace(field.second);
    if (absl::EqualsIgnoreCase(field.first, "grpc-status")) {
      if (!status) status.emplace();
      if (!absl::SimpleAtoi(value, &status->code)) status->code = 2;
    } else if (absl::EqualsIgnoreCase(field.first, "grpc-message")) {
      if (!status) status.emplace();
      status->message = PercentDecoded(value);
    } else if (absl::EqualsIgnoreCase(field.first, "grpc-status-details-bin")) {
      std::string bytes;
      if (!absl::Base64Unescape(value, &bytes)) continue;
      const std::optional<RpcStatus> whole = ParseRpcStatus(bytes);
      if (whole) details = whole->details;
    } else {
      notes.push_back(Note(field.first, value));
    }
  }
  if (status) {
    printed.notes.push_back(StatusNote(status->code, status->message));
    printed.ends.push_back({0, *status});
  }
  for (const std::string& detail : details) {
    printed.notes.push_back(Note("detail", detail));
  }
  printed.notes.insert(printed.notes.end(), notes.begin(), notes.end());
}

}  // namespace headgate
