#ifndef GATEWAY_CODEC_PASSTHROUGH_H_
#define GATEWAY_CODEC_PASSTHROUGH_H_

#include <memory>

#include "gateway/codec/codec.h"

namespace headgate {

struct Dialect;

extern const Dialect kProtobufDialect;
extern const Dialect kRawDialect;

// One binary WebSocket message is one serialized message of the call; the
// bytes are not looked into.
std::unique_ptr<Codec> MakeProtobufCodec();

// WebSocket messages as they are <-> serialized headgate.v1.Message. It has no
// half-close: an empty text message is a message.
std::unique_ptr<Codec> MakeRawCodec();

}  // namespace headgate

#endif  // GATEWAY_CODEC_PASSTHROUGH_H_
