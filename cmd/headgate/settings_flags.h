#ifndef CMD_HEADGATE_SETTINGS_FLAGS_H_
#define CMD_HEADGATE_SETTINGS_FLAGS_H_

#include <cstddef>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gateway/config/settings.h"
#include "gateway/config/units.h"

namespace headgate {

// What the flags of a command line change in settings, in order.
using Overrides = std::vector<std::function<void(Settings&)>>;

// Adds flags that set something in Settings. A flag that is given adds to the
// overrides; one that is not changes nothing, whatever its default in the help.
//
// `command` and `overrides` must outlive it, `overrides` the parsing too.
class SettingsFlags {
 public:
  template <typename T>
  using Setter = std::function<void(Settings&, const T&)>;

  SettingsFlags(CLI::App& command, Overrides& overrides)
      : command_(command), overrides_(overrides) {}

  // A number or a text.
  template <typename T>
  CLI::Option* Value(const std::string& flag, Setter<T> set,
                     const std::string& help) {
    return command_.add_option_function<T>(
        flag,
        [&overrides = overrides_, set = std::move(set)](const T& value) {
          overrides.push_back(
              [set, value](Settings& settings) { set(settings, value); });
        },
        help);
  }

  // Repeatable; what is given takes the place of what was set.
  template <typename T>
  CLI::Option* List(const std::string& flag, Setter<std::vector<T>> set,
                    const std::string& help) {
    return Value<std::vector<T>>(flag, std::move(set), help)
        ->allow_extra_args(false);
  }

  CLI::Option* Size(const std::string& flag, std::size_t current,
                    Setter<std::size_t> set, const std::string& help) {
    return Parsed<std::size_t>(flag, ParseSize, std::move(set), help)
        ->type_name("SIZE")
        ->default_str(FormatSize(current));
  }

  // With `kNone` as the word for no limit.
  CLI::Option* Duration(const std::string& flag, absl::Duration current,
                        Setter<absl::Duration> set, const std::string& help) {
    return Parsed<absl::Duration>(
               flag,
               [](const std::string& text) -> absl::StatusOr<absl::Duration> {
                 if (text == kNone) return absl::InfiniteDuration();
                 return ParseDuration(text);
               },
               std::move(set), help)
        ->type_name("DURATION")
        ->default_str(current == absl::InfiniteDuration()
                          ? kNone
                          : absl::FormatDuration(current));
  }

  // One of a few names, the first of them the default.
  template <typename T>
  CLI::Option* Choice(const std::string& flag,
                      const std::vector<std::pair<std::string, T>>& choices,
                      Setter<T> set, const std::string& help) {
    std::string names;
    for (const auto& [name, choice] : choices) {
      absl::StrAppend(&names, names.empty() ? "" : "|", name);
    }
    return Parsed<T>(
               flag,
               [choices, names](const std::string& text) -> absl::StatusOr<T> {
                 for (const auto& [name, choice] : choices) {
                   if (name == text) return choice;
                 }
                 return absl::InvalidArgumentError(
                     absl::StrCat("must be ", names, ", is ", text));
               },
               std::move(set), help)
        ->type_name(names)
        ->default_str(choices.front().first);
  }

 private:
  static constexpr char kNone[] = "none";

  // As ParseSize reads it.
  static std::string FormatSize(std::size_t bytes) {
    constexpr std::size_t kKiB = 1024, kMiB = 1024 * 1024;
    if (bytes % kMiB == 0) return absl::StrCat(bytes / kMiB, "MiB");
    if (bytes % kKiB == 0) return absl::StrCat(bytes / kKiB, "KiB");
    return absl::StrCat(bytes);
  }

  template <typename T, typename Parse>
  CLI::Option* Parsed(const std::string& flag, Parse parse, Setter<T> set,
                      const std::string& help) {
    return command_.add_option_function<std::string>(
        flag,
        [&overrides = overrides_, flag, parse,
         set = std::move(set)](const std::string& text) {
          const absl::StatusOr<T> value = parse(text);
          if (!value.ok()) {
            throw CLI::ValidationError(flag,
                                       std::string(value.status().message()));
          }
          overrides.push_back([set, value = *value](Settings& settings) {
            set(settings, value);
          });
        },
        help);
  }

  CLI::App& command_;
  Overrides& overrides_;
};

// Sets something in every route.
template <typename T>
SettingsFlags::Setter<T> OnRoutes(std::function<void(Route&, const T&)> set) {
  return [set = std::move(set)](Settings& settings, const T& value) {
    for (Route& route : settings.routes) set(route, value);
  };
}

// Sets a member of a part of every route.
template <typename Part, typename T>
SettingsFlags::Setter<T> OnRoutes(Part& (*part)(Route&), T Part::*member) {
  return OnRoutes<T>([part, member](Route& route, const T& value) {
    part(route).*member = value;
  });
}

inline Route& RouteItself(Route& route) { return route; }

}  // namespace headgate

#endif  // CMD_HEADGATE_SETTINGS_FLAGS_H_
