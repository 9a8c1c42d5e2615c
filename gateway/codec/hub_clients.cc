#include "gateway/codec/hub_clients.h"

#include "gateway/codec/dialect.h"

namespace headgate {

constinit const Dialect kHubJsonDialect = {
    .name = "hub-json",
    .token = "headgate.hub.json.v1",
    .is_of_hubs = true,
};

constinit const Dialect kHubProtobufDialect = {
    .name = "hub-protobuf",
    .token = "headgate.hub.protobuf.v1",
    .is_of_hubs = true,
};

}  // namespace headgate
