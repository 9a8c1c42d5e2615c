// How the flags of `serve` and `demo` and a configuration file make settings.

#include "cmd/headgate/serve_flags.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <CLI/CLI.hpp>

namespace headgate {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// The settings of a command line; `built_in` are the command's own routes.
absl::StatusOr<Settings> SettingsOf(
    std::vector<std::string> words,
    const std::vector<std::string>& built_in = {},
    Console console = Console::kOff) {
  CLI::App command;
  const std::shared_ptr<ServeFlags> flags = AddServeFlags(command, console);
  command.add_option("--upstream", flags->upstream);
  std::reverse(words.begin(), words.end());  // As CLI11 has them.
  command.parse(words);
  return SettingsFrom(*flags, built_in);
}

std::string FileWith(const std::string& text) {
  const std::string path = testing::TempDir() + "/serve_flags_test.yaml";
  std::ofstream(path, std::ios::binary) << text;
  return path;
}

std::vector<std::string> PathsOf(const Settings& settings) {
  std::vector<std::string> paths;
  for (const Route& route : settings.routes) {
    const auto* fixed = std::get_if<FixedMethod>(&route.target);
    paths.push_back(route.path + "=" + (fixed != nullptr ? fixed->method : ""));
  }
  return paths;
}

std::vector<std::string> AddressesOf(const Settings& settings) {
  std::vector<std::string> addresses;
  for (const ListenerSettings& listener : settings.listeners) {
    addresses.push_back(listener.address);
  }
  return addresses;
}

// So that a manifest can add TLS to whatever its configuration file says.
TEST(ServeFlagsTest, TheEnvironmentNamesTheCertificateWhereNoFlagDoes) {
  setenv("HEADGATE_TLS_CERT", "/tls/tls.crt", 1);
  setenv("HEADGATE_TLS_KEY", "/tls/tls.key", 1);
  const std::string file =
      FileWith("listeners: [{address: 'a:1'}, {address: 'b:1'}]\n");
  const auto settings = SettingsOf({"--config", file});
  const auto by_flag =
      SettingsOf({"--config", file, "--tls-cert", "own", "--tls-key", "own"});
  unsetenv("HEADGATE_TLS_CERT");
  unsetenv("HEADGATE_TLS_KEY");
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_THAT(AddressesOf(*settings), ElementsAre("a:1", "b:1"));
  for (const ListenerSettings& listener : settings->listeners) {
    ASSERT_TRUE(listener.tls.has_value());
    EXPECT_EQ(listener.tls->certificate, "/tls/tls.crt");
    EXPECT_EQ(listener.tls->key, "/tls/tls.key");
  }
  ASSERT_TRUE(by_flag.ok()) << by_flag.status();
  EXPECT_EQ(by_flag->listeners[0].tls->certificate, "own");
  const auto without = SettingsOf({"--config", file});
  ASSERT_TRUE(without.ok()) << without.status();
  EXPECT_FALSE(without->listeners[0].tls.has_value());
}

TEST(ServeFlagsTest, TheTransportIsThatOfAllUpstreams) {
  using Transport = UpstreamSettings::Transport;
  const std::string file = FileWith(
      "upstreams: [{name: a, target: 'a:1'}, {name: b, transport: h2}]\n"
      "routes: [{upstream: a}]\n");
  auto settings = SettingsOf({"--config", file});
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_EQ(settings->upstreams[0].transport, Transport::kAuto);
  EXPECT_EQ(settings->upstreams[1].transport, Transport::kH2);
  settings = SettingsOf({"--config", file, "--transport", "grpc"});
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_EQ(settings->upstreams[0].transport, Transport::kGrpc);
  EXPECT_EQ(settings->upstreams[1].transport, Transport::kGrpc);
}

// --- Without a file

TEST(ServeFlagsTest, NoFlagsAreTheDefaults) {
  const auto settings = SettingsOf({});
  ASSERT_TRUE(settings.ok()) << settings.status();
  const Settings defaults;
  EXPECT_THAT(AddressesOf(*settings),
              ElementsAre(defaults.listeners[0].address));
  EXPECT_EQ(settings->upstreams, defaults.upstreams);
  EXPECT_THAT(PathsOf(*settings), ElementsAre("="));
  EXPECT_EQ(settings->limits.max_sessions, defaults.limits.max_sessions);
  EXPECT_EQ(settings->timeouts.drain, defaults.timeouts.drain);
  EXPECT_EQ(Validate(*settings), absl::OkStatus());
}

TEST(ServeFlagsTest, TheConsoleIsAsTheCommandHasItUnlessAFlagOrFileSays) {
  const auto has_console = [](std::vector<std::string> words, Console console) {
    const auto settings = SettingsOf(std::move(words), {}, console);
    return settings.ok() && settings->listeners.back().console;
  };
  EXPECT_FALSE(has_console({}, Console::kOff));
  EXPECT_TRUE(has_console({}, Console::kOn));
  EXPECT_TRUE(has_console({"--console", "on"}, Console::kOff));
  EXPECT_FALSE(has_console({"--console", "off"}, Console::kOn));
  const std::string file = FileWith(
      "listeners: [{address: 'a:1'}, {address: 'b:1', console: true}]");
  EXPECT_TRUE(has_console({"--config", file}, Console::kOff));
  EXPECT_FALSE(
      has_console({"--config", file, "--console", "off"}, Console::kOff));
}

TEST(ServeFlagsTest, FlagsHoldForEveryRoute) {
  const auto settings = SettingsOf(
      {"--route", "/chat=chat.Chat/Join", "--codec", "packet", "--deadline",
       "3s", "--max-message-bytes", "2KiB", "--refusals", "close",
       "--json-enums", "number", "--packet-max-depth", "2"},
      {"/echo=/headgate.v1.MessageService/Connect"});
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_THAT(PathsOf(*settings),
              ElementsAre("/chat=/chat.Chat/Join",
                          "/echo=/headgate.v1.MessageService/Connect", "="));
  for (const Route& route : settings->routes) {
    EXPECT_EQ(route.codec, &kPacketDialect) << route.path;
    EXPECT_EQ(route.deadline, absl::Seconds(3)) << route.path;
    EXPECT_EQ(route.max_message_bytes, 2048u) << route.path;
    EXPECT_EQ(route.json.max_message_bytes, 2048u) << route.path;
    EXPECT_EQ(route.refusals, Refusals::kClose) << route.path;
    EXPECT_EQ(route.json.json.enums, JsonOptions::Enums::kNumber) << route.path;
    EXPECT_EQ(route.packet.max_depth, 2) << route.path;
  }
  EXPECT_EQ(settings->listeners[0].refusals, Refusals::kClose);
  EXPECT_EQ(Validate(*settings), absl::OkStatus());
}

TEST(ServeFlagsTest, ARouteReplacesTheCommandsOwnAtItsPath) {
  const auto settings =
      SettingsOf({"--route", "/chat=a.B/C"}, {"/chat=chat.Chat/Join"});
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_THAT(PathsOf(*settings), ElementsAre("/chat=/a.B/C", "="));
}

TEST(ServeFlagsTest, ARouteNeedsItsForm) {
  EXPECT_THAT(std::string(SettingsOf({"--route", "/x"}).status().message()),
              HasSubstr("--route: must be PATH=package.Service/Method, is"));
}

TEST(ServeFlagsTest, ValuesMustHaveTheirForm) {
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"--deadline", "3"},
        {"--max-message-bytes", "1KB"},
        {"--codec", "yaml"},
        {"--threads", "many"}}) {
    EXPECT_THROW(SettingsOf(words).IgnoreError(), CLI::ParseError) << words[0];
  }
}

// --- With a file

TEST(ServeFlagsTest, AFileComesWithoutTheCommandsOwnRoutes) {
  const auto settings =
      SettingsOf({"--config", FileWith("routes: [{path: /a.B/C}]")},
                 {"/chat=chat.Chat/Join"});
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_THAT(PathsOf(*settings), ElementsAre("/a.B/C="));
}

TEST(ServeFlagsTest, WhatNoFlagSaysIsAsTheFileHasIt) {
  const auto settings = SettingsOf(
      {"--config", FileWith("listeners: [{address: ':1', refusals: close}]\n"
                            "upstreams: [{target: x:1}]\n"
                            "routes: [{deadline: 2s}]\n"
                            "limits: {max_sessions: 3}\n"
                            "timeouts: {send: 4s}\n"
                            "threads: 5\nlog_level: debug\n")});
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_THAT(AddressesOf(*settings), ElementsAre(":1"));
  EXPECT_EQ(settings->listeners[0].refusals, Refusals::kClose);
  EXPECT_EQ(settings->upstreams[0].target, "x:1");
  EXPECT_EQ(settings->routes[0].deadline, absl::Seconds(2));
  EXPECT_EQ(settings->limits.max_sessions, 3);
  EXPECT_EQ(settings->timeouts.send, absl::Seconds(4));
  EXPECT_EQ(settings->threads, 5);
  EXPECT_EQ(settings->log_level, LogLevel::kDebug);
}

TEST(ServeFlagsTest, FlagsWinOverTheFile) {
  const auto settings = SettingsOf(
      {"--config",
       FileWith("listeners: [{allowed_origins: ['https://a.com']}]\n"
                "routes: [{path: /a.B/C, deadline: 2s}, {deadline: 3s}]\n"
                "limits: {max_sessions: 3}\ntimeouts: {send: 4s}\n"),
       "--deadline", "none", "--max-sessions", "7", "--send-timeout", "8s",
       "--allow-origin", "https://b.com", "--allow-host", "B.com", "--upstream",
       "y:2", "--threads", "1"});
  ASSERT_TRUE(settings.ok()) << settings.status();
  for (const Route& route : settings->routes) {
    EXPECT_EQ(route.deadline, absl::InfiniteDuration());
  }
  EXPECT_EQ(settings->limits.max_sessions, 7);
  EXPECT_EQ(settings->timeouts.send, absl::Seconds(8));
  EXPECT_THAT(settings->listeners[0].allowed_hosts, ElementsAre("b.com"));
  EXPECT_THAT(settings->listeners[0].allowed_origins,
              ElementsAre("https://b.com"));
  EXPECT_EQ(settings->upstreams[0].target, "y:2");
  EXPECT_EQ(settings->threads, 1);
}

TEST(ServeFlagsTest, ListenTakesThePlaceOfTheFilesListeners) {
  const auto settings = SettingsOf(
      {"--config",
       FileWith("listeners: [{address: ':1', allowed_origins: ['*']}, "
                "{address: ':2'}, {address: ':3'}]"),
       "--listen", ":7", "--listen", ":8"});
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_THAT(AddressesOf(*settings), ElementsAre(":7", ":8"));
  for (const ListenerSettings& listener : settings->listeners) {
    EXPECT_THAT(listener.allowed_origins, ElementsAre("*"));
  }
}

// With two, which one is meant?
TEST(ServeFlagsTest, UpstreamNeedsAFileWithOneUpstream) {
  const auto settings = SettingsOf(
      {"--config",
       FileWith("upstreams: [{name: a}, {name: b}]\nroutes: [{upstream: a}]"),
       "--upstream", "x:1"});
  EXPECT_THAT(std::string(settings.status().message()),
              HasSubstr("--upstream: "));
}

TEST(ServeFlagsTest, ARouteComesBeforeTheFilesAndReplacesTheOneAtItsPath) {
  const auto settings =
      SettingsOf({"--config",
                  FileWith("upstreams: [{name: chat}]\n"
                           "routes: [{path: /x, method: a.B/C}, {path: /y, "
                           "method: a.B/C}]"),
                  "--route", "/y=a.B/D"});
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_THAT(PathsOf(*settings), ElementsAre("/y=/a.B/D", "/x=/a.B/C"));
  EXPECT_EQ(settings->routes[0].upstream, "chat");
  EXPECT_EQ(Validate(*settings), absl::OkStatus());
}

TEST(ServeFlagsTest, AFileWithFaultsMakesNoSettings) {
  EXPECT_THAT(
      std::string(
          SettingsOf({"--config", FileWith("threads: x")}).status().message()),
      HasSubstr("serve_flags_test.yaml:1:10: threads: "));
}

// At a reload the file may say something else; the flags still win.
TEST(ServeFlagsTest, TheFileIsReadEachTime) {
  CLI::App command;
  const std::shared_ptr<ServeFlags> flags = AddServeFlags(command);
  std::vector<std::string> words = {"7", "--max-sessions",
                                    FileWith("threads: 1"), "--config"};
  command.parse(words);
  EXPECT_EQ(SettingsFrom(*flags, {})->threads, 1);
  FileWith("threads: 2\nlimits: {max_sessions: 3}");
  EXPECT_EQ(SettingsFrom(*flags, {})->threads, 2);
  EXPECT_EQ(SettingsFrom(*flags, {})->limits.max_sessions, 7);
}

}  // namespace
}  // namespace headgate
