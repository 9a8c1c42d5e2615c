#ifndef GATEWAY_CONFIG_CONVERT_H_
#define GATEWAY_CONFIG_CONVERT_H_

#include <initializer_list>
#include <string>
#include <utility>

#include "gateway/config/binding.h"
#include "gateway/config/faults.h"
#include "gateway/config/settings.h"
#include "headgate/config/v1/config.pb.h"

namespace headgate {

// A configuration file's message -> Settings. Adds a fault for each text that
// is not what its field takes; the setting then keeps its default. Relative
// names of files are taken from `directory` ("": as they are).
Settings ConvertConfig(const config::v1::Config& config,
                       const std::string& directory, Faults& faults);

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
void RatesFrom(const Message& from, const Section& section, Route& to) {
  if (from.has_messages_per_second()) {
    to.messages.per_second = from.messages_per_second();
  }
  if (from.has_message_burst()) to.messages.burst = from.message_burst();
  if (from.has_bytes_per_second()) {
    section.ReadSize("bytes_per_second", to.bytes.per_second);
  }
  if (from.has_byte_burst()) section.ReadSize("byte_burst", to.bytes.burst);
}

SlowClientSettings::Policy SlowPolicyFrom(config::v1::SlowClients::Policy from);

Refusals RefusalsFrom(config::v1::Refusals from, Refusals otherwise);

// `base` is what the route's own settings come on top of; with an empty
// upstream the route must name one.
Route RouteFrom(const config::v1::Route& from, const Section& section,
                const Route& base);

}  // namespace headgate

#endif  // GATEWAY_CONFIG_CONVERT_H_
