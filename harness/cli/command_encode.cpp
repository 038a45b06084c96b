// framefold encode: a scenario from text to the binary form that fuzzers and corpora hold.
#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <span>

#include "cli/commands.hpp"
#include "cli/entry_store.hpp"
#include "cli/exit_status.hpp"
#include "cli/input.hpp"
#include "cli/output_file.hpp"
#include "cli/sha1.hpp"
#include "scenario/codec.hpp"

namespace framefold {

namespace {

struct EncodeOptions {
  std::string file;
  std::string entry;
  std::string output = ".";
  bool force = false;
};

int encode_file(const EncodeOptions& options) {
  if (!is_toml_file(options.file)) {
    throw InputError(fmt::format("{}: expected a scenario in text, a file whose name ends in .toml", options.file));
  }
  EntryStore store;
  const Input input = read_input(options.file, options.entry, store);
  const Encoded encoded = encode(input.scenario, *input.entry);
  std::filesystem::path output = options.output;
  std::error_code error;
  if (std::filesystem::is_directory(output, error)) {
    output /= sha1_name(encoded.view());
    output = output.lexically_normal();
  }
  expect_no_input(output.string(), std::span(&options.file, 1));
  expect_no_input(output.string(), store.files());
  write_output_file(output.string(), encoded.view(), options.force);
  fmt::print("{}\n", output.string());
  return kExitClean;
}

constexpr const char* kEncodeFooter =
    R"(Prints the name of the file that holds the result. A file that is there with other contents is left alone without -f;
nothing is ever half written.

Example:
  framefold encode bug.toml -o corpus/minios-x86_64-table)";

}  // namespace

Command encode_command(Arguments parent) {
  auto options = std::make_shared<EncodeOptions>();
  Arguments app = parent.add_command("encode", "Write a scenario in text (TOML) as a fuzzer's input");
  app.add_option("FILE", options->file, "A scenario in text").required().type_name("");
  app.add_option("-e,--entry", options->entry,
                 "Name of a bundled entry, or path of an entry.toml; wins over what a file says")
      .type_name("NAME|PATH");
  app.add_option("-o,--output", options->output,
                 "File to write, or a directory: there the name is the SHA-1 of the contents, as libFuzzer's are")
      .type_name("OUT")
      .shows_default();
  app.add_flag("-f,--force", options->force, "Overwrite a file with other contents");
  app.footer(kEncodeFooter);
  return {app, [options] { return encode_file(*options); }};
}

}  // namespace framefold
