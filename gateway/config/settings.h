#ifndef GATEWAY_CONFIG_SETTINGS_H_
#define GATEWAY_CONFIG_SETTINGS_H_

#include <cstddef>
#include <iterator>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "gateway/base/log.h"
#include "gateway/route/hub_target.h"
#include "gateway/route/route.h"

namespace headgate {

// All that can be set of a gateway, with its defaults. Sizes in bytes. The
// member names are the names that errors use and that users type.

// One of a listener's further certificates.
struct TlsCertificateSettings {
  std::string certificate;  // With its chain.
  std::string key;
  std::string ocsp_file;  // An OCSP response for it, DER; empty: none.

  bool operator==(const TlsCertificateSettings&) const = default;
};

// TLS on a listener. Files are PEM, read anew when they change.
struct ListenerTlsSettings {
  enum class ClientCertificates { kNone, kOptional, kRequired };
  enum class MinVersion { k12, k13 };

  std::string certificate;  // With its chain.
  std::string key;
  std::string ocsp_file;  // An OCSP response for it, DER; empty: none.
  // More of them, chosen by the names that they are for.
  std::vector<TlsCertificateSettings> certificates;
  // Handshakes that may begin in a second; 0: any number.
  int handshakes_per_second = 0;
  std::string client_ca;  // Authorities of the clients' certificates.
  ClientCertificates client_certificates = ClientCertificates::kNone;
  MinVersion min_version = MinVersion::k12;
  std::vector<std::string> session_ticket_keys;  // Files.
  bool http2 = true;  // As the listener has it: whether ALPN offers it.

  bool operator==(const ListenerTlsSettings&) const = default;
};

// permessage-deflate (RFC 7692).
struct CompressionSettings {
  bool enabled = false;
  int level = 6;  // 1 (fast) to 9 (small).
  // log2 of the window that each side compresses with, 9 to 15.
  int server_max_window_bits = 15;
  int client_max_window_bits = 15;
  // Whether each message is compressed by itself.
  bool server_no_context_takeover = false;
  bool client_no_context_takeover = false;
  // Shorter messages go out as they are.
  std::size_t min_bytes = 128;
};

// Who may connect to a socket file; what is absent or empty is as the process's
// umask and identity have it.
struct SocketFileSettings {
  std::string mode;  // Octal digits, "0660".
  std::string user;  // A name or a number.
  std::string group;

  // The bits of `mode`; absent where it is none of 0 to 0777.
  std::optional<unsigned> ModeBits() const;
  bool empty() const { return mode.empty() && user.empty() && group.empty(); }
  bool operator==(const SocketFileSettings&) const = default;
};

struct ListenerSettings {
  // "HOST:PORT"; an IPv6 host in brackets, port 0 takes a free one. A host of
  // "" or "*" listens on every address, IPv4 and IPv6. "unix:/path" is a socket
  // file, "systemd:NAME" what the service manager has opened for us.
  std::string address = "127.0.0.1:8080";
  std::optional<ListenerTlsSettings> tls;  // Absent: plain.
  CompressionSettings compression;
  SocketFileSettings file;  // For "unix:/path" only.
  // A PROXY header (versions 1 and 2) comes first on each connection.
  bool proxy_protocol = false;
  // Other processes may listen on the same address (SO_REUSEPORT).
  bool reuse_port = false;
  // Origins, besides the listener's own, whose scripts may connect: exact
  // ("https://example.com"), "https://*.example.com", "http://localhost:*", or
  // "*".
  std::vector<std::string> allowed_origins;
  // Hosts, besides those of loopback, that requests may name: exact
  // ("app.example.com"), "*.example.com", or "*"; in lower case. Empty: any,
  // but none on a listener at a loopback address.
  std::vector<std::string> allowed_hosts;
  // Networks ("10.0.0.0/8", "::1/128") whose X-Forwarded-* headers are true.
  std::vector<std::string> trusted_proxies;
  // For requests that no route was found for.
  Refusals refusals = Refusals::kHttp;
  // Serves the console; see gateway/console.
  bool console = false;
  // Clients may speak HTTP/2, with so many streams at a time.
  bool http2 = true;
  int http2_max_streams = 128;
};

// Where the descriptors of an upstream come from.
struct DescriptorSettings {
  bool reflection = true;
  // Descriptor sets: files made by protoc --descriptor_set_out
  // --include_imports. What they define wins over what reflection tells.
  std::vector<std::string> files;
  // Older descriptors are fetched anew, in the background, when they are used.
  absl::Duration refresh = absl::Minutes(1);

  bool operator==(const DescriptorSettings&) const = default;
};

// TLS towards an upstream. Files are PEM, read anew when they change.
struct UpstreamTlsSettings {
  std::string ca;           // Empty: the system's roots.
  std::string certificate;  // The client's own, with `key`; empty: none.
  std::string key;
  // The name that the server's certificate must be for; empty: the upstream's
  // authority, else the target's host.
  std::string authority;

  bool operator==(const UpstreamTlsSettings&) const = default;
};

struct UpstreamSettings {
  enum class LoadBalancing { kRoundRobin, kPickFirst };
  enum class Compression { kNone, kGzip };
  enum class Transport { kAuto, kGrpc, kH2 };

  std::string name = "default";
  // A gRPC name: "host:port", "dns:///host:port", "unix:/path", ...
  std::string target = "127.0.0.1:50051";
  DescriptorSettings descriptors;
  std::optional<UpstreamTlsSettings> tls;  // Absent: plaintext.
  // The :authority of every call; empty: tls.authority, else the target's host
  // and port.
  std::string authority;
  // The longest that a call may take; the shorter of this and the route's.
  absl::Duration deadline = absl::InfiniteDuration();
  LoadBalancing load_balancing = LoadBalancing::kRoundRobin;
  // Of requests; answers are taken as they come, identity or gzip.
  Compression compression = Compression::kNone;
  // The most calls on one connection: no more than the server's
  // MAX_CONCURRENT_STREAMS, above which calls would wait without a word.
  int max_streams_per_channel = 100;
  // A ping after this time without any data, and the connection is dead when no
  // answer came within keepalive_timeout. Infinite: no pings. Servers end
  // connections that ping more often than they allow, 5 min by default. Absent:
  // as often as they allow by default.
  std::optional<absl::Duration> keepalive_interval;
  absl::Duration keepalive_timeout = absl::Seconds(20);
  // The service whose health (grpc.health.v1) decides which of the addresses
  // get calls; "" is the server as a whole. Absent: no health checks.
  std::optional<std::string> health_check;
  Transport transport = Transport::kAuto;
  // Service configurations, whose HTTP rules replace annotations.
  std::vector<std::string> http_rules_files;

  // What only gRPC's own client can do of all this, by the field's name; empty:
  // nothing.
  absl::string_view needs_grpc() const;
  // Not kAuto.
  Transport ChosenTransport() const;

  bool operator==(const UpstreamSettings&) const = default;
};

struct LimitSettings {
  int max_sessions = 100000;
  // Of one client address (an IPv6 network of 64 bits); 0: any number.
  int max_sessions_per_address = 200;
  // Of one client, identified by one of the next two; 0: any number.
  int max_sessions_per_identity = 0;
  std::string identity_claim;   // Of the bearer token.
  std::string identity_header;  // Of the request.
  // Connections, each session's among them; absent: twice the sessions, at
  // least 64.
  std::optional<int> max_connections;
  std::optional<int> max_connections_per_address;  // 0: any number.

  // Whichever of the two applies.
  int connections() const;
  int connections_per_address() const;
  std::size_t max_answer_bytes = 4 * 1024 * 1024;  // From a backend.
  std::size_t max_header_bytes = 16 * 1024;        // Of a handshake.
  // Of a call's header list towards a backend, as HTTP/2 counts it.
  std::size_t max_metadata_bytes = 8 * 1024;
  // Of the process; 0: no limit; absent: 80 % of what AvailableMemory says.
  std::optional<std::size_t> max_memory;
  // What may wait in one session, each way; reading stops above it.
  std::size_t max_buffered_bytes = 64 * 1024;
};

// Pings to clients.
struct KeepaliveSettings {
  // A ping after this time without a frame from the client; infinite: none.
  absl::Duration interval = absl::Seconds(25);
  // The connection is dead when no frame has come for this long after it.
  absl::Duration timeout = absl::Seconds(10);
};

// What an admin listener can serve.
enum class AdminPart {
  kHealth,
  kMetrics,
  kRoutes,
  kSessions,
  kLogLevel,
  kTap,          // The messages of open sessions, without their values.
  kTapPayloads,  // With them; needs kTap.
};
inline constexpr AdminPart kAllAdminParts[] = {
    AdminPart::kHealth,     AdminPart::kMetrics,  AdminPart::kRoutes,
    AdminPart::kSessions,   AdminPart::kLogLevel, AdminPart::kTap,
    AdminPart::kTapPayloads};
// Those that are served unless the configuration says which.
inline constexpr AdminPart kUsualAdminParts[] = {
    AdminPart::kHealth, AdminPart::kMetrics, AdminPart::kRoutes,
    AdminPart::kSessions, AdminPart::kLogLevel};
// "health", ...
absl::string_view AdminPartName(AdminPart part);

// A listener for operators.
struct AdminSettings {
  bool enabled = true;
  std::string address = "127.0.0.1:9901";  // As a listener's, or "unix:/path".
  std::set<AdminPart> serve{std::begin(kUsualAdminParts),
                            std::end(kUsualAdminParts)};
  // The file with the token for all but health and metrics; empty: none.
  std::string token_file;

  bool operator==(const AdminSettings&) const = default;
};

// The token in the file, without the white space around it. Fails for a file
// that cannot be read, or has no token that a header can carry; the error does
// not name the file.
absl::StatusOr<std::string> ReadAdminToken(const std::string& path);

// What a client of the hub API may do, known by one of the first two.
struct HubGrantSettings {
  std::string subject;               // Of its certificate.
  std::string token_file;            // With its token.
  std::vector<std::string> methods;  // Empty: all.
  // Names, or prefixes with "*" behind them; empty: any receivers.
  std::vector<std::string> groups;

  bool operator==(const HubGrantSettings&) const = default;
};

struct HubApiTlsSettings {
  std::string certificate;
  std::string key;
  std::string client_ca;  // Empty: clients show no certificate.

  bool operator==(const HubApiTlsSettings&) const = default;
};

// headgate.v1.HubService, over gRPC.
struct HubApiSettings {
  std::string address = "127.0.0.1:9902";  // Or "unix:/path".
  std::optional<HubApiTlsSettings> tls;    // Absent: plain.
  std::vector<HubGrantSettings> grants;

  bool operator==(const HubApiSettings&) const = default;
};

struct NatsTlsSettings {
  std::string ca;  // Empty: the system's roots.

  bool operator==(const NatsTlsSettings&) const = default;
};

// How a gateway reaches NATS.
struct NatsSettings {
  std::vector<std::string> servers;  // URLs.
  std::string prefix = "headgate";   // Of the subjects.
  std::string user;
  std::string password_file;           // Set if `user` is.
  std::optional<NatsTlsSettings> tls;  // Absent: by the URLs.

  // The stream with the history of groups.
  enum class History { kNone, kJetStream };
  enum class Storage { kFile, kMemory };
  History history = History::kNone;
  Storage storage = Storage::kFile;
  int replicas = 1;
  std::size_t max_bytes = 256 * 1024 * 1024;
  absl::Duration duplicate_window = absl::Minutes(2);
  bool manage_stream = true;

  bool operator==(const NatsSettings&) const = default;
};

// Whether libnats can send it as the user or the password: it does not escape
// them within the JSON of CONNECT.
bool IsNatsCredential(absl::string_view text);

// What the groups are that fit a pattern.
struct HubGroupSettings {
  std::string pattern;
  int history = 0;  // Publications that are stored of each.
  absl::Duration history_age = absl::ZeroDuration();
  // Of publications to them; absent: that of the route.
  std::optional<SlowClientSettings::Policy> slow = std::nullopt;

  bool operator==(const HubGroupSettings&) const = default;
};

struct HubLimitSettings {
  // Of frames that clients have not taken, in all workers.
  std::size_t max_pinned_bytes = 64 * 1024 * 1024;
  // Of histories, for clients that come back.
  std::size_t max_history_bytes = 64 * 1024 * 1024;

  bool operator==(const HubLimitSettings&) const = default;
};

// Resume tokens of hubs' clients.
struct HubResumeSettings {
  std::vector<std::string> key_files;
  absl::Duration ttl = absl::Minutes(2);

  bool operator==(const HubResumeSettings&) const = default;
};

// A key of theirs: kResumeKeyFileBytes bytes. FAILED_PRECONDITION, or what the
// system says; the errors do not name the file.
absl::StatusOr<std::string> ReadResumeKey(const std::string& path);
inline constexpr std::size_t kResumeKeyFileBytes = 32;

// What all hubs of the process have in common.
struct HubSettings {
  enum class Engine { kMemory, kNats };

  std::string gateway;  // Its name; empty: a random one.
  Engine engine = Engine::kMemory;
  std::optional<NatsSettings> nats;  // Set if, and only if, it is the engine.
  HubLimitSettings limits;
  std::vector<HubGroupSettings> groups;     // The first that fits.
  std::optional<HubResumeSettings> resume;  // Absent: there are no tokens.

  bool operator==(const HubSettings&) const = default;
};

// Spans of calls, for an OpenTelemetry collector.
struct TracingSettings {
  std::string endpoint = "http://127.0.0.1:4318/v1/traces";
  // Of calls without a parent; 0 to 1.
  double sample_ratio = 0.01;
  std::string service_name = "headgate";

  bool operator==(const TracingSettings&) const = default;
};

struct TimeoutSettings {
  // From accept to the end of the request's headers.
  absl::Duration handshake = absl::Seconds(5);
  // The longest that the client may take nothing of a message.
  absl::Duration send = absl::Seconds(30);
  // The longest that the backend may take nothing of what the client sent.
  absl::Duration stall = absl::Seconds(30);
  // A message that a client has begun: in each such time 4 KiB of it must come,
  // or its end; infinite: it may take as long as it likes.
  absl::Duration message = absl::Seconds(30);
  // From our Close frame to the end of the connection.
  absl::Duration close = absl::Seconds(5);
  // From the signal to stop, when readiness fails, until the listeners stop
  // accepting and sessions are closed.
  absl::Duration drain_delay = absl::ZeroDuration();
  // From then until the last session is cut off.
  absl::Duration drain = absl::Seconds(15);
  // For the next request on a connection that had one; then it is closed.
  absl::Duration keep_alive = absl::Seconds(60);
  // For the upstream's answer to a question for its descriptors.
  absl::Duration reflection = absl::Seconds(5);
};

struct Settings {
  std::vector<ListenerSettings> listeners = {ListenerSettings{}};
  std::vector<UpstreamSettings> upstreams = {UpstreamSettings{}};
  std::vector<Route> routes = {Route{}};
  LimitSettings limits;
  KeepaliveSettings keepalive;
  TimeoutSettings timeouts;
  std::vector<AdminSettings> admin = {AdminSettings{}};
  HubSettings hub;
  std::optional<HubApiSettings> hub_api;   // Absent: it is not served.
  std::optional<TracingSettings> tracing;  // Absent: no spans.
  int threads = 0;  // 0: as many as the machine has cores.
  // The process's, not the server's: who starts it sets them.
  LogLevel log_level = LogLevel::kInfo;
  LogFormat log_format = LogFormat::kLogfmt;
};

// All faults at once, a line each, named by their fields:
// "limits.max_sessions: must be at least 1, is 0". OK when there are none.
// Files that settings name are looked at, so that it may take a moment.
absl::Status Validate(const Settings& settings);

}  // namespace headgate

#endif  // GATEWAY_CONFIG_SETTINGS_H_
