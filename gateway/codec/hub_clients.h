#ifndef GATEWAY_CODEC_HUB_CLIENTS_H_
#define GATEWAY_CODEC_HUB_CLIENTS_H_

namespace headgate {

struct Dialect;

// Frames of headgate.v1.HubClientFrame and HubServerFrame, as JSON and as they
// are. They are of hub routes alone, whose sessions have decoders of their own
// (gateway/hub): `make` is null.
extern const Dialect kHubJsonDialect;
extern const Dialect kHubProtobufDialect;

}  // namespace headgate

#endif  // GATEWAY_CODEC_HUB_CLIENTS_H_
