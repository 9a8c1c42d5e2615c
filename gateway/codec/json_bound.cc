#include <utility>

#include "gateway/codec/json.h"
#include "gateway/codec/json_requests.h"
#include "gateway/codec/json_text.h"

namespace headgate {
namespace {

class BoundJsonCodec final : public Codec {
 public:
  BoundJsonCodec(std::unique_ptr<JsonRequests> requests,
                 JsonResponses responses)
      : requests_(std::move(requests)), responses_(std::move(responses)) {}

  void Feed(WireMessage message) override {
    requests_->Feed(std::move(message));
  }
  Decoded Next() override { return requests_->Next(); }
  bool inside_message() const override { return requests_->inside_message(); }
  std::size_t held_bytes() const override { return requests_->held_bytes(); }

  void EncodeHead(const Metadata& headers, Outgoing& out) override {
    responses_.EncodeHead(headers, out);
  }
  absl::Status EncodeMessage(std::string&& message, Outgoing& out) override {
    return responses_.EncodeMessage(message, out);
  }
  void EncodeEnd(const Ending& ending, Outgoing& out) override {
    responses_.EncodeEnd(ending, out);
  }

 private:
  const std::unique_ptr<JsonRequests> requests_;
  JsonResponses responses_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Codec>> MakeBoundJsonCodec(
    const JsonCodecOptions& options, JsonCodecOptions::Envelope envelope,
    std::shared_ptr<const Schema> schema, const Schema::Method& method,
    const RequestBinding& binding) {
  absl::StatusOr<std::unique_ptr<JsonRequests>> requests = JsonRequests::Make(
      options, HttpBodies::kJson, schema, method, binding, "");
  if (!requests.ok()) return requests.status();
  return std::make_unique<BoundJsonCodec>(
      *std::move(requests), JsonResponses(options, envelope, std::move(schema),
                                          method, binding.response_body));
}

}  // namespace headgate
