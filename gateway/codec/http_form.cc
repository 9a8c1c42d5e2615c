#include "gateway/codec/http_form.h"

#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace headgate {
namespace {

constexpr std::size_t kMaxMetadataBytes = 8 * 1024;
constexpr char kJsonType[] = "application/json";

// How long a client of events waits before it comes back, ms.
constexpr char kRetryField[] = "retry: 3000\n\n";
constexpr absl::string_view kComment = ":\n\n";
constexpr absl::string_view kEndEvent =
    "event: end\ndata: {\"code\":0,\"message\":\"\",\"details\":[]}\n\n";

// "x-branch" -> "X-Branch".
std::string Capitalized(absl::string_view key) {
  std::string name(key);
  bool first = true;
  for (char& c : name) {
    if (first) c = absl::ascii_toupper(static_cast<unsigned char>(c));
    first = c == '-';
  }
  return name;
}

OutEnd EndOf(const Ending& ending) {
  return {ending, MetadataFields("Grpc-Trailer-", ending.end.trailers)};
}

// The whole body is `text`.
void SendWhole(int http_status, std::string media_type, FieldList metadata,
               std::string text, Outgoing& out) {
  OutHead head;
  head.http_status = http_status;
  head.fields.emplace_back("Content-Type", std::move(media_type));
  head.metadata = std::move(metadata);
  head.is_whole = true;
  out.Head(std::move(head));
  if (!text.empty()) out.Data({Opcode::kText, std::move(text)});
}

class WholeForm final : public HttpForm {
 public:
  void Head(const Metadata& headers, Outgoing&) override {
    metadata_ = MetadataFields("Grpc-Metadata-", headers);
  }

  void Message(std::string text, absl::string_view media_type,
               Outgoing&) override {
    text_ = std::move(text);
    if (!media_type.empty()) media_type_ = std::string(media_type);
  }

  void End(const Ending& ending, std::string failure, Outgoing& out) override {
    if (ending.end.status.ok()) {
      SendWhole(200, std::move(media_type_), std::move(metadata_),
                std::move(text_), out);
    } else {
      SendWhole(HttpStatusOf(ending), kJsonType, std::move(metadata_),
                std::move(failure), out);
    }
    out.End(EndOf(ending));
  }

  std::size_t held_bytes() const override { return text_.size(); }

 private:
  FieldList metadata_;
  std::string text_;
  std::string media_type_ = kJsonType;
};

// What the forms of streams share: when the head leaves.
class StreamForm : public HttpForm {
 public:
  void End(const Ending& ending, std::string failure, Outgoing& out) override {
    const bool failed = !ending.end.status.ok();
    if (failed && !has_sent_message_ && !out.head_is_sent()) {
      SendWhole(HttpStatusOf(ending), kJsonType, std::move(metadata_),
                std::move(failure), out);
      return out.End(EndOf(ending));
    }
    if (!has_head_) SendHead(HeadOf(""), out);
    OutEnd end = EndOf(ending);
    if (failed) {
      Fail(std::move(failure), end, out);
    } else {
      end.coda = coda();
    }
    out.End(std::move(end));
  }

 protected:
  // The head of a stream whose first message is of `media_type`, without the
  // metadata.
  virtual OutHead HeadOf(absl::string_view media_type) const = 0;
  // The failure of a stream that has begun.
  virtual void Fail(std::string failure, OutEnd& end, Outgoing& out) = 0;
  // What ends a stream that went well.
  virtual absl::string_view coda() const { return {}; }

  void KeepMetadata(const Metadata& headers) {
    metadata_ = MetadataFields("Grpc-Metadata-", headers);
  }
  void SendHead(OutHead head, Outgoing& out) {
    has_head_ = true;
    head.metadata = metadata_;
    out.Head(std::move(head));
  }
  void Send(std::string bytes, absl::string_view media_type, Outgoing& out) {
    if (!has_head_) SendHead(HeadOf(media_type), out);
    has_sent_message_ = true;
    out.Data({Opcode::kText, std::move(bytes)});
  }

 private:
  FieldList metadata_;
  bool has_head_ = false;
  bool has_sent_message_ = false;
};

class LinesForm final : public StreamForm {
 public:
  void Head(const Metadata& headers, Outgoing& out) override {
    KeepMetadata(headers);
    SendHead(HeadOf(""), out);
  }

  void Message(std::string text, absl::string_view, Outgoing& out) override {
    text += '\n';
    Send(std::move(text), "", out);
  }

 private:
  OutHead HeadOf(absl::string_view) const override {
    OutHead head;
    head.fields.emplace_back("Content-Type", kJsonType);
    return head;
  }

  void Fail(std::string failure, OutEnd&, Outgoing& out) override {
    Message(std::move(failure), "", out);
  }
};

class EventsForm final : public StreamForm {
 public:
  void Head(const Metadata& headers, Outgoing& out) override {
    KeepMetadata(headers);
    SendHead(HeadOf(""), out);
  }

  void Message(std::string text, absl::string_view, Outgoing& out) override {
    Send(absl::StrCat("data: ", text, "\n\n"), "", out);
  }

 private:
  OutHead HeadOf(absl::string_view) const override {
    OutHead head;
    head.fields = {{"Content-Type", "text/event-stream"},
                   {"Cache-Control", "no-cache"}};
    head.preamble = kRetryField;
    head.filler = kComment;
    return head;
  }

  // Not `error`, which is what EventSource calls its own failures.
  void Fail(std::string failure, OutEnd&, Outgoing& out) override {
    Send(absl::StrCat("event: status-error\ndata: ", failure, "\n\n"), "", out);
  }

  absl::string_view coda() const override { return kEndEvent; }
};

class BytesForm final : public StreamForm {
 public:
  // The head waits for the first message, which says what follows.
  void Head(const Metadata& headers, Outgoing&) override {
    KeepMetadata(headers);
  }

  void Message(std::string bytes, absl::string_view media_type,
               Outgoing& out) override {
    Send(std::move(bytes), media_type, out);
  }

 private:
  OutHead HeadOf(absl::string_view media_type) const override {
    OutHead head;
    head.fields.emplace_back("Content-Type", media_type.empty()
                                                 ? kJsonType
                                                 : std::string(media_type));
    return head;
  }

  void Fail(std::string, OutEnd& end, Outgoing&) override {
    end.is_cut_off = true;
  }
};

}  // namespace

std::unique_ptr<HttpForm> MakeWholeForm() {
  return std::make_unique<WholeForm>();
}

std::unique_ptr<HttpForm> MakeLinesForm() {
  return std::make_unique<LinesForm>();
}

std::unique_ptr<HttpForm> MakeEventsForm() {
  return std::make_unique<EventsForm>();
}

std::unique_ptr<HttpForm> MakeBytesForm() {
  return std::make_unique<BytesForm>();
}

int HttpStatusOf(const Ending& ending) {
  if (ending.close == CloseCode::kMessageTooBig) return 413;
  return HttpStatusFor(ending.end.status.code());
}

FieldList MetadataFields(absl::string_view prefix, const Metadata& metadata) {
  FieldList fields;
  std::size_t bytes = 0;
  for (const auto& [key, value] : metadata) {
    if (!IsMetadataKey(key)) continue;
    std::string text = IsBinaryKey(key) ? absl::Base64Escape(value) : value;
    bytes += prefix.size() + key.size() + text.size();
    if (bytes > kMaxMetadataBytes) break;
    fields.emplace_back(absl::StrCat(prefix, Capitalized(key)),
                        std::move(text));
  }
  return fields;
}

}  // namespace headgate
