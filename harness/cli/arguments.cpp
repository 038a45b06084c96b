#include "cli/arguments.hpp"

#include <CLI/CLI.hpp>

namespace framefold {

Argument Argument::required() {
  option_->required();
  return *this;
}

Argument Argument::type_name(const std::string& name) {
  option_->type_name(name);
  return *this;
}

Argument Argument::one_of(std::initializer_list<const char*> values) {
  option_->check(CLI::IsMember(std::vector<std::string>(values.begin(), values.end())).description(""));
  return *this;
}

Argument Argument::range(std::size_t lowest, std::size_t highest) {
  option_->check(CLI::Range(lowest, highest));
  return *this;
}

Argument Argument::shows_default() {
  option_->capture_default_str();
  return *this;
}

Argument Argument::one_value() {
  option_->allow_extra_args(false);
  return *this;
}

Argument Argument::needs(Argument other) {
  option_->needs(other.option_);
  return *this;
}

Argument Argument::excludes(Argument other) {
  option_->excludes(other.option_);
  return *this;
}

Arguments Arguments::add_command(const std::string& name, const std::string& help) {
  return Arguments(app_->add_subcommand(name, help));
}

void Arguments::require_command() { app_->require_subcommand(1); }

void Arguments::footer(const std::string& text) { app_->footer(text); }

namespace {

/// No file, entry, signature or symbol has an empty name: it is a variable of a script that is not set.
CLI::Option* not_empty(CLI::Option* option) {
  return option->check(
      [](const std::string& value) { return std::string(value.empty() ? "expected a value that is not empty" : ""); },
      "");
}

}  // namespace

Argument Arguments::add_option(const std::string& name, std::string& value, const std::string& help) {
  return Argument(not_empty(app_->add_option(name, value, help)));
}

Argument Arguments::add_option(const std::string& name, std::vector<std::string>& values, const std::string& help) {
  return Argument(not_empty(app_->add_option(name, values, help)));
}

Argument Arguments::add_option(const std::string& name, unsigned& value, const std::string& help) {
  return Argument(app_->add_option(name, value, help));
}

Argument Arguments::add_option(const std::string& name, std::uint16_t& value, const std::string& help) {
  return Argument(app_->add_option(name, value, help));
}

Argument Arguments::add_option(const std::string& name, std::size_t& value, const std::string& help) {
  return Argument(app_->add_option(name, value, help));
}

Argument Arguments::add_option(const std::string& name, std::optional<unsigned>& value, const std::string& help) {
  return Argument(app_->add_option(name, value, help));
}

Argument Arguments::add_flag(const std::string& name, bool& value, const std::string& help) {
  return Argument(app_->add_flag(name, value, help));
}

Argument Arguments::add_unchecked(bool& unchecked) {
  return add_flag("--unchecked", unchecked,
                  "Do not make sure first that a description from a file holds (framefold check)");
}

Argument Arguments::add_flag(const std::string& name, std::string& value, const std::string& help) {
  return Argument(app_->add_flag(name, value, help));
}

bool Arguments::chosen() const { return app_->parsed(); }

}  // namespace framefold
