#ifndef TESTS_SESSION_HELLO_H_
#define TESTS_SESSION_HELLO_H_

#include <memory>
#include <string>
#include <vector>

#include "gateway/schema/schema.h"
#include "headgate/demo/v1/hello.pb.h"

namespace headgate {

// The greeter's four methods, one of each kind.
inline constexpr char kSayHello[] = "/headgate.demo.v1.HelloService/SayHello";
inline constexpr char kLotsOfReplies[] =
    "/headgate.demo.v1.HelloService/LotsOfReplies";
inline constexpr char kLotsOfGreetings[] =
    "/headgate.demo.v1.HelloService/LotsOfGreetings";
inline constexpr char kBidiHello[] = "/headgate.demo.v1.HelloService/BidiHello";

inline std::shared_ptr<const Schema> HelloSchema() {
  google::protobuf::FileDescriptorProto file;
  demo::v1::HelloRequest::descriptor()->file()->CopyTo(&file);
  std::vector<std::string> warnings;
  return Schema::Build({file}, &warnings);
}

inline std::string Greeting(const std::string& text) {
  demo::v1::HelloRequest request;
  request.set_greeting(text);
  return request.SerializeAsString();
}

inline std::string Reply(const std::string& text) {
  demo::v1::HelloResponse response;
  response.set_reply(text);
  return response.SerializeAsString();
}

}  // namespace headgate

#endif  // TESTS_SESSION_HELLO_H_
