#ifndef TESTS_UPSTREAM_SCRIPTED_SERVICE_H_
#define TESTS_UPSTREAM_SCRIPTED_SERVICE_H_

#include <condition_variable>
#include <mutex>
#include <string>

#include <grpcpp/generic/async_generic_service.h>

namespace headgate {

// A gRPC server that takes any method and does what its name says:
//
//   /echo      answers each message with itself, OK at half-close
//   /count     answers half-close with the number of messages, then OK
//   /metadata  answers half-close with a message "key=value" for each entry of
//              the metadata whose key begins with "x-", then OK
//   /large     answers a message, a number, with one of so many bytes
//   /fail      answers the first message with NOT_FOUND and details
//   /burst     answers the first message with itself three times, then ABORTED;
//              it reads no more
//   /ok        ends with OK at once
//   /code-N    ends with the number N at once
//   /silent    reads nothing and answers nothing
//
// Safe for any thread.
class ScriptedService final : public grpc::CallbackGenericService {
 public:
  grpc::ServerGenericBidiReactor* CreateReactor(
      grpc::GenericCallbackServerContext* context) override;

  // Waits until so many calls have begun, or were cancelled; false after some
  // seconds.
  bool WaitForCalls(int count);
  bool WaitForCancellations(int count);
  int cancellations();

 private:
  class Reactor;

  bool WaitFor(const int& counter, int count);
  void Count(int& counter);

  std::mutex mutex_;
  std::condition_variable changed_;
  int calls_ = 0;
  int cancellations_ = 0;
};

}  // namespace headgate

#endif  // TESTS_UPSTREAM_SCRIPTED_SERVICE_H_
