#ifndef GATEWAY_CONFIG_BINDING_H_
#define GATEWAY_CONFIG_BINDING_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include <google/protobuf/message.h>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "gateway/config/faults.h"
#include "gateway/config/settings.h"

namespace headgate {

// How a value is read, where the type of its member leaves a choice.
enum class ReadAs {
  kPlain,
  kNoneIfZero,  // A duration: "0s" is absl::InfiniteDuration().
  kFile,        // A text: a file, relative to the configuration's directory.
};

// A row of a section's table: which key sets which member. The member's type
// says what the key takes: a number, a size ("64KiB"), a duration ("5s"), a
// text that is not empty, or true and false. std::size_t is a size in bytes.
template <typename Settings>
struct Binding {
  using Member =
      std::variant<std::string Settings::*, bool Settings::*, int Settings::*,
                   std::optional<int> Settings::*, std::size_t Settings::*,
                   std::optional<std::size_t> Settings::*,
                   absl::Duration Settings::*,
                   std::optional<absl::Duration> Settings::*>;

  absl::string_view key;  // The name of a field of the section's message.
  Member member;
  ReadAs read_as = ReadAs::kPlain;
};

// One section of the file, as its message. A key that the file does not have
// leaves its member as it is; one with a text that is not what it takes also
// adds a fault.
class Section {
 public:
  // `path`: of the section in the file, "listeners[0].tls". `directory`: of the
  // file; "": the working directory. All must outlive it.
  Section(const google::protobuf::Message& message, std::string path,
          const std::string& directory, Faults& faults)
      : message_(message),
        path_(std::move(path)),
        directory_(directory),
        faults_(faults) {}

  template <typename Settings>
  void Read(absl::Span<const Binding<Settings>> table, Settings& to) const {
    for (const Binding<Settings>& row : table) {
      if (!Has(row.key)) continue;
      std::visit(
          [&](auto member) { ReadValue(row.key, row.read_as, to.*member); },
          row.member);
    }
  }

  // The section below this one.
  Section Below(absl::string_view key,
                const google::protobuf::Message& message) const;

  bool Has(absl::string_view key) const;
  // Of a key that the file has: a size in bytes.
  void ReadSize(absl::string_view key, double& to) const;
  // `key`: "" for the section itself. See Fault::contradicts.
  void AddFault(absl::string_view key, absl::string_view fault,
                absl::string_view contradicts = "") const;
  // A file's name as the process opens it.
  std::string Resolve(const std::string& file) const;

  Faults& faults() const { return faults_; }

 private:
  std::string FieldOf(absl::string_view key) const;
  const google::protobuf::FieldDescriptor& Descriptor(
      absl::string_view key) const;
  std::string TextOf(absl::string_view key) const;

  void ReadValue(absl::string_view key, ReadAs read_as, std::string& to) const;
  void ReadValue(absl::string_view key, ReadAs read_as, bool& to) const;
  void ReadValue(absl::string_view key, ReadAs read_as, int& to) const;
  void ReadValue(absl::string_view key, ReadAs read_as, std::size_t& to) const;
  void ReadValue(absl::string_view key, ReadAs read_as,
                 absl::Duration& to) const;
  template <typename T>
  void ReadValue(absl::string_view key, ReadAs read_as,
                 std::optional<T>& to) const {
    T value{};
    ReadValue(key, read_as, value);
    to = value;
  }

  const google::protobuf::Message& message_;
  const std::string path_;
  const std::string& directory_;
  Faults& faults_;
};

// The tables, by the settings that they fill. Each names every key of its
// section but lists, enumerations and sections below it.
template <typename Settings>
absl::Span<const Binding<Settings>> TableOf();
template <>
absl::Span<const Binding<LimitSettings>> TableOf();
template <>
absl::Span<const Binding<TimeoutSettings>> TableOf();
template <>
absl::Span<const Binding<KeepaliveSettings>> TableOf();
template <>
absl::Span<const Binding<CompressionSettings>> TableOf();
template <>
absl::Span<const Binding<ListenerSettings>> TableOf();
template <>
absl::Span<const Binding<SocketFileSettings>> TableOf();
template <>
absl::Span<const Binding<ListenerTlsSettings>> TableOf();
template <>
absl::Span<const Binding<TlsCertificateSettings>> TableOf();
template <>
absl::Span<const Binding<AdminSettings>> TableOf();
template <>
absl::Span<const Binding<HubSettings>> TableOf();
template <>
absl::Span<const Binding<HubLimitSettings>> TableOf();
template <>
absl::Span<const Binding<HubResumeSettings>> TableOf();
template <>
absl::Span<const Binding<HubGroupSettings>> TableOf();
template <>
absl::Span<const Binding<NatsSettings>> TableOf();
template <>
absl::Span<const Binding<NatsTlsSettings>> TableOf();
template <>
absl::Span<const Binding<HubApiSettings>> TableOf();
template <>
absl::Span<const Binding<HubApiTlsSettings>> TableOf();
template <>
absl::Span<const Binding<TracingSettings>> TableOf();
template <>
absl::Span<const Binding<HubGrantSettings>> TableOf();
template <>
absl::Span<const Binding<DescriptorSettings>> TableOf();
template <>
absl::Span<const Binding<UpstreamTlsSettings>> TableOf();
template <>
absl::Span<const Binding<UpstreamSettings>> TableOf();
template <>
absl::Span<const Binding<Route>> TableOf();
template <>
absl::Span<const Binding<PacketOptions>> TableOf();
template <>
absl::Span<const Binding<MethodTable>> TableOf();
template <>
absl::Span<const Binding<TokenRule>> TableOf();
template <>
absl::Span<const Binding<HubTarget>> TableOf();
template <>
absl::Span<const Binding<SlowClientSettings>> TableOf();

}  // namespace headgate

#endif  // GATEWAY_CONFIG_BINDING_H_
