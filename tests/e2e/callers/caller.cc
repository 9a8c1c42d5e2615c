// Calls the demo's services by gRPC C++: `grpc_caller HOST:PORT`. Prints what
// it has got, a line each.

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <grpcpp/grpcpp.h>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "google/rpc/status.pb.h"
#include "headgate/demo/v1/echo.grpc.pb.h"
#include "headgate/demo/v1/hello.grpc.pb.h"
#include "headgate/demo/v1/library.grpc.pb.h"

namespace {

using headgate::demo::v1::EchoRequest;
using headgate::demo::v1::EchoResponse;
using headgate::demo::v1::EchoService;
using headgate::demo::v1::FailRequest;
using headgate::demo::v1::HelloRequest;
using headgate::demo::v1::HelloResponse;
using headgate::demo::v1::HelloService;

void Print(const std::string& line) { std::printf("%s\n", line.c_str()); }

std::string CodeOf(const grpc::Status& status) {
  return absl::StatusCodeToString(
      static_cast<absl::StatusCode>(status.error_code()));
}

void Require(const grpc::Status& status) {
  if (status.ok()) return;
  Print(absl::StrCat("failed: ", CodeOf(status), " ", status.error_message()));
  std::exit(1);
}

HelloRequest Greeting(const std::string& name) {
  HelloRequest request;
  request.set_greeting(name);
  return request;
}

std::string Unary(HelloService::Stub& hello, const std::string& name) {
  grpc::ClientContext context;
  HelloResponse response;
  Require(hello.SayHello(&context, Greeting(name), &response));
  return response.reply();
}

void FourKinds(HelloService::Stub& hello) {
  Print(absl::StrCat("unary: ", Unary(hello, "ann")));

  HelloResponse response;
  std::vector<std::string> replies;
  grpc::ClientContext server_streaming;
  auto reader = hello.LotsOfReplies(&server_streaming, Greeting("ann"));
  while (reader->Read(&response)) replies.push_back(response.reply());
  Require(reader->Finish());
  Print(absl::StrCat("replies: ", absl::StrJoin(replies, "; ")));

  grpc::ClientContext client_streaming;
  auto writer = hello.LotsOfGreetings(&client_streaming, &response);
  writer->Write(Greeting("ann"));
  writer->Write(Greeting("bob"));
  writer->WritesDone();
  Require(writer->Finish());
  Print(absl::StrCat("greetings: ", response.reply()));

  replies.clear();
  grpc::ClientContext bidi;
  auto both = hello.BidiHello(&bidi);
  for (const char* name : {"ann", "bob"}) {  // One after the other's reply.
    both->Write(Greeting(name));
    if (both->Read(&response)) replies.push_back(response.reply());
  }
  both->WritesDone();
  while (both->Read(&response)) replies.push_back(response.reply());
  Require(both->Finish());
  Print(absl::StrCat("bidi: ", absl::StrJoin(replies, "; ")));
}

void Failure(EchoService::Stub& echo) {
  grpc::ClientContext context;
  FailRequest request;
  request.set_code(5);
  request.set_message("gone \xE2\x82\xAC");
  google::rpc::Status detail;
  detail.set_message("a detail");
  request.add_details()->PackFrom(detail);
  google::protobuf::Empty response;
  const grpc::Status status = echo.Fail(&context, request, &response);
  google::rpc::Status whole;
  whole.ParseFromString(status.error_details());
  google::rpc::Status sent;
  if (whole.details_size() == 1) whole.details(0).UnpackTo(&sent);
  Print(absl::StrCat("status: ", CodeOf(status), " ", status.error_message(),
                     ", ", sent.message()));
}

void Metadata(const std::shared_ptr<grpc::Channel>& channel) {
  const auto library = headgate::demo::v1::LibraryService::NewStub(channel);
  grpc::ClientContext context;
  context.AddMetadata("x-reader", "ann");
  headgate::demo::v1::GetBookRequest request;
  request.set_name("shelves/classics/books/dune");
  headgate::demo::v1::Book book;
  Require(library->GetBook(&context, request, &book));
  const auto& initial = context.GetServerInitialMetadata();
  const auto branch = initial.find("library-branch");
  Print(absl::StrCat(
      "metadata: ",
      branch == initial.end()
          ? "none"
          : std::string(branch->second.data(), branch->second.size()),
      ", ", context.GetServerTrailingMetadata().count("library-books"),
      " trailing"));
}

void EarlyEnds(EchoService::Stub& echo) {
  EchoResponse response;
  grpc::ClientContext late;
  late.set_deadline(std::chrono::system_clock::now() +
                    std::chrono::milliseconds(200));
  auto silent = echo.Echo(&late);
  silent->Read(&response);
  Print(absl::StrCat("deadline: ", CodeOf(silent->Finish())));

  grpc::ClientContext context;
  auto call = echo.Echo(&context);
  call->Write(EchoRequest());
  call->Read(&response);
  context.TryCancel();
  Print(absl::StrCat("cancel: ", CodeOf(call->Finish())));
}

void LongMessage(EchoService::Stub& echo) {
  grpc::ClientContext context;
  EchoRequest request;
  request.set_payload(std::string(1'000'000, 'x'));
  EchoResponse response;
  auto call = echo.Echo(&context);
  call->Write(request);
  call->WritesDone();
  call->Read(&response);
  Require(call->Finish());
  Print(absl::StrCat("a long message: ", response.payload().size(), " bytes"));
}

void Thousand(HelloService::Stub& hello) {
  constexpr int kThreads = 8;
  std::atomic<int> right = 0;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      for (int i = thread; i < 1000; i += kThreads) {
        const std::string name = absl::StrCat(i);
        if (Unary(hello, name) == absl::StrCat("hello, ", name)) ++right;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  Print(absl::StrCat("calls: ", right.load()));
}

}  // namespace

int main(int count, char** words) {
  if (count != 2) return 64;
  const std::shared_ptr<grpc::Channel> channel =
      grpc::CreateChannel(words[1], grpc::InsecureChannelCredentials());
  const auto hello = HelloService::NewStub(channel);
  const auto echo = EchoService::NewStub(channel);
  FourKinds(*hello);
  Failure(*echo);
  Metadata(channel);
  EarlyEnds(*echo);
  LongMessage(*echo);
  Thousand(*hello);
  return 0;
}
