#ifndef GATEWAY_TLS_ENGINE_H_
#define GATEWAY_TLS_ENGINE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "gateway/tls/context.h"

struct ssl_st;  // OpenSSL's SSL.

namespace headgate {

// One connection's TLS, in either role, without a socket: records in, plaintext
// out, and the reverse.
//
//   Handshake() until it is established(). From then on Read until there is
//   nothing more, Write, Shutdown. Each takes records that Feed has given, and
//   appends records to output(), which the caller sends.
//
// Errors are UNAVAILABLE and begin with "TLS: "; after one nothing but output()
// is of use: it may hold the alert that tells the peer.
//
// Thread: one at a time.
// Memory: OpenSSL's state. While a record is incomplete, or its content has not
// been read, that record as well; output() keeps its capacity unless the caller
// swaps it away.
class TlsEngine {
 public:
  // A server's. Requires: TlsContext::ForServer.
  explicit TlsEngine(std::shared_ptr<const TlsContext> context);
  // A client's. Requires: TlsContext::ForClient. `server`, a host name or an IP
  // address, is what the server's certificate must be for; a host name is told
  // to the server (SNI, RFC 6066 section 3).
  TlsEngine(std::shared_ptr<const TlsContext> context,
            const std::string& server);
  ~TlsEngine();
  TlsEngine(const TlsEngine&) = delete;
  TlsEngine& operator=(const TlsEngine&) = delete;

  // Bytes that came from the peer, behind unread(), which must be empty. They
  // must stay where they are as long as they are unread().
  void Feed(absl::string_view bytes) { input_ = bytes; }
  // The bytes fed that no call has taken yet.
  absl::string_view unread() const { return input_; }

  // A step of the handshake, as far as the bytes fed allow it.
  absl::Status Handshake();
  // The handshake is complete, and the peer is who it must be.
  bool established() const { return established_; }

  // Moves plaintext, at most `max` bytes, to `to`. Returns how much, 0 when
  // more must be fed. The peer's close_notify is an error, with peer_ended().
  // Requires: established().
  absl::StatusOr<std::size_t> Read(char* to, std::size_t max);
  // Whether Read returns plaintext without being fed.
  bool has_plaintext() const;
  // Whether the peer has sent close_notify, and Read has returned all before
  // it.
  bool peer_ended() const { return peer_ended_; }

  // Encrypts all of `bytes`. Requires: established(), before Shutdown.
  absl::Status Write(absl::string_view bytes);
  // Sends close_notify: nothing can be written after it, but the peer may still
  // send. Without effect before the handshake is complete.
  void Shutdown();

  // Records to send; the caller removes what it has sent.
  std::string& output() { return output_; }

  // The subject of the peer's certificate, as RFC 4514 writes it, in printable
  // ASCII; empty when it has shown none.
  std::string peer_subject() const;
  // The application protocol that the server has selected (ALPN); empty: none.
  // Valid as long as the engine.
  absl::string_view protocol() const;
  // "TLSv1.3". Requires: established().
  absl::string_view version() const;
  // Whether the last error is that the peer has asked for new keys, for
  // renegotiation or, as a server, sent tickets more often than it may: 64
  // times and once more for each KiB of plaintext. Each costs as much as a few
  // hundred bytes of plaintext, and two dozen bytes of the peer's.
  bool is_flooded() const { return is_flooded_; }
  // Whether the handshake has resumed an earlier session. Requires:
  // established().
  bool is_resumed() const;

 private:
  enum class Role { kServer, kClient };
  struct Bio;  // OpenSSL's way to input_ and output_.

  TlsEngine(std::shared_ptr<const TlsContext> context, Role role);

  // OpenSSL's way to tell of each message of its own protocols.
  static void OnProtocolMessage(int is_sent, int version, int type,
                                const void* bytes, std::size_t size, ssl_st*,
                                void* engine) noexcept;

  absl::Status Failure() const;
  absl::Status VerifyFailure(long result) const;
  absl::Status CheckProtocol() const;
  absl::string_view peer() const;

  const std::shared_ptr<const TlsContext> context_;
  ssl_st* const tls_;
  const Role role_;
  bool name_is_set_ = false;  // A client's server.
  bool established_ = false;
  bool peer_ended_ = false;
  bool is_flooded_ = false;
  std::uint64_t plaintext_bytes_ = 0;  // Read.
  std::uint64_t requests_ = 0;         // Of the peer's to TLS; see is_flooded.
  std::string server_;                 // A client's.
  absl::string_view input_;
  std::string output_;
};

}  // namespace headgate

#endif  // GATEWAY_TLS_ENGINE_H_
