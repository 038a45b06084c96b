#include "image/link_objects.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string_view>

#include "image/check_uses.hpp"
#include "image/elf.hpp"
#include "image/input_file.hpp"
#include "image/parse_checked.hpp"
#include "image/relocatable.hpp"

namespace framefold {
namespace {

namespace fs = std::filesystem;

/// A folder that goes with what is in it.
class ScratchFolder {
 public:
  ScratchFolder() {
    std::string name = (fs::temp_directory_path() / "framefold-link-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw InputError(fmt::format("{}: expected a folder to link in", name));
    path_ = name;
  }
  ~ScratchFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  std::string file(const char* name) const { return (path_ / name).string(); }

 private:
  fs::path path_;
};

/// As `ld` takes it for a file: no option ("-o"), and none of its own ("@file").
std::string as_file(const std::string& path) { return fs::path(path).is_absolute() ? path : "./" + path; }

/// A pattern of the linker's that matches the file. Its patterns have no other way to say what is special in them.
std::string as_pattern(const std::string& path) {
  std::string pattern = as_file(path);
  std::replace_if(
      pattern.begin(), pattern.end(), [](char c) { return std::string_view("\"\\*?[]").find(c) != std::string::npos; },
      '?');
  return pattern;
}

/// The linker script: as entry/common/image.ld, but with sections by their flags, and with what is undefined.
class Script {
 public:
  Script(const Description& description, const ObjectSymbols& objects) : d_(description), objects_(objects) {
    define_functions();
    define_described_data();
    for (const std::string& name : objects.undefined) {
      if (done_.count(name) != 0 || is_own_section(name)) continue;
      if (objects.called.count(name) != 0) {
        text_ += fmt::format("    . = ALIGN(16); \"{}\" = .; BYTE(0x0f) BYTE(0x0b)\n", name);  // ud2
        traps_.push_back(name);
      } else {
        data(name, kUndescribedData);
        zeroed_.push_back(name);
      }
    }
  }

  const std::vector<std::string>& traps() const { return traps_; }
  const std::vector<std::string>& zeroed() const { return zeroed_; }

  std::string text() const {
    std::string script = fmt::format(R"(PHDRS
{{
  text PT_LOAD FLAGS(5);
  tables PT_LOAD FLAGS(4);
  data PT_LOAD FLAGS(6);
{}}}
SECTIONS
{{
  /DISCARD/ : {{ *(.note.*) *(.comment) *(.eh_frame) }}
  . = 0x100000;
  .text : {{
{}  }} :text
{}  .rodata ALIGN(0x1000) : {{ INPUT_SECTION_FLAGS(SHF_ALLOC & !SHF_WRITE & !SHF_EXECINSTR) *(*) BYTE(0) }} :tables
  .data ALIGN(0x1000) : {{ INPUT_SECTION_FLAGS(SHF_ALLOC & SHF_WRITE & !SHF_EXECINSTR) *(*) *(COMMON)
{}    BYTE(0) }} :data
)",
                                     stack_headers(), code(), page(), all_data());
    return script + stack_sections(false) + "  ASSERT(. < 0x08000000, \"the image reaches 128 MiB\")\n" +
           stack_sections(true) + "}\n";
  }

 private:
  bool defined(const std::string& name) const { return objects_.defined.count(name) != 0; }
  bool is_own_section(const std::string& name) const {
    const auto stacks = own_stacks();
    return name == d_.hypercall_page ||
           std::any_of(stacks.begin(), stacks.end(), [&](const StackDescription& s) { return s.symbol == name; });
  }

  /// The input code, around framefold's own functions. A hypercall page parts the code in two, and the entry's is what
  /// is on the event callback's side (find_text). So a page that the objects bring goes to an end of it all with the
  /// rest of its section: to the end that leaves the callback on the side of all else.
  std::string code() const {
    const std::string all = "    INPUT_SECTION_FLAGS(SHF_EXECINSTR) *(*)\n";
    if (d_.vectors.empty()) return all + text_;  // a description that says how to link, and nothing more
    const auto page = objects_.code.find(d_.hypercall_page);
    const auto callback = objects_.code.find(d_.vectors.front().symbol);
    if (page == objects_.code.end() || callback == objects_.code.end()) return all + text_;
    const ObjectSymbols::Place& at = page->second;
    const std::string object = as_pattern(at.object);
    const std::string with_page = fmt::format("    \"{}\"({})\n", object, at.section);
    if (!callback->second.shares_section(at) || callback->second.offset > at.offset) return with_page + all + text_;
    std::string others = fmt::format("    INPUT_SECTION_FLAGS(SHF_EXECINSTR) *(EXCLUDE_FILE(\"{}\") *)\n", object);
    for (const auto& [name, place] : objects_.code) {
      if (place.object == at.object && place.section != at.section)
        others += fmt::format("    \"{}\"({})\n", object, place.section);
    }
    return others + text_ + with_page;
  }

  /// `place` may be a member of what is undefined. What is farther than a row of `data` can say is in no segment then.
  void data(const std::string& place, std::uint64_t size) {
    constexpr std::uint64_t kMostData = 256 << 10;
    const std::optional<LocationText> at = split_location(place);
    if (!at || at->offset > kMostData) return;
    const std::string name(at->symbol);
    if (defined(name) || objects_.undefined.count(name) == 0) return;
    const auto same = [&](const auto& other) { return other.first == name; };
    const auto known = std::find_if(sizes_.begin(), sizes_.end(), same);
    if (known != sizes_.end()) {
      known->second = std::max(known->second, at->offset + size);
    } else if (done_.insert(name).second) {
      sizes_.emplace_back(name, at->offset + size);
    }
  }

  std::string all_data() const {
    std::string text;
    for (const auto& [name, size] : sizes_) {
      text += fmt::format("    . = ALIGN(64); \"{}\" = .; . += {};\n", name, size);
    }
    return text;
  }

  void define_function(const std::string& name) {
    if (objects_.undefined.count(name) == 0 || !done_.insert(name).second) return;
    text_ += fmt::format("    . = ALIGN(16); \"{}\" = .; BYTE(0x90) BYTE(0xc3)\n", name);  // nop; ret
  }

  void define_functions() {
    for (const VectorDescription& vector : d_.vectors) define_function(vector.handler);
    for (const CallDescription& call : d_.calls) define_function(call.symbol);
  }

  void define_described_data() {
    constexpr std::uint64_t kVcpuInfo = 64;
    constexpr std::uint64_t kWord32 = 4;
    data(d_.vcpu_info.pointer, word_size(d_.width));
    data(d_.vcpu_info.symbol, d_.vcpu_info.offset() + kVcpuInfo);
    data(d_.stacks.interrupt_pointer, word_size(d_.width));
    data(d_.stacks.nesting_count, kWord32);
    for (const CounterDescription& counter : d_.counters) data(counter.symbol, counter.size);
    for (const CallDescription& call : d_.calls) data(call.sets, kWord32);
    if (d_.work_flag) data(d_.work_flag->symbol, kWord32);
    for (const DataDescription& row : d_.data) data(row.symbol, row.size);
  }

  /// Stacks that the objects do not bring: a segment each, with unmapped pages on both sides.
  std::vector<StackDescription> own_stacks() const {
    std::vector<StackDescription> stacks = {d_.stacks.thread};
    if (d_.stacks.interrupt) stacks.push_back(*d_.stacks.interrupt);
    if (d_.stacks.kernel) stacks.push_back(*d_.stacks.kernel);
    stacks.erase(std::remove_if(stacks.begin(), stacks.end(), [&](const auto& s) { return defined(s.symbol); }),
                 stacks.end());
    return stacks;
  }

  std::string stack_headers() const {
    std::string headers;
    for (std::size_t i = 0; i < own_stacks().size(); ++i) headers += fmt::format("  stack{} PT_LOAD FLAGS(6);\n", i);
    return headers;
  }

  /// On 64-bit, and where nothing in the objects says how far away they may be, stacks lie where no half of a stack
  /// pointer leads to them, nor its sign-extension: as entry/common/image.ld has it.
  bool lies_high(const StackDescription& stack) const {
    return d_.width == Width::k64 && objects_.undefined.count(stack.symbol) == 0;
  }

  std::string stack_sections(bool high) const {
    std::string sections;
    const std::vector<StackDescription> stacks = own_stacks();
    if (high) sections = "  . = MAX(., 0x180000000);\n";
    for (std::size_t i = 0; i < stacks.size(); ++i) {
      if (lies_high(stacks[i]) != high) continue;
      sections +=
          fmt::format("  .framefold.stack{} ALIGN(0x1000) + 0x10000 (NOLOAD) : {{ \"{}\" = .; . += {}; }} :stack{}\n",
                      i, stacks[i].symbol, stacks[i].size, i);
    }
    return sections;
  }

  std::string page() const {
    if (defined(d_.hypercall_page)) return "";
    return fmt::format("  .framefold.page ALIGN(0x1000) : {{ \"{}\" = .; FILL(0xcccccccc) . += 0x1000; }} :text\n",
                       d_.hypercall_page);
  }

  const Description& d_;
  const ObjectSymbols& objects_;
  std::set<std::string> done_;
  std::string text_;
  std::vector<std::pair<std::string, std::uint64_t>> sizes_;  // of data, in order
  std::vector<std::string> traps_;
  std::vector<std::string> zeroed_;
};

std::string first_line(const std::string& path) {
  std::ifstream in(path);
  std::string line;
  while (std::getline(in, line)) {
    const bool introduces = line.ends_with(":");  // "ld: x.o: in function `f':"
    if (line.find("warning:") == std::string::npos && !line.empty() && !introduces) return line;
  }
  return "no reason given";
}

/// Runs `ld`, as PATH finds it; what it says goes to `log`. Gives its exit status, 127 where there is none.
int run_ld(const std::vector<std::string>& arguments, const std::string& log) {
  std::vector<char*> argv;
  argv.reserve(arguments.size() + 1);
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  const pid_t child = ::fork();
  if (child == 0) {
    const int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ::dup2(out, STDOUT_FILENO);
    ::dup2(out, STDERR_FILENO);
    ::execvp(argv[0], argv.data());
    ::_exit(127);
  }
  int state = 0;
  if (child < 0 || ::waitpid(child, &state, 0) < 0 || !WIFEXITED(state)) return -1;
  return WEXITSTATUS(state);
}

/// Says which line names the file.
std::vector<std::uint8_t> read_named(const Description& description, const std::string& path) {
  try {
    return read_input_file(path, kMaxElfSize);
  } catch (const InputError& error) {
    throw image_error(description, error);
  }
}

/// What is zeroed takes room in the linked image as well.
void expect_size(const Description& description, const std::string& image, const std::string& names) {
  std::error_code error;
  const std::uintmax_t size = fs::file_size(image, error);
  if (error || size <= kMaxElfSize) return;
  throw image_error(description, InputError(fmt::format("{}: expected objects that take at most {} bytes once linked, "
                                                        "with what is zeroed (.bss); found {}",
                                                        names, kMaxElfSize, size)));
}

ImageFile link(const Description& description, const std::vector<std::string>& paths, const ObjectSymbols& symbols) {
  const ScratchFolder folder;
  const Script script(description, symbols);
  std::ofstream(folder.file("image.ld"), std::ios::binary) << script.text();
  std::vector<std::string> arguments = {"ld",
                                        "-m",
                                        description.width == Width::k64 ? "elf_x86_64" : "elf_i386",
                                        "-static",
                                        "-T",
                                        folder.file("image.ld"),
                                        "-e",
                                        "0",
                                        "-z",
                                        "noexecstack",
                                        "-z",
                                        "max-page-size=4096",
                                        "--build-id=none",
                                        "-o",
                                        folder.file("image")};
  std::transform(paths.begin(), paths.end(), std::back_inserter(arguments), as_file);
  const int status = run_ld(arguments, folder.file("log"));
  if (status == 127) {
    throw description_error(description, "image",
                            "expected a linked image, since there is no `ld` (GNU binutils) to link these objects");
  }
  if (status != 0) {
    throw description_error(description, "image",
                            fmt::format("expected objects that can be linked: {}", first_line(folder.file("log"))));
  }
  const std::string names = fmt::format("{}", fmt::join(paths, " "));
  expect_size(description, folder.file("image"), names);
  return {read_input_file(folder.file("image"), kMaxElfSize), names, script.traps(), script.zeroed(), {}};
}

/// Names that a row or table of the description is about.
std::set<std::string> described_names(const Description& d) {
  std::set<std::string> names = {d.vcpu_info.pointer, d.vcpu_info.symbol, d.stacks.interrupt_pointer,
                                 d.stacks.nesting_count};
  if (d.work_flag) names.insert(d.work_flag->symbol);
  for (const VectorDescription& vector : d.vectors) names.insert(vector.handler);
  for (const CallDescription& call : d.calls) names.insert({call.symbol, call.sets});
  for (const CounterDescription& counter : d.counters) names.insert(counter.symbol);
  for (const DataDescription& row : d.data) names.insert(row.symbol);
  std::set<std::string> symbols;
  for (const std::string& name : names) {
    if (const std::optional<LocationText> place = split_location(name)) symbols.emplace(place->symbol);
  }
  return symbols;
}

/// Per-CPU data is reached through a base, and the objects need not name where it starts: what describes it makes it.
void use_bases(const Description& d, ObjectSymbols& symbols) {
  const std::set<std::string> described = described_names(d);
  std::set<std::string> bases = {d.fs_base, d.gs_base};
  for (const SegmentDescription& segment : d.segments) bases.insert(segment.base);
  for (const std::string& base : bases) {
    if (described.count(base) != 0 && symbols.defined.count(base) == 0) symbols.undefined.insert(base);
  }
}

/// Code may look whether a weak symbol is there. Where it does not, or somebody says what it is, it is one as others.
/// Gives those that stay absent.
std::vector<std::string> settle_weak(const Description& description, ObjectSymbols& symbols) {
  const std::set<std::string> described = described_names(description);
  std::vector<std::string> absent;
  for (const std::string& name : symbols.weak) {
    if (symbols.defined.count(name) != 0 || symbols.undefined.count(name) != 0) continue;
    const bool only_called = symbols.called.count(name) != 0 && symbols.taken.count(name) == 0;
    if (only_called || described.count(name) != 0) {
      symbols.undefined.insert(name);
    } else {
      absent.push_back(name);
    }
  }
  return absent;
}

}  // namespace

InputError image_error(const Description& description, const InputError& error) {
  // Where nobody has written a description yet, it is the file alone.
  return description.positions.count("image") == 0 ? error : description_error(description, "image", error.what());
}

void check_width(const Description& description, std::span<const std::uint8_t> elf, const std::string& elf_name) {
  constexpr std::size_t kClass = 4;  // EI_CLASS: 1 is 32-bit, 2 is 64-bit
  const unsigned found = elf.size() <= kClass ? 0 : elf[kClass];
  const bool wide = description.width == Width::k64;
  if (found == (wide ? 1U : 2U)) {
    throw description_error(description, "width",
                            fmt::format("expected {}, or a {}-bit ELF file: {} is a {}-bit one", wide ? 32 : 64,
                                        wide ? 64 : 32, elf_name, wide ? 32 : 64));
  }
}

std::vector<std::string> image_paths(const Description& description) {
  const fs::path folder = fs::path(description.file).parent_path();
  const std::string whole = (folder / description.image).string();
  std::error_code error;
  if (fs::exists(whole, error) || description.image.find(' ') == std::string::npos) return {whole};
  std::vector<std::string> paths;
  std::istringstream words(description.image);
  for (std::string word; words >> word;) paths.push_back((folder / word).string());
  return paths;
}

void check_file_widths(const Description& description) {
  constexpr std::string_view kMagic = "\177ELF";
  for (const std::string& path : image_paths(description)) {
    std::error_code error;
    if (!fs::is_regular_file(path, error)) continue;  // whoever reads it says so
    std::array<char, kMagic.size() + 1> start{};
    std::ifstream(path, std::ios::binary).read(start.data(), start.size());
    if (!std::string_view(start.data(), start.size()).starts_with(kMagic)) continue;
    const auto bytes = std::bit_cast<std::array<std::uint8_t, start.size()>>(start);
    check_width(description, bytes, path);
  }
}

ImageFile read_image_file(const Description& description) {
  const std::vector<std::string> paths = image_paths(description);
  ObjectSymbols symbols;
  for (const std::string& path : paths) {
    std::vector<std::uint8_t> bytes = read_named(description, path);
    if (is_archive(bytes)) throw image_error(description, archive_error(path));
    if (!is_relocatable(bytes)) {
      if (paths.size() == 1) {
        if (!description.data.empty()) {
          throw description_error(description, "data",
                                  fmt::format("expected only where `image` is relocatable objects: {} is none", path));
        }
        return {std::move(bytes), path};
      }
      throw description_error(description, "image", fmt::format("expected relocatable objects: {} is none", path));
    }
    check_width(description, bytes, path);
    try {
      add_symbols(bytes, path, symbols);
    } catch (const InputError& error) {
      throw image_error(description, error);
    }
  }
  for (const std::string& name : symbols.defined) symbols.undefined.erase(name);
  std::vector<std::string> absent = settle_weak(description, symbols);
  use_bases(description, symbols);
  check_uses(description, symbols);
  ImageFile image = link(description, paths, symbols);
  image.absent = std::move(absent);
  return image;
}

}  // namespace framefold
