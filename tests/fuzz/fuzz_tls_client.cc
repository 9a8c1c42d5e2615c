// TLS towards a server that is hostile, or whose bytes somebody changes on the
// way. A real server answers, and what it sends is cut, flipped, repeated,
// swallowed or mixed with other records. Whatever comes: every step ends, each
// error says that it is TLS's, and what is read is what the server wrote, in
// order and from the start: no byte that was tampered with gets through.
//
// Input: a byte of how the server is set up, then steps (Step).

#include <openssl/rand.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "gateway/tls/engine.h"
#include "tests/fuzz/input.h"
#include "tests/testing/certificates.h"
#include "tests/testing/tls_server.h"

namespace headgate {
namespace {

// OpenSSL's random numbers, the same for the same input: else no input that
// fails could be run again.
std::uint64_t random_state = 1;

int FillWithRandom(unsigned char* bytes, int count) {
  for (int i = 0; i < count; ++i) {
    // Knuth's MMIX generator.
    random_state = random_state * 6364136223846793005 + 1442695040888963407;
    bytes[i] = static_cast<unsigned char>(random_state >> 56);
  }
  return 1;
}
int IsSeeded() { return 1; }

struct World {
  World() {
    static RAND_METHOD method = {nullptr, FillWithRandom, nullptr,
                                 nullptr, FillWithRandom, IsSeeded};
    FUZZ_CHECK(RAND_set_rand_method(&method) == 1);
    const Authority authority("fuzz");
    good = authority.Issue("server", "DNS:chat.internal");
    for_another_name = authority.Issue("server", "DNS:other.internal");
    TlsMaterial material;
    material.ca = authority.certificate();
    const Identity client = authority.Issue("client");
    material.certificate = client.certificate;
    material.key = client.key;
    TlsClientOptions options;
    options.protocol = "h2";
    options.requires_protocol = true;
    auto made = TlsContext::ForClient(options, material);
    FUZZ_CHECK(made.ok());
    context = *std::move(made);
    client_ca = authority.certificate();
  }

  Identity good;
  Identity for_another_name;
  std::string client_ca;
  std::shared_ptr<const TlsContext> context;
};

World& TheWorld() {
  static auto& world = *new World;
  return world;
}

class Stage {
 public:
  explicit Stage(std::uint8_t plan) {
    World& world = TheWorld();
    random_state = 1;
    TlsTestServerOptions options;
    is_good_ = !(plan & 1);
    options.identity = is_good_ ? world.good : world.for_another_name;
    if (plan & 2) options.max_version = TLS1_2_VERSION;
    if (plan & 4) options.client_ca = world.client_ca;
    if (plan & 8) {
      options.protocol = "http/1.1";
      is_good_ = false;
    }
    client_ = std::make_unique<TlsEngine>(world.context, "chat.internal");
    server_ = std::make_unique<TlsServer>(options);
    Advance();
  }

  // What the server has said meanwhile comes to the client, changed or not.
  void Step(FuzzInput& input) {
    switch (input.Byte() % 12) {
      case 0:
        ToClient(Take());
        break;
      case 1: {  // One byte is another.
        std::string bytes = Take();
        const std::size_t at = input.Byte() * 256u + input.Byte();
        const auto flipped = static_cast<char>(input.Byte());
        if (!bytes.empty()) bytes[at % bytes.size()] ^= flipped;
        ToClient(bytes);
        break;
      }
      case 2: {  // Not all of it comes; the rest does later.
        std::string bytes = Take();
        held_ = bytes.substr(std::min<std::size_t>(input.Byte(), bytes.size()));
        bytes.resize(bytes.size() - held_.size());
        ToClient(bytes);
        break;
      }
      case 3: {  // Byte by byte.
        for (const char byte : Take()) ToClient(std::string(1, byte));
        break;
      }
      case 4:  // Lost.
        Take();
        break;
      case 5: {  // Twice.
        const std::string bytes = Take();
        ToClient(bytes + bytes);
        break;
      }
      case 6: {  // A record of somebody else's.
        std::string record = "\x16\x03\x03";
        record[0] = static_cast<char>(20 + input.Byte() % 5);
        const std::size_t length = input.Byte();
        record += '\0';
        record += static_cast<char>(length);
        ToClient(record + input.Bytes(length));
        break;
      }
      case 7:
        ToClient(input.Bytes(input.Byte()));
        break;
      case 8: {
        if (!server_->established()) break;
        const std::size_t before = written_.size();
        const std::size_t end = before + input.Byte() * 100u;
        // No two places alike for a while: 251 is a prime.
        while (written_.size() < end) {
          written_ += static_cast<char>(written_.size() % 251);
        }
        server_->Write(written_.substr(before));
        break;
      }
      case 9:
        // Not of TLS 1.2.
        if (server_->established() && server_->version() == "TLSv1.3" &&
            server_->fault().empty() && !is_shut_down_) {
          server_->UpdateKeys();
        }
        break;
      case 10:
        is_shut_down_ = true;
        if (server_->established()) server_->Shutdown();
        break;
      case 11:
        if (client_->established() && status_.ok()) {
          status_ = client_->Write(std::string(input.Byte() * 100u, 'w'));
          CheckStatus();
          Advance();
        }
        break;
    }
  }

 private:
  // What the server has to send.
  std::string Take() {
    const std::string sent = held_ + server_->TakeOutput();
    held_.clear();
    return sent;
  }

  void ToClient(const std::string& bytes) {
    if (!status_.ok()) return;
    fed_ = bytes;
    client_->Feed(fed_);
    Advance();
  }

  // As far as what has come to the client goes.
  void Advance() {
    if (!client_->established()) status_ = client_->Handshake();
    while (status_.ok() && client_->established()) {
      FUZZ_CHECK(is_good_);
      std::array<char, 1000> bytes;
      const auto size = client_->Read(bytes.data(), bytes.size());
      if (!size.ok()) {
        status_ = size.status();
      } else if (*size == 0) {
        break;
      } else {
        read_.append(bytes.data(), *size);
      }
    }
    FUZZ_CHECK(absl::StartsWith(written_, read_));
    CheckStatus();
    if (!server_->fault().empty()) return;
    server_->Feed(client_->output());
    client_->output().clear();
  }

  void CheckStatus() const {
    if (status_.ok()) return;
    FUZZ_CHECK(status_.code() == absl::StatusCode::kUnavailable);
    FUZZ_CHECK(absl::StartsWith(status_.message(), "TLS: "));
  }

  bool is_good_;  // Such a server may be connected to.
  std::unique_ptr<TlsEngine> client_;
  std::unique_ptr<TlsServer> server_;
  bool is_shut_down_ = false;
  absl::Status status_;
  std::string fed_;
  std::string held_;     // Of the server's bytes, on the way.
  std::string written_;  // By the server.
  std::string read_;     // By the client.
};

}  // namespace
}  // namespace headgate

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  using namespace headgate;
  FuzzInput input(data, size);
  Stage stage(input.Byte());
  while (!input.empty()) stage.Step(input);
  return 0;
}
