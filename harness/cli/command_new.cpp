// framefold new: a first description of an object.
#include <fmt/format.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <memory>

#include "cli/commands.hpp"
#include "cli/exit_status.hpp"
#include "cli/output_file.hpp"
#include "cli/settle_description.hpp"
#include "image/description.hpp"
#include "image/toml_text.hpp"

namespace framefold {

namespace {

struct NewOptions {
  std::vector<std::string> objects;
  std::string output;
  std::string callback;
  std::vector<std::string> returns;
  std::string gs_base;
  std::string fs_base;
  bool force = false;
};

/// "audit_hook=7"
void add_value(const std::string& said, SurveyRequest& request) {
  const std::size_t equals = said.find('=');
  const std::string number = equals == std::string::npos ? "" : said.substr(equals + 1);
  char* end = nullptr;
  const long long value = std::strtoll(number.c_str(), &end, 0);
  if (equals == 0 || number.empty() || *end != '\0' || value < INT32_MIN || value > UINT32_MAX) {
    throw InputError(fmt::format("--returns: expected FUNCTION=NUMBER, a number of 32 bits; found {}", said));
  }
  request.returns[said.substr(0, equals)] = value;
}

std::string place_of(const char* option, const std::string& said) {
  const std::optional<LocationText> place = split_location(said);
  if (!said.empty() && (!place || !is_symbol_name(place->symbol))) {
    throw InputError(
        fmt::format("{}: expected a symbol, or one with an offset like \"symbol+0x8\"; found {}", option, said));
  }
  return said;
}

int describe(const NewOptions& options) {
  const std::filesystem::path folder = std::filesystem::path(options.output).parent_path();
  std::error_code error;
  if (!folder.empty() && !std::filesystem::is_directory(folder, error)) {
    throw InputError(
        fmt::format("{}: expected a place that can be written: {} is no folder", options.output, folder.string()));
  }
  expect_no_input(options.output, options.objects);
  SurveyRequest request;
  request.objects = options.objects;
  request.description = options.output.empty() ? "entry.toml" : options.output;
  request.callback = options.callback;
  for (const std::string& said : options.returns) add_value(said, request);
  request.gs_base = place_of("--gs-base", options.gs_base);
  request.fs_base = place_of("--fs-base", options.fs_base);
  const std::string text = text_of(settle(survey_objects(request), request.description));
  parse_toml(text, request.description);  // a file's name may be no UTF-8
  if (options.output.empty()) {
    fmt::print("{}", text);
    return kExitClean;
  }
  write_output_file(options.output, {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}, options.force);
  fmt::print("{}\n", options.output);
  return kExitClean;
}

constexpr const char* kNewFooter =
    R"(Looks at names, at instructions, and runs the event callback with a tag in every register up to the function that it
calls with a frame: which function, how it is called, what lies where in the frame, on which stack. Then it delivers an
event and lets the handler return, to see where events are unmasked. Every line that it guessed has a comment that says
what from and what to check; what it could not guess is a line with FILL-IN. `framefold check` on the result passes, or
names the line to fill in.

Examples:
  framefold new entry.o -o entry.toml              relocatable objects are linked by framefold, with ld
  framefold new --callback evtchn_entry entry.o    where names do not show the event callback
  framefold new --returns audit_hook=1 entry.o     where the way to the handler depends on it
  framefold new --gs-base cpu_pda entry.o          where no symbol that was tried gets it there

Exit status: 0 written; 2 bad use; 3 an error of framefold's own.)";

}  // namespace

Command new_command(Arguments parent) {
  auto options = std::make_shared<NewOptions>();
  Arguments app = parent.add_command("new", "Write a first description of an object's entry code");
  app.add_option("OBJECT", options->objects,
                 "Relocatable objects, or a linked image in the lower half of addresses, above the first page")
      .required()
      .type_name("");
  app.add_option("-o,--output", options->output,
                 "File to write (default: standard output); the image's path in it is relative to its folder")
      .type_name("FILE");
  app.add_option("--callback", options->callback, "The event callback, where its name does not show it")
      .type_name("SYMBOL");
  app.add_option("--returns", options->returns,
                 "What a function returns that the objects call and do not define; may be repeated")
      .one_value()
      .type_name("FUNCTION=N");
  app.add_option("--gs-base", options->gs_base, "What GS leads to in kernel code: per-CPU data").type_name("PLACE");
  app.add_option("--fs-base", options->fs_base, "The same of FS").type_name("PLACE");
  app.add_flag("-f,--force", options->force, "Overwrite a file with other contents");
  app.footer(kNewFooter);
  return {app, [options] { return describe(*options); }};
}

}  // namespace framefold
