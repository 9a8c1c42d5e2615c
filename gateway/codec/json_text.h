#ifndef GATEWAY_CODEC_JSON_TEXT_H_
#define GATEWAY_CODEC_JSON_TEXT_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "gateway/codec/codec.h"
#include "gateway/codec/json.h"
#include "gateway/codec/json_stream.h"
#include "gateway/schema/schema.h"

namespace headgate {

// What the JSON codecs share.

// The ending of a client's fault: "line 3, byte 57: ...".
Ending JsonFault(const StreamPosition& position, const absl::Status& status);
Ending JsonFault(const JsonStream::Fault& fault);

// The text that the stream has just returned does not fit its message.
Ending JsonMismatch(const JsonStream& stream, const JsonError& error);

// Which types of Anys are worth waiting for: each once.
class TypeWait {
 public:
  // Whether the text that has failed so is to be tried again, once the type is
  // known.
  bool IsFor(const JsonError& error) { return IsFor(error.awaited_type); }
  bool IsFor(const std::string& awaited_type) {
    if (awaited_type.empty() || awaited_type == type_) return false;
    type_ = awaited_type;
    return true;
  }
  const std::string& type() const { return type_; }

  // A response's JSON, which `convert(std::string* awaited_type)` makes; or
  // AwaitsType.
  template <typename Conversion>
  absl::StatusOr<std::string> Convert(Conversion convert) {
    std::string awaited_type;
    absl::StatusOr<std::string> json = convert(&awaited_type);
    if (awaited_type.empty()) return json;
    return IsFor(awaited_type) ? AwaitsType(awaited_type) : convert(nullptr);
  }

 private:
  std::string type_;  // That was waited for last.
};

inline constexpr char kHttpBodyType[] = "google.api.HttpBody";

// The responses of a call as JSON texts, with the route's envelope, and how it
// ended. `options` must outlive it.
class JsonResponses {
 public:
  // `field`: the one that is a response's JSON, as `response_body` of a
  // google.api.http rule; empty: the whole message.
  JsonResponses(const JsonCodecOptions& options,
                JsonCodecOptions::Envelope envelope,
                std::shared_ptr<const Schema> schema,
                const Schema::Method& method, std::string field);

  void EncodeHead(const Metadata& headers, Outgoing& out) const;
  absl::Status EncodeMessage(absl::string_view message, Outgoing& out);
  void EncodeEnd(const Ending& ending, Outgoing& out) const;

  // A response as the envelope has it; or AwaitsType.
  absl::StatusOr<std::string> TextOf(absl::string_view message);
  // A failure as the route's error shape has it; empty for OK.
  std::string FailureOf(const Ending& ending) const;

 private:
  const JsonCodecOptions& options_;
  const JsonCodecOptions::Envelope envelope_;
  const std::shared_ptr<const Schema> schema_;
  const Schema::Method& method_;
  const std::string field_;
  TypeWait type_wait_;
};

}  // namespace headgate

#endif  // GATEWAY_CODEC_JSON_TEXT_H_
