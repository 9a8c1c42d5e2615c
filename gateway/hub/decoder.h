#ifndef GATEWAY_HUB_DECODER_H_
#define GATEWAY_HUB_DECODER_H_

#include <cstddef>
#include <memory>
#include <string>
#include <variant>

#include "absl/strings/string_view.h"
#include "gateway/base/status.h"
#include "gateway/codec/codec.h"
#include "gateway/codec/json_stream.h"
#include "gateway/hub/batch.h"
#include "gateway/hub/encoder.h"

namespace headgate {

// What its client gets in response to a frame that the hub need not hear of.
struct HubAnswer {
  v1::HubServerFrame frame;
};

// What a client sends, as the events of a session that carry it
// (headgate.v1.ClientMessage). Pulled, as Codec is: Feed takes one WebSocket
// message, then Next gives the events in it, one at a time.
//
// There is no half-close on a hub: an end packet, or an empty text where a
// codec takes it for one, is ignored.
class HubDecoder {
 public:
  virtual ~HubDecoder() = default;

  // Requires: Next has returned NeedInput since the last Feed.
  virtual void Feed(WireMessage message) = 0;
  // An Ending is a fault of the client's; nothing is decoded after it. NeedType
  // is as Codec::Next has it.
  using Event = std::variant<NeedInput, HubEventBody, HubRequest, HubAnswer,
                             Ending, NeedType>;
  virtual Event Next() = 0;
  virtual bool inside_message() const { return false; }
  virtual std::size_t held_bytes() const { return 0; }
};

// `form` must outlive it. `schema`: of `form.message`; needed where that is set
// for clients whose messages are JSON (HasJson).
std::unique_ptr<HubDecoder> MakeHubDecoder(
    HubCodec codec, const HubForm& form,
    std::shared_ptr<const Schema> schema = nullptr);

// The same for clients of IsHubClient.
std::unique_ptr<HubDecoder> MakeFrameDecoder(
    HubCodec codec, const HubForm& form, std::shared_ptr<const Schema> schema);

// The event of a client's message.
HubEventBody MessageEvent(const v1::Payload& payload);

// Appends a field of type bytes, string or message.
void AppendBytesField(std::uint32_t number, absl::string_view bytes,
                      std::string& out);

}  // namespace headgate

#endif  // GATEWAY_HUB_DECODER_H_
