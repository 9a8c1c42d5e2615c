#ifndef GATEWAY_CONFIG_CONVERT_H_
#define GATEWAY_CONFIG_CONVERT_H_

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "gateway/config/faults.h"
#include "gateway/config/settings.h"
#include "headgate/config/v1/config.pb.h"

namespace headgate {

// A configuration file's message -> Settings. Adds a fault for each text that
// is not what its field takes; the setting then keeps its default. Relative
// names of files are taken from `directory` ("": as they are).
Settings ConvertConfig(const config::v1::Config& config,
                       const std::string& directory, Faults& faults);

// Takes single fields over. A field that the file does not have (`has`) leaves
// the setting as it is.
class FieldConverter {
 public:
  explicit FieldConverter(Faults& faults) : faults_(faults) {}

  // Not empty, for an empty text would mean the same as none.
  void Text(absl::string_view field, bool has, const std::string& text,
            std::string& to) const;
  void Size(absl::string_view field, bool has, const std::string& text,
            std::size_t& to) const;
  void Duration(absl::string_view field, bool has, const std::string& text,
                absl::Duration& to) const;
  // "0s" is absl::InfiniteDuration().
  void DurationOrNone(absl::string_view field, bool has,
                      const std::string& text, absl::Duration& to) const;
  void Number(absl::string_view field, bool has, std::uint32_t number,
              int& to) const;

  Faults& faults() const { return faults_; }

 private:
  Faults& faults_;
};

// What an enum value of the file means; one that is not listed changes nothing.
template <typename From, typename To>
void Choose(From from, std::initializer_list<std::pair<From, To>> choices,
            To& to) {
  for (const auto& [name, meaning] : choices) {
    if (name == from) to = meaning;
  }
}

// The rates of the general section, and those of a route, have the same names.
template <typename Message>
void RatesFrom(const Message& from, const std::string& field,
               const FieldConverter& convert, Route& to) {
  if (from.has_messages_per_second()) {
    to.messages.per_second = from.messages_per_second();
  }
  if (from.has_message_burst()) to.messages.burst = from.message_burst();
  const auto size = [&](absl::string_view member, bool has,
                        const std::string& text, double& setting) {
    std::size_t bytes = static_cast<std::size_t>(setting);
    convert.Size(absl::StrCat(field, member), has, text, bytes);
    setting = static_cast<double>(bytes);
  };
  size(".bytes_per_second", from.has_bytes_per_second(),
       from.bytes_per_second(), to.bytes.per_second);
  size(".byte_burst", from.has_byte_burst(), from.byte_burst(), to.bytes.burst);
}

Refusals RefusalsFrom(config::v1::Refusals from, Refusals otherwise);

// `base` is what the route's own settings come on top of; with an empty
// upstream the route must name one.
Route RouteFrom(const config::v1::Route& from, const std::string& field,
                const Route& base, const FieldConverter& convert);

}  // namespace headgate

#endif  // GATEWAY_CONFIG_CONVERT_H_
