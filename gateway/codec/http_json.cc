#include "gateway/codec/http_json.h"

#include <memory>
#include <string>
#include <utility>

#include "gateway/codec/dialect.h"
#include "gateway/codec/http_form.h"
#include "gateway/codec/json_requests.h"
#include "gateway/codec/json_text.h"
#include "google/api/httpbody.pb.h"

namespace headgate {
namespace {

constexpr char kUnknownMediaType[] = "application/octet-stream";

// Where the response's google.api.HttpBody is.
enum class BytesAt { kNowhere, kMessage, kField };

class HttpJsonCodec final : public Codec {
 public:
  HttpJsonCodec(std::unique_ptr<JsonRequests> requests, JsonResponses responses,
                std::unique_ptr<HttpForm> form,
                std::shared_ptr<const Schema> schema,
                const Schema::Method& method, std::string response_body,
                BytesAt bytes_at)
      : requests_(std::move(requests)),
        responses_(std::move(responses)),
        form_(std::move(form)),
        schema_(std::move(schema)),
        method_(method),
        response_body_(std::move(response_body)),
        bytes_at_(bytes_at) {}

  void Feed(WireMessage message) override {
    requests_->Feed(std::move(message));
  }
  Decoded Next() override { return requests_->Next(); }
  bool inside_message() const override { return requests_->inside_message(); }
  std::size_t held_bytes() const override {
    return requests_->held_bytes() + form_->held_bytes();
  }

  void EncodeHead(const Metadata& headers, Outgoing& out) override {
    form_->Head(headers, out);
  }

  absl::Status EncodeMessage(std::string&& message, Outgoing& out) override {
    if (bytes_at_ == BytesAt::kMessage) return EncodeBytes(message, out);
    if (bytes_at_ == BytesAt::kField) {
      const absl::StatusOr<std::string> body =
          schema_->FieldToProto(method_.output, response_body_, message);
      if (!body.ok()) return body.status();
      return EncodeBytes(*body, out);
    }
    absl::StatusOr<std::string> text = responses_.TextOf(message);
    if (!text.ok()) return text.status();
    form_->Message(*std::move(text), "", out);
    return absl::OkStatus();
  }

  void EncodeEnd(const Ending& ending, Outgoing& out) override {
    form_->End(ending, responses_.FailureOf(ending), out);
  }

 private:
  absl::Status EncodeBytes(absl::string_view message, Outgoing& out) {
    google::api::HttpBody body;
    if (!body.ParseFromArray(message.data(),
                             static_cast<int>(message.size()))) {
      return absl::InternalError("the answer is no google.api.HttpBody");
    }
    form_->Message(
        std::move(*body.mutable_data()),
        body.content_type().empty() ? kUnknownMediaType : body.content_type(),
        out);
    return absl::OkStatus();
  }

  const std::unique_ptr<JsonRequests> requests_;
  JsonResponses responses_;
  const std::unique_ptr<HttpForm> form_;
  const std::shared_ptr<const Schema> schema_;
  const Schema::Method& method_;
  const std::string response_body_;
  const BytesAt bytes_at_;
};

BytesAt BytesAtOf(const CodecInputs& inputs) {
  const std::string& output = inputs.method->output;
  const std::string& field = inputs.binding->response_body;
  if (field.empty()) {
    return output == kHttpBodyType ? BytesAt::kMessage : BytesAt::kNowhere;
  }
  return inputs.schema->MessageTypeOf(output, field) == kHttpBodyType
             ? BytesAt::kField
             : BytesAt::kNowhere;
}

absl::StatusOr<std::unique_ptr<Codec>> Make(
    const CodecInputs& inputs, std::unique_ptr<HttpForm> (*make_stream)()) {
  absl::StatusOr<std::unique_ptr<JsonRequests>> requests =
      JsonRequests::Make(inputs.json, HttpBodies::kBytes, inputs.schema,
                         *inputs.method, *inputs.binding, inputs.media_type);
  if (!requests.ok()) return requests.status();
  const BytesAt bytes_at = BytesAtOf(inputs);
  std::unique_ptr<HttpForm> form;
  if (GivesOneAnswer(inputs.method->kind)) {
    form = MakeWholeForm();
  } else if (bytes_at != BytesAt::kNowhere) {
    form = MakeBytesForm();
  } else {
    form = make_stream();
  }
  const std::string& field = inputs.binding->response_body;
  return std::make_unique<HttpJsonCodec>(
      *std::move(requests),
      JsonResponses(inputs.json, inputs.json.envelope, inputs.schema,
                    *inputs.method, field),
      std::move(form), inputs.schema, *inputs.method, field, bytes_at);
}

bool Always(const CodecInputs&) { return true; }

}  // namespace

constinit const Dialect kHttpJsonDialect = {
    .name = "json",
    .token = "application/json",
    .on = Dialect::On::kHttp,
    .needs_descriptor = true,
    .wants_metadata = Always,
    .make =
        [](const CodecInputs& inputs) { return Make(inputs, MakeLinesForm); },
};

constinit const Dialect kHttpEventsDialect = {
    .name = "json",
    .token = "text/event-stream",
    .on = Dialect::On::kHttp,
    .needs_descriptor = true,
    .wants_metadata = Always,
    .make =
        [](const CodecInputs& inputs) { return Make(inputs, MakeEventsForm); },
};

}  // namespace headgate
