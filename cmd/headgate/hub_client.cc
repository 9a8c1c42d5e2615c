#include "cmd/headgate/hub_client.h"

#include <utility>

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include "absl/strings/str_cat.h"
#include "cmd/headgate/dial/text.h"
#include "gateway/base/file.h"
#include "gateway/config/address.h"
#include "gateway/config/settings.h"
#include "gateway/config/units.h"

namespace headgate {
namespace {

constexpr std::size_t kMostPemBytes = 4 * 1024 * 1024;

absl::Status CheckAddress(const std::string& text) {
  const absl::StatusOr<ListenAddress> address = ParseListenAddress(text);
  const bool is_ok =
      address.ok() && (address->kind == ListenAddress::Kind::kUnix ||
                       (address->kind == ListenAddress::Kind::kTcp &&
                        !address->tcp.host.empty() && address->tcp.port != 0));
  if (is_ok) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("--address '", text, "': must be HOST:PORT or unix:/PATH"));
}

absl::StatusOr<std::string> ReadPem(absl::string_view flag,
                                    const std::string& path) {
  if (path.empty()) return std::string();
  absl::StatusOr<std::string> text = ReadFile(path, kMostPemBytes);
  if (text.ok()) return text;
  return absl::InvalidArgumentError(
      absl::StrCat(flag, " ", path, " ", text.status().message()));
}

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> CredentialsOf(
    const HubClientFlags& flags) {
  if (!flags.tls && flags.ca.empty() && flags.certificate.empty()) {
    return grpc::InsecureChannelCredentials();
  }
  absl::StatusOr<std::string> ca = ReadPem("--ca", flags.ca);
  absl::StatusOr<std::string> certificate =
      ReadPem("--cert", flags.certificate);
  absl::StatusOr<std::string> key = ReadPem("--key", flags.key);
  for (const auto* text : {&ca, &certificate, &key}) {
    if (!text->ok()) return text->status();
  }
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = *std::move(ca);
  options.pem_cert_chain = *std::move(certificate);
  options.pem_private_key = *std::move(key);
  return grpc::SslCredentials(options);
}

}  // namespace

void AddHubClientFlags(CLI::App& app, HubClientFlags& flags) {
  app.add_option("--address", flags.address,
                 "Where the gateway serves the hub API, hub.api.address")
      ->type_name("HOST:PORT|unix:/PATH")
      ->capture_default_str();
  app.add_option("--token-file", flags.token_file,
                 "File with the token of a grant")
      ->type_name("FILE");
  app.add_option("--timeout", flags.timeout, "For each call")
      ->type_name("DURATION")
      ->capture_default_str();
  const std::string group = "TLS";
  app.add_flag("--tls", flags.tls,
               "Use TLS, also without one of the flags below")
      ->group(group);
  app.add_option("--ca", flags.ca,
                 "Authorities, PEM, that the gateway's certificate must come "
                 "from, instead of the system's")
      ->type_name("FILE")
      ->group(group);
  auto* const cert =
      app.add_option("--cert", flags.certificate,
                     "The client's own certificate, PEM, its chain behind it")
          ->type_name("FILE")
          ->group(group);
  auto* const key = app.add_option("--key", flags.key, "Its key, PEM")
                        ->type_name("FILE")
                        ->group(group);
  cert->needs(key);
  key->needs(cert);
}

absl::StatusOr<std::unique_ptr<HubClient>> HubClient::Make(
    const HubClientFlags& flags) {
  const absl::StatusOr<absl::Duration> timeout = ParseDuration(flags.timeout);
  if (!timeout.ok() || *timeout < absl::Milliseconds(1) ||
      *timeout > absl::Hours(1)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--timeout '", flags.timeout, "': must be a duration from 1ms to 1h"));
  }
  if (absl::Status status = CheckAddress(flags.address); !status.ok()) {
    return status;
  }
  auto client = std::make_unique<HubClient>();
  client->timeout_ = absl::ToChronoMilliseconds(*timeout);
  if (!flags.token_file.empty()) {
    const absl::StatusOr<std::string> token = ReadAdminToken(flags.token_file);
    if (!token.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "--token-file ", flags.token_file, " ", token.status().message()));
    }
    client->authorization_ = absl::StrCat("Bearer ", *token);
  }
  auto credentials = CredentialsOf(flags);
  if (!credentials.ok()) return credentials.status();
  grpc::ChannelArguments arguments;
  // gRPC 1.51 aborts where it may retry and a call ends without a grpc-status.
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  client->stub_ = v1::HubService::NewStub(grpc::CreateCustomChannel(
      flags.address, *std::move(credentials), arguments));
  return client;
}

std::unique_ptr<grpc::ClientContext> HubClient::NewCall(bool is_stream) const {
  auto context = std::make_unique<grpc::ClientContext>();
  if (!authorization_.empty()) {
    context->AddMetadata("authorization", authorization_);
  }
  if (!is_stream) {
    context->set_deadline(std::chrono::system_clock::now() + timeout_);
  }
  return context;
}

std::string ErrorText(const grpc::Status& status) {
  return absl::StrCat(absl::StatusCodeToString(
                          static_cast<absl::StatusCode>(status.error_code())),
                      ": ", OneLine(status.error_message()));
}

}  // namespace headgate
