#ifndef GATEWAY_CODEC_HUB_CLIENTS_H_
#define GATEWAY_CODEC_HUB_CLIENTS_H_

namespace headgate {

struct Dialect;

// headgate.v1.HubClientFrame and HubServerFrame, as JSON and as serialized
// messages. Only hub routes serve them, whose sessions have their own decoders
// (gateway/hub): `make` is null.
extern const Dialect kHubJsonDialect;
extern const Dialect kHubProtobufDialect;

}  // namespace headgate

#endif  // GATEWAY_CODEC_HUB_CLIENTS_H_
