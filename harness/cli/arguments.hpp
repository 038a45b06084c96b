// What a command takes on its command line. CLI11 reads it; that stays in arguments.cpp and main.cpp, since each file
// that includes it takes ten seconds to compile.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

namespace CLI {  // NOLINT(readability-identifier-naming): the name of the library's
class App;
class Option;
}  // namespace CLI

namespace framefold {

/// An option or a positional, to say more about it. Names are CLI11's: "-e,--entry", "FILE", "!--no-map".
class Argument {
 public:
  explicit Argument(CLI::Option* option) : option_(option) {}

  Argument required();
  /// How help shows its value; "" for nothing.
  Argument type_name(const std::string& name);
  Argument one_of(std::initializer_list<const char*> values);
  Argument range(std::size_t lowest, std::size_t highest);
  /// Help shows the value that the variable has now.
  Argument shows_default();
  /// One value each time that it stands there, where its variable is a list.
  Argument one_value();
  Argument needs(Argument other);
  Argument excludes(Argument other);

 private:
  CLI::Option* option_;
};

/// Those of one command. The variables get what stood there, and have to live until it is parsed.
class Arguments {
 public:
  explicit Arguments(CLI::App* app) : app_(app) {}

  Arguments add_command(const std::string& name, const std::string& help);
  void require_command();
  void footer(const std::string& text);

  Argument add_option(const std::string& name, std::string& value, const std::string& help);
  Argument add_option(const std::string& name, std::vector<std::string>& values, const std::string& help);
  Argument add_option(const std::string& name, unsigned& value, const std::string& help);
  Argument add_option(const std::string& name, std::uint16_t& value, const std::string& help);
  Argument add_option(const std::string& name, std::size_t& value, const std::string& help);
  Argument add_option(const std::string& name, std::optional<unsigned>& value, const std::string& help);
  Argument add_flag(const std::string& name, bool& value, const std::string& help);
  /// `--unchecked`, of commands that judge.
  Argument add_unchecked(bool& unchecked);
  /// A flag that may have a value: "--trace{short}" is `short` without one.
  Argument add_flag(const std::string& name, std::string& value, const std::string& help);

  /// Whether the command was chosen, once it is parsed.
  bool chosen() const;

 private:
  CLI::App* app_;
};

}  // namespace framefold
