#include "cmd/headgate/bench/dialect.h"

namespace headgate {
namespace {

constexpr const BenchDialect* kBenchDialects[] = {
    &kBenchPacket,      &kBenchProtobuf,       &kBenchRaw,
    &kBenchJson,        &kBenchGrpcWebSockets, &kBenchGrpcWebSocketsMultiplex,
    &kBenchGrpcWeb,     &kBenchGrpcWebText,    &kBenchConnect,
    &kBenchConnectJson, &kBenchConnectStream,  &kBenchConnectStreamJson,
    &kBenchGrpc,        &kBenchGrpcStream,
};

}  // namespace

const BenchDialect* FindBenchDialect(absl::string_view name) {
  for (const BenchDialect* dialect : kBenchDialects) {
    if (dialect->name == name) return dialect;
  }
  return nullptr;
}

std::vector<std::string> BenchDialectNames() {
  std::vector<std::string> names;
  for (const BenchDialect* dialect : kBenchDialects) {
    names.emplace_back(dialect->name);
  }
  return names;
}

}  // namespace headgate
