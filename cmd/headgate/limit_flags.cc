#include "cmd/headgate/limit_flags.h"

#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"

namespace headgate {
namespace {

template <typename T>
SettingsFlags::Setter<T> OnLimits(T LimitSettings::*member) {
  return [member](Settings& settings, const T& value) {
    settings.limits.*member = value;
  };
}

void AddSizeFlags(SettingsFlags& add) {
  const std::string group = "Limits";
  const LimitSettings current;
  add.Value<int>("--max-sessions", OnLimits(&LimitSettings::max_sessions),
                 "Sessions at a time; more are refused with 503")
      ->default_str(absl::StrCat(current.max_sessions))
      ->group(group);
  add.Value<int>("--max-sessions-per-address",
                 OnLimits(&LimitSettings::max_sessions_per_address),
                 "Sessions at a time of one client address that is not "
                 "loopback; 0: any number")
      ->default_str(absl::StrCat(current.max_sessions_per_address))
      ->group(group);
  add.Size(
         "--max-memory", 0,
         [](Settings& settings, std::size_t bytes) {
           settings.limits.max_memory = bytes;
         },
         "Memory of the process: from 80 % of it new sessions are refused with "
         "503, from 95 % those that hold most are closed with 1013; 0: no "
         "limit")
      ->default_str("80 % of the cgroup's or machine's")
      ->group(group);
  add.Value<int>(
         "--max-connections",
         [](Settings& settings, int number) {
           settings.limits.max_connections = number;
         },
         "Connections at a time, sessions among them; a new one takes "
         "the place of an idle HTTP connection, or is refused with 503")
      ->default_str("twice --max-sessions, at least 64")
      ->group(group);
  add.Value<int>(
         "--max-connections-per-address",
         [](Settings& settings, int number) {
           settings.limits.max_connections_per_address = number;
         },
         "Connections at a time of one client address that is not "
         "loopback; more are refused with 503; 0: any number")
      ->default_str("twice --max-sessions-per-address, at least 64")
      ->group(group);
  add.Value<std::uint32_t>(
         "--messages-per-second",
         OnRoutes<std::uint32_t>([](Route& route, std::uint32_t rate) {
           route.messages.per_second = rate;
         }),
         "Messages of one client on the average; more: Close "
         "1008; 0: any number")
      ->default_str("0")
      ->group(group);
  add.Size("--bytes-per-second", 0,
           OnRoutes<std::size_t>([](Route& route, std::size_t rate) {
             route.bytes.per_second = static_cast<double>(rate);
           }),
           "Its bytes on the average, as they come off the wire; more: Close "
           "1008; 0: any number")
      ->group(group);
  add.Size("--max-message-bytes", Route().max_message_bytes,
           OnRoutes<std::size_t>([](Route& route, std::size_t bytes) {
             route.max_message_bytes = bytes;
             route.json.max_message_bytes = bytes;
           }),
           "The longest message from a client; a longer one: Close 1009")
      ->group(group);
  add.Size("--max-answer-bytes", current.max_answer_bytes,
           OnLimits(&LimitSettings::max_answer_bytes),
           "The longest message from the backend; a longer one: "
           "RESOURCE_EXHAUSTED")
      ->group(group);
  add.Size("--max-header-bytes", current.max_header_bytes,
           OnLimits(&LimitSettings::max_header_bytes),
           "The longest head of a handshake; a longer one: 431")
      ->group(group);
  add.Size("--max-metadata-bytes", current.max_metadata_bytes,
           OnLimits(&LimitSettings::max_metadata_bytes),
           "The longest header list of a call towards the backend, as HTTP/2 "
           "counts it; a longer one: 431")
      ->group(group);
  add.Size("--max-buffered-bytes", current.max_buffered_bytes,
           OnLimits(&LimitSettings::max_buffered_bytes),
           "What may wait in a session each way before reading stops")
      ->group(group);
}

void AddTimeoutFlags(SettingsFlags& add) {
  const TimeoutSettings current;
  const auto timeout = [&](const std::string& flag,
                           absl::Duration TimeoutSettings::*member,
                           const std::string& help) {
    add.Duration(
           flag, current.*member,
           [member](Settings& settings, absl::Duration duration) {
             settings.timeouts.*member = duration;
           },
           help)
        ->group("Timeouts");
  };
  timeout("--handshake-timeout", &TimeoutSettings::handshake,
          "For a client to send its request; then 408");
  timeout("--send-timeout", &TimeoutSettings::send,
          "For a client that takes nothing of its answers; then it is cut off");
  timeout("--stall-timeout", &TimeoutSettings::stall,
          "For a backend that takes nothing of what the client sent; then "
          "RESOURCE_EXHAUSTED");
  timeout("--message-timeout", &TimeoutSettings::message,
          "For the rest of a message that a client has begun, again with each "
          "4 KiB of it; then Close 1008, or 408; none: any time");
  timeout("--close-timeout", &TimeoutSettings::close,
          "For a client to answer the Close frame; then it is cut off");
  timeout("--drain-delay", &TimeoutSettings::drain_delay,
          "From SIGTERM, when readiness fails, until the listeners close");
  timeout("--drain", &TimeoutSettings::drain,
          "For sessions to end then, closed one after the other; what is left "
          "is cut off");
  timeout("--keep-alive-timeout", &TimeoutSettings::keep_alive,
          "For the next request on an HTTP connection that had one; then it is "
          "closed");
  timeout("--reflection-timeout", &TimeoutSettings::reflection,
          "For the upstream to tell its descriptors; then sessions that need "
          "them end with UNAVAILABLE");
}

void AddLifetimeFlags(SettingsFlags& add) {
  const std::string group = "Timeouts";
  const KeepaliveSettings current;
  add.Duration(
         "--keepalive-interval", current.interval,
         [](Settings& settings, absl::Duration duration) {
           settings.keepalive.interval = duration;
         },
         "Silence of a client after which it gets a ping")
      ->group(group);
  add.Duration(
         "--keepalive-timeout", current.timeout,
         [](Settings& settings, absl::Duration duration) {
           settings.keepalive.timeout = duration;
         },
         "For it to answer; then it is cut off")
      ->group(group);
  add.Duration("--idle-timeout", Route().idle_timeout,
               OnRoutes(RouteItself, &Route::idle_timeout),
               "Time without a message either way; then Close 1001")
      ->group(group);
  add.Duration("--max-age", Route().max_age,
               OnRoutes(RouteItself, &Route::max_age),
               "The longest, less up to a tenth, that a session lasts; then "
               "Close 1001")
      ->group(group);
}

}  // namespace

void AddLimitFlags(SettingsFlags& add) {
  AddSizeFlags(add);
  AddTimeoutFlags(add);
  AddLifetimeFlags(add);
}

}  // namespace headgate
