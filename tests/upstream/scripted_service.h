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
//   /host      answers each message with the :authority of the call
//   /identity  answers each message with the common name of the client's
//              certificate
//   /headers   sends its initial metadata at once: "x-first: 1", twice with
//              other values, and "x-first-bin"; then it does as /echo, and ends
//              with OK and trailers of the same kind, "x-last..."
//   /begin     sends initial metadata without a key at once; then as /echo
//   /trailers  ends with ABORTED and the trailers of /headers at once
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
  int calls();
  int cancellations();

  // The values of "x-first-bin" and "x-last-bin".
  static std::string BinaryValue() { return std::string("\0\xFF,\n", 4); }

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
