#include "gateway/codec/passthrough.h"
#include "cmd/headgate/bench/dialect.h"
#include "cmd/headgate/bench/messages.h"

namespace headgate {

const BenchDialect kBenchProtobuf = {.name = "protobuf",
                                     .dialect = &kProtobufDialect,
                                     .content = &BenchPacket,
                                     .wire = &BinaryMessage,
                                     .counter = &MakeMessageCounter};

const BenchDialect kBenchRaw = {.name = "raw",
                                .dialect = &kRawDialect,
                                .content = &BenchBytes,
                                .wire = &BinaryMessage,
                                .counter = &MakeMessageCounter};

}  // namespace headgate
