#include "cmd/headgate/help.h"

#include <iostream>
#include <memory>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gateway/config/suggestion.h"

namespace headgate {
namespace {

constexpr int kNoSuchCommand = 64;  // EX_USAGE of sysexits.h.
constexpr absl::string_view kSeeHelp =
    "\nRun \"headgate help\" for those that there are.";

std::vector<std::string> CommandsOf(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command :
       app.get_subcommands([](const CLI::App*) { return true; })) {
    names.push_back(command->get_name());
  }
  return names;
}

std::vector<std::string> FlagsOf(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) {
      names.push_back(absl::StrCat("--", name));
    }
  }
  return names;
}

std::string NoCommand(const CLI::App& app, absl::string_view word) {
  return absl::StrCat("headgate: there is no command '", word, "'",
                      DidYouMean(word, CommandsOf(app)), kSeeHelp);
}

int PrintHelp(const CLI::App& app, const std::string& command) {
  if (command.empty()) {
    // App::help is about the command that was parsed, which is this one.
    std::cout << app.get_formatter()->make_help(&app, app.get_name(),
                                                CLI::AppFormatMode::Normal);
    return 0;
  }
  const auto found = app.get_subcommands([&command](const CLI::App* other) {
    return other->get_name() == command;
  });
  if (found.empty()) {
    std::cerr << NoCommand(app, command) << std::endl;
    return kNoSuchCommand;
  }
  std::cout << found.front()->help(app.get_name());
  return 0;
}

}  // namespace

void AddHelp(CLI::App& app, std::function<int()>& run) {
  const auto command = std::make_shared<std::string>();
  CLI::App* const help =
      app.add_subcommand("help", "What a command takes, as COMMAND --help");
  help->add_option("COMMAND", *command, "The command; none: all of them")
      ->type_name("");
  help->callback([&run, &app, command] {
    run = [&app, command] { return PrintHelp(app, *command); };
  });
  app.add_subcommand("version", "The version, as --version")
      ->callback([&run, &app] {
        run = [&app] {
          std::cout << app.version() << std::endl;
          return 0;
        };
      });
}

std::string UsageFault(const CLI::App& app, const CLI::ParseError& error) {
  const std::vector<CLI::App*> commands = app.get_subcommands();
  if (commands.empty() && app.remaining().empty()) {
    return absl::StrCat("headgate: a command is missing", kSeeHelp);
  }
  const CLI::App& asked = commands.empty() ? app : *commands.front();
  const std::string name = commands.empty()
                               ? "headgate"
                               : absl::StrCat("headgate ", asked.get_name());
  const std::string see =
      absl::StrCat("\nRun \"", name, " --help\" for those that there are.");
  for (const std::string& word : app.remaining(/*recurse=*/true)) {
    // What comes behind it may be its value.
    if (absl::StartsWith(word, "--")) {
      const std::string flag = word.substr(0, word.find('='));
      return absl::StrCat(name, ": there is no flag '", flag, "'",
                          DidYouMean(flag, FlagsOf(asked)), see);
    }
    if (commands.empty() && !absl::StartsWith(word, "-")) {
      return NoCommand(app, word);
    }
  }
  return absl::StrCat(name, ": ", error.what(), "\nRun \"", name,
                      " --help\" for what it takes.");
}

}  // namespace headgate
