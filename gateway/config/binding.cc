#include "gateway/config/binding.h"

#include <cassert>
#include <limits>

#include <google/protobuf/descriptor.h>

#include "absl/strings/str_cat.h"
#include "gateway/config/units.h"

namespace headgate {

using google::protobuf::FieldDescriptor;

// --- Reading ---

const FieldDescriptor& Section::Descriptor(absl::string_view key) const {
  const FieldDescriptor* field =
      message_.GetDescriptor()->FindFieldByName(std::string(key));
  assert(field != nullptr);
  return *field;
}

bool Section::Has(absl::string_view key) const {
  return message_.GetReflection()->HasField(message_, &Descriptor(key));
}

std::string Section::FieldOf(absl::string_view key) const {
  return path_.empty() ? std::string(key) : absl::StrCat(path_, ".", key);
}

std::string Section::TextOf(absl::string_view key) const {
  return message_.GetReflection()->GetString(message_, &Descriptor(key));
}

Section Section::Below(absl::string_view key,
                       const google::protobuf::Message& message) const {
  return Section(message, FieldOf(key), directory_, faults_);
}

void Section::AddFault(absl::string_view key, absl::string_view fault,
                       absl::string_view contradicts) const {
  faults_.Add(key.empty() ? path_ : FieldOf(key), fault, contradicts);
}

std::string Section::Resolve(const std::string& file) const {
  if (directory_.empty() || file.empty() || file[0] == '/') return file;
  return absl::StrCat(directory_, "/", file);
}

void Section::ReadSize(absl::string_view key, double& to) const {
  std::size_t bytes = static_cast<std::size_t>(to);
  ReadValue(key, ReadAs::kPlain, bytes);
  to = static_cast<double>(bytes);
}

void Section::ReadValue(absl::string_view key, ReadAs read_as,
                        std::string& to) const {
  const std::string text = TextOf(key);
  // An empty text would mean the same as none.
  if (text.empty()) return AddFault(key, "must not be empty");
  to = read_as == ReadAs::kFile ? Resolve(text) : text;
}

void Section::ReadValue(absl::string_view key, ReadAs /*read_as*/,
                        bool& to) const {
  to = message_.GetReflection()->GetBool(message_, &Descriptor(key));
}

void Section::ReadValue(absl::string_view key, ReadAs /*read_as*/,
                        int& to) const {
  const std::uint32_t number =
      message_.GetReflection()->GetUInt32(message_, &Descriptor(key));
  constexpr std::uint32_t kMost = std::numeric_limits<int>::max();
  if (number > kMost) return faults_.Range(FieldOf(key), number, 0u, kMost);
  to = static_cast<int>(number);
}

void Section::ReadValue(absl::string_view key, ReadAs /*read_as*/,
                        std::size_t& to) const {
  const absl::StatusOr<std::size_t> size = ParseSize(TextOf(key));
  if (!size.ok()) return AddFault(key, size.status().message());
  to = *size;
}

void Section::ReadValue(absl::string_view key, ReadAs read_as,
                        absl::Duration& to) const {
  const absl::StatusOr<absl::Duration> duration = ParseDuration(TextOf(key));
  if (!duration.ok()) return AddFault(key, duration.status().message());
  const bool is_none =
      read_as == ReadAs::kNoneIfZero && *duration == absl::ZeroDuration();
  to = is_none ? absl::InfiniteDuration() : *duration;
}

// --- The tables ---

template <>
absl::Span<const Binding<LimitSettings>> TableOf() {
  using S = LimitSettings;
  static constexpr Binding<S> kTable[] = {
      {"max_sessions", &S::max_sessions},
      {"max_answer_bytes", &S::max_answer_bytes},
      {"max_header_bytes", &S::max_header_bytes},
      {"max_metadata_bytes", &S::max_metadata_bytes},
      {"max_buffered_bytes", &S::max_buffered_bytes},
      {"max_sessions_per_address", &S::max_sessions_per_address},
      {"max_sessions_per_identity", &S::max_sessions_per_identity},
      {"identity_claim", &S::identity_claim},
      {"identity_header", &S::identity_header},
      {"max_memory", &S::max_memory},
      {"max_connections", &S::max_connections},
      {"max_connections_per_address", &S::max_connections_per_address},
  };
  return kTable;
}

template <>
absl::Span<const Binding<TimeoutSettings>> TableOf() {
  using S = TimeoutSettings;
  static constexpr Binding<S> kTable[] = {
      {"handshake", &S::handshake},
      {"send", &S::send},
      {"stall", &S::stall},
      {"message", &S::message, ReadAs::kNoneIfZero},
      {"close", &S::close},
      {"drain_delay", &S::drain_delay},
      {"drain", &S::drain},
      {"keep_alive", &S::keep_alive},
      {"reflection", &S::reflection},
  };
  return kTable;
}

template <>
absl::Span<const Binding<KeepaliveSettings>> TableOf() {
  using S = KeepaliveSettings;
  static constexpr Binding<S> kTable[] = {
      {"interval", &S::interval, ReadAs::kNoneIfZero},
      {"timeout", &S::timeout},
  };
  return kTable;
}

template <>
absl::Span<const Binding<CompressionSettings>> TableOf() {
  using S = CompressionSettings;
  static constexpr Binding<S> kTable[] = {
      {"enabled", &S::enabled},
      {"level", &S::level},
      {"server_max_window_bits", &S::server_max_window_bits},
      {"client_max_window_bits", &S::client_max_window_bits},
      {"server_no_context_takeover", &S::server_no_context_takeover},
      {"client_no_context_takeover", &S::client_no_context_takeover},
      {"min_bytes", &S::min_bytes},
  };
  return kTable;
}

template <>
absl::Span<const Binding<ListenerSettings>> TableOf() {
  using S = ListenerSettings;
  static constexpr Binding<S> kTable[] = {
      {"address", &S::address},
      {"proxy_protocol", &S::proxy_protocol},
      {"reuse_port", &S::reuse_port},
      {"console", &S::console},
      {"http2", &S::http2},
      {"http2_max_streams", &S::http2_max_streams},
  };
  return kTable;
}

template <>
absl::Span<const Binding<SocketFileSettings>> TableOf() {
  using S = SocketFileSettings;
  static constexpr Binding<S> kTable[] = {
      {"mode", &S::mode},
      {"user", &S::user},
      {"group", &S::group},
  };
  return kTable;
}

template <>
absl::Span<const Binding<ListenerTlsSettings>> TableOf() {
  using S = ListenerTlsSettings;
  static constexpr Binding<S> kTable[] = {
      {"certificate", &S::certificate, ReadAs::kFile},
      {"key", &S::key, ReadAs::kFile},
      {"client_ca", &S::client_ca, ReadAs::kFile},
      {"ocsp_file", &S::ocsp_file, ReadAs::kFile},
      {"handshakes_per_second", &S::handshakes_per_second},
  };
  return kTable;
}

template <>
absl::Span<const Binding<TlsCertificateSettings>> TableOf() {
  using S = TlsCertificateSettings;
  static constexpr Binding<S> kTable[] = {
      {"certificate", &S::certificate, ReadAs::kFile},
      {"key", &S::key, ReadAs::kFile},
      {"ocsp_file", &S::ocsp_file, ReadAs::kFile},
  };
  return kTable;
}

template <>
absl::Span<const Binding<AdminSettings>> TableOf() {
  using S = AdminSettings;
  static constexpr Binding<S> kTable[] = {
      {"enabled", &S::enabled},
      {"address", &S::address},
      {"token_file", &S::token_file, ReadAs::kFile},
  };
  return kTable;
}

template <>
absl::Span<const Binding<HubSettings>> TableOf() {
  using S = HubSettings;
  static constexpr Binding<S> kTable[] = {
      {"gateway", &S::gateway},
  };
  return kTable;
}

template <>
absl::Span<const Binding<HubLimitSettings>> TableOf() {
  using S = HubLimitSettings;
  static constexpr Binding<S> kTable[] = {
      {"max_pinned_bytes", &S::max_pinned_bytes},
      {"max_history_bytes", &S::max_history_bytes},
  };
  return kTable;
}

template <>
absl::Span<const Binding<HubResumeSettings>> TableOf() {
  using S = HubResumeSettings;
  static constexpr Binding<S> kTable[] = {
      {"ttl", &S::ttl},
  };
  return kTable;
}

template <>
absl::Span<const Binding<HubGroupSettings>> TableOf() {
  using S = HubGroupSettings;
  static constexpr Binding<S> kTable[] = {
      {"pattern", &S::pattern},
      {"history", &S::history},
      {"history_age", &S::history_age},
  };
  return kTable;
}

template <>
absl::Span<const Binding<NatsSettings>> TableOf() {
  using S = NatsSettings;
  static constexpr Binding<S> kTable[] = {
      {"prefix", &S::prefix},
      {"user", &S::user},
      {"password_file", &S::password_file, ReadAs::kFile},
      {"replicas", &S::replicas},
      {"max_bytes", &S::max_bytes},
      {"duplicate_window", &S::duplicate_window},
      {"manage_stream", &S::manage_stream},
  };
  return kTable;
}

template <>
absl::Span<const Binding<NatsTlsSettings>> TableOf() {
  using S = NatsTlsSettings;
  static constexpr Binding<S> kTable[] = {
      {"ca", &S::ca, ReadAs::kFile},
  };
  return kTable;
}

template <>
absl::Span<const Binding<HubApiSettings>> TableOf() {
  using S = HubApiSettings;
  static constexpr Binding<S> kTable[] = {
      {"address", &S::address},
  };
  return kTable;
}

template <>
absl::Span<const Binding<HubApiTlsSettings>> TableOf() {
  using S = HubApiTlsSettings;
  static constexpr Binding<S> kTable[] = {
      {"certificate", &S::certificate, ReadAs::kFile},
      {"key", &S::key, ReadAs::kFile},
      {"client_ca", &S::client_ca, ReadAs::kFile},
  };
  return kTable;
}

template <>
absl::Span<const Binding<TracingSettings>> TableOf() {
  using S = TracingSettings;
  static constexpr Binding<S> kTable[] = {
      {"endpoint", &S::endpoint},
      {"service_name", &S::service_name},
  };
  return kTable;
}

template <>
absl::Span<const Binding<HubGrantSettings>> TableOf() {
  using S = HubGrantSettings;
  static constexpr Binding<S> kTable[] = {
      {"subject", &S::subject},
      {"token_file", &S::token_file, ReadAs::kFile},
  };
  return kTable;
}

template <>
absl::Span<const Binding<DescriptorSettings>> TableOf() {
  using S = DescriptorSettings;
  static constexpr Binding<S> kTable[] = {
      {"reflection", &S::reflection},
      {"refresh", &S::refresh},
  };
  return kTable;
}

template <>
absl::Span<const Binding<UpstreamTlsSettings>> TableOf() {
  using S = UpstreamTlsSettings;
  static constexpr Binding<S> kTable[] = {
      {"ca", &S::ca, ReadAs::kFile},
      {"certificate", &S::certificate, ReadAs::kFile},
      {"key", &S::key, ReadAs::kFile},
      {"authority", &S::authority},
  };
  return kTable;
}

template <>
absl::Span<const Binding<UpstreamSettings>> TableOf() {
  using S = UpstreamSettings;
  static constexpr Binding<S> kTable[] = {
      {"name", &S::name},
      {"target", &S::target},
      {"authority", &S::authority},
      {"deadline", &S::deadline, ReadAs::kNoneIfZero},
      {"max_streams_per_channel", &S::max_streams_per_channel},
  };
  return kTable;
}

template <>
absl::Span<const Binding<Route>> TableOf() {
  using S = Route;
  static constexpr Binding<S> kTable[] = {
      {"path", &S::path},
      {"prefix", &S::prefix},
      {"strip_prefix", &S::strip_prefix},
      {"template", &S::path_template},
      {"upstream", &S::upstream},
      {"token_cookie", &S::token_cookie},
      {"token_query", &S::token_query},
      {"deadline", &S::deadline, ReadAs::kNoneIfZero},
      {"max_message_bytes", &S::max_message_bytes},
      {"max_sessions", &S::max_sessions},
      {"idle_timeout", &S::idle_timeout, ReadAs::kNoneIfZero},
      {"max_age", &S::max_age, ReadAs::kNoneIfZero},
  };
  return kTable;
}

template <>
absl::Span<const Binding<TokenRule>> TableOf() {
  static constexpr Binding<TokenRule> kTable[] = {
      {"leeway", &TokenRule::leeway},
  };
  return kTable;
}

template <>
absl::Span<const Binding<PacketOptions>> TableOf() {
  using S = PacketOptions;
  static constexpr Binding<S> kTable[] = {
      {"max_packet_bytes", &S::max_packet_bytes},
      {"max_depth", &S::max_depth},
  };
  return kTable;
}

template <>
absl::Span<const Binding<MethodTable>> TableOf() {
  using S = MethodTable;
  static constexpr Binding<S> kTable[] = {
      {"max_calls", &S::max_calls},
      {"call_window", &S::call_window_bytes},
  };
  return kTable;
}

template <>
absl::Span<const Binding<HubTarget>> TableOf() {
  using S = HubTarget;
  static constexpr Binding<S> kTable[] = {
      {"admission_timeout", &S::admission_timeout},
      {"message", &S::message},
      {"max_groups", &S::max_groups},
      {"hold", &S::hold},
  };
  return kTable;
}

template <>
absl::Span<const Binding<SlowClientSettings>> TableOf() {
  using S = SlowClientSettings;
  static constexpr Binding<S> kTable[] = {
      {"max_bytes", &S::max_bytes},
      {"max_messages", &S::max_messages},
      {"warn_bytes", &S::warn_bytes},
  };
  return kTable;
}

}  // namespace headgate
