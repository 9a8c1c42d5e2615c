#include "gateway/codec/dialect.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/match.h"

namespace headgate {
namespace {

using ::testing::ElementsAre;

TEST(DialectTest, EachHasItsNameAndSubprotocol) {
  const struct {
    const Dialect& dialect;
    const char* name;
    const char* subprotocol;
  } table[] = {
      {kPacketDialect, "packet", "headgate.packet.v1"},
      {kJsonDialect, "json", "headgate.json.v1"},
      {kProtobufDialect, "protobuf", "headgate.protobuf.v1"},
      {kRawDialect, "raw", "headgate.raw.v1"},
      {kHubJsonDialect, "hub-json", "headgate.hub.json.v1"},
      {kHubProtobufDialect, "hub-protobuf", "headgate.hub.protobuf.v1"},
      {kGrpcWebSocketsDialect, "grpc-websockets", "grpc-websockets"},
      {kGrpcWebSocketsMultiplexDialect, "grpc-websockets-multiplex",
       "grpc-websockets-multiplex"},
  };
  for (const auto& row : table) {
    EXPECT_EQ(row.dialect.name, row.name);
    EXPECT_EQ(row.dialect.token, row.subprotocol);
    EXPECT_EQ(FindDialect(row.name), &row.dialect);
    EXPECT_EQ(DialectOfSubprotocol(row.subprotocol), &row.dialect);
  }
}

TEST(DialectTest, OnlyJsonNeedsDescriptors) {
  for (const Dialect* dialect : Dialects()) {
    EXPECT_EQ(dialect->needs_descriptor,
              dialect->name == "json" || absl::EndsWith(dialect->token, "json"))
        << dialect->token;
  }
}

TEST(DialectTest, EachMakesACodecThatWaitsForTheClient) {
  const PacketOptions packet;
  const JsonCodecOptions json;
  for (const Dialect* dialect : Dialects()) {
    if (dialect->needs_descriptor || dialect->is_of_hubs) continue;
    const auto codec = dialect->make({packet, json});
    ASSERT_TRUE(codec.ok()) << dialect->name;
    EXPECT_TRUE(std::holds_alternative<NeedInput>((*codec)->Next()));
  }
}

// "json" in a configuration is that of WebSockets.
TEST(DialectTest, NamesAndSubprotocolsAreThoseOfWebSockets) {
  EXPECT_EQ(FindDialect("json"), &kJsonDialect);
  EXPECT_EQ(DialectOfSubprotocol("application/json"), nullptr);
  EXPECT_EQ(DialectOfSubprotocol("text/event-stream"), nullptr);
}

TEST(DialectTest, AContentTypeNamesADialect) {
  EXPECT_EQ(DialectOfMediaType("application/grpc-web"), &kGrpcWebDialect);
  EXPECT_EQ(DialectOfMediaType("Application/gRPC-Web+proto; charset=utf-8"),
            &kGrpcWebDialect);
  EXPECT_EQ(DialectOfMediaType("application/grpc-web-text"),
            &kGrpcWebTextDialect);
  EXPECT_EQ(DialectOfMediaType("application/grpc-web+json"),
            &kGrpcWebJsonDialect);
  EXPECT_EQ(DialectOfMediaType("application/grpc-web-text+json"),
            &kGrpcWebTextJsonDialect);
  for (const char* type : {"", "application/grpc-webx", "text/event-stream",
                           "application/x-www-form-urlencoded"}) {
    EXPECT_EQ(DialectOfMediaType(type), nullptr) << type;
  }
}

TEST(DialectTest, WhatAContentTypeNamesTellsItsFailures) {
  for (const Dialect* dialect : Dialects()) {
    EXPECT_EQ(dialect->failure != nullptr, !dialect->media_types.empty())
        << dialect->token;
  }
}

TEST(DialectTest, MetadataIsForHttpAndForClientsThatAskForTheStatus) {
  const PacketOptions packet;
  JsonCodecOptions json;
  const auto wants = [&](const Dialect& dialect, bool wants_status) {
    return dialect.wants_metadata != nullptr &&
           dialect.wants_metadata(
               {.packet = packet, .json = json, .wants_status = wants_status});
  };
  EXPECT_TRUE(wants(kHttpJsonDialect, false));
  EXPECT_TRUE(wants(kHttpEventsDialect, false));
  EXPECT_FALSE(wants(kPacketDialect, true));
  EXPECT_FALSE(wants(kJsonDialect, false));
  EXPECT_TRUE(wants(kJsonDialect, true));
  json.envelope = JsonCodecOptions::Envelope::kStatus;
  EXPECT_TRUE(wants(kJsonDialect, false));
}

TEST(DialectTest, NamesOfThoseOnAllRoutesAreInAlphabeticalOrder) {
  EXPECT_THAT(DialectNames(), ElementsAre("json", "packet", "protobuf", "raw"));
}

TEST(DialectTest, OtherNamesAreNoDialect) {
  for (const char* name : {"", "Packet", "auto", "headgate.packet.v1"}) {
    EXPECT_EQ(FindDialect(name), nullptr) << name;
  }
}

// websocket_wrapper.go compares in lower case.
TEST(DialectTest, SubprotocolsOfOtherGatewaysAreTakenInAnyCase) {
  EXPECT_EQ(DialectOfSubprotocol("Grpc-WebSockets"), &kGrpcWebSocketsDialect);
  EXPECT_EQ(DialectOfSubprotocol("grpc-websockets "), nullptr);
}

// RFC 6455 section 11.5 leaves subprotocols to be compared exactly.
TEST(DialectTest, OtherTokensAreNoSubprotocol) {
  for (const char* name : {"", "packet", "headgate.packet.v2", "Bearer",
                           "HEADGATE.PACKET.V1", "headgate.packet.v1 "}) {
    EXPECT_EQ(DialectOfSubprotocol(name), nullptr) << name;
  }
}

}  // namespace
}  // namespace headgate
