#include "image/description_keys.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "image/description_rules.hpp"

namespace framefold {
namespace {

using enum KeyType;

// Bounds. A stack is 16 KiB or more so that nesting is reported before the guard is hit, and small enough that a
// snapshot of it costs nothing. 33 vectors: the callback and the 32 exceptions.
constexpr std::int64_t kMinStack = 16 << 10;
constexpr std::int64_t kMaxStack = 1 << 20;
constexpr std::int64_t kMaxVectors = 33;
constexpr std::int64_t kMaxFrame = 4096;
constexpr std::int64_t kMaxRows = 256;
constexpr std::int64_t kMaxSegments = 8;
constexpr std::int64_t kMaxSelector = 0xdfdf;  // below those of fs_base and gs_base (machine/selectors.hpp), and Xen's
constexpr std::int64_t kMaxCalls = 64;         // each has a place on the page of modelled handlers
constexpr std::int64_t kMaxData = 32;
constexpr std::int64_t kMaxDataSize = 256 << 10;  // a kernel's per-CPU data; 32 of it fit into an image

constexpr std::string_view kConditions =
    "marked|if-set|if-clear|user|kernel|on-thread|on-interrupt|event|exception|nmi|null-ds|odd-pending|rip-in-region|"
    "misaligned";

// clang-format off: a table
constexpr auto kKeys = std::to_array<KeySpec>({
    // path                        type            required  minimum    maximum      choices             help
    {"name", word, true, 0, 0, "", "the entry's name: its folder, and the first part of every signature"},
    {"summary", string, true, 0, 0, "", "which system this is, in one line"},
    {"image", string, true, 0, 0, "",
     "path of the linked ELF, relative to this file; or of relocatable objects, with blanks between, which ld links"},
    {"width", integer_choice, true, 0, 0, "32|64", "bits of the guest"},
    {"modes", choice_list, true, 1, 2, "kernel|user",
     "what contexts run in: kernel, and user where user mode can be interrupted"},
    {"nests", boolean, false, 0, 0, "",
     "frames nest by design: a nested event is not expected to be folded (default false)"},
    {"hypercall_page", symbol, true, 0, 0, "",
     "page-aligned page in executable memory that framefold fills as Xen does"},
    {"gs_base", data_place, false, 0, 0, "",
     "what GS leads to while kernel code runs, where the entry does not load it: per-CPU data (default: address 0)"},
    {"fs_base", data_place, false, 0, 0, "",
     "the same of FS; entry code that comes from user mode still has the user's there, since Xen swaps GS alone"},
    {"segments", table_list, false, 1, kMaxSegments, "",
     "data segments that a 32-bit guest has put into its GDT and the entry loads: per-CPU data"},
    {"segments[].selector", integer, true, 8, kMaxSelector, "", "as the code loads it; below Xen's own"},
    {"segments[].base", data_place, true, 0, 0, "", "where the segment starts"},
    {"symbols", symbol_list, false, 0, kMaxRows, "", "further symbols that locations are given in"},
    {"pending_values", integer_list, false, 1, 255, "",
     "what a raise may write to evtchn_upcall_pending (default [1])"},
    {"vectors", table_list, true, 1, kMaxVectors, "", "the ways into the entry code; exactly one is of kind event"},
    {"vectors[].name", word, true, 0, 0, "", "what reports call it; \"nmi\" is taken"},
    {"vectors[].kind", choice, true, 0, 0, "event|exception",
     "the event callback or an exception stub (the NMI has a table of its own)"},
    {"vectors[].number", integer, false, 0, 31, "",
     "exception vector, not 2; required for exceptions, not allowed for the event"},
    {"vectors[].symbol", symbol, true, 0, 0, "", "where Xen enters"},
    {"vectors[].error_code", boolean, false, 0, 0, "",
     "Xen pushes an error code: as the vector's number says (default false)"},
    {"vectors[].masks_events", boolean, false, 0, 0, "",
     "delivery masks events, TI_GET_IF (default false; the event always does)"},
    {"vectors[].common_exit", boolean, false, 0, 0, "",
     "ends in the same exit path as the event callback (default true)"},
    {"vectors[].handler", symbol, false, 0, 0, "",
     "C handler that it calls; required for exceptions, not allowed for the event (handler.symbol)"},
    {"vectors[].returns", integer, false, INT32_MIN, UINT32_MAX, "",
     "what its handler returns (default: handler.returns); the same for all that call one handler"},
    {"nmi", table, false, 0, 0, "", "the NMI callback, where the entry has one"},
    {"nmi.symbol", symbol, true, 0, 0, "", "where Xen enters"},
    {"nmi.handler", symbol, true, 0, 0, "", "C handler that it calls"},
    {"nmi.marks", boolean, false, 0, 0, "",
     "its handler sets RFLAGS bit 31, the guest's marker, in the saved frame (default false)"},
    {"nmi.common_exit", boolean, false, 0, 0, "", "ends in the same exit path as the event callback (default true)"},
    {"nmi.returns", integer, false, INT32_MIN, UINT32_MAX, "", "what its handler returns (default: handler.returns)"},
    {"handler", table, true, 0, 0, "", "how C handlers are called"},
    {"handler.symbol", symbol, true, 0, 0, "", "the event handler"},
    {"handler.argument", gpr, true, 0, 0, "stack", "where the frame's address is: a register, or the first stack slot"},
    {"handler.error_code_argument", gpr, false, 0, 0, "none",
     "where an exception's error code is (default none: not passed in a register)"},
    {"handler.stack_alignment", integer_choice, true, 0, 0, "4|8|16|32|64",
     "bytes that RSP + 8 (32-bit: ESP + 4) is a multiple of at a handler's first instruction: what its compiler was "
     "told"},
    {"handler.returns", integer, false, INT32_MIN, UINT32_MAX, "",
     "what the handlers return, but for vectors that say it themselves (default: anything, so that the code may not "
     "look at it)"},
    {"calls", table_list, false, 1, kMaxCalls, "",
     "what the entry calls besides the handlers; framefold does this instead of running the function"},
    {"calls[].symbol", symbol, true, 0, 0, "", "the function"},
    {"calls[].returns", integer, false, INT32_MIN, UINT32_MAX, "",
     "what it returns (default: anything, so that the code may not look at it)"},
    {"calls[].clobbers", boolean, false, 0, 0, "",
     "overwrites what the ABI lets a C function overwrite: registers, flags, the stack below (default true)"},
    {"calls[].sets", data_place, false, 0, 0, "", "a 32-bit word that it stores to"},
    {"calls[].to", integer, false, 0, UINT32_MAX, "", "what it stores there", 1},
    {"calls[].takes_event", boolean, false, 0, 0, "",
     "unmasks events, takes one, and makes the mask what it was (default false)"},
    {"calls[].never", boolean, false, 0, 0, "",
     "is never reached: reaching it is a guest-fault (default false); then nothing else can be said of it"},
    {"data", table_list, false, 1, kMaxData, "",
     "data that relocatable objects use and do not define, or that a base leads to: zeroed memory (without a row, 64 "
     "bytes of what they use)"},
    {"data[].symbol", symbol, true, 0, 0, "", "lowest address"},
    {"data[].size", integer, true, 1, kMaxDataSize, "", "bytes"},
    {"stacks", table, true, 0, 0, "", "the stacks"},
    {"stacks.thread", table, true, 0, 0, "", "where a kernel context runs: any memory of its own does"},
    {"stacks.thread.symbol", symbol, true, 0, 0, "", "lowest address, a multiple of 16"},
    {"stacks.thread.size", integer, true, kMinStack, kMaxStack, "", "bytes, a multiple of 16"},
    {"stacks.interrupt", table, false, 0, 0, "", "the stack that the entry switches to for handlers"},
    {"stacks.interrupt.symbol", symbol, true, 0, 0, "", "lowest address, a multiple of 16"},
    {"stacks.interrupt.size", integer, true, kMinStack, kMaxStack, "", "bytes, a multiple of 16"},
    {"stacks.interrupt.pointer", data_place, false, 0, 0, "",
     "a word through which the code finds its top: framefold fills it with an address 64 bytes below its end"},
    {"stacks.kernel", table, false, 0, 0, "",
     "its top is kernel_sp; required where modes lists user, not allowed elsewhere"},
    {"stacks.kernel.symbol", symbol, true, 0, 0, "", "lowest address, a multiple of 16"},
    {"stacks.kernel.size", integer, true, kMinStack, kMaxStack, "", "bytes, a multiple of 16"},
    {"stacks.nesting", table, false, 0, 0, "",
     "how the code knows on which stack it is, where it counts (without: by RSP); allowed with stacks.interrupt alone"},
    {"stacks.nesting.symbol", data_place, true, 0, 0, "", "a 32-bit word"},
    {"stacks.nesting.on_thread", integer, true, INT32_MIN, INT32_MAX, "", "its value in a context on the thread stack"},
    {"stacks.nesting.on_interrupt", integer, true, INT32_MIN, INT32_MAX, "",
     "its value in a context on the interrupt stack"},
    {"region", table, false, 0, 0, "", "the critical region that the entry's labels claim"},
    {"region.start", symbol, true, 0, 0, "", "its first instruction"},
    {"region.end", symbol, true, 0, 0, "", "first byte behind it"},
    {"region.restore_end", symbol, false, 0, 0, "", "single-register folds: from here on all registers are back"},
    {"region.table", symbol, false, 0, 0, "", "byte tables: the fixup table, one byte a byte of the region"},
    {"vcpu_info", table, false, 0, 0, "",
     "how the code finds its vcpu_info: exactly one of pointer and symbol (default: it does not touch it)"},
    {"vcpu_info.pointer", data_place, false, 0, 0, "", "a word that framefold fills with its address"},
    {"vcpu_info.symbol", data_place, false, 0, 0, "", "the structure itself"},
    {"vcpu_info.index", integer, false, 0, std::int64_t{kMostVcpus} - 1, "",
     "this vCPU's, where `pointer` or `symbol` leads to those of all", 0},
    {"vcpu_info.stride", integer, false, 64, 4096, "", "bytes from one vCPU's to the next one's", 64},
    {"work_flag", table, false, 0, 0, "", "the flag by which an event handler asks for work before user mode resumes"},
    {"work_flag.symbol", data_place, true, 0, 0, "", "a 32-bit word"},
    {"work_flag.mask", integer, false, 1, UINT32_MAX, "", "the bits that a handler sets in it", 1},
    {"entry_data", table, false, 0, 0, "", "the entry code's own data"},
    {"entry_data.counters", table_list, true, 1, kMaxRows, "",
     "data that may differ when a context resumes; where no object defines it, zeroed memory of that size"},
    {"entry_data.counters[].symbol", data_place, true, 0, 0, "", "lowest address"},
    {"entry_data.counters[].size", integer, true, 1, 65536, "", "bytes"},
    {"frame", table, true, 0, 0, "", "the frame that a handler gets"},
    {"frame.size", integer, true, 12, kMaxFrame, "",
     "bytes, with the words that only a user frame has; a multiple of the word size"},
    {"frame.slots", slot_table, true, 0, kMaxFrame, "",
     "offset of each register (32-bit: eax ..., eip, eflags, esp), cs, ss, ds, es, fs, gs; other names are kept, not "
     "compared"},
    {"known", table_list, false, 1, kMaxRows, "", "violations that are known: skipped, not hidden"},
    {"known[].kind", word, true, 0, 0, "", "the violation's kind"},
    {"known[].at", boundary_list, true, 2, 2, "", "first and last boundary that causes it, inclusive"},
    {"known[].when", choice_list, false, 0, 14, kConditions,
     "conditions on the activation that the cause lies in; all must hold (default none)"},
    {"known[].why", string, true, 0, 0, "", "the mechanism, in one sentence"},
    {"known[].reproducer", file_name, true, 0, 0, "", "file below reproducers/<entry>/ that shows it"},
    {"equivalent_mutants", table_list, false, 1, kMaxRows, "",
     "faults of `framefold mutants` that change nothing that counts, argued"},
    {"equivalent_mutants[].at", text_list, true, 1, kMaxRows, "", "boundaries that the faults are planted at"},
    {"equivalent_mutants[].faults", text_list, true, 1, kMaxRows, "",
     "which faults, as `framefold mutants` names them: each at each of the boundaries"},
    {"equivalent_mutants[].same", choice, false, 0, 0, "ways|ends",
     "what is the original's: every way from one handler's call, return or resumption to the next, or, where the fault "
     "takes another way that is as good, all of these (default ways)"},
    {"equivalent_mutants[].why", string, true, 0, 0, "", "why nothing that counts depends on it, in one sentence"},
});
// clang-format on

std::string number_range(const KeySpec& key) { return fmt::format("{} to {}", key.minimum, key.maximum); }

std::string count_of(const KeySpec& key) {
  return key.minimum == key.maximum ? fmt::format("{}", key.minimum) : number_range(key);
}

// The columns of the manual; the name of a type there is what a person would call it.
std::string_view short_type(KeyType type) {
  switch (type) {
    case string:
      return "text";
    case word:
      return "word";
    case file_name:
      return "file name";
    case symbol:
      return "symbol";
    case data_place:
      return "place";
    case gpr:
      return "register";
    case boolean:
      return "true or false";
    case integer:
    case integer_choice:
      return "integer";
    case choice:
      return "choice";
    case choice_list:
      return "choices";
    case symbol_list:
      return "symbols";
    case boundary_list:
      return "locations";
    case text_list:
      return "texts";
    case integer_list:
      return "integers";
    case table:
    case slot_table:
      return "table";
    case table_list:
      return "tables";
  }
  return "";
}

}  // namespace

std::span<const KeySpec> description_keys() { return kKeys; }

const KeySpec* find_key(std::string_view path) {
  const auto row = std::find_if(kKeys.begin(), kKeys.end(), [&](const KeySpec& key) { return key.path == path; });
  return row == kKeys.end() ? nullptr : &*row;
}

std::string_view name_of_key(const KeySpec& key) {
  const std::size_t dot = key.path.rfind('.');
  return dot == std::string_view::npos ? key.path : key.path.substr(dot + 1);
}

std::vector<const KeySpec*> keys_below(std::string_view parent) {
  std::vector<const KeySpec*> below;
  for (const KeySpec& key : kKeys) {
    const std::size_t dot = key.path.rfind('.');
    const std::string_view its_parent = dot == std::string_view::npos ? std::string_view{} : key.path.substr(0, dot);
    if (its_parent == parent) below.push_back(&key);
  }
  return below;
}

std::vector<std::string_view> choices_of(const KeySpec& key) {
  std::vector<std::string_view> choices;
  std::string_view rest = key.choices;
  while (!rest.empty()) {
    const std::size_t bar = rest.find('|');
    choices.push_back(rest.substr(0, bar));
    rest = bar == std::string_view::npos ? std::string_view{} : rest.substr(bar + 1);
  }
  return choices;
}

std::string expected_value(const KeySpec& key) {
  switch (key.type) {
    case string:
      return "one line of text";
    case word:
      return "a word of lower-case letters, digits, '-' and '_'";
    case file_name:
      return "a file name without folders";
    case symbol:
      return "the name of a symbol";
    case data_place:
      return "the name of a symbol, or one with an offset like \"symbol+0x8\"";
    case gpr:
      return fmt::format("a register of the width, or \"{}\"", key.choices);
    case boolean:
      return "true or false";
    case integer:
      return fmt::format("an integer from {}", number_range(key));
    case integer_choice:
      return fmt::format("one of {}", fmt::join(choices_of(key), ", "));
    case choice:
      return fmt::format("one of \"{}\"", fmt::join(choices_of(key), "\", \""));
    case choice_list:
      return fmt::format("a list of different words out of {}", fmt::join(choices_of(key), ", "));
    case symbol_list:
      return fmt::format("a list of {} symbol names", count_of(key));
    case boundary_list:
      return fmt::format("a list of {} locations like \"symbol+0x12\"", count_of(key));
    case text_list:
      return fmt::format("a list of {} different texts, each one line and not empty", count_of(key));
    case integer_list:
      return fmt::format("a list, not empty, of different integers from {}", number_range(key));
    case table:
      return "a table";
    case table_list:
      return fmt::format("{} tables", count_of(key));
    case slot_table:
      return fmt::format("a table of names with offsets from {}", number_range(key));
  }
  return "";
}

std::string description_manual() {
  std::size_t path_width = 0;
  std::size_t type_width = 0;
  for (const KeySpec& key : kKeys) {
    path_width = std::max(path_width, key.path.size());
    type_width = std::max(type_width, short_type(key.type).size());
  }
  std::string manual =
      fmt::format("{:<{}}  {:<{}}  {:<8}  {}\n", "key", path_width, "value", type_width, "", "meaning");
  for (const KeySpec& key : kKeys) {
    manual += fmt::format("{:<{}}  {:<{}}  {:<8}  {}", key.path, path_width, short_type(key.type), type_width,
                          key.required ? "required" : "", key.help);
    manual += key.otherwise ? fmt::format(" (default {})", *key.otherwise) : "";
    const bool plain = key.type == boolean || key.type == table || key.type == table_list || key.type == string ||
                       key.type == symbol || key.type == file_name;
    manual += plain ? "\n" : fmt::format("; {}\n", expected_value(key));
  }
  return manual;
}

}  // namespace framefold
