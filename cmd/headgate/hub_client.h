#ifndef CMD_HEADGATE_HUB_CLIENT_H_
#define CMD_HEADGATE_HUB_CLIENT_H_

#include <chrono>
#include <memory>
#include <string>

#include <grpcpp/client_context.h>
#include <CLI/App.hpp>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "headgate/v1/hub_service.grpc.pb.h"

namespace headgate {

// The exit status for a command line that cannot be understood: EX_USAGE of
// sysexits.h.
inline constexpr int kHubUsageError = 64;

// How publish and sessions reach the hub API of a gateway.
struct HubClientFlags {
  std::string address = "127.0.0.1:9902";
  bool tls = false;
  std::string ca;
  std::string certificate;
  std::string key;
  std::string token_file;
  std::string timeout = "10s";
};

// --address, --tls, --ca, --cert, --key, --token-file, --timeout. `flags` must
// outlive the parsing.
void AddHubClientFlags(CLI::App& app, HubClientFlags& flags);

// A client of headgate.v1.HubService.
class HubClient {
 public:
  // INVALID_ARGUMENT names the flag.
  static absl::StatusOr<std::unique_ptr<HubClient>> Make(
      const HubClientFlags& flags);

  v1::HubService::Stub& stub() { return *stub_; }
  // For one call: token and, unless it `is_stream`, deadline.
  std::unique_ptr<grpc::ClientContext> NewCall(bool is_stream = false) const;

 private:
  std::unique_ptr<v1::HubService::Stub> stub_;
  std::string authorization_;  // Empty: none.
  std::chrono::milliseconds timeout_{};
};

// "UNAVAILABLE: failed to connect to ...", one line for a terminal.
std::string ErrorText(const grpc::Status& status);

}  // namespace headgate

#endif  // CMD_HEADGATE_HUB_CLIENT_H_
